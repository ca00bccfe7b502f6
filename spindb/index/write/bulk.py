"""Many rows at once: by ``COPY`` on PostgreSQL, by ``executemany`` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, DateTime, Table
from sqlalchemy.exc import DBAPIError

from spindb.index.write.rows import Row


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Put rows with values for these columns into a table.

    They go to the driver as they are, past SQLAlchemy, which would look at each value; but for times, which
    SQLite has no type for.
    """
    if not rows:
        return
    rows = _converted(connection, table, columns, rows)
    quoted = connection.dialect.identifier_preparer
    into = f"{quoted.format_table(table)} ({', '.join(map(quoted.quote, columns))})"
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {into} FROM STDIN", rows)
    else:
        places = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({places})", list(rows))  # noqa: S608 - our own names


def _converted(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> Sequence[Row]:
    dialect = connection.dialect
    converters: dict[int, Any] = {}
    for place, name in enumerate(columns):
        kind = table.c[name].type
        if isinstance(kind, DateTime) and (convert := kind.dialect_impl(dialect).bind_processor(dialect)):
            converters[place] = convert
    if not converters:
        return rows
    written = [list(row) for row in rows]
    for row in written:
        for place, convert in converters.items():
            row[place] = convert(row[place])
    return list(map(tuple, written))


def _copy(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    base: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except base as error:  # as SQLAlchemy would have it
        raise DBAPIError.instance(statement, None, error, base) from error
