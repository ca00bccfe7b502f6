"""A whole database into another, of the same kind or not, and the proof that both hold the same."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from itertools import islice, zip_longest
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, select, update

from spindb.errors import DatabaseError, UsageError
from spindb.index.database import series
from spindb.index.database.backend import backend_of
from spindb.index.database.models import metadata, metrics, runs
from spindb.index.database.unknown import noted
from spindb.index.write.bulk import insert_rows
from spindb.records import MetricSeries

_BATCH = 2000  # rows
_LINKS = ("copy_of", "superseded_by")
"""Columns of runs that name other runs."""


def copy_all(source: Connection, target: Connection) -> dict[str, int]:
    """Put every row of the source into the target, which has the schema and no rows; returns how many per table.

    Ids stay as they are, and new ones go on from there.

    Raises:
        UsageError: the target holds something already.
    """
    for table in metadata.sorted_tables:
        if target.execute(select(func.count()).select_from(table)).scalar_one():
            raise UsageError(f"the target already holds {table.name}: copy into an empty database")
    counts: dict[str, int] = {}
    for table in metadata.sorted_tables:
        counts[table.name] = 0
        with closing(_rows(source, table)) as rows:
            while batch := list(islice(rows, _BATCH)):
                written = [tuple(_written(table, row, target).values()) for row in batch]
                insert_rows(target, table, table.c.keys(), written)
                counts[table.name] += len(batch)
    # At the end: a run may be a copy of one with a higher id, which a foreign key would refuse.
    _link_runs(source, target)
    backend_of(target).after_copy(target, metadata.sorted_tables)
    return counts


def differing_tables(left: Connection, right: Connection) -> list[str]:
    """What two databases do not hold alike, row by row: one line per table that differs."""
    found = []
    for table in metadata.sorted_tables:
        with closing(_rows(left, table)) as left_rows, closing(_rows(right, table)) as right_rows:
            for number, (ours, theirs) in enumerate(zip_longest(left_rows, right_rows), 1):
                # One row is enough to say that a table differs; all of them would be as many lines as rows.
                if ours is None or theirs is None or _read(table, ours) != _read(table, theirs):
                    found.append(f"{table.name}: row {number} in the order of its key differs")
                    break
    return found


def verified_copy(source: Connection, target: Connection) -> dict[str, int]:
    """As `copy_all`; then compares.

    Raises:
        ValueError: the source holds values that can't be read.
        DatabaseError: they differ, which is a defect of spindb; nothing is kept where the caller's transaction ends so.
    """
    # A cell that can't be read was copied as unknown, and would be compared with the same.
    counts = copy_all(source, target)
    if noted.count:
        raise ValueError("unknown values can't be copied")
    wrong = differing_tables(source, target)
    if wrong:
        raise DatabaseError(
            f"the copy differs from its source: {'; '.join(wrong)}", hint="nothing was kept: please report this"
        )
    return counts


def _rows(connection: Connection, table: Table) -> Generator[dict[str, Any], None, None]:
    """The rows of a table in the order of its key, read as they are asked for.

    Close it: left to the garbage collector, its cursor outlives the connection where an interrupt ends the copy.
    """
    statement = select(table).order_by(*table.primary_key.columns)
    with connection.execution_options(yield_per=_BATCH).execute(statement) as found:
        for row in found:
            yield dict(row._mapping)


def _written(table: Table, row: dict[str, Any], target: Connection) -> dict[str, Any]:
    """The row as the target's kind of database keeps it; runs are linked to others when all are there."""
    if table is metrics:
        cells = series.decode(row["series"], row["odd_cells"])
        row["series"], row["odd_cells"] = series.packed(cells, backend_of(target).name)
        metric = MetricSeries(row["name"], cells, series.steps_of(row["steps"]))
        row["steps"] = series.packed_steps(metric, backend_of(target).name)
    elif table is runs:
        row |= dict.fromkeys(_LINKS)
    return row


def _read(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row as it means the same on every kind of database: NaN equal to itself, whole numbers to floats."""
    if table is metrics:
        cells = series.decode(row.pop("series"), row.pop("odd_cells"))
        row["cells"] = ["NaN" if cell != cell else cell for cell in cells]
        row["steps"] = series.steps_of(row["steps"])
    return row


def _link_runs(source: Connection, target: Connection) -> None:
    for name in _LINKS:
        column = runs.c[name]
        links = source.execute(select(runs.c.id, column).where(column.is_not(None))).all()
        if links:
            statement = update(runs).where(runs.c.id == bindparam("run")).values({name: bindparam("other")})
            target.execute(statement, [{"run": run, "other": other} for run, other in links])
