"""Many rows at once: by ``COPY`` on PostgreSQL, by ``executemany`` elsewhere."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, DateTime, Table, delete, insert
from sqlalchemy.exc import DBAPIError

from spindb.index import models
from spindb.index.rows import config_rows, metric_rows, problem_rows, snapshot_rows, storable_values
from spindb.records import RunRecord

_OF_RUNS: tuple[Table, ...] = (models.configs, models.metrics, models.snapshots, models.problems)


class Belongings:
    """What belongs to runs, gathered over a transaction: one statement per table and not per run."""

    def __init__(self, connection: Connection) -> None:
        """Gather for a transaction on `connection`."""
        self._connection = connection
        self._replaced: list[int] = []
        self._rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in _OF_RUNS}

    def replace(self, run_id: int) -> None:
        """What the database has of this run goes first."""
        self._replaced.append(run_id)

    def add(self, run_id: int, record: RunRecord) -> None:
        """This run's hyperparameters, metrics, snapshots and problems are to be written."""
        rows = self._rows
        rows[models.configs] += config_rows(run_id, record)
        rows[models.metrics] += metric_rows(run_id, record, self._connection.dialect.name)
        rows[models.snapshots] += snapshot_rows(run_id, record)
        rows[models.problems] += problem_rows(run_id, record)

    def write(self) -> None:
        """Write all that was gathered."""
        for table, rows in self._rows.items():
            if self._replaced:
                self._connection.execute(delete(table).where(table.c.run_id.in_(self._replaced)))
            insert_rows(self._connection, table, rows)


def insert_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Put rows that all have the same columns into a table.

    Values go to the driver as they are, past SQLAlchemy, which would look at each; but for times, which it converts.
    """
    if not rows:
        return
    quoted = connection.dialect.identifier_preparer
    columns = ", ".join(map(quoted.quote, rows[0]))
    into = f"{quoted.format_table(table)} ({columns})"
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {into} FROM STDIN", [storable_values(row) for row in rows])
    elif any(isinstance(table.c[name].type, DateTime) for name in rows[0]):
        connection.execute(insert(table), [dict(zip(row, storable_values(row), strict=True)) for row in rows])
    else:
        places = ", ".join("?" * len(rows[0]))
        statement = f"INSERT INTO {into} VALUES ({places})"  # noqa: S608 - names of our own columns
        connection.exec_driver_sql(statement, [storable_values(row) for row in rows])


def _copy(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    base: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except base as error:  # as SQLAlchemy would have it
        raise DBAPIError.instance(statement, None, error, base) from error
