"""Every snapshot of some runs evaluated, as ``spindb sweep`` does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer

from spindb.cli import playing
from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection, require_runs
from spindb.cli.playing.many import Evaluations, evaluate_over_processes
from spindb.cli.terminal.evaluations import print_evaluations
from spindb.cli.terminal.tables import plural, say
from spindb.index.database.connect import connected
from spindb.play.locate import Playable
from spindb.play.request import PlayOptions
from spindb.play.session import evaluate
from spindb.play.sweep import SweepPlan, evaluated_with, plan_sweep
from spindb.records import Evaluation
from spindb.signals import active


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which runs, how their snapshots are played, and where the picture goes."""

    selection: Selection
    options: PlayOptions
    jobs: int | None
    out: Path | None


def evaluate_snapshots(sweep: Sweep) -> None:
    """Play what was not played with these options, print the results, and draw them.

    Raises:
        NotFoundError: no run matches.
        typer.Exit: some snapshots could not be played.
        KeyboardInterrupt: it was interrupted; what was played by then is recorded.
    """
    with selected_runs(sweep.selection) as (connection, ids):
        require_runs(ids, sweep.selection.words)
        # The connection is closed before anything is played, which may take hours: an open one would hold back the
        # database's clean-up all the while.
        plan = plan_sweep(connection, ids, sweep.options)
    count = plural(len(plan.waiting) + plan.done, "snapshot")
    say(f"{count} of {plural(len(ids), 'run')}, {plan.done} evaluated so already")
    found = _evaluate(plan, sweep.options, sweep.jobs, sweep.selection.location)
    with connected(sweep.selection.location) as connection:
        # Read back, and not gathered on the way: those that were evaluated before belong to the table, too.
        rows = evaluated_with(connection, ids, sweep.options)
    print_evaluations(rows)
    if sweep.out is not None and rows:
        playing.figures.draw_returns(rows, sweep.out, sweep.options)
    _end(found)


def _evaluate(plan: SweepPlan, options: PlayOptions, jobs: int | None, location: str) -> Evaluations:
    """Play what is left; says where an environment ended episodes before ``--len`` did."""
    ends: dict[str, int] = {}

    def note_limit(_: Playable, found: Evaluation) -> None:
        for one in found.episodes:
            # The longest of such episodes is the environment's own limit.
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
