"""Pictures of what was played, by matplotlib: it takes the analysis extra, and a second to import.

So this module is imported, as ``playing.figures``, where a picture was asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spindb.analysis.curves import Line
from spindb.analysis.drawing.panels import Panel
from spindb.analysis.drawing.plots import draw_agreement, draw_curves, save_figure
from spindb.cli.terminal.tables import plural, say
from spindb.index.read.evaluations import Evaluated
from spindb.play.request import PlayOptions
from spindb.play.rollouts.value_trace import ValueTrace


def draw_values(trace: ValueTrace, path: Path) -> None:
    """Predicted against realised values, a point per step."""
    pairs = [(point.predicted, point.realised) for point in trace.points]
    steps = f"n={len(pairs)} steps of {plural(trace.episodes, 'episode')}"
    title = f"explained variance {trace.explained_variance:.3g}, {steps}"
    axes = f"predicted {trace.kind.upper()}", f"realised return (γ={trace.gamma:g})"
    save_figure(draw_agreement(pairs, *axes, title), path)


def draw_returns(rows: list[Evaluated], out: Path, options: PlayOptions) -> None:
    """Return over itr, a line per run, its band the standard error over episodes."""
    lines = []
    for run_id in dict.fromkeys(e.run_id for e in rows):
        own = sorted((e for e in rows if e.run_id == run_id and e.itr is not None), key=lambda e: e.itr or 0)
        if own:
            x, y = np.array([float(e.itr or 0) for e in own]), np.array([e.mean_return for e in own])
            half = np.array([e.standard_error or 0.0 for e in own])
            count = np.array([float(e.episodes) for e in own])
            lines.append(Line(f"{run_id} {own[0].name}", x, y, y - half, y + half, count))
    if not lines:
        say("nothing to plot: no numbered snapshot")
        return
    panel = Panel("", "itr", "return", tuple(lines))
    action = "deterministic" if options.deterministic else "drawn"
    save_figure(
        draw_curves([panel], f"mean of {options.episodes} episodes, actions {action}, band: standard error"), out
    )
    say(f"written to {out}")
