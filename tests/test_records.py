"""Summaries: what counts, what does not, and that unknown is not guessed."""

from __future__ import annotations

import math

import pytest

from spindb.index.database import series
from spindb.records import Cell, MetricSeries, SnapshotRecord, latest


def test_summary_of_plain_numbers() -> None:
    summary = MetricSeries("X", (3, 1.5, 7, 7.0)).summary()
    assert (summary.count, summary.first, summary.last, summary.min, summary.max) == (4, 3.0, 7.0, 1.5, 7.0)
    assert (summary.argmin, summary.argmax, summary.mean, summary.last_text) == (1, 2, 4.625, None)


def test_nan_text_and_empty_cells_take_no_part() -> None:
    summary = MetricSeries("X", (None, 2.0, "two", math.nan)).summary()
    assert (summary.count, summary.first, summary.last, summary.min, summary.max) == (1, 2.0, None, 2.0, 2.0)
    assert summary.last_text == "NaN"
    assert MetricSeries("X", (1.0, "fin")).summary().last_text == "fin"
    assert MetricSeries("X", (1.0, None)).summary().last_text == ""
    assert MetricSeries("X", ()).summary().last_text is None


def test_infinities_count_and_their_mean_may_not_exist() -> None:
    summary = MetricSeries("X", (math.inf, 1.0, -math.inf)).summary()
    assert (summary.min, summary.max, summary.mean) == (-math.inf, math.inf, None)


def test_a_mean_near_the_end_of_the_range() -> None:
    assert MetricSeries("X", (1.7e308, 1.7e308)).summary().mean == pytest.approx(1.7e308)


CELLS: list[Cell] = [1, -0.0, 0.1, 1e300, math.inf, -math.inf, None, "text", "", 'a "b"\t', 2**63, 1e30, "nan?"]


def test_series_survive_the_round_trip() -> None:
    assert series.decode(series.encode(CELLS)) == CELLS
    (value,) = series.decode(series.encode([math.nan]))
    assert isinstance(value, float)
    assert math.isnan(value)
    assert math.copysign(1, series.decode(series.encode([-0.0]))[0]) == -1  # type: ignore[arg-type]


def test_latest_prefers_fresh_and_loadable() -> None:
    stale = SnapshotRecord("simple_save", "simple_save20", 20, stale="old")
    fresh = SnapshotRecord("simple_save", "simple_save", None)
    broken = SnapshotRecord("simple_save", "simple_save30", 30, unloadable="cut")
    assert latest([stale, fresh, broken]) is fresh
    assert latest([stale, broken]) is stale
    assert latest([]) is None


@pytest.mark.parametrize("values", [(-0.0, -0.0), (math.nan, -0.0)])
def test_summaries_have_no_negative_zero(values: tuple[float, ...]) -> None:
    summary = MetricSeries("X", values).summary()
    zeros = [v for v in (summary.first, summary.last, summary.min, summary.max, summary.mean) if v is not None]
    assert [math.copysign(1, zero) for zero in zeros] == [1] * 5
    assert summary.finite == (values[0] == 0)
