"""What stands in pictures: every line, band, point, label and size, compared with ``golden/pictures.txt``.

Bytes of pictures differ between versions of matplotlib and fonts; what is drawn does not.
``SPINDB_GOLDEN=write pytest tests/test_pictures.py`` writes it anew; look at the difference before you keep it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from test_golden import compare_with

from spindb.analysis.curves import Line
from spindb.analysis.drawing import plots
from spindb.analysis.drawing.panels import Panel

NAN = math.nan


def curve(
    label: str, y: list[float], *, n: list[int] | None = None, wide: float | None = 1.0, step: float = 1000
) -> Line:
    x, line = np.arange(1, len(y) + 1) * step, np.array(y, dtype=float)
    low, high = (None, None) if wide is None else (line - wide, line + wide)
    return Line(label, x, line, low, high, np.array(n or [3] * len(y), dtype=float))


def one_panel() -> Figure:
    lines = (
        curve("lr=0.1", [1, 4, 9], n=[3, 3, 2]),
        curve("lr=0.2", [2, 3, NAN, 5], wide=None),
        curve("_p", [4, 4, 4]),
    )
    return plots.draw_curves([Panel("", "TotalEnvInteracts", "Performance", lines)], "mean over runs")


def four_panels() -> Figure:
    made = [
        Panel(
            f"env={name}", "Epoch", "Loss", (curve("a", [1, 10, 1000], wide=500.0), curve(name, [5, 6, 7], n=[1, 2, 2]))
        )
        for name in ("one", "two", "three", "four $x$")
    ]
    return plots.draw_curves(made, "median", log_x=True, log_y=True)


def many_lines() -> Figure:
    lines = tuple(curve(f"number {place}", [place, place + 1.0], wide=None, n=[1, 1]) for place in range(27))
    return plots.draw_curves([Panel("", "x", "y", lines)], "a line per run", size=(5, 4))


def points() -> Figure:
    return plots.draw_curves([Panel("", "x", "y", (curve("a", [1.0], n=[2]), curve("b", [1.0, 1.0])))], "note")


def scatter(values: list[Any], **options: Any) -> Callable[[], Figure]:
    return lambda: plots.draw_scatter(
        list(zip(values, [1.0, 3.0, 2.0, NAN, 5.0], strict=True)), "lr", "Return", **options
    )


def parallel(*, lower: bool) -> Callable[[], Figure]:
    rows = [[0.1, "relu", 1e-5, [64]], [0.2, None, 1e-3, [32]], [0.2, "tanh", 1.0, [32]], [0.3, "relu", 1e-4, [8]]]
    return lambda: plots.draw_parallel(
        ["gamma", "act", "lr", "size"], rows, [1.0, 5.0, NAN, 3.0], "Return", lower=lower
    )


def alike() -> Figure:
    return plots.draw_parallel(["seed"], [[number] for number in range(9)], [2.0] * 9, "Return")


PICTURES: dict[str, Callable[[], Figure]] = {
    "one panel": one_panel,
    "four panels, logarithmic": four_panels,
    "more lines than a legend takes": many_lines,
    "a point and a flat line": points,
    "scatter, numbers": scatter([1, 2, 2, 2, None]),
    "scatter, decades": scatter([1e-5, 1e-3, 1e-3, 1, 2e-5]),
    "scatter, words": scatter(["relu", "a long name of forty letters, in two words", None, "relu", True]),
    "scatter, short words": scatter(["a", "b", "a", "a", "b"], log_y=True),
    "parallel": parallel(lower=False),
    "parallel, the lowest on top": parallel(lower=True),
    "parallel, all alike": alike,
    "agreement": lambda: plots.draw_agreement([(1.0, 2.0), (NAN, 1.0), (4.0, 3.5)], "theirs", "ours", "a title"),
    "agreement of nothing": lambda: plots.draw_agreement([], "theirs", "ours", ""),
}


def plain(value: Any) -> Any:
    """Numbers to five digits, arrays as lists."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in (value.filled(NAN) if isinstance(value, np.ma.MaskedArray) else value)]
    if isinstance(value, (float, np.floating)):
        return float(f"{float(value):.5g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def described(figure: Figure) -> dict[str, Any]:
    """Everything that is drawn, as values that JSON takes."""
    figure.canvas.draw()
    legends = [
        {
            "title": legend.get_title().get_text(),
            "texts": [text.get_text() for text in legend.get_texts()],
            "columns": legend._ncols,
            "handles": [
                [to_hex(h.get_color()), h.get_linestyle(), h.get_linewidth()]
                for h in legend.legend_handles
                if hasattr(h, "get_linestyle") and isinstance(h, mpl.lines.Line2D)
            ],
            "sizes": [legend.get_title().get_fontsize(), *{text.get_fontsize() for text in legend.get_texts()}],
            "colour": to_hex(legend.get_title().get_color()),
            "frame": legend.get_frame_on(),
        }
        for legend in figure.legends
    ]
    return {
        "size": plain(figure.get_size_inches()),
        "legends": legends,
        "axes": [of_axes(axes) for axes in figure.axes],
    }


def of_axes(axes: Any) -> dict[str, Any]:
    if not axes.axison:
        return {"off": True}
    return {
        "title": [axes.get_title(), axes.title.get_fontsize()],
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "scales": [axes.get_xscale(), axes.get_yscale()],
        "limits": plain([*axes.get_xlim(), *axes.get_ylim()]),
        "ticks": [of_axis(axis) for axis in (axes.xaxis, axes.yaxis)],
        "turned": [t.get_rotation() for t in axes.get_xticklabels()][:1],
        "spines": {
            name: [s.get_visible(), to_hex(s.get_edgecolor()), s.get_linewidth()] for name, s in axes.spines.items()
        },
        "grid": [axes.xaxis.get_gridlines()[0].get_visible(), axes.get_axisbelow()]
        if axes.xaxis.get_gridlines()
        else [],
        "lines": [
            {
                "label": line.get_label(),
                "x": plain(line.get_xdata()),
                "y": plain(line.get_ydata()),
                "look": [
                    *(to_hex(line.get_color(), keep_alpha=True), line.get_linestyle(), line.get_linewidth()),
                    *(line.get_alpha(), line.get_marker(), line.get_markersize(), line.get_solid_capstyle()),
                    line.get_zorder(),
                ],
            }
            for line in axes.lines
        ],
        "areas": [
            {
                "kind": type(item).__name__,
                "label": item.get_label(),
                "colours": [to_hex(colour, keep_alpha=True) for colour in item.get_facecolors()[:1]],
                "widths": plain(item.get_linewidths()[:1]),
                "corners": plain(item.get_paths()[0].vertices)
                if type(item).__name__ != "PathCollection" and item.get_paths()
                else [],
                "points": plain(item.get_offsets()) if type(item).__name__ == "PathCollection" else [],
                "sizes": plain(item.get_sizes()) if type(item).__name__ == "PathCollection" else [],
                "rasterized": bool(item.get_rasterized()),
            }
            for item in axes.collections
            if type(item).__name__ != "QuadMesh"
        ],
        "texts": [
            [t.get_text(), *plain(t.xy), *plain(t.get_position()), t.get_fontsize(), t.get_va()] for t in axes.texts
        ],
    }


def of_axis(axis: Any) -> list[str]:
    """The texts of its ticks that are seen; those of logarithmic axes are matplotlib's."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "log":
        return []
    return [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return {name: described(draw()) for name, draw in PICTURES.items()}


def lines(found: Any, place: str) -> Iterator[str]:
    """A line for each thing that is drawn, and where it stands."""
    if isinstance(found, dict):
        for name, item in found.items():
            yield from lines(item, f"{place} / {name}")
    elif isinstance(found, list) and found and isinstance(found[0], dict):
        for number, item in enumerate(found):
            yield from lines(item, f"{place} {number}")
    else:
        yield f"{place}: {json.dumps(found, ensure_ascii=False)}"


def test_pictures_are_as_they_were(found: dict[str, Any]) -> None:
    compare_with("pictures.txt", "".join(f"{line}\n" for name in found for line in lines(found[name], name)))


def test_the_picture_of_one_panel(found: dict[str, Any]) -> None:
    """By hand: twice each line, thin where some have ended; the band; how many."""
    (axes,) = found["one panel"]["axes"]
    thin, thick = axes["lines"][:2]
    assert (thin["x"], thin["y"]) == ([1000, 2000, 3000], [1, 4, 9])
    assert thick["y"] == [1, 4, None]
    assert thin["look"][2] < thick["look"][2]
    assert len(axes["areas"]) == 2
    (legend,) = found["one panel"]["legends"]
    assert legend["texts"] == ["lr=0.1  (n=3, 2 at the end)", "lr=0.2  (n=3)", " _p  (n=3)"]
    assert legend["title"] == "mean over runs; thin where fewer runs are there"


def test_a_legend_has_an_end(found: dict[str, Any]) -> None:
    (legend,) = found["more lines than a legend takes"]["legends"]
    assert len(legend["texts"]) == 24
    assert legend["title"] == "a line per run; 3 more lines"
    looks = [tuple(line["look"][:2]) for line in found["more lines than a legend takes"]["axes"][0]["lines"][::2]]
    assert len(set(looks)) == 27  # eight colours, then other styles


def test_lines_stay_in_sight_where_bands_are_wide() -> None:
    figure = plots.draw_curves([Panel("", "x", "y", (curve("a", [0, 10], wide=1000.0),))], "note")
    assert figure.axes[0].get_ylim() == pytest.approx((-4, 14))


@pytest.mark.parametrize(
    ("value", "greatest", "shown"),
    [
        *((0, 1e6, "0"), (0, 5, "0"), (999, 999, "999"), (9999, None, "9999"), (0.000125, None, "0.000125")),
        *((10_000, None, "10k"), (2500, 30_000, "2.5k"), (999_999, None, "1000k"), (1e6, None, "1M")),
        *((250_000, 2e6, "0.25M"), (1e9, None, "1G"), (-2e6, None, "-2M")),
    ],
)
def test_numbers_of_an_axis_have_one_unit(value: float, greatest: float | None, shown: str) -> None:
    assert plots.axis_number(value, greatest) == shown


@pytest.mark.parametrize(("letters", "turned"), [(40, 0), (41, 30)])
def test_long_words_below_an_axis_are_turned(letters: int, turned: float) -> None:
    points = [("a" * (letters - 1), 1.0), ("b", 2.0)]
    (axes,) = plots.draw_scatter(points, "x", "y").axes
    assert {text.get_rotation() for text in axes.get_xticklabels()} == {turned}


def test_scripts_that_the_font_lacks_are_no_warning(tmp_path: Path) -> None:
    figure = plots.draw_agreement([(1.0, 2.0)], "x", "y", "試験")
    plots.save_figure(figure, tmp_path / "a.png", dpi=20)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_labels_are_drawn_letter_by_letter() -> None:
    assert plots.drawn("a$b$") == r"a\$b\$"
    assert plots.drawn("_hidden") == " _hidden"
    assert plots.drawn("two\nlines") == r"two\nlines"
