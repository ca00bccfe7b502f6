"""Learning curves as text, for where there is no display."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import uniplot

from spindb.analysis.curves import counted
from spindb.analysis.panels import Panel
from spindb.legible import legible

_FRAME = 14  # columns that axis labels and borders take
_HEIGHT = 16
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
    """
    blocks = []
    for panel in panels:
        text = uniplot.plot_to_string(
            xs=[np.asarray(line.x) for line in panel.lines],
            ys=[np.asarray(line.y) for line in panel.lines],
            lines=True,
            title=legible(" ".join(filter(None, (f"{panel.ylabel} over {panel.xlabel}", panel.title)))),
            legend_labels=[legible(f"{line.label} ({counted([line])})") for line in panel.lines],
            legend_placement="vertical",
            width=max(20, width - _FRAME),
            height=_HEIGHT,
            x_as_log=log_x,
            y_as_log=log_y,
            color=colours,
            character_set="braille" if colours or not 1 < len(panel.lines) <= _SIGNS else "ascii",
        )
        blocks.append(text if isinstance(text, str) else "\n".join(text))
    return "\n\n".join([*blocks, note])
