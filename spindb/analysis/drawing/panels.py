"""What a plot shows, before anything is drawn: panels of lines, out of the database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, select

from spindb.analysis.curves import BANDS, Line, line, require_band, usual_band
from spindb.analysis.joined import joined
from spindb.errors import UsageError
from spindb.index.database.batches import batches
from spindb.index.database.models import runs
from spindb.index.database.unknown import json_value
from spindb.index.query.runs import short_run_names
from spindb.index.read.curves import EPOCH, ROW, STEPS, RawCurve, curves_by_id
from spindb.index.read.groups import Grouping, groups_of, labelled, shown_field
from spindb.index.read.sample import sample_of
from spindb.index.read.settings import ENVIRONMENT, settings_of


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes with its lines; ``ylabel`` and ``xlabel`` say what was measured over what."""

    title: str
    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class PlotSpec:
    """What is to be plotted.

    ``band`` None is the estimator's usual one; ``per_run`` draws a line for every run; ``legend`` names the lines in
    the order of their first runs; ``width`` is that of the smoothing window in points.
    """

    values: Sequence[str] = ("Performance",)
    axis: str = STEPS
    group_by: Sequence[str] = ()
    facet: str | None = None
    estimator: str = "mean"
    band: str | None = None
    width: int = 1
    per_run: bool = False
    legend: Sequence[str] = ()

    @property
    def shown_band(self) -> str:
        return "none" if self.per_run else self.band or usual_band(self.estimator)

    @property
    def note(self) -> str:
        """What line and band are, for a legend's title."""
        smoothed = f", smoothed over {self.width} points" if self.width > 1 else ""
        if self.per_run:
            return f"a line per run{smoothed}"
        band = f", band: {BANDS[self.shown_band]}" if self.shown_band != "none" else ""
        return f"{self.estimator} over runs{band}{smoothed}"


@dataclass(frozen=True, slots=True)
class Arranged:
    """The panels of a picture, and what a reader should know of: what was left out, averaged or assumed."""

    panels: tuple[Panel, ...]
    notes: tuple[str, ...]


class _Member(NamedTuple):
    """A training of a line, and the seed that it is of: trainings of one seed are averaged."""

    runs: tuple[int, ...]
    seed: int
    kept: Mapping[int, int]

    def curve(self, curves: Mapping[int, RawCurve]) -> RawCurve | None:
        """What was drawn of it, None where it is nothing."""
        return joined([curves[run_id] for run_id in self.runs if run_id in curves], self.kept)


def panels(connection: Connection, ids: Sequence[int], spec: PlotSpec) -> list[Panel]:
    """The panels of `arranged`."""
    return list(arranged(connection, ids, spec).panels)


def arranged(connection: Connection, ids: Sequence[int], spec: PlotSpec) -> Arranged:
    """The panels for these runs: one per value and facet; and per metric and kind of axis, where runs have several.

    Raises:
        FilterError: an unknown metric or field.
        UsageError: no run has a point to draw; or estimator and band don't belong together; or too few names.
    """
    require_band(spec.estimator, spec.shown_band)
    grouping = groups_of(connection, ids, spec.group_by)
    counted = sorted(run_id for group in grouping.groups for run_id in group.runs)
    facets = _facets(connection, counted, spec.facet)
    lines = _lines(connection, grouping, facets, spec)
    kinds = _kinds(connection, counted)
    found: list[Panel] = []
    notes = list(grouping.notes)
    for value in spec.values:
        # Runs that log the metric without one finite pair would give an empty line with a name in the legend.
        drawn = {i: c for i, c in curves_by_id(connection, counted, value, spec.axis).items() if _has_point(c)}
        notes += _without(len(counted) - len(drawn), value, spec.axis)
        apart: dict[tuple[str, str], set[int]] = {}
        for run_id, curve in drawn.items():
            apart.setdefault((curve.metric, _kind(curve, kinds[run_id], spec.axis)), set()).add(run_id)
        notes += _said(apart, spec.axis)
        for title, members in facets.items():
            for (metric, kind), those in sorted(apart.items(), key=lambda item: _kind_place(item[0])):
                here = {i: drawn[i] for i in sorted(members & those)}
                kept = _drawn(lines, here, spec)
                if kept:
                    found.append(Panel(title, _axis_name(here.values(), kind), metric, kept))
    if not found:
        names = " or ".join(spec.values)
        raise UsageError(f"nothing to draw: none of {len(ids)} runs has a point of {names} over {spec.axis}")
    return Arranged(tuple(found), tuple(dict.fromkeys(notes)))


def _drawn(lines: Mapping[str, Sequence[_Member]], curves: Mapping[int, RawCurve], spec: PlotSpec) -> tuple[Line, ...]:
    found = []
    for label, members in lines.items():
        trainings = [(member.curve(curves), member.seed) for member in members]
        there = [(curve, seed) for curve, seed in trainings if curve is not None]
        one = line(
            label, [curve for curve, _ in there], spec.estimator, spec.shown_band, spec.width,
            [seed for _, seed in there],
        )  # fmt: skip
        if one is not None:
            found.append(one)
    return tuple(found)


def _has_point(curve: RawCurve) -> bool:
    return any(math.isfinite(x) and math.isfinite(y) for x, y in zip(curve.x, curve.y, strict=True))


def _kinds(connection: Connection, ids: Sequence[int]) -> dict[int, str | None]:
    """The metric that counts steps in each run."""
    found: dict[int, str | None] = {}
    for batch in batches(ids):
        rows = connection.execute(select(runs.c.id, runs.c.steps).where(runs.c.id.in_(batch)))
        found.update({row.id: row.steps for row in rows})
    return found


def _kind(curve: RawCurve, steps: str | None, axis: str) -> str:
    """What a curve's axis counts: different things are never drawn over one axis."""
    if curve.axis is None:
        return ROW
    if axis not in (STEPS, EPOCH):
        return axis
    return STEPS if axis == STEPS and curve.axis in (steps, STEPS) else EPOCH


def _kind_place(part: tuple[str, str]) -> tuple[str, int, str]:
    metric, kind = part
    order = (STEPS, EPOCH, ROW)
    return metric, order.index(kind) if kind in order else -1, kind


def _axis_name(curves: Iterable[RawCurve], kind: str) -> str:
    """The axis as the runs call it, where all call it the same."""
    names = {curve.axis for curve in curves}
    return names.pop() or ROW if len(names) == 1 else kind


def _without(count: int, value: str, axis: str) -> list[str]:
    return [f"{_runs(count)} not drawn: no point of {value} over {axis}"] if count else []


def _said(apart: Mapping[tuple[str, str], set[int]], axis: str) -> list[str]:
    """That runs are drawn apart, by what they measure or by what their axis counts."""
    metrics, kinds = sorted({metric for metric, _ in apart}), {kind for _, kind in apart}
    found = [f"{' and '.join(metrics)} are drawn apart: different metrics"] if len(metrics) > 1 else []
    for kind in (EPOCH, ROW):
        members = [i for (_, own), those in apart.items() if own == kind for i in those]
        if len(kinds) > 1 and members:
            found.append(f"{_runs(len(members))} without {axis}: drawn apart, over {kind}s")
    return found


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _lines(
    connection: Connection, grouping: Grouping, facets: Mapping[str, set[int]], spec: PlotSpec
) -> dict[str, Sequence[_Member]]:
    """Trainings by the label of their line. Settings that the facet alone tells apart share one."""
    found: dict[str, Sequence[_Member]] = {}
    if spec.per_run:
        names = short_run_names(connection, sorted(set().union(*facets.values())))
        twice = len(set(names.values())) < len(names)
        trainings = [(chain, one) for group in grouping.groups for one in group.replicates for chain in one.chains]
        for chain, one in sorted(trainings, key=lambda training: training[0]):
            name = names[chain[0]]
            # Each run is its own seed here: nothing is averaged.
            found[f"{chain[0]} {name}" if twice else str(name)] = [_Member(chain, chain[0], one.kept)]
    else:
        # Labels need not say what panels say.
        keys = [key for key in grouping.keys if key != spec.facet]
        places: dict[str, set[str]] = {}
        for group in labelled(grouping.groups, keys):
            label = group.label
            own = {title for title, ids in facets.items() if not ids.isdisjoint(group.runs)}
            # Two lines of one panel under one label: the field that tells them apart is not among those that are shown.
            if own & places.get(label, set()):
                label = f"{label} (from run {group.runs[0]})"
            places.setdefault(label, set()).update(own)
            members = [_Member(chain, one.runs[0], one.kept) for one in group.replicates for chain in one.chains]
            found[label] = [*found.get(label, ()), *members]
    if spec.legend:
        if len(spec.legend) != len(found):
            raise UsageError(
                f"{len(spec.legend)} names in the legend for {len(found)} lines", hint=f"lines: {'; '.join(found)}"
            )
        if len(set(spec.legend)) < len(spec.legend):
            raise UsageError("two lines can't have one name in the legend", hint=f"lines: {'; '.join(found)}")
        found = dict(zip(spec.legend, found.values(), strict=True))
    return found


def _facets(connection: Connection, ids: Sequence[int], facet: str | None) -> dict[str, set[int]]:
    if facet is None:
        return {"": set(ids)}
    settings = settings_of(connection, sample_of(connection, ids), [facet])
    texts = {run_id: settings.texts(run_id).get(facet) for run_id in ids}
    found: dict[str, set[int]] = {}
    for run_id in sorted(ids, key=lambda run_id: _by_size(texts[run_id])):
        text = texts[run_id]
        absent = "environment unknown" if facet == ENVIRONMENT else f"{facet}=-"
        found.setdefault(absent if text is None else f"{facet}={shown_field(json_value(text))}", set()).add(run_id)
    return found


def _by_size(text: str | None) -> tuple[bool, float, str]:
    """Numbers by size, then everything else by its text, then runs that lack it."""
    value = None if text is None else json_value(text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return False, float(value), ""
    return True, float(text is None), text or ""
