"""A connection to a database of this spindb's schema, for the length of a ``with``.

The one way in for questions and records; `spindb.ingest` alone opens its own, since it may create the
database and goes through many transactions.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from spindb.errors import DamagedWarning, DatabaseError
from spindb.index.database import migrate
from spindb.index.database.engine import database_errors, open_engine, shown_location
from spindb.index.database.unknown import noted

_MAX_NAMED = 3
# What code raises that got a value of another type than the column's.
_OF_DAMAGE = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, DBAPIError)


@contextmanager
def _damage_in_words(connection: Connection, name: str) -> Iterator[None]:
    """Warn of values that were taken for unknown; say which ones caused an unexpected error."""
    try:
        yield
    except _OF_DAMAGE as error:
        wrong = _wrong_cells(connection)
        if not wrong:
            raise
        raise DatabaseError(f"{name} holds wrong values:{_listed(wrong)}", hint="spindb db check") from error
    if noted.taken():
        wrong = _wrong_cells(connection) or ["see there"]
        listed = _listed(wrong)
        noted.last_warning = f"{name} holds wrong values:{listed}"
        warnings.warn(
            f"{name} holds wrong values, which are taken for unknown (spindb db check lists all):{listed}",
            DamagedWarning,
            stacklevel=4,
        )


def _listed(wrong: list[str]) -> str:
    return "".join(f"\n  {line}" for line in wrong)


def _wrong_cells(connection: Connection) -> list[str]:
    from spindb.index.database.damage import wrong_cells  # of damaged databases alone

    try:
        found = list(itertools.islice(wrong_cells(connection), _MAX_NAMED + 1))
    except _OF_DAMAGE:  # the connection itself is gone
        return []
    return [*found[:_MAX_NAMED], "…"] if len(found) > _MAX_NAMED else found


@contextmanager
def connected(location: str | Path, *, write: bool = False) -> Iterator[Connection]:
    """A connection that reads, or one transaction that writes.

    Raises:
        DatabaseError: the database can't be used; SchemaError: it has another schema.
    """
    with database_errors(location):
        engine = open_engine(location, write=write)
        try:
            with engine.begin() if write else engine.connect() as connection:
                migrate.check(connection, shown_location(location), write=write)
                noted.taken()
                noted.last_warning = ""
                with _damage_in_words(connection, shown_location(location)):
                    yield connection
        finally:
            engine.dispose()
