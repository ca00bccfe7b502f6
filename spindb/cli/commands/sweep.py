"""``spindb sweep``: every snapshot evaluated."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli.evaluating import evaluate_over_processes, require_runs
from spindb.cli.options import Db, Everything, FilterWords, database, words_of
from spindb.cli.play_options import (
    ActionRule,
    Deterministic,
    EnvFactory,
    EnvId,
    Forces,
    Imports,
    Jobs,
    Length,
    Trust,
    WithoutWrappers,
    forces_chosen,
    one_environment,
)
from spindb.cli.terminal.evaluations import print_evaluations
from spindb.cli.terminal.tables import plural, say
from spindb.extras import needing
from spindb.signals import active

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.index.read.evaluations import Evaluated
    from spindb.play.evaluating import Flags
    from spindb.play.locate import Playable
    from spindb.records import Evaluation


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("sweep")(sweep)


def sweep(
    ctx: typer.Context,
    words: FilterWords = None,
    episodes: Annotated[int, typer.Option("--episodes", "-n", help="How many for each snapshot.", min=1)] = 10,
    length: Length = 0,
    deterministic: Deterministic = False,
    seed: Annotated[int, typer.Option(help="Seed environment and policy, the same for each snapshot.", min=0)] = 0,
    env: EnvId = None,
    env_factory: EnvFactory = None,
    imports: Imports = None,
    trust: Trust = False,
    action: ActionRule = None,
    without_wrappers: WithoutWrappers = False,
    contact_forces: Forces = None,
    jobs: Jobs = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Plot return over itr: .png, .svg or .pdf.")] = None,
    everything: Everything = False,
    db: Db = None,
) -> None:
    """Evaluate every snapshot of the matching runs, in several processes; skip those evaluated with equal options.

    spindb sweep 42

    spindb sweep 'env=Hopper-v2 algo=sac' -n 20 -d --out sweep.png
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected

    with needing():
        import numpy  # noqa: F401 - asked for here, not in every worker

        from spindb.play.actions import rule_of
        from spindb.play.evaluating import Flags
        from spindb.play.rollouts.rollout import require_seed
        from spindb.play.session import evaluate

    require_seed(seed)
    one_environment(env, env_factory)
    location = database(ctx, db)
    flags = Flags(
        episodes,
        length,
        deterministic,
        seed,
        env,
        env_factory,
        tuple(imports or ()),
        trust=trust,
        action=rule_of(action),
        without_wrappers=without_wrappers,
        contact_forces=forces_chosen(contact_forces),
    )
    with connected(location) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        require_runs(ids, words)
        waiting, done = _waiting(connection, ids, flags)
    say(f"{plural(len(waiting) + done, 'snapshot')} of {plural(len(ids), 'run')}, {done} evaluated so already")
    task = partial(evaluate, flags=flags)
    ends: dict[str, int] = {}

    def note_limit(_: Playable, found: Evaluation) -> None:
        for one in found.episodes:
            if one.ending == "truncated" and one.length < flags.length:
                name = found.env_id or "the environment"
                ends[name] = max(ends.get(name, 0), one.length)

    failures, ended = evaluate_over_processes(waiting, task, jobs or os.cpu_count() or 1, location, note_limit)
    for name, steps in ends.items():
        say(f"note: --len {length}: {name} itself ends an episode after {steps} steps")
    with connected(location) as connection:
        rows = _of_this_sweep(connection, ids, flags)
    print_evaluations(rows)
    if out is not None and rows:
        _plot(rows, out, flags)
    for place, reason in failures:
        say(f"  {place}: {reason}")
    if ended:
        active().left = "what was evaluated so far is recorded, the same command evaluates the rest"
        raise KeyboardInterrupt
    if failures:
        raise typer.Exit(1)


def _waiting(connection: Connection, ids: list[int], flags: Flags) -> tuple[list[Playable], int]:
    """The snapshots that are still to be played, and how many were played with these flags."""
    from spindb.index.query.runs import run_by_id, snapshots_of
    from spindb.index.read.evaluations import evaluated
    from spindb.play.locate import Playable, digest_of

    known = {(e.run_id, e.snapshot_path, e.digest) for e in evaluated(connection, ids) if _same(e, flags)}
    waiting, done = [], 0
    for run_id in ids:
        run = run_by_id(connection, run_id)
        for snapshot in snapshots_of(connection, run_id):
            if snapshot.unloadable or snapshot.stale:
                continue
            playable = Playable(run.directory, snapshot, run.env, run_id, root=run.root)
            playable.follow_links()
            if (run_id, snapshot.path, digest_of(playable)) in known:
                done += 1
            else:
                waiting.append(playable)
    return waiting, done


def _same(e: Evaluated, flags: Flags) -> bool:
    """Whether an evaluation is what these flags ask for."""
    from spindb.play.evaluating import environment_as_asked

    asked = (flags.seed, flags.length or None, flags.episodes)
    if e.asked.action != flags.action:
        return False
    if e.partial or (e.seed, e.max_ep_len, e.episodes) != asked or e.deterministic != flags.deterministic:
        return False
    return environment_as_asked(e.env_id, e.env_source, flags)


def _of_this_sweep(connection: Connection, ids: list[int], flags: Flags) -> list[Evaluated]:
    """The last evaluation of each snapshot with these flags."""
    from spindb.index.read.evaluations import evaluated

    found = {(e.run_id, e.snapshot_path): e for e in evaluated(connection, ids) if _same(e, flags)}
    return list(found.values())


def _plot(rows: list[Evaluated], out: Path, flags: Flags) -> None:
    """Return over itr, a line per run, its band the standard error over episodes."""
    with needing():
        import numpy as np

        from spindb.analysis.curves import Line
        from spindb.analysis.drawing.panels import Panel
        from spindb.analysis.drawing.plots import draw_curves, save
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
    action = "deterministic" if flags.deterministic else "drawn"
    save(draw_curves([panel], f"mean of {flags.episodes} episodes, actions {action}, band: standard error"), out)
    say(f"written to {out}")
