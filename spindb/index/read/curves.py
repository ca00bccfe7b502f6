"""Whole series out of the index: curves of one metric over another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from spindb.index.database import series
from spindb.index.database.batches import batches
from spindb.index.database.models import metrics, runs
from spindb.index.query.fields import PERFORMANCE, Names
from spindb.index.query.language import Name

STEPS = "steps"
"""The x axis that counts interactions where a run does, else numbers epochs, else rows.

A metric with steps of its own counts interactions by these, unless the run names a metric that does and that has steps
of its own, too.
"""

EPOCH = "epoch"
"""What numbers a run's rows, its Epoch as a rule, else rows."""

ROW = "row"
_OF_EACH_RUN = (STEPS, EPOCH, ROW)


class RawCurve(NamedTuple):
    """A metric of one run over another, as logged.

    ``x`` and ``y`` have one value per row, NaN where a cell is no number. ``metric`` and ``axis`` are the metrics that
    were meant in this run; ``axis`` is None where rows are counted, and `STEPS` where the metric has steps of its own.
    Metrics that have steps of their own meet where their steps are equal; else there is no x.
    """

    run_id: int
    metric: str
    axis: str | None
    x: list[float]
    y: list[float]


def metric_of(connection: Connection, name: str) -> str | None:
    """The metric that a name stands for; None for each run's own performance metric.

    ``Performance`` is always each run's own, ``metric.NAME`` a metric of any name.

    Raises:
        FilterError: there is no metric of that name; the nearest are given.
    """
    names = Names(connection)
    if name == PERFORMANCE:
        return None
    # The whole name first: a metric may be called metric.x itself.
    for metric in (name, name.removeprefix("metric.")):
        if names.is_metric(metric):
            return metric
    raise names.unknown(Name.whole(name), [*names.metrics, PERFORMANCE])


def curves(connection: Connection, ids: Sequence[int], value: str, axis: str = STEPS) -> list[RawCurve]:
    """The curve of each of these runs that has the metric, by id.

    Args:
        connection: to read from.
        ids: the runs.
        value: a metric, or ``Performance`` for each run's own.
        axis: a metric, ``steps``, ``epoch`` or ``row``. Runs without that metric are left out.

    Raises:
        FilterError: a metric that no run of the database has.
    """
    metric = metric_of(connection, value)
    y, x = metrics.alias("y"), metrics.alias("x")
    statement = select(runs.c.id, runs.c.steps, y.c.name, y.c.series, y.c.steps, x.c.name, x.c.series, x.c.steps)
    statement = statement.join(y, and_(y.c.run_id == runs.c.id, _named(y.c.name, metric)))
    is_metric = axis not in _OF_EACH_RUN
    on_axis = _named(x.c.name, metric_of(connection, axis)) if is_metric else _axis(x.c.name, axis)
    on = and_(x.c.run_id == runs.c.id, on_axis)
    # steps, epoch and row fall back to counting rows; a metric that was named does not.
    statement = statement.join(x, on, isouter=not is_metric)
    found = []
    for batch in batches(ids):
        rows = connection.execute(statement.where(runs.c.id.in_(batch)).order_by(runs.c.id))
        for run_id, counts, of, ys, steps, *on_x in rows:
            values, own = series.curve(ys), series.steps_of(steps)
            name, places = axis_of(*on_x).x(axis, counts, len(values), own)
            known = min(len(places), len(values))  # they differ where one of them is damaged, which is noted
            found.append(RawCurve(run_id, of, name, places[:known], values[:known]))
    return found


class Axis(NamedTuple):
    """A metric that others are drawn over, with its steps where it has its own; without a name, the row number."""

    name: str | None = None
    values: list[float] | None = None
    steps: list[float] | None = None

    def x(self, axis: str, counts: str | None, count: int, own: list[float] | None) -> tuple[str | None, list[float]]:
        """What so many cells of a metric are drawn over: its name and the values, NaN where there is none.

        Args:
            axis: what was asked for: a metric, `STEPS`, `EPOCH` or ``row``.
            counts: the metric that counts interactions in the run.
            count: of cells.
            own: the steps of the metric, where it has its own.
        """
        if axis == STEPS and own is not None and not (self.steps and self.name == counts):
            return STEPS, own
        if self.values is None:
            numbered = own is None or axis == ROW  # steps of its own are no epochs
            return None, [float(row) for row in range(count)] if numbered else [math.nan] * count
        if own is None and self.steps is None:
            return self.name, self.values
        if own is None or self.steps is None:  # rows and steps have nothing in common
            return self.name, [math.nan] * count
        at = dict(zip(self.steps, self.values, strict=False))
        return self.name, [at.get(step, math.nan) for step in own]


def axis_of(name: str | None, values: series.Packed | None, steps: series.Packed | None) -> Axis:
    """The axis that a metric of the database is, by its name, `series` and `steps`."""
    return Axis() if values is None else Axis(name, series.curve(values), series.steps_of(steps))


def curves_by_id(connection: Connection, ids: Sequence[int], value: str, axis: str = STEPS) -> dict[int, RawCurve]:
    """The curves of `curves` by the ids of their runs."""
    return {curve.run_id: curve for curve in curves(connection, ids, value, axis)}


def performance_curves(connection: Connection, ids: Sequence[int]) -> dict[int, list[float]]:
    """Each run's performance metric, NaN where a cell is no number."""
    return {curve.run_id: curve.y for curve in curves(connection, ids, PERFORMANCE, ROW)}


def _named(column: ColumnElement[str], metric: str | None) -> ColumnElement[bool]:
    return column == (runs.c.performance if metric is None else metric)


def _axis(column: ColumnElement[str], axis: str) -> ColumnElement[bool]:
    if axis == ROW:
        return column.is_(None)
    if axis == EPOCH:
        return column == runs.c.axis
    return or_(column == runs.c.steps, and_(runs.c.steps.is_(None), column == runs.c.axis))
