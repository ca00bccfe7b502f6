"""Many snapshots evaluated over processes, with a bar of progress; each result is recorded as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from spindb.play import workers
from spindb.play.locate import Playable
from spindb.play.session import record
from spindb.play.workers import Task
from spindb.records import Evaluation
from spindb.signals import active


@dataclass(frozen=True, slots=True)
class Evaluations:
    """How it went: snapshots that failed with the reason, and whether it was interrupted before all were played."""

    failures: tuple[tuple[str, str], ...]
    interrupted: bool


def evaluate_over_processes(
    waiting: Sequence[Playable],
    task: Task,
    jobs: int | None,
    location: str,
    keep: Callable[[Playable, Evaluation], None] = lambda playable, evaluation: None,
) -> Evaluations:
    """Play them, recording each result as it comes; an interruption keeps what was done.

    Args:
        waiting: the snapshots.
        task: what is done with each.
        jobs: how many processes; None for as many as there are cores.
        location: the database.
        keep: called with each result that was recorded.
    """
    failures: list[tuple[str, str]] = []
    processes = min(jobs or os.cpu_count() or 1, max(1, len(waiting)))
    columns = (TextColumn("snapshots"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not os.isatty(2)) as bar, active().held():
        shown = bar.add_task("", total=len(waiting))
        try:
            for playable, result in workers.evaluate_all(waiting, task, processes):
                bar.advance(shown)
                if isinstance(result, str):
                    failures.append((str(playable.directory / playable.snapshot.path), result))
                    continue
                assert playable.run_id is not None
                # Recorded one by one, in this process: a sweep that is interrupted keeps what was played, and workers
                # need no database.
                record(result, playable.run_id, location)
                keep(playable, result)
        except KeyboardInterrupt:
            return Evaluations(tuple(failures), interrupted=True)
    return Evaluations(tuple(failures), interrupted=False)
