"""Many rows at once: by ``COPY`` on PostgreSQL, by ``executemany`` elsewhere."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, delete, insert
from sqlalchemy.exc import DBAPIError

from spindb.index import models
from spindb.index.rows import config_rows, metric_rows, problem_rows, snapshot_rows, storable
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
    """Put rows that all have the same columns into a table."""
    if not rows:
        return
    spelled = [storable(row) for row in rows]
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), spelled)
        return
    quoted = connection.dialect.identifier_preparer
    columns = ", ".join(map(quoted.quote, spelled[0]))
    driver: Any = connection.connection.driver_connection
    statement = f"COPY {quoted.format_table(table)} ({columns}) FROM STDIN"
    base: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in spelled:
                copy.write_row(tuple(row.values()))
    except base as error:  # as SQLAlchemy would have it
        raise DBAPIError.instance(statement, None, error, base) from error
