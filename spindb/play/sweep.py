"""Which snapshots a sweep still has to play, and what was evaluated with its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from spindb.index.query.runs import run_by_id, snapshots_of
from spindb.index.read.evaluations import Evaluated, evaluated
from spindb.play.locate import Playable, policy_digest
from spindb.play.request import PlayOptions


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """The snapshots that are still to be played, and how many were played with these options."""

    waiting: tuple[Playable, ...]
    done: int


def plan_sweep(connection: Connection, ids: Sequence[int], options: PlayOptions) -> SweepPlan:
    """What is left to be played of the snapshots of these runs; stale and unloadable ones are left out.

    A snapshot whose files changed since it was evaluated is played again: evaluations keep a digest of them.
    """
    known = {(e.run_id, e.snapshot_path, e.digest) for e in evaluated(connection, ids) if _same(e, options)}
    waiting, done = [], 0
    for run_id in ids:
        run = run_by_id(connection, run_id)
        for snapshot in snapshots_of(connection, run_id):
            if snapshot.unloadable or snapshot.stale:
                continue
            playable = Playable(run.directory, snapshot, run.env, run_id, root=run.root)
            playable.follow_links()
            if (run_id, snapshot.path, policy_digest(playable)) in known:
                done += 1
            else:
                waiting.append(playable)
    return SweepPlan(tuple(waiting), done)


def evaluated_with(connection: Connection, ids: Sequence[int], options: PlayOptions) -> list[Evaluated]:
    """The last evaluation of each snapshot with these options."""
    found = {(e.run_id, e.snapshot_path): e for e in evaluated(connection, ids) if _same(e, options)}
    return list(found.values())


def _same(e: Evaluated, options: PlayOptions) -> bool:
    """Whether an evaluation was made with these options."""
    if e.partial or e.options.action != options.action or e.deterministic != options.deterministic:
        return False
    if (e.seed, e.max_ep_len, e.episodes) != (options.seed, options.length or None, options.episodes):
        return False
    return options.same_environment(e.env_id, e.env_source)
