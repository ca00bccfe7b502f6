"""``spindb plot``: learning curves and results, drawn."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli import completion
from spindb.cli.options import (
    Db,
    Everything,
    FilterWords,
    GroupBy,
    Lower,
    Summary,
    database,
    split,
    words_of,
)
from spindb.cli.terminal.door import echo_block
from spindb.cli.terminal.tables import colourful, say, terminal_width
from spindb.errors import NotFoundError, UsageError
from spindb.extras import require_extra

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.analysis.drawing.panels import Panel, PlotSpec

_PLAIN_WIDTH = 80


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("plot")(plot)


def plot(
    ctx: typer.Context,
    words: FilterWords = None,
    value: Annotated[
        list[str] | None,
        typer.Option(
            "--value",
            "-y",
            help="The metric; several make several panels. (default: Performance)",
            show_default=False,
            autocompletion=completion.of_metric,
        ),
    ] = None,
    xaxis: Annotated[
        str, typer.Option("--xaxis", "-x", help="A metric, steps, epoch or row.", autocompletion=completion.of_metric)
    ] = "steps",
    group_by: GroupBy = None,
    facet: Annotated[
        str | None,
        typer.Option("--facet", help="A panel per value of this field.", autocompletion=completion.of_fields),
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="A line per run.")] = False,
    smooth: Annotated[int, typer.Option("--smooth", "-s", help="Mean over so many rows.", min=1)] = 1,
    est: Annotated[str, typer.Option("--est", help="Over runs: mean, median, iqm, max, min.")] = "mean",
    band: Annotated[
        str | None,
        typer.Option(
            "--band", "-b", help="t, std, se, bootstrap, minmax, none. (default: t for the mean)", show_default=False
        ),
    ] = None,
    select: Annotated[list[str] | None, typer.Option("--select", help="Only directories that contain this.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="No directory that contains this.")] = None,
    legend: Annotated[list[str] | None, typer.Option("--legend", "-l", help="A name per line, in order.")] = None,
    scatter: Annotated[
        str | None,
        typer.Option("--scatter", metavar="FIELD", help="This against the result, a point per run.",
                     autocompletion=completion.of_fields),
    ] = None,
    parallel: Annotated[
        str | None,
        typer.Option("--parallel", metavar="FIELDS", help="Parallel coordinates of these and the result.",
                     autocompletion=completion.of_fields),
    ] = None,
    summary: Summary = "last",
    lower: Lower = False,
    log_x: Annotated[bool, typer.Option("--logx", help="Logarithmic x axis.")] = False,
    log_y: Annotated[bool, typer.Option("--logy", help="Logarithmic y axis.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write .png, .svg or .pdf.")] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="In inches, such as 6x4.")] = None,
    dpi: Annotated[int, typer.Option("--dpi", help="Dots per inch of a .png.", min=30, max=1200)] = 200,
    terminal: Annotated[bool, typer.Option("--terminal", "-t", help="Draw as text, display or not.")] = False,
    everything: Everything = False,
    db: Db = None,
) -> None:  # fmt: skip
    """Plot learning curves over seeds: to a file, a window, or the terminal where there is no display.

    spindb plot 'env=CartPole-v1' --out curves.png

    spindb plot 'algo=ppo' --group-by pi_lr --facet env --band std --smooth 5 -o lr.pdf

    spindb plot 'env=Hopper-v2' --scatter pi_lr --summary tail:10
    """
    from spindb.analysis.drawing.size import figure_size
    from spindb.index.database.connect import connected

    with require_extra():
        from spindb.analysis.drawing.panels import PlotSpec, arranged

    if scatter and parallel:
        raise UsageError("--scatter and --parallel exclude each other")
    inches = figure_size(size)
    wanted = PlotSpec(
        tuple(value or ("Performance",)), xaxis, split(group_by), facet, est, band, smooth, count, tuple(legend or ())
    )
    with connected(database(ctx, db)) as connection:
        ids = _chosen(connection, words_of(words), select, exclude, everything)
        if scatter or parallel:
            fields = split(parallel) or (str(scatter),)
            _results(connection, ids, fields, wanted, summary, lower, (log_x, log_y), out, dpi, bool(scatter))
            return
        found = arranged(connection, ids, wanted)
    for note in found.notes:
        say(note)
    if out is None and (terminal or not _has_display()):
        _draw_text(found.panels, wanted, log_x, log_y)
        return
    with require_extra():
        from spindb.analysis.drawing.plots import draw_curves
    _deliver(draw_curves(found.panels, wanted.note, log_x=log_x, log_y=log_y, size=inches), out, dpi)


def _chosen(
    connection: Connection, words: list[str], select: list[str] | None, exclude: list[str] | None, everything: bool
) -> list[int]:
    """The runs that are meant, and of these the ones whose directories hold all of `select` and none of `exclude`."""
    from spindb.index.query.runs import run_by_id
    from spindb.index.query.selection import selected

    ids = selected(connection, words, everything=everything, notice=say)
    if select or exclude:
        places = {run_id: str(run_by_id(connection, run_id).directory) for run_id in ids}
        ids = [
            run_id
            for run_id, place in places.items()
            if all(part in place for part in select or ()) and not any(part in place for part in exclude or ())
        ]
    if not ids:
        raise NotFoundError("no run is meant: nothing to draw", hint="spindb runs with the same filter says why")
    return ids


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or sys.platform in ("darwin", "win32")


def _draw_text(found: Sequence[Panel], wanted: PlotSpec, log_x: bool, log_y: bool) -> None:
    with require_extra():
        from spindb.analysis.drawing.terminal import draw
    width = terminal_width() or _PLAIN_WIDTH
    note = f"{wanted.estimator} over runs" if not wanted.per_run else wanted.note
    echo_block(draw(found, note, width=width, colours=colourful(), log_x=log_x, log_y=log_y))


def _results(
    connection: Connection,
    ids: list[int],
    fields: tuple[str, ...],
    wanted: PlotSpec,
    summary: str,
    lower: bool,
    logs: tuple[bool, bool],
    out: Path | None,
    dpi: int,
    is_scatter: bool,
) -> None:
    """Hyperparameters against a result: pictures only."""
    from spindb.analysis import summaries
    from spindb.index.query.search import fields_of
    from spindb.index.read.curves import curves_by_id
    from spindb.index.read.sample import sample_of

    if out is None and not _has_display():
        raise UsageError("there is no display here", hint="--out scatter.png")
    with require_extra():
        from spindb.analysis.drawing.plots import draw_parallel, draw_scatter
    summarise = summaries.summary_named(summary, lower=lower)
    sample = sample_of(connection, ids)
    for note in sample.notes:
        say(note)
    curves = curves_by_id(connection, list(sample.runs), wanted.values[0])
    kept = sorted(curves)
    rows = list(fields_of(connection, kept, fields).values())
    values = [summarise(curves[run_id].x, curves[run_id].y) for run_id in kept]
    metrics = {curve.metric for curve in curves.values()}
    if len(metrics) > 1:
        say(f"warning: {' and '.join(sorted(metrics))} are different metrics: --value chooses one")
    metric = metrics.pop() if len(metrics) == 1 else wanted.values[0]
    title = metric if summary == "last" else f"{metric}, {summary}"
    if not any(value == value for value in values):
        raise UsageError(f"nothing to draw: no run has a {summary} of {wanted.values[0]}")
    if is_scatter:
        pairs = list(zip([row[0] for row in rows], values, strict=True))
        figure = draw_scatter(pairs, fields[0], title, log_x=logs[0], log_y=logs[1])
    else:
        figure = draw_parallel(fields, rows, values, title, lower=lower)
    _deliver(figure, out, dpi)


def _deliver(figure: Any, out: Path | None, dpi: int) -> None:
    from spindb.analysis.drawing.plots import display, save_figure

    if out is None:
        display(figure)
    else:
        save_figure(figure, out, dpi)
        say(f"written to {out}")
