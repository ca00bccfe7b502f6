"""``spindb sweep``: every snapshot evaluated.

Playing, numpy and matplotlib are imported inside the functions that need them, so that help starts without.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spindb.cli import play_options as typed
from spindb.cli.evaluating import Evaluations, evaluate_over_processes, require_runs
from spindb.cli.options import Db, Everything, FilterWords, database, words_of
from spindb.cli.play_options import EnvironmentFlags, play_options
from spindb.cli.terminal.evaluations import print_evaluations
from spindb.cli.terminal.tables import plural, say
from spindb.extras import needing
from spindb.signals import active

if TYPE_CHECKING:
    from spindb.index.read.evaluations import Evaluated
    from spindb.play.locate import Playable
    from spindb.play.request import PlayOptions
    from spindb.play.sweep import SweepPlan
    from spindb.records import Evaluation


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("sweep")(sweep)


def sweep(
    ctx: typer.Context,
    words: FilterWords = None,
    episodes: typed.SweepEpisodes = 10,
    length: typed.Length = 0,
    deterministic: typed.Deterministic = False,
    seed: typed.SameSeed = 0,
    env: typed.EnvId = None,
    env_factory: typed.EnvFactory = None,
    imports: typed.Imports = None,
    trust: typed.Trust = False,
    action: typed.ActionRule = None,
    without_wrappers: typed.WithoutWrappers = False,
    contact_forces: typed.Forces = None,
    jobs: typed.Jobs = None,
    out: typed.SweepPlot = None,
    everything: Everything = False,
    db: Db = None,
) -> None:
    """Evaluate every snapshot of the matching runs, in several processes; skip those evaluated with equal options.

    spindb sweep 42

    spindb sweep 'env=Hopper-v2 algo=sac' -n 20 -d --out sweep.png
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected

    flags = EnvironmentFlags(env, env_factory, imports, trust, action, without_wrappers, contact_forces)
    options = play_options(flags, episodes=episodes, length=length, deterministic=deterministic, seed=seed)
    from spindb.play.sweep import evaluated_with, plan_sweep

    location = database(ctx, db)
    with connected(location) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        require_runs(ids, words)
        plan = plan_sweep(connection, ids, options)
    say(
        f"{plural(len(plan.waiting) + plan.done, 'snapshot')} of {plural(len(ids), 'run')}, "
        f"{plan.done} evaluated so already"
    )
    found = _evaluate(plan, options, jobs, location)
    with connected(location) as connection:
        rows = evaluated_with(connection, ids, options)
    print_evaluations(rows)
    if out is not None and rows:
        _plot(rows, out, options)
    _end(found)


def _evaluate(plan: SweepPlan, options: PlayOptions, jobs: int | None, location: str) -> Evaluations:
    """Play what is left; says where an environment ended episodes before ``--len`` did."""
    from spindb.play.session import evaluate

    ends: dict[str, int] = {}

    def note_limit(_: Playable, found: Evaluation) -> None:
        for one in found.episodes:
            if one.ending == "truncated" and one.length < options.length:
                name = found.env_id or "the environment"
                ends[name] = max(ends.get(name, 0), one.length)

    task = partial(evaluate, options=options)
    found = evaluate_over_processes(plan.waiting, task, jobs, location, note_limit)
    for name, steps in ends.items():
        say(f"note: --len {options.length}: {name} itself ends an episode after {steps} steps")
    return found


def _end(found: Evaluations) -> None:
    for place, reason in found.failures:
        say(f"  {place}: {reason}")
    if found.interrupted:
        active().left = "what was evaluated so far is recorded, the same command evaluates the rest"
        raise KeyboardInterrupt
    if found.failures:
        raise typer.Exit(1)


def _plot(rows: list[Evaluated], out: Path, options: PlayOptions) -> None:
    """Return over itr, a line per run, its band the standard error over episodes."""
    with needing():
        import numpy as np

        from spindb.analysis.curves import Line
        from spindb.analysis.drawing.panels import Panel
        from spindb.analysis.drawing.plots import draw_curves, save_figure
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
