"""Many snapshots evaluated over processes, with a bar of progress; each result is recorded as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spindb.errors import NotFoundError
from spindb.signals import active

if TYPE_CHECKING:
    from spindb.play.locate import Playable
    from spindb.play.workers import Task
    from spindb.records import Evaluation


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
    jobs: int,
    location: str,
    keep: Callable[[Playable, Evaluation], None] = lambda playable, evaluation: None,
) -> tuple[list[tuple[str, str]], bool]:
    """Play them, recording each result as it comes; an interruption keeps what was done.

    Args:
        waiting: the snapshots.
        task: what is done with each.
        jobs: how many processes.
        location: the database.
        keep: is told of each result that was recorded.

    Returns:
        Snapshots that failed with the reason, and whether it was interrupted before all were played.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from spindb.index.database.connect import connected
    from spindb.index.write.batch import add_evaluation
    from spindb.play.workers import sweep as evaluate_all

    failures: list[tuple[str, str]] = []
    columns = (TextColumn("snapshots"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not os.isatty(2)) as bar, active().held():
        shown = bar.add_task("", total=len(waiting))
        try:
            for playable, result in evaluate_all(waiting, task, min(jobs, max(1, len(waiting)))):
                bar.advance(shown)
                if isinstance(result, str):
                    failures.append((str(playable.directory / playable.snapshot.path), result))
                    continue
                assert playable.run_id is not None
                with connected(location, write=True) as connection:
                    add_evaluation(connection, playable.run_id, result)
                keep(playable, result)
        except KeyboardInterrupt:
            return failures, True
    return failures, False
