"""Joins the curves of one training that was stopped and continued in other runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from spindb.index.read.curves import RawCurve


def joined(curves: Sequence[RawCurve], kept: Mapping[int, int]) -> RawCurve | None:
    """The concatenated curves, as a curve of the first run; None for no curves.

    ``kept`` has by run id the number of rows that count, if the next run was resumed from before its end. If an x axis
    restarts (row numbers always do), it continues one step after the last value.
    """
    if len(curves) < 2:
        return curves[0] if curves else None
    x: list[float] = []
    y: list[float] = []
    for curve in curves:
        count = len(curve.y) if curve is curves[-1] else kept.get(curve.run_id, len(curve.y))
        x += _going_on(x, curve.x[:count])
        y += curve.y[:count]
    return curves[0]._replace(x=x, y=y)


def _going_on(before: Sequence[float], after: Sequence[float]) -> list[float]:
    ends = [value for value in before if math.isfinite(value)]
    begins = [value for value in after if math.isfinite(value)]
    if not ends or not begins or begins[0] > ends[-1]:
        return list(after)
    step = begins[1] - begins[0] if len(begins) > 1 else ends[-1] - ends[-2] if len(ends) > 1 else 1.0
    shift = ends[-1] + step - begins[0]
    return [value + shift for value in after]
