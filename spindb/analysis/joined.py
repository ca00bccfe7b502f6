"""Curves of one training in several runs: one that was stopped, and those that went on after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from spindb.index.read.curves import RawCurve


def joined(curves: Sequence[RawCurve], kept: Mapping[int, int]) -> RawCurve | None:
    """The curves one after the other, as the first run's; None where there is none.

    ``kept`` says by id how many rows of a run count where the next one was resumed from before its end. Where an x axis
    begins anew (rows always do), it goes on a step after the last value.
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
