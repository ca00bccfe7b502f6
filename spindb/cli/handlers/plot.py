"""Draws learning curves and results: to a file, a window, or as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

from spindb.analysis.drawing.panels import Panel, PlotSpec, arranged
from spindb.analysis.drawing.size import figure_size
from spindb.cli import handlers
from spindb.cli.handlers.access import Ranking, selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.door import colourful, echo_block
from spindb.cli.terminal.tables import say, terminal_width
from spindb.errors import NotFoundError, UsageError
from spindb.extras import require_extra
from spindb.index.query.runs import run_by_id
from spindb.views.results import results_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matplotlib and uniplot belong to an extra and take up to a second to import: what draws is loaded where it is needed.

_PLAIN_WIDTH = 80


class PlotLines(NamedTuple):
    """What lines to plot: the fields of `spindb.analysis.drawing.panels.PlotSpec`, in its order."""

    values: tuple[str, ...]
    axis: str
    group_by: tuple[str, ...]
    facet: str | None
    estimator: str
    band: str | None
    width: int
    per_run: bool
    legend: tuple[str, ...]


class PlotOutput(NamedTuple):
    """Where and how to draw: to a file (None: a window, or text), its size as it was typed, axes."""

    path: Path | None
    size: str | None
    dpi: int
    log_x: bool
    log_y: bool
    as_text: bool


def plot_curves(
    selection: Selection, directories: tuple[list[str], list[str]], lines: PlotLines, output: PlotOutput
) -> None:
    """Draw learning curves.

    Raises:
        FilterError: an unknown metric or field; UsageError: nothing to draw; NotFoundError: no run is selected.
    """
    # Before the database is asked: a mistyped size needs no second of work.
    inches = figure_size(output.size)
    spec = PlotSpec(*lines)
    with selected_runs(selection) as (connection, ids):
        found = arranged(connection, _within(connection, ids, *directories), spec)
    for note in found.notes:
        say(note)
    if output.path is None and (output.as_text or not _has_display()):
        _draw_text(found.panels, spec, output)
        return
    plots = handlers.figures.plots
    _deliver(plots.draw_curves(found.panels, spec.note, log_x=output.log_x, log_y=output.log_y, size=inches), output)


def plot_results(
    selection: Selection,
    directories: tuple[list[str], list[str]],
    fields: tuple[str, ...],
    ranking: Ranking,
    output: PlotOutput,
    *,
    is_scatter: bool,
) -> None:
    """Draw fields against a result, as a scatter plot or as parallel coordinates.

    Raises:
        FilterError: an unknown metric or field; UsageError: nothing to draw; NotFoundError: no run is selected.
    """
    figure_size(output.size)  # refuses what is no size
    with selected_runs(selection) as (connection, ids):
        ids = _within(connection, ids, *directories)
        if output.path is None and not _has_display():
            raise UsageError("there is no display here", hint="--out scatter.png")
        plots = handlers.figures.plots
        found = results_of(connection, ids, fields, ranking.metric, ranking.summary, lower=ranking.lower)
    for note in found.notes:
        say(note)
    if is_scatter:
        pairs = [(row[0], value) for row, value in zip(found.rows, found.values, strict=True)]
        figure = plots.draw_scatter(pairs, fields[0], found.title, log_x=output.log_x, log_y=output.log_y)
    else:
        figure = plots.draw_parallel(fields, found.rows, found.values, found.title, lower=ranking.lower)
    _deliver(figure, output)


def _within(connection: Connection, ids: list[int], select: list[str], exclude: list[str]) -> list[int]:
    """The runs whose directories contain all of `select` and none of `exclude`.

    Raises:
        NotFoundError: there is none.
    """
    if select or exclude:
        places = {run_id: str(run_by_id(connection, run_id).directory) for run_id in ids}
        ids = [
            run_id
            for run_id, place in places.items()
            if all(part in place for part in select) and not any(part in place for part in exclude)
        ]
    if not ids:
        raise NotFoundError("no run matches: nothing to draw", hint="spindb runs with the same filter says why")
    return ids


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or sys.platform in ("darwin", "win32")


def _draw_text(panels: Sequence[Panel], spec: PlotSpec, output: PlotOutput) -> None:
    with require_extra():
        from spindb.analysis.drawing.terminal import draw
    width = terminal_width() or _PLAIN_WIDTH
    note = f"{spec.estimator} over runs" if not spec.per_run else spec.note  # text shows no band
    echo_block(draw(panels, note, width=width, colours=colourful(), log_x=output.log_x, log_y=output.log_y))


def _deliver(figure: Figure, output: PlotOutput) -> None:
    plots = handlers.figures.plots
    if output.path is None:
        plots.display(figure)
    else:
        plots.save_figure(figure, output.path, output.dpi)
        say(f"written to {output.path}")
