"""What a plot shows, before anything is drawn: panels of lines, out of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from spindb.analysis.curves import BANDS, Line, line, require, usual_band
from spindb.errors import UsageError
from spindb.index.points import STEPS, curves_by_id
from spindb.index.search import fields_of
from spindb.index.settings import Setting, settings_of, telling_keys


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes with its lines; ``ylabel`` and ``xlabel`` say what was measured over what."""

    title: str
    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be plotted.

    ``band`` None is the estimator's usual one; ``each`` draws every run for itself; ``legend`` names the lines in the
    order of their first runs; ``width`` is that of the smoothing window in points.
    """

    values: Sequence[str] = ("Performance",)
    axis: str = STEPS
    group_by: Sequence[str] = ()
    facet: str | None = None
    estimator: str = "mean"
    band: str | None = None
    width: int = 1
    each: bool = False
    legend: Sequence[str] = ()

    @property
    def shown_band(self) -> str:
        return "none" if self.each else self.band or usual_band(self.estimator)

    @property
    def note(self) -> str:
        """What line and band are, for a legend's title."""
        smoothed = f", smoothed over {self.width} points" if self.width > 1 else ""
        if self.each:
            return f"a line per run{smoothed}"
        band = f", band: {BANDS[self.shown_band]}" if self.shown_band != "none" else ""
        return f"{self.estimator} over runs{band}{smoothed}"


def panels(connection: Connection, ids: Sequence[int], wanted: Wanted) -> list[Panel]:
    """The panels for these runs: one per value and facet.

    Raises:
        FilterError: an unknown metric or field.
        UsageError: no run has a point to draw; or estimator and band don't belong together; or too few names.
    """
    require(wanted.estimator, wanted.shown_band)
    groups = _groups(connection, ids, wanted)
    facets = _facets(connection, ids, wanted.facet)
    found = []
    for value in wanted.values:
        drawn = curves_by_id(connection, ids, value, wanted.axis)
        for title, members in facets.items():
            lines = [
                line(label, [drawn[i] for i in runs if i in drawn and i in members], wanted.estimator,
                     wanted.shown_band, wanted.width)
                for label, runs in groups.items()
            ]  # fmt: skip
            kept = tuple(one for one in lines if one is not None)
            if kept:
                here = [drawn[i] for i in members if i in drawn]
                found.append(
                    Panel(title, _name([c.axis for c in here], "row"), _name([c.metric for c in here], value), kept)
                )
    if not found:
        names = " or ".join(wanted.values)
        raise UsageError(f"nothing to draw: none of {len(ids)} runs has a point of {names} over {wanted.axis}")
    return found


def _name(names: Sequence[str | None], other: str) -> str:
    """The metric that most of the curves have on this axis."""
    known = [name or other for name in names]
    return max(sorted(set(known)), key=known.count)


def _groups(connection: Connection, ids: Sequence[int], wanted: Wanted) -> dict[str, tuple[int, ...]]:
    """Runs by the label of their line."""
    groups: dict[str, tuple[int, ...]] = {}
    if wanted.each:
        names = _column(connection, ids, "name")
        twice = len(set(names.values())) < len(names)
        groups = {f"{run_id} {name}" if twice else str(name): (run_id,) for run_id, name in names.items()}
    else:
        for setting in _labelled(settings_of(connection, ids, wanted.group_by), wanted):
            label = setting.label
            if wanted.facet is None and label in groups:  # what tells them apart is not seen in five digits
                label = f"{label} (from run {setting.runs[0]})"
            groups[label] = tuple(sorted((*groups.get(label, ()), *setting.runs)))
    if wanted.legend:
        if len(wanted.legend) != len(groups):
            raise UsageError(
                f"{len(wanted.legend)} names in the legend for {len(groups)} lines", hint=f"lines: {'; '.join(groups)}"
            )
        groups = dict(zip(wanted.legend, groups.values(), strict=True))
    return groups


def _labelled(settings: Sequence[Setting], wanted: Wanted) -> list[Setting]:
    """With values that tell them apart: labels need not say what panels say, nor what goes with the environment."""
    keys = list(wanted.group_by) or telling_keys(settings)
    kept = [key for key in keys if key != wanted.facet]
    return [replace(setting, values={key: setting.values[key] for key in kept}) for setting in settings]


def _facets(connection: Connection, ids: Sequence[int], facet: str | None) -> dict[str, set[int]]:
    if facet is None:
        return {"": set(ids)}
    values = _column(connection, ids, facet)
    found: dict[str, set[int]] = {}
    for run_id in sorted(values, key=lambda run_id: _by_size(values[run_id])):
        value = values[run_id]
        found.setdefault(f"{facet}={'none' if value is None else value}", set()).add(run_id)
    return found


def _by_size(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then everything else by its text."""
    is_number = isinstance(value, (int, float))
    return not is_number, value if is_number else 0.0, str(value)


def _column(connection: Connection, ids: Sequence[int], field: str) -> dict[int, Any]:
    """One field of these runs."""
    return {run_id: row[0] for run_id, row in fields_of(connection, ids, [field]).items()}
