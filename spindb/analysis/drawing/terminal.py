"""Learning curves as text, for where there is no display."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import uniplot
from numpy.typing import ArrayLike, NDArray

from spindb.analysis.curves import counted
from spindb.analysis.drawing.panels import Panel
from spindb.errors import UsageError
from spindb.printable import printable

_FRAME = 14  # columns that axis labels and borders take
_HEIGHT = 16
_REACH = 1e100  # numbers beyond overflow when squared, and their reciprocals vanish
_LEAST_EXPONENT = 307  # of a power of ten that has all its digits
_SIGNS = 6  # that lines can have without colours; more of them are told apart by nothing


def draw(
    panels: Sequence[Panel], note: str, *, width: int, colours: bool, log_x: bool = False, log_y: bool = False
) -> str:
    """The panels below each other, lines without bands: a band would hide them.

    Args:
        panels: at least one.
        note: what a line is.
        width: of the terminal in columns.
        colours: whether it takes colours; without them each line has a sign of its own.
        log_x, log_y: logarithmic axes.

    Raises:
        UsageError: the numbers of a panel can't be drawn.
    """
    blocks = []
    for panel in panels:
        x, x_unit = _within_reach([line.x for line in panel.lines], log_x)
        y, y_unit = _within_reach([line.y for line in panel.lines], log_y)
        title = f"{panel.ylabel}{y_unit} over {panel.xlabel}{x_unit}"
        try:
            with np.errstate(all="ignore"):  # what overflows in the choice of labels
                text = uniplot.plot_to_string(
                    xs=x,
                    ys=y,
                    lines=True,
                    title=printable(" ".join(filter(None, (title, panel.title)))),
                    legend_labels=[printable(f"{line.label} ({counted([line])})") for line in panel.lines],
                    legend_placement="vertical",
                    width=max(20, width - _FRAME),
                    height=_HEIGHT,
                    x_as_log=log_x,
                    y_as_log=log_y,
                    color=colours,
                    character_set="braille" if colours or not 1 < len(panel.lines) <= _SIGNS else "ascii",
                )
        except (ArithmeticError, ValueError, IndexError) as error:
            raise UsageError(
                f"{printable(title)}: such numbers can't be drawn as text ({error})",
                hint="spindb plot --out FILE.svg draws them as a picture",
            ) from error
        blocks.append(text if isinstance(text, str) else "\n".join(text))
    return "\n\n".join([*blocks, note])


def _within_reach(values: Sequence[ArrayLike], log: bool) -> tuple[list[NDArray[np.float64]], str]:
    """The values of one axis, and the unit that they are in where they are so large or small that spans overflow."""
    arrays = [np.asarray(part, dtype=float) for part in values]
    sizes = [np.abs(part[np.isfinite(part)]) for part in arrays]
    largest = max((float(size.max()) for size in sizes if size.size), default=0.0)
    if log or largest == 0 or 1 / _REACH <= largest <= _REACH:
        return arrays, ""
    exponent = max(math.floor(math.log10(largest)), -_LEAST_EXPONENT)
    return [part / 10.0**exponent for part in arrays], f" [in units of 1e{exponent}]"
