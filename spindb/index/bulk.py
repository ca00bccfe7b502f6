"""Many rows at once: by ``COPY`` on PostgreSQL, by ``executemany`` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, DateTime, Table
from sqlalchemy.exc import DBAPIError

from spindb.index.rows import Row


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
    kinds = {place: kind for place, name in enumerate(columns) if isinstance(kind := table.c[name].type, DateTime)}
    drivers = {place: kind.dialect_impl(connection.dialect) for place, kind in kinds.items()}
    converters = {place: drivers[place].bind_processor(connection.dialect) for place in drivers}
    if not any(converters.values()):
        return rows
    converted = []
    for row in rows:
        values = list(row)
        for place, convert in converters.items():
            values[place] = convert(values[place]) if convert else values[place]
        converted.append(tuple(values))
    return converted


def _copy(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    base: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except base as error:  # as SQLAlchemy would have it
        raise DBAPIError.instance(statement, None, error, base) from error
