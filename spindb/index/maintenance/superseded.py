"""What directories held before they were overwritten, as plain values for a dump, and back again.

Files can't give it any more, so a dump carries all of it but its snapshots, whose files are gone: facts,
hyperparameters, metrics with their series (the JSON array that `spindb.index.database.series` describes), problems.
What follows from these is made anew: canonical texts and summaries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, DateTime, Row, insert, select

from spindb.canonical import canonical
from spindb.index.database import series
from spindb.index.database.backend import backend_of
from spindb.index.database.models import configs, metrics, problems, runs
from spindb.index.write.bulk import insert_rows
from spindb.index.write.rows import COLUMNS, rows_of
from spindb.records import Cell, ConfigLeaf, MetricSeries, Problem, RunRecord

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
"""How a dump writes times, which are in UTC."""

# What follows from the database that the run is put into; the rest is the run's own and is dumped.
_OF_THE_PLACE = (
    "id",
    "root_id",
    "path",
    "part",
    "status",
    "generation",
    "copy_of",
    "signature",
    "archived",
    "superseded_by",
)
_FACTS = tuple(c for c in runs.c if c.name not in (*_OF_THE_PLACE, "removed_at", "ingested_at"))
_LEAF = ("key", "type", "value", "number", "raw", "internal")
_PROBLEM = ("code", "message", "path", "line")
# Beyond it doubles are not whole numbers one by one.
_EXACT = 2**53


def as_values(connection: Connection, run: Row[Any]) -> dict[str, Any]:
    """A superseded run, a row of `runs`, as a dump has it."""
    facts = {str(column.name): getattr(run, column.name) for column in _FACTS}
    return {
        "generation": run.generation,
        "until": time_text(run.ingested_at),
        **_brief({name: time_text(value) if isinstance(value, datetime) else value for name, value in facts.items()}),
        "config": [
            _brief({name: getattr(row, name) for name in _LEAF})
            for row in connection.execute(select(configs).where(configs.c.run_id == run.id).order_by(configs.c.key))
        ],
        "metrics": [
            _brief({"name": row.name, "series": _text(series.decode(row.series, row.odd_cells)), "steps": _steps(row)})
            for row in connection.execute(
                select(metrics).where(metrics.c.run_id == run.id).order_by(metrics.c.position)
            )
        ],
        "problems": [
            _brief({name: getattr(row, name) for name in _PROBLEM})
            for row in connection.execute(select(problems).where(problems.c.run_id == run.id).order_by(problems.c.id))
        ],
    }


def put_back(connection: Connection, owner: Row[Any], generation: int, values: Mapping[str, Any]) -> int:
    """Let a superseded run of a dump be one of `owner`, a row of `runs`, with that generation; returns its id.

    Raises:
        KeyError, TypeError, ValueError: the values are no such run.
    """
    facts = {str(column.name): _fact(column, values.get(str(column.name))) for column in _FACTS}
    record = RunRecord(
        path=owner.path,
        name=facts["name"],
        format=facts["format"],
        status="ok",
        rows=facts["rows"],
        config=tuple(map(_leaf, values["config"])),
        metrics=tuple(
            MetricSeries(it["name"], series.decode(it["series"]), series.steps_of(it.get("steps")))
            for it in values["metrics"]
        ),
        problems=tuple(
            Problem(it["code"], it["message"], it.get("path", ""), it.get("line")) for it in values["problems"]
        ),
    )
    if any(metric.steps is None and len(metric.values) != record.rows for metric in record.metrics):
        raise ValueError(f"a metric of {record.name} has not {record.rows} cells")
    place = {"root_id": owner.root_id, "path": owner.path, "part": owner.part, "generation": generation}
    kept = {"status": "superseded", "superseded_by": owner.id, "ingested_at": time_of(values["until"])}
    inserted = connection.execute(insert(runs).values(**facts, **place, **kept))
    assert inserted.inserted_primary_key is not None
    run_id = int(inserted.inserted_primary_key[0])
    child_rows = rows_of(record, backend_of(connection).name).child_rows
    for table in (configs, metrics, problems):
        rows = [(run_id, *row) for row in child_rows[table.name]]
        insert_rows(connection, table, ("run_id", *COLUMNS[table.name]), rows)
    return run_id


def time_text(time: datetime) -> str:
    """A time as a dump writes it."""
    return time.strftime(TIME)


def time_of(text: Any) -> datetime:
    """The time that a dump wrote so.

    Raises:
        ValueError: it is none.
    """
    return datetime.strptime(str(text), TIME)


def _brief(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is absent."""
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _fact(column: Any, value: Any) -> Any:
    if value is None:
        if not column.nullable:
            raise KeyError(column.name)
        return None
    if isinstance(column.type, DateTime):
        return time_of(value)
    # Not isinstance: true is an int, and a YAML file that people edited may hold it where a number was.
    if type(value) is not column.type.python_type:
        raise TypeError(f"{column.name}: {value!r}")
    return value


def _leaf(entry: Mapping[str, Any]) -> ConfigLeaf:
    value = json.loads(entry["value"])
    facts = entry["key"], entry["type"], entry["value"], entry.get("number"), entry.get("raw")
    return ConfigLeaf(*facts, bool(entry.get("internal")), canonical(value))


def _text(cells: Sequence[Cell]) -> str:
    return series.encode(list(map(_exact, cells)))


def _steps(row: Any) -> str | None:
    steps = series.steps_of(row.steps)
    return None if steps is None else _text(steps)


def _exact(cell: Cell) -> Cell:
    """Whole numbers as such, which an array makes floats of: equal databases give equal dumps."""
    whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT
    return int(cell) if whole and isinstance(cell, float) else cell
