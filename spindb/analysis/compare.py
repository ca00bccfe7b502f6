"""Settings against each other: statistics over seeds, ranked, and which differences mean nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from spindb.analysis import summaries
from spindb.analysis.statistics import Statistics, describe, holm, welch
from spindb.index.points import curves_by_id
from spindb.index.settings import Setting, settings_of, telling_keys

ALPHA = 0.05
_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """A setting and its statistics over seeds.

    ``left_out`` counts runs without a number: not reached, diverged to NaN, or without the metric. ``p`` is that of
    Welch's t-test against the best setting of the same environment, adjusted for the number of such tests (Holm); None
    for the best itself and where a setting has one run. ``verdict`` is a word for it: ``best``, ``worse`` (p < 0.05),
    ``may be equal``, ``one seed``, ``fewer got there``, ``no value``.
    """

    setting: Setting
    values: tuple[float, ...]
    left_out: int
    statistics: Statistics | None
    p: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows ranked within each environment, best first.

    ``metrics`` are those that were meant; ``cut_short`` holds the runs whose curves are shorter than those of other
    seeds of their setting, which a reader should know of.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    cut_short: tuple[int, ...]

    @property
    def keys(self) -> list[str]:
        """The fields that tell the settings apart; see `spindb.index.settings.telling_keys`."""
        return telling_keys([row.setting for row in self.rows])


def compare(
    connection: Connection,
    ids: Sequence[int],
    value: str = "Performance",
    summary: str = "last",
    group_by: Sequence[str] = (),
    *,
    lower: bool = False,
) -> Comparison:
    """Compare the settings of these runs.

    Args:
        connection: to read from.
        ids: the runs.
        value: a metric, or ``Performance`` for each run's own.
        summary: how a run's curve becomes one number; see `spindb.analysis.summaries`.
        group_by: fields that make a setting; empty for everything but the seed.
        lower: the lowest is the best.

    Raises:
        FilterError: an unknown metric or field. UsageError: an unknown summary.
    """
    summarise = summaries.parse(summary, lower=lower)
    lower = lower or summary.startswith("reach")
    found = curves_by_id(connection, ids, value)
    rows, cut_short = [], []
    for setting in settings_of(connection, ids, group_by):
        lengths = {run_id: len(found[run_id].y) for run_id in setting.runs if run_id in found}
        cut_short += [r for r, length in lengths.items() if length < _NEARLY * max(lengths.values())]
        pairs = [
            (summarise(found[run_id].x, found[run_id].y), env)
            for run_id, env in zip(setting.runs, setting.envs, strict=True)
            if run_id in found
        ]
        known = [(number, env) for number, env in pairs if math.isfinite(number)]
        values = tuple(number for number, _ in known)
        rows.append((setting, values, len(setting.runs) - len(values), describe(values, [env for _, env in known])))
    ranked = sorted(rows, key=lambda row: _rank(row[0], row[2], row[3], lower, summary.startswith("reach")))
    metrics = tuple(sorted({curve.metric for curve in found.values()}))
    return Comparison(tuple(_judged(ranked, summary.startswith("reach"))), metrics, tuple(sorted(cut_short)))


def _rank(
    setting: Setting, left_out: int, statistics: Statistics | None, lower: bool, reaching: bool
) -> tuple[str, float, bool, float]:
    """By environment; then, where a level was to be reached, by the share that reached it; then by the mean."""
    share = left_out / len(setting.runs) if reaching else 0.0
    mean = math.nan if statistics is None else statistics.mean if lower else -statistics.mean
    return setting.environment, share, statistics is None, mean


def _judged(ranked: Sequence[tuple[Setting, tuple[float, ...], int, Statistics | None]], reaching: bool) -> list[Row]:
    rows: list[Row] = []
    for env in dict.fromkeys(row[0].environment for row in ranked):
        group = [row for row in ranked if row[0].environment == env]
        best = group[0][1]
        adjusted = [None, *holm([welch(best, values) for _, values, *_ in group[1:]])]
        for position, (row, p) in enumerate(zip(group, adjusted, strict=True)):
            fewer = row[2] / len(row[0].runs) > group[0][2] / len(group[0][0].runs)
            rows.append(Row(*row, p, _verdict(position, len(group), row[3], p, fewer and reaching)))
    return rows


def _verdict(position: int, count: int, statistics: Statistics | None, p: float | None, fewer: bool) -> str:
    if statistics is None:
        return "no value"
    if position == 0:
        return "best" if count > 1 else ""
    if fewer:
        return "fewer got there"
    if p is None:
        return "one seed"
    return "worse" if p < ALPHA else "may be equal"
