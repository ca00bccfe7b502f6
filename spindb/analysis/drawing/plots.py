"""Pictures: learning curves, a hyperparameter against a result, parallel coordinates. Alone imports matplotlib.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; beyond eight, line styles do.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spindb.analysis.curves import Line, counted
from spindb.analysis.drawing.panels import Panel
from spindb.errors import UsageError
from spindb.files import atomic_write
from spindb.printable import printable

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
_STYLES: tuple[Any, ...] = ("-", "--", ":", "-.")
_MAX_COLUMNS = 3
_MAX_TICKS = 6
_MAX_LEGEND = 24
_PANEL = (4.6, 3.2)  # inches
_NO_WINDOW = "--out curves.png, or --terminal"
_ROOM = 0.4  # of the lines' range, above and below them
_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": "medium",
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "font.size": 10,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "svg.fonttype": "none",
    "svg.hashsalt": "spindb",
    "pdf.fonttype": 42,
}


def draw_curves(
    panels: Sequence[Panel],
    note: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Learning curves: a panel each, one legend for all where they hold the same lines.

    Args:
        panels: at least one.
        note: what line and band are; stands above the legend.
        log_x, log_y: logarithmic axes.
        size: of the whole figure in inches.
    """
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    looks = {label: _look(position) for position, label in enumerate(labels)}
    with mpl.rc_context(_STYLE):
        columns = min(len(panels), _MAX_COLUMNS)
        rows = math.ceil(len(panels) / columns)
        figure = Figure(figsize=size or _figure_size(columns, rows, labels), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for panel, place in itertools.zip_longest(panels, axes.flat):
            if panel is None:
                place.set_axis_off()
                continue
            for line in panel.lines:
                _draw_line(place, line, looks[line.label])
            _finish(place, panel.title, panel.xlabel, panel.ylabel, log_x, log_y)
            if not log_y:
                _keep_lines_in_sight(place, panel.lines)
        _legend(figure, panels, looks, note)
    return figure


def _figure_size(columns: int, rows: int, labels: Sequence[str]) -> tuple[float, float]:
    """Panels of one size, and below them room for the legend."""
    legend = min(len(labels), _MAX_LEGEND)
    per_row = _legend_columns(columns, labels)
    return max(_PANEL[0] * columns, 6.0), _PANEL[1] * rows + 0.35 + 0.2 * math.ceil(legend / per_row) + 0.25


def _legend_columns(columns: int, labels: Sequence[str]) -> int:
    longest = max((len(label) for label in labels[:_MAX_LEGEND]), default=1) + 12
    return max(1, min(4, int(max(_PANEL[0] * columns, 6.0) * 13 / longest)))


def _look(position: int) -> dict[str, Any]:
    style = _STYLES[position // len(COLOURS) % len(_STYLES)]
    return {"color": COLOURS[position % len(COLOURS)], "linestyle": style}


def _draw_line(axes: Axes, line: Line, look: dict[str, Any]) -> None:
    """Solid where all runs are there, thin where some have ended or not begun."""
    whole = line.n.max()
    marker = "o" if len(line.x) == 1 else None
    # Thin first and thick over it: where seeds are missing the mean is of fewer runs, and jumps mean nothing.
    axes.plot(line.x, line.y, linewidth=0.7, alpha=0.75, marker=marker, **look)
    axes.plot(line.x, np.where(line.n == whole, line.y, np.nan), linewidth=1.8, solid_capstyle="round", **look)
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=look["color"], alpha=0.18, linewidth=0)


def _legend(figure: Figure, panels: Sequence[Panel], looks: dict[str, dict[str, Any]], note: str) -> None:
    handles = []
    for label, look in list(looks.items())[:_MAX_LEGEND]:
        own = [line for panel in panels for line in panel.lines if line.label == label]
        handles.append(Line2D([], [], linewidth=1.8, label=f"{drawn(label)}  ({counted(own)})", **look))
    if not handles:
        return
    more = f"; {len(looks) - _MAX_LEGEND} more lines" if len(looks) > _MAX_LEGEND else ""
    # Said only where it can be seen.
    if any(line.n.min() < line.n.max() for panel in panels for line in panel.lines):
        more = f"; thin where fewer runs are there{more}"
    columns = _legend_columns(min(len(panels), _MAX_COLUMNS), list(looks))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, title=drawn(note + more))
    legend.get_title().set_fontsize("small")
    legend.get_title().set_color("#444444")


def _finish(axes: Axes, title: str, xlabel: str, ylabel: str, log_x: bool = False, log_y: bool = False) -> None:
    axes.set_title(drawn(title))
    axes.set_xlabel(drawn(xlabel))
    axes.set_ylabel(drawn(ylabel))
    axes.margins(x=0.02)
    if log_x:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _numbered(axes.xaxis)
    if log_y:
        axes.set_yscale("log")
    else:
        _numbered(axes.yaxis)


def _numbered(axis: Axis) -> None:
    """Ticks in one unit for the whole axis: 0, 50k, 100k."""

    def text(value: float, _: int) -> str:
        return axis_number(value, max(map(abs, axis.get_view_interval())))

    axis.set_major_formatter(FuncFormatter(text))


def axis_number(value: float, greatest: float | None = None) -> str:
    """A number on an axis in the unit that fits the greatest beside it: 2M, 50k, 350."""
    greatest = abs(value) if greatest is None else greatest
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if greatest >= factor:
            unit = max(factor / 10, 1e3) if letter == "k" else factor
            return f"{value / unit:.4g}{letter}" if value else "0"
    return f"{value:.4g}"


def _keep_lines_in_sight(axes: Axes, lines: Sequence[Line]) -> None:
    """A band of two runs can be ten times as wide as the picture: it is cut, the lines are what is looked at."""
    low = min(float(np.nanmin(line.y)) for line in lines)
    high = max(float(np.nanmax(line.y)) for line in lines)
    # A constant line has no range of its own.
    room = _ROOM * (high - low) or 1.0
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - room), min(top, high + room))


def draw_scatter(
    points: Sequence[tuple[Any, float]], xlabel: str, ylabel: str, *, log_x: bool = False, log_y: bool = False
) -> Figure:
    """A hyperparameter against a result, a point per run, with the mean of each value where values repeat.

    Numbers stand on a line, logarithmic where they are positive and span two decades or more; anything else stands
    in columns.
    """
    known = [(x, y) for x, y in points if x is not None and math.isfinite(y)]
    numeric = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x, _ in known)
    # One text among numbers makes the axis categorical: there is no place for it on a line of numbers.
    names = sorted({_text(x) for x, _ in known}) if not numeric else []
    places = [float(x) if numeric else float(names.index(_text(x))) for x, _ in known]
    log_x = numeric and (log_x or (min(places) > 0 and max(places) >= 100 * min(places)))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(max(5.6, 0.7 * len(names)), 3.8), layout="constrained")
        axes = figure.subplots()
        values = [y for _, y in known]
        axes.scatter(places, values, s=22, color=COLOURS[0], alpha=0.65, linewidth=0, label=f"a run (n={len(known)})")
        repeated = [x for x in sorted(set(places)) if places.count(x) > 1]
        means = [float(np.mean([y for place, y in zip(places, values, strict=True) if place == x])) for x in repeated]
        if repeated:
            style = "o-" if numeric else "_"
            axes.plot(repeated, means, style, markersize=6 if numeric else 26, color=COLOURS[1], label="mean")
        _finish(axes, "", xlabel, ylabel, log_x, log_y)
        if names:
            axes.set_xticks(range(len(names)), names, rotation=30 if len("".join(names)) > 40 else 0)
            axes.margins(x=0.15)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_agreement(points: Sequence[tuple[float, float]], xlabel: str, ylabel: str, title: str) -> Figure:
    """Pairs that should be equal, with the line on which they would be."""
    x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.0, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.scatter(x, y, s=7, alpha=0.25, linewidth=0, color=COLOURS[0], rasterized=True)
        known = np.concatenate([x, y])[np.isfinite(np.concatenate([x, y]))]
        if len(known):
            axes.plot([known.min(), known.max()], [known.min(), known.max()], color=COLOURS[1], linewidth=1.2)
        _finish(axes, title, xlabel, ylabel)
    return figure


def draw_parallel(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    values: Sequence[float],
    value_name: str,
    *,
    lower: bool = False,
) -> Figure:
    """Parallel coordinates: an axis per hyperparameter, the last one the result, a line per run coloured by it.

    Args:
        names: of the hyperparameters.
        rows: shape (runs, hyperparameters), values as Python has them.
        values: the result, shape (runs,).
        value_name: what the result is.
        lower: the lowest is the best: it is drawn on top.
    """
    kept = [i for i, value in enumerate(values) if math.isfinite(value)]
    results = np.asarray([values[i] for i in kept])
    scales = [_Scale.of([rows[i][j] for i in kept]) for j in range(len(names))]
    scales.append(_Scale.of([float(value) for value in results]))
    # All results equal: one colour, no division by zero.
    spread = float(np.ptp(results)) or 1.0
    shades = (results - results.min()) / spread
    with mpl.rc_context(_STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(max(6.0, 1.7 * len(scales)), 4.0), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colormaps["viridis"]
        # The best run is drawn last, over all others.
        order = np.argsort(-results if lower else results)
        for rank in order:
            row = [*rows[kept[rank]], float(results[rank])]
            heights = [scale.height(value) for scale, value in zip(scales, row, strict=True)]
            axes.plot(range(len(heights)), heights, color=colours(shades[rank]), alpha=0.75, linewidth=1.1)
        for position, scale in enumerate(scales):
            axes.axvline(position, color="#888888", linewidth=0.8, zorder=0)
            for height, text in scale.ticks():
                axes.annotate(
                    text, (position, height), xytext=(4, 0), textcoords="offset points", fontsize="small", va="center",
                    bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
                )  # fmt: skip
        axes.set_xticks(range(len(scales)), [drawn(name) for name in (*names, value_name)])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
        axes.margins(x=0.08)
        bar = mpl.cm.ScalarMappable(mpl.colors.Normalize(results.min(), results.max()), colours)
        figure.colorbar(bar, ax=axes, label=drawn(f"{value_name} (n={len(kept)})"), aspect=30)
    return figure


@dataclass(frozen=True, slots=True)
class _Scale:
    """Heights between 0 and 1 for the values of one axis."""

    low: float
    high: float
    log: bool
    names: tuple[str, ...] = ()
    few: tuple[float, ...] = ()

    @staticmethod
    def of(values: Sequence[Any]) -> _Scale:
        numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(numbers) < len(values) or not numbers:
            return _Scale(0.0, 1.0, False, tuple(sorted({_text(v) for v in values})))
        low, high = min(numbers), max(numbers)
        distinct = sorted(set(numbers))
        few = tuple(distinct) if len(distinct) <= _MAX_TICKS else ()
        return _Scale(low, high, low > 0 and high >= 100 * low, few=few)

    def height(self, value: Any) -> float:
        if self.names:
            return (self.names.index(_text(value)) + 0.5) / len(self.names)
        if self.high == self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (float(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        if self.names:
            return [((i + 0.5) / len(self.names), name) for i, name in enumerate(self.names)]
        values = sorted({self.low, self.high})
        if self.log:
            decades = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            values = [10.0**d for d in decades] or values
        elif len(self.few) > 1:
            values = list(self.few)
        elif len(values) > 1:
            values = [tick for tick in MaxNLocator(5).tick_values(self.low, self.high) if self.low <= tick <= self.high]
        return [(self.height(value), axis_number(value)) for value in values]


def _text(value: object) -> str:
    return "none" if value is None else drawn(str(value))


def drawn(text: str) -> str:
    """A text as matplotlib draws it letter by letter: no formula between dollars, no line end, nothing unseen.

    A label that begins with an underscore would be left out of legends: it gets a space before it.
    """
    shown = printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def save_figure(figure: Figure, path: Path, dpi: int = 200) -> None:
    """Write a figure; the suffix says in which format.

    Raises:
        UsageError: matplotlib does not write such files, or not there.
    """
    known = figure.canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in known:
        raise UsageError(f"{path} has no suffix of an image format", hint=".png, .svg or .pdf, for instance")
    with mpl.rc_context(_STYLE), atomic_write(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # of a script that the font lacks: a box is drawn
        # Equal figures give equal files: SVG would hold the moment.
        metadata = {"Date": None} if path.suffix in (".svg",) else None
        figure.savefig(file, dpi=dpi, metadata=metadata, format=path.suffix.removeprefix("."))


def display(figure: Figure) -> None:
    """Open a window and wait until it is closed.

    Raises:
        UsageError: no toolkit for windows works here.
    """
    try:
        from matplotlib import pyplot  # chooses a toolkit for windows, which files do without

        manager = pyplot.figure().canvas.manager
    except ImportError as error:
        raise UsageError(f"no window can be opened: {error}", hint=_NO_WINDOW) from None
    # agg draws into memory: show() would return at once, and nothing would appear.
    if manager is None or pyplot.get_backend().lower() == "agg":
        raise UsageError("no window can be opened: matplotlib finds no toolkit for windows", hint=_NO_WINDOW)
    figure.set_canvas(manager.canvas)
    manager.canvas.figure = figure
    pyplot.show()
