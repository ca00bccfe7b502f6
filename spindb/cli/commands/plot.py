"""``spindb plot``: learning curves and results, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spindb.cli import completion, handlers
from spindb.cli.options import (
    Db,
    Everything,
    FilterWords,
    GroupBy,
    Lower,
    Summary,
    renamed,
    selection,
    split,
)
from spindb.errors import UsageError

Values = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        "-y",
        help="The metric; several make several panels. (default: Performance)",
        show_default=False,
        autocompletion=completion.of_metric,
    ),
]
XAxis = Annotated[
    str, typer.Option("--xaxis", "-x", help="A metric, steps, epoch or row.", autocompletion=completion.of_metric)
]
Facet = Annotated[
    str | None, typer.Option("--facet", help="A panel per value of this field.", autocompletion=completion.of_fields)
]
Count = Annotated[bool, typer.Option("--count", help="A line per run.")]
Smooth = Annotated[int, typer.Option("--smooth", "-s", help="Mean over so many rows.", min=1)]
Estimator = Annotated[
    Literal["mean", "median", "iqm", "max", "min"], typer.Option("--est", help="The line: which value over runs.")
]
Band = Annotated[
    Literal["t", "std", "se", "bootstrap", "minmax", "none"] | None,
    typer.Option("--band", "-b", help="What the band shows. (default: t for the mean)", show_default=False),
]
Select = Annotated[list[str] | None, typer.Option("--select", help="Only directories that contain this.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="No directory that contains this.")]
Legend = Annotated[list[str] | None, typer.Option("--legend", help="A name per line, in order.")]
OldLegend = Annotated[list[str] | None, typer.Option("-l", hidden=True, callback=renamed("--legend"))]
Scatter = Annotated[
    str | None,
    typer.Option(
        "--scatter",
        metavar="FIELD",
        help="This field against the result, a point per run.",
        autocompletion=completion.of_fields,
    ),
]
Parallel = Annotated[
    str | None,
    typer.Option(
        "--parallel",
        metavar="FIELDS",
        help="Parallel coordinates of these fields and the result.",
        autocompletion=completion.of_fields,
    ),
]
LogX = Annotated[bool, typer.Option("--logx", help="Logarithmic x axis.")]
LogY = Annotated[bool, typer.Option("--logy", help="Logarithmic y axis.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this .png, .svg or .pdf file.")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="In inches, such as 6x4.")]
Dpi = Annotated[int, typer.Option("--dpi", help="Dots per inch of a .png.", min=30, max=1200)]
AsText = Annotated[bool, typer.Option("--terminal", "-t", help="Draw as text, even where there is a display.")]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("plot")(plot)


def plot(
    ctx: typer.Context,
    words: FilterWords = None,
    value: Values = None,
    xaxis: XAxis = "steps",
    group_by: GroupBy = None,
    facet: Facet = None,
    count: Count = False,
    smooth: Smooth = 1,
    est: Estimator = "mean",
    band: Band = None,
    select: Select = None,
    exclude: Exclude = None,
    legend: Legend = None,
    scatter: Scatter = None,
    parallel: Parallel = None,
    summary: Summary = "last",
    lower: Lower = False,
    log_x: LogX = False,
    log_y: LogY = False,
    out: Out = None,
    size: Size = None,
    dpi: Dpi = 200,
    terminal: AsText = False,
    everything: Everything = False,
    db: Db = None,
    old_legend: OldLegend = None,
) -> None:
    """Plot learning curves over seeds: to a file, a window, or the terminal where there is no display.

    spindb plot 'env=CartPole-v1' --out curves.png

    spindb plot 'algo=ppo' --group-by pi_lr --facet env --band std --smooth 5 -o lr.pdf

    spindb plot 'env=Hopper-v2' --scatter pi_lr --summary tail:10
    """
    _refuse_both(scatter, parallel)
    runs = selection(ctx, db, words, everything)
    metrics, groups, names = tuple(value or ("Performance",)), split(group_by), tuple(legend or old_legend or ())
    lines = handlers.plot.PlotLines(metrics, xaxis, groups, facet, est, band, smooth, count, names)
    output = handlers.plot.PlotOutput(out, size, dpi, log_x, log_y, terminal)
    directories = (select or [], exclude or [])
    if scatter or parallel:
        ranking = handlers.access.Ranking(metrics[0], summary, groups, lower)
        fields = split(parallel or scatter)
        handlers.plot.plot_results(runs, directories, fields, ranking, output, is_scatter=bool(scatter))
    else:
        handlers.plot.plot_curves(runs, directories, lines, output)


def _refuse_both(scatter: str | None, parallel: str | None) -> None:
    if scatter and parallel:
        raise UsageError("--scatter and --parallel exclude each other")
