"""Curves of one training in several runs: one that was stopped, and those that went on after it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spindb.index.points import RawCurve


def joined(curves: Sequence[RawCurve]) -> RawCurve | None:
    """The curves one after the other, as the first run's; None where there is none.

    Rows that the next run repeats, which was resumed from before the end, count once, as it has them. Where an x axis
    begins anew (rows always do), it goes on a step after the last value.
    """
    if len(curves) < 2:
        return curves[0] if curves else None
    x, y = list(curves[0].x), list(curves[0].y)
    for curve in curves[1:]:
        kept = len(x) - _repeated(x, curve.x)
        x, y = x[:kept], y[:kept]
        x += _going_on(x, curve.x)
        y += curve.y
    return curves[0]._replace(x=x, y=y)


def _repeated(before: Sequence[float], after: Sequence[float]) -> int:
    """How many values at the end of an x axis another one begins with; 0 where it is all of them: it begins anew."""
    if not after or after[0] not in before[1:]:
        return 0
    place = before.index(after[0], 1)
    number = len(before) - place
    return number if list(before[place:]) == list(after[:number]) else 0


def _going_on(before: Sequence[float], after: Sequence[float]) -> list[float]:
    ends = [value for value in before if math.isfinite(value)]
    begins = [value for value in after if math.isfinite(value)]
    if not ends or not begins or begins[0] > ends[-1]:
        return list(after)
    step = begins[1] - begins[0] if len(begins) > 1 else ends[-1] - ends[-2] if len(ends) > 1 else 1.0
    shift = ends[-1] + step - begins[0]
    return [value + shift for value in after]
