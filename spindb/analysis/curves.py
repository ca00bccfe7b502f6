"""Curves over seeds: smoothing, interpolation to a common grid, and reduction to a line and a band."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spindb.analysis.statistics import CONFIDENCE, Array, iqm, scaled, t_half_width
from spindb.errors import UsageError
from spindb.index.read.curves import RawCurve

ESTIMATORS = ("mean", "median", "iqm", "max", "min")
BANDS = {
    "t": "95 % t-interval",
    "std": "std",
    "se": "standard error",
    "bootstrap": "95 % bootstrap",
    "minmax": "min to max",
    "none": "no band",
}
_OF_THE_MEAN = ("t", "std", "se")
_MAX_POINTS = 1000
_REPETITIONS = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """The line and the band of a setting.

    ``x``, ``y``, ``low``, ``high`` and ``n`` have the shape (points,). ``n`` is the number of seeds at each point;
    ``low`` and ``high`` are NaN for fewer than two, and None without a band.
    """

    label: str
    x: Array
    y: Array
    low: Array | None
    high: Array | None
    n: Array


def clean(curve: RawCurve) -> tuple[Array, Array]:
    """The points of a curve with finite x and y, sorted by x; points with equal x are averaged."""
    x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    # The usual case, without sorting. Otherwise a run was restarted into its file: np.unique sorts, and equal x are
    # averaged.
    if len(x) < 2 or np.all(np.diff(x) > 0):
        return x, y
    places, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return places, np.bincount(inverse, weights=y) / counts


def smooth(y: Array, width: int) -> Array:
    """Mean over a centred window of `width` points, fewer at the edges, as in Spinning Up's plotter."""
    if width <= 1 or not len(y):
        return y
    window = np.ones(width)
    # numpy's mode "same" is not centred if the window is longer than the curve.
    start = (width - 1) // 2
    # Divided by how many points the window holds: at the edges it is shorter, and a mean over zeros would bend the
    # curve.
    total, count = (np.convolve(values, window)[start : start + len(y)] for values in (y, np.ones(len(y))))
    return np.asarray(total / count)


def align(curves: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """All curves on one grid: x of shape (points,), y of shape (runs, points), NaN outside a run's range.

    Equal grids are kept. Otherwise every run is interpolated linearly at every x that any run logged, or at a thousand
    equal steps if there are more. Nothing is extrapolated.
    """
    first = curves[0][0]
    if all(np.array_equal(x, first) for x, _ in curves):
        return first, np.stack([y for _, y in curves])
    # Every x that was logged, so that no run's own points are moved; equal steps only where that is too many to draw.
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    if len(grid) > _MAX_POINTS:
        grid = np.linspace(grid[0], grid[-1], _MAX_POINTS)
    return grid, np.stack([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in curves])


def line(
    label: str,
    curves: Sequence[RawCurve],
    estimator: str = "mean",
    band: str = "t",
    width: int = 1,
    seeds: Sequence[object] | None = None,
) -> Line | None:
    """The line and the band of a setting; None without points. Independent of the order of the curves.

    Args:
        label: label in the legend.
        curves: one per training.
        estimator: one of `ESTIMATORS`, over seeds at each x.
        band: one of `BANDS`.
        width: length of the smoothing window in points; smoothing comes first.
        seeds: the seed of each curve; curves of one seed are averaged. None: all different.

    Raises:
        UsageError: the band does not fit the estimator, or a name is unknown.
    """
    require_band(estimator, band)
    trainings = [clean(curve) for curve in curves]
    scale = scaled(np.concatenate([y for _, y in trainings]))[1] if trainings else 1.0
    by_seed: dict[object, list[tuple[Array, Array]]] = {}
    for seed, (x, y) in zip(seeds if seeds is not None else range(len(trainings)), trainings, strict=True):
        if len(x):
            by_seed.setdefault(seed, []).append((x, smooth(y / scale if scale != 1.0 else y, width)))
    # Sorted by content: sums must not depend on the order in which runs were ingested.
    points = sorted((averaged(group) for group in by_seed.values()), key=lambda p: (p[0].tolist(), p[1].tolist()))
    if not points:
        return None
    grid, values = align(points)
    n = np.isfinite(values).sum(axis=0)
    # Between the end of one run and the beginning of another there may be points where nobody is.
    grid, values, n = grid[n > 0], values[:, n > 0], n[n > 0]
    y, low, high = (np.full(len(grid), np.nan) for _ in range(3))
    # estimate together the points with the same set of runs: few sets, many points
    for members in np.unique(np.isfinite(values), axis=1).T:
        at = np.all(np.isfinite(values) == members[:, None], axis=0)
        there = values[np.ix_(members, at)]
        y[at] = _ESTIMATORS[estimator](there)
        low[at], high[at] = _band(there, y[at], estimator, band)
    if scale != 1.0:
        with np.errstate(over="ignore"):  # the end of a band may overflow to infinity
            y, low, high = y * scale, low * scale, high * scale
    # None instead of NaN throughout, so that whoever draws does not draw an empty band.
    without = band == "none" or len(points) < 2
    return Line(label, grid, y, None if without else low, None if without else high, n.astype(np.float64))


def averaged(trainings: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The mean of several trainings of one seed, at each x over those that have a value."""
    if len(trainings) == 1:
        return trainings[0]
    grid, values = align(sorted(trainings, key=lambda p: (p[0].tolist(), p[1].tolist())))
    there = np.isfinite(values)
    count = there.sum(axis=0)
    return grid[count > 0], np.where(there, values, 0.0).sum(axis=0)[count > 0] / count[count > 0]


def require_band(estimator: str, band: str) -> None:
    """Check the names of an estimator and a band, and that they fit.

    Raises:
        UsageError: they do not; the message lists valid ones.
    """
    if estimator not in ESTIMATORS:
        raise UsageError(f"unknown estimator {estimator!r}", hint=f"estimators: {', '.join(ESTIMATORS)}")
    if band not in BANDS:
        raise UsageError(f"unknown band {band!r}", hint=f"bands: {', '.join(BANDS)}")
    if estimator != "mean" and band in _OF_THE_MEAN:
        raise UsageError(f"{BANDS[band]} is a band of the mean, not of the {estimator}", hint="bootstrap, minmax, none")


def usual_band(estimator: str) -> str:
    """The default band of an estimator."""
    return {"mean": "t", "median": "bootstrap", "iqm": "bootstrap"}.get(estimator, "none")


_ESTIMATORS: dict[str, Callable[[Array], Any]] = {
    "mean": lambda values: values.mean(axis=0),
    "median": lambda values: np.median(values, axis=0),
    "iqm": lambda values: iqm(values, axis=0),
    "max": lambda values: values.max(axis=0),
    "min": lambda values: values.min(axis=0),
}


def _band(values: Array, y: Array, estimator: str, band: str) -> tuple[Array, Array]:
    """Lower and upper ends for values of shape (runs, points); NaN for a single run."""
    runs = len(values)
    if runs < 2 or band == "none":
        return np.full_like(y, np.nan), np.full_like(y, np.nan)
    if band == "minmax":
        return values.min(axis=0), values.max(axis=0)
    if band == "bootstrap":
        # The same samples of runs at all points: otherwise the band would be ragged along x.
        drawn = np.random.default_rng(0).integers(0, runs, (_REPETITIONS, runs))
        found = np.stack([_ESTIMATORS[estimator](values[row]) for row in drawn])
        low, high = np.percentile(found, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
        return low, high
    std = values.std(axis=0, ddof=1)
    half = {"t": t_half_width(values, axis=0), "std": std, "se": std / math.sqrt(runs)}[band]
    return y - half, y + half


def counted(lines: Sequence[Line]) -> str:
    """The number of runs of a line, for the legend: ``n=5``, or ``n=5, 2 at the end``."""
    most = max(int(line.n.max()) for line in lines)
    ends = {int(line.n[-1]) for line in lines}
    return f"n={most}" if ends == {most} else f"n={most}, {min(ends)} at the end"
