"""Reduces a run's curve to one number."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from operator import itemgetter

from spindb import records
from spindb.errors import UsageError

Summary = Callable[[Sequence[float], Sequence[float]], float]
"""A function of x and y, one value per row, to a number in the unit of y (of x for `reach`); NaN if undefined."""

NAMES = ("last", "first", "min", "max", "mean", "tail:K", "auc", "reach:VALUE")
_ARGUMENT = re.compile(r"(tail|reach):(\S+)\Z")


def summary_named(text: str, *, lower: bool = False) -> Summary:
    """The summary of that name.

    ``last`` is the value of the last row, ``tail:K`` the mean of the last K rows, ``auc`` the area under the curve
    divided by the length of its x axis, ``reach:VALUE`` the first x where the metric passed the value (from above with
    `lower`).

    Raises:
        UsageError: the name is unknown.
    """
    simple: dict[str, Summary] = {
        # Not the last finite value: a run that diverged must not be summarised by its best time.
        "last": lambda _, y: y[-1] if y else math.nan,
        "first": lambda _, y: next(iter(_known(y)), math.nan),
        "min": lambda _, y: min(_known(y), default=math.nan),
        "max": lambda _, y: max(_known(y), default=math.nan),
        "mean": lambda _, y: mean_or_nan(_known(y)),
        "auc": _area,
    }
    if text in simple:
        return simple[text]
    match = _ARGUMENT.match(text)
    try:
        if match is None:
            raise ValueError
        if match[1] == "tail":
            count = int(match[2])
            if count < 1:
                raise ValueError
            return lambda _, y: mean_or_nan(_known(y[-count:]))
        level = float(match[2])
    except ValueError:
        raise UsageError(f"unknown summary {text!r}", hint=f"summaries: {', '.join(NAMES)}") from None
    return lambda x, y: next((a for a, b in zip(x, y, strict=True) if a == a and _passed(b, level, lower)), math.nan)


def _passed(value: float, level: float, lower: bool) -> bool:
    return value <= level if lower else value >= level


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if value == value]


def mean_or_nan(values: Sequence[float]) -> float:
    """The mean of numbers; NaN without numbers, or with infinities of both signs."""
    found = records.mean(values)
    return math.nan if found is None else found


def _area(x: Sequence[float], y: Sequence[float]) -> float:
    """The area by trapezoids divided by the length of the x axis: the average height of the curve.

    If x goes back (an appended or resumed run), points are sorted by x, and those with equal x averaged.
    """
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and b == b]
    if any(after <= before for (before, _), (after, _) in itertools.pairwise(points)):
        at_once = itertools.groupby(sorted(points), key=itemgetter(0))
        points = [(a, mean_or_nan([b for _, b in same])) for a, same in at_once]
    length = points[-1][0] - points[0][0] if points else 0.0
    if length <= 0:
        return points[0][1] if len(points) == 1 else math.nan
    # Shares of the length and half heights: the products of large numbers could overflow.
    parts = [(x1 - x0) / length * (y0 / 2 + y1 / 2) for (x0, y0), (x1, y1) in itertools.pairwise(points)]
    return math.fsum(parts) if all(map(math.isfinite, parts)) else sum(parts)
