"""What differs between the databases, as one object for each: `spindb.index.database.sqlite` and `.postgresql`.

Only the one that is used is imported.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spindb.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Select, Table
    from sqlalchemy.exc import OperationalError

    from spindb.index.database.answer import Answer
    from spindb.index.database.watchdog import GiveUp


class Backend(Protocol):
    """A kind of database."""

    @property
    def name(self) -> str:
        """As SQLAlchemy calls it, and as `spindb.index.database.series` does."""

    # Opening.

    def file(self, url: URL) -> Path | None:
        """The file that the database is, None where it is none."""

    def open(self, url: URL, *, write: bool) -> Engine:
        """An engine, made once for each URL; a reader's connection can't write.

        Raises:
            DatabaseError: there is no such database, or no driver for it.
        """

    def explained(self, name: str, words: str) -> DatabaseError:
        """What the driver said of the database called `name`, for a person."""

    # The schema.

    @property
    def beside_tables(self) -> Sequence[str]:
        """Statements that make what stands beside the tables, run after them."""

    @property
    def views(self) -> Mapping[str, Sequence[str]]:
        """The views that those make; with their texts, earlier ones too, where the database keeps them as they were
        written."""

    @property
    def made_beside(self) -> str:
        """The statement that lists triggers, views and the like: kind, name, table, text."""

    def acts_on_writes(self, kind: str, *, on_ours: bool) -> bool:
        """Whether such a thing may act when something is written; `on_ours`: to a table of spindb."""

    def before_migration(self, connection: Connection) -> None:
        """Prepare a connection, outside of transactions, for one that makes tables anew."""

    def file_of(self, connection: Connection) -> Path | None:
        """The file behind a connection: what is copied before a migration."""

    # Writing.

    def insert_rows(self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Any]) -> None:
        """Put rows into a table, past SQLAlchemy, which would look at each value."""

    def new_run_ids(self, connection: Connection, count: int) -> Iterator[int]:
        """At least so many ids that no run ever had, ascending."""

    def after_copy(self, connection: Connection, tables: Collection[Table]) -> None:
        """Let new ids go on behind those that were copied into these tables."""

    def missing_indexes(self, connection: Connection, names: Collection[str]) -> set[str]:
        """Those of these indexes that are not there; none where they are never left out."""

    @property
    def sorts_afterwards(self) -> bool:
        """Whether an ingest of very many runs makes the indexes when all are in."""

    def refuses_value(self, error: OperationalError) -> bool:
        """Whether the error is about a value, so that other runs can be written without it."""

    # Statistics and health.

    def runs_when_counted(self, connection: Connection) -> int:
        """How many runs there were when the planner's statistics were taken last; 0 where they never were."""

    def refresh_statistics(self, engine: Engine) -> None:
        """Take the planner's statistics anew."""

    def integrity(self, connection: Connection) -> list[str]:
        """What the database itself finds damaged."""

    def size(self, connection: Connection) -> int | None:
        """Bytes that the database takes; None where it can't be said."""

    # Asking.

    def elements(self, listed: str, *, whole: bool) -> Select[Any]:
        """The elements of a JSON list as rows: whole numbers, or texts."""

    @property
    def describing(self) -> tuple[str, str]:
        """The statements that list the tables, and the columns of the one that is put in for ``{}``."""

    def limit_reader(self, connection: Connection) -> None:
        """Limit what statements that people type may take."""

    def answer(
        self, connection: Connection, text: str, seconds: float, give_up: GiveUp | None
    ) -> AbstractContextManager[Answer]:
        """The answer to a statement that a person typed: see `spindb.index.query.sql`."""


@functools.cache
def backend_named(name: str) -> Backend:
    """The backend that SQLAlchemy calls so.

    Raises:
        DatabaseError: spindb does not support it.
    """
    if name == "sqlite":
        from spindb.index.database.sqlite import SQLITE  # the other one costs start time

        return SQLITE
    if name == "postgresql":
        from spindb.index.database.postgresql import POSTGRESQL

        return POSTGRESQL
    raise DatabaseError(f"{name} is not supported", hint="SQLite and PostgreSQL are")


def backend_of(bind: Connection | Engine) -> Backend:
    """The backend of a connection or an engine."""
    return backend_named(bind.dialect.name)
