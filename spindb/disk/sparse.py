"""Metrics that a logger writes value by value, each at a step, into series with steps of their own."""

from __future__ import annotations

import math

from spindb.records import Cell, MetricSeries

_EXACT = 2**53  # beyond, a database that keeps steps as doubles would round whole numbers

_NOT_FINITE: dict[str, Cell] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class SparseMetrics:
    """Gathers values by metric, in the order in which they come.

    ``left_out`` counts values whose step is no finite number: nothing says where they belong.
    """

    def __init__(self) -> None:
        self._points: dict[str, tuple[list[Cell], list[float]]] = {}
        self.left_out = 0

    def add(self, name: str, step: object, value: Cell) -> None:
        """Put a value behind those that the metric has.

        NaN and the infinities may be spelled as Python's and JavaScript's JSON have them.
        """
        at = finite_step(step)
        if at is None:
            self.left_out += 1
            return
        values, steps = self._points.setdefault(name, ([], []))
        values.append(_NOT_FINITE.get(value, value) if isinstance(value, str) else value)
        steps.append(at)

    def series(self) -> tuple[MetricSeries, ...]:
        """The metrics in the order of their first values."""
        return tuple(MetricSeries(name, tuple(v), tuple(s)) for name, (v, s) in self._points.items())

    @property
    def rows(self) -> int:
        """The length of the longest metric, which is the number of rows of a run without a table."""
        return max((len(values) for values, _ in self._points.values()), default=0)


def finite_step(step: object) -> float | None:
    """The step as a number that every database keeps, None where it is no finite number."""
    if isinstance(step, bool) or not isinstance(step, (int, float)):
        return None
    try:
        at = step if isinstance(step, int) and abs(step) <= _EXACT else float(step)
    except OverflowError:
        return None
    return at if math.isfinite(at) else None
