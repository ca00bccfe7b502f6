"""A connection to a database of this spindb's schema, for the length of a ``with``.

The one way in for whoever asks or records; `spindb.ingest` alone opens its own, since it may create the
database and goes through many transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from spindb.index import schema
from spindb.index.engine import database_errors, open_engine, shown


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
                schema.check(connection, shown(location))
                yield connection
        finally:
            engine.dispose()
