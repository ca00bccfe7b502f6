"""Records as rows of the tables."""

from __future__ import annotations

import json
import math
from typing import Any

from spindb.index import series
from spindb.records import RunRecord


def storable(row: dict[str, Any]) -> dict[str, Any]:
    """The row with lone surrogates and NUL spelled out: files may hold them, databases refuse them."""
    return dict(zip(row, storable_values(row), strict=True))


def storable_values(row: dict[str, Any]) -> tuple[Any, ...]:
    """The values of `storable`."""
    return tuple([_spelled(value) if type(value) is str else value for value in row.values()])


def _spelled(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def number(value: float | None) -> float | None:
    """NaN as NULL and no negative zero, on every database alike: SQLite keeps neither."""
    return value + 0.0 if value is not None and value == value else None


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def run_values(record: RunRecord) -> dict[str, Any]:
    """What the table of runs holds of it."""
    content = {
        "fingerprint": record.content.whole,
        "metrics_size": record.content.size,
        "metrics_digest": record.content.metrics,
        "config_digest": record.content.config,
    }
    return {
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
        **content,
    }


def config_rows(run_id: int, record: RunRecord) -> list[dict[str, Any]]:
    """Its hyperparameters."""
    return [
        {
            "run_id": run_id,
            "key": leaf.key,
            "type": leaf.type,
            "value": leaf.value,
            "number": number(leaf.number),
            "raw": leaf.raw,
            "internal": leaf.internal,
        }
        for leaf in record.config
    ]


def metric_rows(run_id: int, record: RunRecord, dialect: str) -> list[dict[str, Any]]:
    """Metrics with their series as that dialect keeps it."""
    rows = []
    for position, metric in enumerate(record.metrics):
        summary = metric.summary()
        finite = summary.count == len(metric.values) and _is_finite(summary.min) and _is_finite(summary.max)
        packed, odd_cells = series.packed(metric.values, dialect, finite=finite)
        rows.append(
            {
                "run_id": run_id,
                "name": metric.name,
                "position": position,
                "count": summary.count,
                "first": number(summary.first),
                "last": number(summary.last),
                "last_text": summary.last_text,
                "min": number(summary.min),
                "max": number(summary.max),
                "mean": number(summary.mean),
                "argmin": summary.argmin,
                "argmax": summary.argmax,
                "series": packed,
                "odd_cells": odd_cells,
            }
        )
    return rows


def snapshot_rows(run_id: int, record: RunRecord) -> list[dict[str, Any]]:
    """Its saved policies."""
    return [
        {
            "run_id": run_id,
            "kind": snapshot.kind,
            "itr": snapshot.itr,
            "path": snapshot.path,
            "size": snapshot.size,
            "saved_at": snapshot.saved_at,
            "state_path": snapshot.state_path,
            "inputs": json.dumps(dict(snapshot.inputs)),
            "outputs": json.dumps(dict(snapshot.outputs)),
            "framework": snapshot.framework,
            "unloadable": snapshot.unloadable,
            "stale": snapshot.stale,
        }
        for snapshot in record.snapshots
    ]


def problem_rows(run_id: int, record: RunRecord) -> list[dict[str, Any]]:
    """What is wrong with it."""
    return [
        {
            "run_id": run_id,
            "path": problem.path,
            "line": problem.line,
            "code": problem.code,
            "message": problem.message,
        }
        for problem in record.problems
    ]
