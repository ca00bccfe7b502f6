"""Statistics over few seeds.

Seeds are the unit of replication: the input is one number per run. Intervals of the mean are Student's t, which has its
nominal coverage even at three seeds; 1.96 standard errors do not. The interquartile mean with stratified bootstrap
intervals is that of Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from scipy.special import stdtr, stdtrit

Array: TypeAlias = Any
"""A numpy array of float64; the docstrings give shapes."""

CONFIDENCE = 0.95
REPETITIONS = 2000
_TRIM = 0.25
_LEAST, _GREATEST = 1e-100, 1e100  # between these, squares and sums of values neither overflow nor vanish
_MOST_WEIGHTED = 100  # values; the weights of more would take megabytes


@dataclass(frozen=True, slots=True)
class Statistics:
    """Summary of one number per run, in the unit of that number.

    ``std`` is the sample's (n - 1); ``se`` the standard error of the mean; ``low`` and ``high`` bound the mean at 95 %
    by Student's t; ``iqm`` is the mean of the middle half, bounded by a stratified bootstrap. What needs two runs is
    None with one.
    """

    n: int
    mean: float
    std: float | None
    se: float | None
    low: float | None
    high: float | None
    median: float
    iqm: float
    iqm_low: float | None
    iqm_high: float | None
    min: float
    max: float


def describe(values: Sequence[float], strata: Sequence[object] | None = None) -> Statistics | None:
    """Statistics of one number per run; None without numbers. Independent of the order of the runs.

    Args:
        values: shape (runs,), finite.
        strata: the environment of each run; the bootstrap resamples within each. None: all the same.
    """
    if not len(values):
        return None
    groups: dict[object, list[float]] = {}
    for value, stratum in zip(values, strata if strata is not None else [None] * len(values), strict=True):
        groups.setdefault(stratum, []).append(value)
    # Sorted, so that rounding errors and bootstrap samples do not depend on the order of the runs.
    x, scale = scaled(np.sort(np.asarray(values, dtype=np.float64)))
    found = _describe(x, sorted(np.sort(np.asarray(group) / scale).tolist() for group in groups.values()))
    return replace(_times(found, scale), min=min(values), max=max(values)) if scale != 1.0 else found


def scaled(values: Array) -> tuple[Array, float]:
    """The values divided by a power of two so that squares and sums do not overflow, and that power; usually 1."""
    greatest = float(np.max(np.abs(values), initial=0.0))
    if greatest == 0.0 or _LEAST < greatest < _GREATEST:
        return values, 1.0
    # A power of two: dividing and multiplying by it is exact.
    scale = math.ldexp(1.0, max(-1000, math.frexp(greatest)[1] - 1))
    return values / scale, scale


def _times(found: Statistics, scale: float) -> Statistics:
    names = [name for name in Statistics.__slots__ if name != "n" and getattr(found, name) is not None]
    return replace(found, **{name: getattr(found, name) * scale for name in names})


def _describe(x: Array, strata: Sequence[Sequence[float]]) -> Statistics:
    n = len(x)
    std = float(x.std(ddof=1)) if n > 1 else None
    half = float(t_half_width(x)) if n > 1 else None
    mean = float(x.mean())
    iqm_low, iqm_high = _iqm_interval(x, strata) if n > 1 else (None, None)
    return Statistics(
        n=n,
        mean=mean,
        std=std,
        se=None if std is None else std / math.sqrt(n),
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        median=float(np.median(x)),
        iqm=float(iqm(x)),
        iqm_low=iqm_low,
        iqm_high=iqm_high,
        min=float(x.min()),
        max=float(x.max()),
    )


def _iqm_interval(x: Array, strata: Sequence[Sequence[float]]) -> tuple[float, float]:
    if len(strata) > 1:
        values = np.concatenate([np.asarray(stratum) for stratum in strata])
        return bootstrap_interval(values, iqm, [i for i, stratum in enumerate(strata) for _ in stratum])
    # The draws are the same for each n, so that a matrix of weights replaces sorting; a large n would take much memory.
    return _bounds(_weights(len(x)) @ x if len(x) <= _MOST_WEIGHTED else iqm(x[_draws(len(x))]))


@lru_cache(maxsize=_MOST_WEIGHTED)
def _weights(n: int) -> Array:
    """The weight of each of n ascending values in the interquartile mean of each bootstrap sample, (repetitions, n)."""

    # The sampled indices are the same for all groups of n values. Sorted indices of ascending values are sorted values,
    # so the sorting is done once for all groups, and a group costs one matrix product.
    cut = int(_TRIM * n)
    kept = np.sort(_draws(n), axis=1)[:, cut : n - cut]
    found = np.zeros((REPETITIONS, n))
    np.add.at(found, (np.arange(REPETITIONS)[:, None], kept), 1.0 / kept.shape[1])
    return found


def _draws(n: int) -> Array:
    return np.random.default_rng(0).integers(0, n, (REPETITIONS, n))


def _bounds(found: Array) -> tuple[float, float]:
    """The ends of the middle 95 % of an array: `numpy.percentile` for two ranks, without its overhead per call."""
    ranks = [share * (len(found) - 1) for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)]
    below = [int(rank) for rank in ranks]
    ordered = np.partition(found, sorted({k for low in below for k in (low, min(low + 1, len(found) - 1))}))
    low, high = (
        float(ordered[k] + (ordered[min(k + 1, len(found) - 1)] - ordered[k]) * (rank - k))
        for rank, k in zip(ranks, below, strict=True)
    )
    return low, high


def iqm(values: Array, axis: int = -1) -> Array:
    """Mean of the middle half: a quarter of the values, rounded down, is removed at each end."""
    ordered = np.sort(values, axis=axis)
    cut = int(_TRIM * values.shape[axis])
    return np.asarray(np.take(ordered, range(cut, values.shape[axis] - cut), axis=axis).mean(axis=axis))


def t_half_width(values: Array, axis: int = -1) -> Array:
    """Half the width of Student's 95 % interval of the mean, along an axis of n values; NaN for n = 1."""
    n = values.shape[axis]
    if n < 2:
        return np.full(np.delete(values.shape, axis), np.nan)
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return np.asarray(quantile * values.std(axis=axis, ddof=1) / math.sqrt(n))


def bootstrap_interval(
    values: Array,
    statistic: Callable[[Array], Array],
    strata: Sequence[object] | None = None,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a statistic of the pooled values, resampled within each stratum.

    Args:
        values: shape (runs,).
        statistic: reduces the last axis.
        strata: the stratum of each run; None: a single one.
        repetitions: number of bootstrap samples.
        seed: seed of the samples, so that equal data have equal intervals.
    """
    rng = np.random.default_rng(seed)
    members: dict[object, list[int]] = {}
    for position, stratum in enumerate(strata if strata is not None else [None] * len(values)):
        members.setdefault(stratum, []).append(position)
    drawn = [
        values[np.asarray(places)[rng.integers(0, len(places), (repetitions, len(places)))]]
        for places in members.values()
    ]
    found = statistic(np.concatenate(drawn, axis=1))
    return _bounds(found)


def welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p of Welch's t-test that two settings have the same mean; None if one has fewer than two runs."""
    if len(a) < 2 or len(b) < 2:
        return None
    both, _ = scaled(np.concatenate([np.sort(np.asarray(values, dtype=np.float64)) for values in (a, b)]))
    x, y = both[: len(a)], both[len(a) :]
    vx, vy = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    difference = x.mean() - y.mean()
    # Constant values in both groups: t would be 0 / 0 or infinite.
    if vx + vy == 0:
        return 1.0 if difference == 0 else 0.0
    t = difference / math.sqrt(vx + vy)
    # Welch-Satterthwaite degrees of freedom.
    share = vx / (vx + vy)
    # The Welch-Satterthwaite degrees of freedom, written with shares so that squares of small variances do not
    # vanish.
    freedom = 1 / (share**2 / (len(x) - 1) + (1 - share) ** 2 / (len(y) - 1))
    return float(2 * stdtr(freedom, -abs(t)))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p values adjusted for multiple tests by Holm's step-down method; None stays None."""
    known = sorted((p, position) for position, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, position) in enumerate(known):
        # The running maximum keeps the adjusted values in the order of the original ones.
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[position] = highest
    return adjusted
