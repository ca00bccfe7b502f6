"""A field of each run against its result: what scatter plots and parallel coordinates show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from spindb.analysis import summaries
from spindb.errors import UsageError
from spindb.index.query.search import fields_of
from spindb.index.read.curves import curves_by_id
from spindb.index.read.sample import sample_of


@dataclass(frozen=True, slots=True)
class Results:
    """A row of field values and a result per run; ``title`` names the result, ``notes`` say what was left out."""

    title: str
    rows: list[tuple[object, ...]]
    values: list[float]
    notes: tuple[str, ...]


def results_of(
    connection: Connection, ids: Sequence[int], fields: Sequence[str], metric: str, summary: str, *, lower: bool
) -> Results:
    """The fields and the summary of a metric, for each run that has the metric; copies are left out.

    Raises:
        FilterError: an unknown metric or field; UsageError: an unknown summary, or no run has a result.
    """
    summarise = summaries.summary_named(summary, lower=lower)
    sample = sample_of(connection, ids)
    notes = list(sample.notes)
    curves = curves_by_id(connection, list(sample.runs), metric)
    kept = sorted(curves)
    rows = list(fields_of(connection, kept, fields).values())
    values = [summarise(curves[run_id].x, curves[run_id].y) for run_id in kept]
    metrics = sorted({curve.metric for curve in curves.values()})
    if len(metrics) > 1:
        notes.append(f"warning: {' and '.join(metrics)} are different metrics: --value chooses one")
    name = metrics[0] if len(metrics) == 1 else metric
    if not any(value == value for value in values):  # NaN is unequal to itself
        raise UsageError(f"nothing to draw: no run has a {summary} of {metric}")
    return Results(name if summary == "last" else f"{name}, {summary}", rows, values, tuple(notes))
