"""A curve in a few characters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def sparkline(values: Sequence[float], width: int = 10) -> str:
    """The curve as bars from its lowest to its highest value, at most `width` of them.

    Longer curves are averaged over equal stretches; a stretch without any finite value shows a dot.
    """
    means = [_mean(stretch) for stretch in _stretches(values, width)]
    known = [m for m in means if m is not None]
    if not known:
        return _GAP * len(means)
    low, high = min(known), max(known)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_GAP if m is None else _BARS[round((m - low) * scale)] for m in means)


def _stretches(values: Sequence[float], width: int) -> list[Sequence[float]]:
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    return [values[a:b] for a, b in itertools.pairwise(edges)]


def _mean(stretch: Sequence[float]) -> float | None:
    total = sum(stretch)
    if math.isfinite(total):
        return total / len(stretch)
    finite = [v for v in stretch if math.isfinite(v)]
    return math.fsum(finite) / len(finite) if finite else None
