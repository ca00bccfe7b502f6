"""Records as rows of the tables: tuples, in the order of the columns named here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from spindb.index.database import series
from spindb.index.database.text import storable
from spindb.records import ConfigLeaf, RunRecord, names_of

Row = tuple[Any, ...]
_LONG = 200  # characters of a value that is not worth keeping for other runs

# Each table's columns but the run's id, which comes first.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "configs": ("key", "type", "value", "canonical", "number", "raw", "internal"),
    "metrics": (
        *("name", "position", "count", "first", "last", "last_text", "min", "max", "mean", "argmin", "argmax"),
        *("series", "odd_cells", "steps"),
    ),
    "snapshots": (
        *("kind", "itr", "path", "size", "saved_at", "state_path", "inputs", "outputs", "framework"),
        *("unloadable", "stale"),
    ),
    "problems": ("path", "line", "code", "message"),
}


class RunRows(NamedTuple):
    """A run as rows: ``run`` for the table of runs, ``child_rows`` for the tables of `COLUMNS`, its id left out.

    ``record`` is what was read, without what the child rows hold, problems aside.
    """

    record: RunRecord
    run: Mapping[str, Any]
    child_rows: Mapping[str, list[Row]]


def rows_of(record: RunRecord, dialect: str) -> RunRows:
    """The rows of a record for that kind of database."""
    child_rows = {
        "configs": config_rows(record),
        "metrics": metric_rows(record, dialect),
        "snapshots": _snapshot_rows(record),
        "problems": _problem_rows(record),
    }
    return RunRows(record._replace(config=(), metrics=(), snapshots=()), _run_values(record), child_rows)


@lru_cache(maxsize=64)  # most runs have the metrics of the run before
def _storable(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(storable, names))


def number(value: float | None) -> float | None:
    """NaN as NULL and no negative zero, on every database alike: SQLite keeps neither."""
    return value + 0.0 if value is not None and value == value else None


def _run_values(record: RunRecord) -> dict[str, Any]:
    values = {
        "path": record.path,
        "name": record.name,
        "exp_name": record.exp_name,
        "seed": record.seed,
        "algo": record.algo,
        "algo_source": record.algo_source,
        "env_id": record.env.id,
        "env_source": record.env.source,
        "env_classes": json.dumps(list(record.env.classes)) if record.env.classes else None,
        "max_episode_steps": record.env.max_episode_steps,
        "format": record.format,
        "status": record.status,
        "rows": record.rows,
        "axis": record.axis,
        "steps": record.steps,
        "performance": record.performance,
        "started_at": record.started_at,
        "started_source": record.started_source,
        "updated_at": record.updated_at,
        "fingerprint": record.content.whole,
        "metrics_size": record.content.size,
        "metrics_digest": record.content.metrics,
        "config_digest": record.content.config,
        "part": record.part,
    }
    return {name: storable(value) if type(value) is str else value for name, value in values.items()}


def config_rows(record: RunRecord) -> list[Row]:
    """Its hyperparameters."""
    return [_config_row(leaf) if len(leaf.value) > _LONG else _config_row_once(leaf) for leaf in record.config]


def _config_row(leaf: ConfigLeaf) -> Row:
    key, kind, value, value_as_number, raw, internal, canonical = leaf
    return (storable(key), kind, storable(value), storable(canonical), number(value_as_number), storable(raw), internal)


_config_row_once = lru_cache(maxsize=4096)(_config_row)  # runs have most of theirs in common


def metric_rows(record: RunRecord, dialect: str) -> list[Row]:
    """Metrics with their series as that kind of database keeps it."""
    rows = []
    names = _storable(names_of(record.metrics))
    for position, metric in enumerate(record.metrics):
        of = metric.summary()
        if of.last_text is not None:
            of = of._replace(last_text=storable(of.last_text))
        packed = series.packed(metric.values, dialect, finite=of.finite)
        steps = None if metric.steps is None else series.packed_steps(metric, dialect)
        rows.append((names[position], position, *of[:-1], *packed, steps))
    return rows


def _snapshot_rows(record: RunRecord) -> list[Row]:
    rows = []
    for it in record.snapshots:
        tensors = json.dumps(dict(it.inputs)), json.dumps(dict(it.outputs))
        place = it.kind, it.itr, it.path, it.size, it.saved_at, it.state_path
        rows.append(tuple(map(storable, (*place, *tensors, it.framework, it.unloadable, it.stale))))
    return rows


def _problem_rows(record: RunRecord) -> list[Row]:
    return [tuple(map(storable, (it.path, it.line, it.code, it.message))) for it in record.problems]
