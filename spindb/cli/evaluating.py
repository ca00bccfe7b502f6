"""Many snapshots evaluated over processes, with a bar of progress; each result is recorded as it comes.

Playing and rich are imported inside the function that needs them: they take longer to load than a query.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spindb.errors import NotFoundError
from spindb.signals import active

if TYPE_CHECKING:
    from spindb.play.locate import Playable
    from spindb.play.workers import Task
    from spindb.records import Evaluation


@dataclass(frozen=True, slots=True)
class Evaluations:
    """How it went: snapshots that failed with the reason, and whether it was interrupted before all were played."""

    failures: tuple[tuple[str, str], ...]
    interrupted: bool


def require_runs(ids: list[int], words: list[str] | None) -> None:
    """Refuse a filter that no run matches.

    Raises:
        NotFoundError: it is such.
    """
    if not ids:
        raise NotFoundError("no run matches", hint=f"spindb runs {' '.join(map(repr, words or []))} says why")


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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from spindb.play.session import record
    from spindb.play.workers import evaluate_all

    failures: list[tuple[str, str]] = []
    processes = min(jobs or os.cpu_count() or 1, max(1, len(waiting)))
    columns = (TextColumn("snapshots"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not os.isatty(2)) as bar, active().held():
        shown = bar.add_task("", total=len(waiting))
        try:
            for playable, result in evaluate_all(waiting, task, processes):
                bar.advance(shown)
                if isinstance(result, str):
                    failures.append((str(playable.directory / playable.snapshot.path), result))
                    continue
                assert playable.run_id is not None
                record(result, playable.run_id, location)
                keep(playable, result)
        except KeyboardInterrupt:
            return Evaluations(tuple(failures), interrupted=True)
    return Evaluations(tuple(failures), interrupted=False)
