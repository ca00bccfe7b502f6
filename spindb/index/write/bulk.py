"""Many rows at once: by ``COPY`` on PostgreSQL, by ``executemany`` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table

from spindb.index.database.backend import backend_of
from spindb.index.write.rows import Row


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Put rows with values for these columns into a table.

    They go to the driver as they are, past SQLAlchemy, which would look at each value; but for times, which
    SQLite has no type for.
    """
    if rows:
        backend_of(connection).insert_rows(connection, table, columns, rows)
