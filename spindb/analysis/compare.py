"""Settings against each other: statistics over seeds, ranked, and which differences mean nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from spindb.analysis import summaries
from spindb.analysis.joined import joined
from spindb.analysis.statistics import Statistics, describe, holm, welch
from spindb.index.read.curves import RawCurve, curves_by_id
from spindb.index.read.groups import Group, Grouping, Replicate, groups_of
from spindb.index.read.sample import Seed

ALPHA = 0.05
_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """A setting and its statistics over seeds.

    ``values`` holds a number per seed: the mean of its trainings where a seed was trained several times. ``metric`` is
    what was measured, None where no run has it; a setting whose runs have several has a row for each.
    ``left_out`` counts seeds without a number: not reached, diverged to NaN or infinity, or without the metric;
    ``runs_left_out`` holds all runs without one. ``p_alone`` is that of Welch's t-test against the best setting of the
    same ranking, ``p`` the same adjusted by Holm for the number of such ``tests``; None for the best itself and where a
    setting has one seed.

    ``verdict`` is a word for it: ``best`` (of those with several seeds), ``worse`` (p < 0.05), ``may be equal``, ``one
    seed`` (nothing can be said), ``fewer got there``, ``no value``; nothing where there is no other setting.
    """

    setting: Group
    metric: str | None
    values: tuple[float, ...]
    seeds: tuple[Seed | None, ...]
    left_out: int
    runs_left_out: tuple[int, ...]
    statistics: Statistics | None
    p: float | None = None
    p_alone: float | None = None
    tests: int = 0
    verdict: str = ""

    @property
    def ranking(self) -> tuple[str, str]:
        """What it can be ranked in: an environment and a metric."""
        return self.setting.environment, self.metric or ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows ranked within each environment and metric, best first.

    ``metrics`` are those that were meant; ``cut_short`` holds the runs whose curves are shorter than those of other
    seeds of their setting, which a reader should know of. ``grouping`` says what was left out.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    cut_short: tuple[int, ...]
    grouping: Grouping

    @property
    def keys(self) -> list[str]:
        """The fields that tell the settings apart."""
        return list(self.grouping.keys)

    @property
    def rankings(self) -> dict[tuple[str, str], list[Row]]:
        """The rows by what they are ranked in."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.ranking, []).append(row)
        return found

    @property
    def notes(self) -> list[str]:
        """What a reader should know of before believing it: what was left out, averaged, assumed; tests that say
        nothing for being many; metrics that are never ranked together."""
        found = self.grouping.notes
        hidden = [row for row in self.rows if row.p is not None and row.p >= ALPHA and (row.p_alone or 1.0) < ALPHA]
        if hidden:
            most = max(row.tests for row in hidden)
            found.append(
                f"{_settings(len(hidden))} with p < {ALPHA} alone, but not after correction for {most} tests:"
                " compare fewer settings (a filter, --group-by)"
            )
        single = sum(row.verdict == "one seed" for row in self.rows)
        if single and len(self.rows) > 1:
            found.append(
                f"{_settings(single)} with one seed: no test says anything of those, and none is called the best"
            )
        if len(self.metrics) > 1:
            found.append(
                f"{' and '.join(self.metrics)} are ranked apart: different metrics"
                f" (--value {self.metrics[0]} ranks all runs that have it)"
            )
        return found


@dataclass(slots=True)
class _Measured:
    """Seeds of a setting that were measured by one metric."""

    values: list[float] = field(default_factory=list)
    seeds: list[Seed | None] = field(default_factory=list)
    arenas: list[str] = field(default_factory=list)
    left_out: int = 0
    runs_left_out: list[int] = field(default_factory=list)
    lengths: dict[tuple[int, ...], int] = field(default_factory=dict)


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
        ids: the runs; copies count once, overwritten runs never.
        value: a metric, or ``Performance`` for each run's own.
        summary: how a run's curve becomes one number; see `spindb.analysis.summaries`.
        group_by: fields that make a setting; empty for everything but the seed.
        lower: the lowest is the best.

    Raises:
        FilterError: an unknown metric or field. UsageError: an unknown summary.
    """
    summarise = summaries.summary_named(summary, lower=lower)
    reaching = summary.startswith("reach")
    grouping = groups_of(connection, ids, group_by)
    curves = curves_by_id(connection, [run_id for group in grouping.groups for run_id in group.runs], value)
    rows, cut_short = [], set()
    for group in grouping.groups:
        for metric, measured in _measured(group, curves, summarise).items():
            longest = max(measured.lengths.values(), default=0)
            # A run that crashed early has its last value at another training time than the others: said, not dropped.
            cut_short |= {r for chain, length in measured.lengths.items() if length < _NEARLY * longest for r in chain}
            rows.append(_row(group, metric, measured))
    # `reach` gives steps until a level, of which fewer are better whatever the metric is.
    ranked = sorted(rows, key=lambda row: _rank(row, lower or reaching, reaching))
    metrics = tuple(sorted({curve.metric for curve in curves.values()}))
    return Comparison(tuple(_judged(ranked, reaching)), metrics, tuple(sorted(cut_short)), grouping)


def _measured(
    group: Group, curves: Mapping[int, RawCurve], summarise: summaries.Summary
) -> dict[str | None, _Measured]:
    """The seeds of a setting by the metric that they were measured by: different metrics are never averaged."""
    usual = _usual_metric(group, curves)
    found: dict[str | None, _Measured] = {}
    for one in group.replicates:
        for metric, chains in _by_metric(one, curves, usual).items():
            measured = found.setdefault(metric, _Measured())
            numbers = []
            for chain in chains:
                curve = joined([curves[run_id] for run_id in chain if run_id in curves], one.kept)
                number = summarise(curve.x, curve.y) if curve else math.nan
                if curve:
                    measured.lengths[chain] = len(curve.y)
                if math.isfinite(number):
                    numbers.append(number)
                else:
                    measured.runs_left_out += chain
            if numbers:
                # Several trainings of one seed are one value: they are not independent. Sorted, so that every order
                # gives the same last digit.
                measured.values.append(summaries.mean_or_nan(sorted(numbers)))
                measured.seeds.append(one.seed)
                measured.arenas.append(one.arena.name)
            else:
                measured.left_out += 1
    return found


def _usual_metric(group: Group, curves: Mapping[int, RawCurve]) -> str | None:
    metrics = [curves[run_id].metric for run_id in group.runs if run_id in curves]
    return max(sorted(set(metrics)), key=metrics.count, default=None)


def _by_metric(
    one: Replicate, curves: Mapping[int, RawCurve], usual: str | None
) -> dict[str | None, list[tuple[int, ...]]]:
    """A seed's trainings by what they were measured by; those without a curve go with the others of their setting."""
    found: dict[str | None, list[tuple[int, ...]]] = {}
    for chain in one.chains:
        metrics: list[str | None] = [curves[run_id].metric for run_id in chain if run_id in curves]
        for metric in dict.fromkeys(metrics or [usual]):
            part = tuple(r for r in chain if r not in curves or curves[r].metric == metric)
            found.setdefault(metric, []).append(part)
    return found


def _row(group: Group, metric: str | None, measured: _Measured) -> Row:
    return Row(
        setting=group,
        metric=metric,
        values=tuple(measured.values),
        seeds=tuple(measured.seeds),
        left_out=measured.left_out,
        runs_left_out=tuple(sorted(measured.runs_left_out)),
        statistics=describe(measured.values, measured.arenas),
    )


def _rank(row: Row, lower: bool, reaching: bool) -> tuple[str, str, float, bool, float, str, str]:
    """By environment and metric; then, where a level was to be reached, by the share that reached it; then by the mean.

    What is equal stands in the order of what makes the settings, which is the same in every database.
    """
    share = row.left_out / (row.left_out + len(row.values)) if reaching else 0.0
    mean = 0.0 if row.statistics is None else row.statistics.mean if lower else -row.statistics.mean
    return *row.ranking, share, row.statistics is None, mean, row.setting.label, row.setting.key


def _judged(ranked: Sequence[Row], reaching: bool) -> list[Row]:
    rankings: dict[tuple[str, str], list[Row]] = {}
    for row in ranked:
        rankings.setdefault(row.ranking, []).append(row)
    rows: list[Row] = []
    for group in rankings.values():
        # One seed can't be called the best: nothing says how far another seed would be.
        best = next((row for row in group if len(row.values) > 1), None)
        # Against the best only: all pairs would be many more tests, and a stricter correction for each.
        alone = [None if best is None or row is best else welch(best.values, row.values) for row in group]
        tests = sum(p is not None for p in alone)
        for row, p, p_alone in zip(group, holm(alone), alone, strict=True):
            verdict = _verdict(row, best, p, len(group), reaching)
            rows.append(replace(row, p=p, p_alone=p_alone, tests=tests, verdict=verdict))
    return rows


def _verdict(row: Row, best: Row | None, p: float | None, count: int, reaching: bool) -> str:
    """What can be said of a setting, by its own seeds."""
    if not row.values:
        return "no value"
    if len(row.values) == 1:
        return "one seed"
    if row is best:
        return "best" if count > 1 else ""
    # Seeds that never reached the level have no value: comparing the others' means alone would favour them.
    if best is not None and reaching and _share(row) > _share(best):
        return "fewer got there"
    return "worse" if p is not None and p < ALPHA else "may be equal"


def _share(row: Row) -> float:
    return row.left_out / (row.left_out + len(row.values))


def _settings(count: int) -> str:
    return f"{count} setting{'' if count == 1 else 's'}"
