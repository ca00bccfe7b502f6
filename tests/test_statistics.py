"""Statistics over few seeds, against scipy and against what rliable says of the same arrays."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from spindb.analysis.statistics import bootstrap_interval, describe, holm, iqm, t_half_width, welch

RLIABLE = json.loads((Path(__file__).parent / "golden" / "rliable.json").read_text())
ARRAYS = [[1.0, 2.0], [3.0, -1.5, 2.25], [0.0, 0.0, 5.0, 10.0, 1e6], list(np.linspace(-3, 8, 17)), [1e-300, 1e300, 5.0]]


@pytest.mark.parametrize("values", ARRAYS, ids=len)
def test_against_scipy(values: list[float]) -> None:
    found = describe(values)
    assert found is not None
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.median == pytest.approx(np.median(values))
    if max(values) < 1e200:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.se == pytest.approx(stats.sem(values))
        assert found.std == pytest.approx(np.std(values, ddof=1))
    assert found.iqm == pytest.approx(stats.trim_mean(values, 0.25))
    assert (found.min, found.max) == (min(values), max(values))


def test_one_value_has_no_interval_and_none_has_nothing() -> None:
    one = describe([3.0])
    assert one is not None
    assert (one.n, one.mean, one.iqm, one.median) == (1, 3.0, 3.0, 3.0)
    assert (one.std, one.se, one.low, one.high, one.iqm_low) == (None,) * 5
    assert describe([]) is None
    assert np.isnan(t_half_width(np.ones((1, 4)), axis=0)).all()


@pytest.mark.parametrize(
    "pair",
    [
        ([1.0, 2, 3], [2.0, 3, 9]),
        ([1.0, 2, 3], [2.5, 3.5, 4.5]),
        ([5.0, 5.1], [1.0, 1.2, 0.9, 1.1]),
        (ARRAYS[3], ARRAYS[2]),
    ],
)
def test_welch_against_scipy(pair: tuple[list[float], list[float]]) -> None:
    assert welch(*pair) == pytest.approx(stats.ttest_ind(*pair, equal_var=False).pvalue)


def test_welch_where_nothing_varies() -> None:
    assert welch([1.0], [1.0, 2.0]) is None
    assert welch([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert welch([1.0, 1.0], [2.0, 2.0]) == 0.0


def test_holm_against_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03, None]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06), None]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("name", RLIABLE)
def test_against_rliable(name: str) -> None:
    """Scores of shape (runs, tasks); made by ``bench/rliable_says.py``."""
    case = RLIABLE[name]
    scores = np.array(case["scores"])
    values = scores.T.ravel()
    strata = np.repeat(np.arange(scores.shape[1]), scores.shape[0])
    assert iqm(values) == pytest.approx(case["iqm"], rel=1e-12)
    low, high = bootstrap_interval(values, iqm, list(strata), repetitions=20000)
    width = case["high"] - case["low"]
    assert low == pytest.approx(case["low"], abs=0.05 * width)
    assert high == pytest.approx(case["high"], abs=0.05 * width)


def test_a_t_interval_covers_what_it_says_at_three_seeds() -> None:
    """What 1.96 standard errors and the bootstrap do not: the reason for the default band."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(4000, 3))
    covered = np.abs(samples.mean(axis=1)) <= t_half_width(samples, axis=1)
    assert 0.94 < covered.mean() < 0.96
    normal = np.abs(samples.mean(axis=1)) <= 1.96 * samples.std(axis=1, ddof=1) / math.sqrt(3)
    assert normal.mean() < 0.85


def test_equal_data_equal_interval() -> None:
    values = np.array([1.0, 5.0, 2.0, 8.0])
    assert bootstrap_interval(values, iqm) == bootstrap_interval(values, iqm)


@pytest.mark.parametrize("n", [2, 3, 7, 120])
def test_the_interval_of_the_iqm_is_that_of_its_definition(n: int) -> None:
    """Each sample drawn, trimmed and averaged by scipy; percentiles by numpy."""
    values = np.random.default_rng(n).normal(size=n)
    found = describe(list(values))
    assert found is not None
    samples = np.sort(values)[np.random.default_rng(0).integers(0, n, (2000, n))]
    low, high = np.percentile(stats.trim_mean(samples, 0.25, axis=1), [2.5, 97.5])
    assert (found.iqm_low, found.iqm_high) == pytest.approx((low, high), rel=1e-9)


def test_samples_are_drawn_within_each_environment() -> None:
    """Where runs of one environment are all alike, every sample is like the whole."""
    found = describe([0.0, 10.0, 0.0, 10.0, 0.0, 10.0], ["a", "b"] * 3)
    assert found is not None
    assert (found.iqm, found.iqm_low, found.iqm_high) == (5.0, 5.0, 5.0)
    pooled = describe([0.0, 10.0, 0.0, 10.0, 0.0, 10.0])
    assert pooled is not None
    assert pooled.iqm_low is not None
    assert pooled.iqm_low < 5.0
    halves = np.array([0.0, 10.0, 0.0, 10.0])
    assert bootstrap_interval(halves, lambda rows: rows.mean(axis=-1), ["a", "b"] * 2) == (5.0, 5.0)


@pytest.mark.parametrize("power", [900, -900, -1010])
def test_very_large_and_very_small_numbers_have_the_same_statistics(power: int) -> None:
    """Squares of these leave the range of a double; the unit of the numbers does not matter."""
    values = [1.0, 2.5, -3.0, 4.0, 0.5]
    plain, far = describe(values), describe([math.ldexp(value, power) for value in values])
    assert plain is not None
    assert far is not None
    for name in ("mean", "std", "se", "low", "high", "median", "iqm", "iqm_low", "iqm_high", "min", "max"):
        assert getattr(far, name) == pytest.approx(math.ldexp(getattr(plain, name), power), rel=1e-9), name
    assert far.n == 5
    others = [2.0, 4.0, 1.0]
    assert welch([math.ldexp(v, power) for v in values], [math.ldexp(v, power) for v in others]) == pytest.approx(
        stats.ttest_ind(values, others, equal_var=False).pvalue
    )


def test_the_order_of_runs_does_not_matter() -> None:
    values = [3.0, 1.5, 9.25, -2.0, 0.1, 7.0]
    environments = ["a", "b", "a", "c", "b", "a"]
    assert describe(values, environments) == describe(values[::-1], environments[::-1])
    assert describe(values) == describe(sorted(values))


def test_an_iqm_along_another_axis() -> None:
    values = np.random.default_rng(3).normal(size=(9, 4))
    assert iqm(values, axis=0) == pytest.approx(stats.trim_mean(values, 0.25, axis=0))
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=1))
    assert t_half_width(values, axis=0) == pytest.approx(stats.sem(values, axis=0) * stats.t.ppf(0.975, 8))


def test_holm_keeps_its_order_and_its_unknowns() -> None:
    assert holm([None, 0.2, None, 0.001]) == [None, pytest.approx(0.2), None, pytest.approx(0.002)]
    assert holm([0.04]) == [0.04]
    assert holm([None]) == [None]
