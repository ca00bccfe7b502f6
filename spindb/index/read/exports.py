"""Runs, configs, points and evaluations as plain rows with typed columns: what `export` writes.

Every table is read in portions, so that a database larger than memory can be exported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Literal

from sqlalchemy import Connection, select

from spindb.index.database import series
from spindb.index.database.batches import batches
from spindb.index.database.models import configs, episodes, evaluations, metrics, runs
from spindb.index.database.unknown import json_value
from spindb.index.query.search import fields_of
from spindb.index.read.curves import EPOCH, STEPS, Axis, axis_of
from spindb.records import Cell

Kind = Literal["int", "float", "text", "bool", "time"]


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A column of an export: name, type, and what it holds, with its unit."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True)
class Export:
    """A table that can be exported: its columns, and its rows for some runs."""

    columns: tuple[TypedColumn, ...]
    rows: Callable[[Connection, Sequence[int]], Iterator[tuple[Any, ...]]]


_RUNS = (
    TypedColumn("id", "int", "the run"),
    TypedColumn("name", "text", "name of its directory"),
    TypedColumn("exp_name", "text", "experiment"),
    TypedColumn("seed", "int", "random seed"),
    TypedColumn("algo", "text", "algorithm"),
    TypedColumn("env", "text", "id of the environment"),
    TypedColumn("status", "text", "ok, empty, broken or missing"),
    TypedColumn("rows", "int", "rows of its table, usually epochs"),
    TypedColumn("Performance", "float", "last value of its performance metric, in units of return"),
    TypedColumn("Performance.max", "float", "greatest value of it"),
    TypedColumn("started", "time", "when it began, UTC"),
    TypedColumn("updated", "time", "when its last row was written, UTC"),
    TypedColumn("archived", "bool", "whether it is archived"),
    TypedColumn("tags", "text", "tags with commas between"),
    TypedColumn("root", "text", "directory under which it was found"),
    TypedColumn("path", "text", "its directory, relative to the root"),
    TypedColumn("host", "text", "machine of the root"),
)
_CONFIGS = (
    TypedColumn("run_id", "int", "the run"),
    TypedColumn("key", "text", "dotted path in its config"),
    TypedColumn("type", "text", "int, float, bool, str, null, list or dict"),
    TypedColumn("value", "text", "the value as JSON"),
    TypedColumn("number", "float", "the value as a number, where it is one or spells one"),
)
_METRICS = (
    TypedColumn("run_id", "int", "the run"),
    TypedColumn("metric", "text", "name of the metric"),
    TypedColumn("row", "int", "row number, from 0"),
    TypedColumn(
        "epoch",
        "float",
        "the run's Epoch in that row, or what else numbers its rows; NaN beside own steps",
    ),
    TypedColumn("steps", "float", "interactions with the environment so far, if logged, or the metric's own steps"),
    TypedColumn("value", "float", "the value; NaN is NaN, nothing where the cell is empty or text"),
    TypedColumn("text", "text", "the cell where it is text"),
)
_EVALUATIONS = (
    TypedColumn("id", "int", "the evaluation"),
    TypedColumn("run_id", "int", "the run"),
    TypedColumn("itr", "int", "number of the snapshot"),
    TypedColumn("kind", "text", "kind of the snapshot"),
    TypedColumn("env_id", "text", "environment that was played"),
    TypedColumn("deterministic", "bool", "whether the mean action was taken"),
    TypedColumn("seed", "int", "seed of the environment"),
    TypedColumn("created_at", "time", "when, UTC"),
    TypedColumn("episode", "int", "number of the episode, from 0"),
    TypedColumn("ep_return", "float", "undiscounted return"),
    TypedColumn("length", "int", "steps"),
    TypedColumn("ending", "text", "terminated, truncated or cut"),
)


def _run_rows(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    names = [column.name for column in _RUNS[1:]]
    tags, last = names.index("tags"), names.index("Performance")
    for run_id, row in fields_of(connection, ids, names).items():
        cells = list(row)
        cells[tags] = ", ".join(row[tags])
        # The column holds numbers; the last cell of a metric may be text.
        cells[last] = row[last] if isinstance(row[last], float) else None
        yield run_id, *cells


def _config_rows(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    c = configs.c
    wanted = select(c.run_id, c.key, c.type, c.value, c.number).where(c.internal.is_(False))
    for batch in batches(ids):
        yield from map(tuple, connection.execute(wanted.where(c.run_id.in_(batch)).order_by(c.run_id, c.key)))


def _metric_rows(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    c = metrics.c
    # A run at a time: its columns are unpacked together, and a batch of long runs would not fit in memory.
    for run_id in ids:
        axis, steps = connection.execute(select(runs.c.axis, runs.c.steps).where(runs.c.id == run_id)).one()
        packed = select(c.name, c.series, c.odd_cells, c.steps).where(c.run_id == run_id).order_by(c.position)
        rows = {name: (cells, odd, own) for name, cells, odd, own in connection.execute(packed)}
        by_epoch, by_steps = (
            axis_of(name, rows[name][0], rows[name][2]) if name in rows else Axis() for name in (axis, steps)
        )
        for name, (packed_cells, odd, packed_steps) in rows.items():
            cells, own = series.decode(packed_cells, odd), series.steps_of(packed_steps)
            epochs = by_epoch.x(EPOCH, steps, len(cells), own)[1]
            # Where nothing counts steps the column is empty; a row number in its place would pass for interactions.
            has_steps = own is not None or steps in rows
            counts = by_steps.x(STEPS, steps, len(cells), own)[1] if has_steps else [None] * len(cells)
            for row, (cell, epoch, count) in enumerate(
                zip(cells, _filled(epochs, cells), _filled(counts, cells), strict=False)
            ):
                # An empty cell and NaN are told apart here as in the database: nothing was logged, or NaN was.
                is_text = isinstance(cell, str)
                number = None if is_text or cell is None else float(cell)
                yield run_id, name, row, epoch, count, number, cell if is_text else None


def _filled(values: Sequence[float | None], cells: Sequence[Cell]) -> Iterator[float | None]:
    """A value for each cell: there are fewer where the database is damaged."""
    known = (None if value is None else float(value) for value in values)
    return chain(known, repeat(math.nan, len(cells) - len(values)))


def _evaluation_rows(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    e, p = evaluations.c, episodes.c
    wanted = select(
        *(e.id, e.run_id, e.itr, e.kind, e.env_id, e.deterministic, e.seed, e.created_at),
        *(p.number, p.ep_return, p.length, p.ending),
    ).join(episodes, p.evaluation_id == e.id)
    for batch in batches(ids):
        yield from map(tuple, connection.execute(wanted.where(e.run_id.in_(batch)).order_by(e.id, p.number)))


EXPORTS = {
    "runs": Export(_RUNS, _run_rows),
    "configs": Export(_CONFIGS, _config_rows),
    "metrics": Export(_METRICS, _metric_rows),
    "evaluations": Export(_EVALUATIONS, _evaluation_rows),
}
"""What can be exported, by name."""


def column_names(keys: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """What columns of these fields are called beside others: ``config.KEY`` for one that is called like a taken one."""
    others = frozenset(taken)
    found = {key: key for key in keys if key not in others}
    used = {*others, *found}
    for key in keys:
        name = key
        while name in used and key not in found:
            name = f"config.{name}"
        found.setdefault(key, name)
        used.add(name)
    return found


def config_values(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The hyperparameters of each run by key, as Python has them; what the logger wrote about itself left out."""
    found: dict[int, dict[str, Any]] = {run_id: {} for run_id in ids}
    for run_id, key, _, value, _ in _config_rows(connection, ids):
        found[run_id][key] = json_value(value)
    return found
