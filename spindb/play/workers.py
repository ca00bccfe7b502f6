"""Evaluates many snapshots over processes, which end with this one and take no snapshot down with another."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess

from spindb.errors import SpindbError
from spindb.play.locate import Playable
from spindb.processes import current_directory_unimportable
from spindb.records import Evaluation
from spindb.signals import active, die_with_parent, ignore_interrupts, interrupts

_PATIENCE = 10.0  # seconds that workers have to end their episode once they were interrupted
_DIED = "the process that played it ended without a word: killed, for want of memory perhaps, or crashed"

Result = Evaluation | str
"""An evaluation, or why there is none."""


Task = Callable[[Playable], Evaluation]
"""What a worker does with a snapshot; it can be pickled."""


def evaluate_all(playables: Iterable[Playable], task: Task, jobs: int) -> Iterator[tuple[Playable, Result]]:
    """Evaluate snapshots over so many processes; each result as it comes.

    A worker that is killed or crashes costs the snapshot that it played, and no other. Interrupted, it gives what was
    played so far of the snapshots in hand (evaluations that are `partial`), then raises.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    with ExitStack() as stack:
        stack.enter_context(current_directory_unimportable())
        stack.enter_context(active().held())
        team = _Team(task, jobs)
        stack.callback(team.end)
        team.waiting.extend(playables)
        while team.waiting or team.suspects or team.running:
            try:
                with active().released():
                    team.hand_out()
                    done, _ = wait(team.running, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                yield from team.interrupted()
                raise
            yield from team.collect(done)


class _Team:
    """Workers, what they have in hand and what waits for them.

    When a worker dies, all futures of its pool fail, and which snapshot it was is not known. So each of these becomes
    a suspect, and is played again alone: the one that fails there as well is the culprit.
    """

    def __init__(self, task: Task, jobs: int) -> None:
        self.task = task
        self.jobs = jobs
        self.waiting: deque[Playable] = deque()
        self.suspects: deque[Playable] = deque()
        self.running: dict[Future[Result | None], Playable] = {}
        self._again: Playable | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._others = set(active_children())

    def hand_out(self) -> None:
        """Give the workers what they can take: a suspect alone, of all others as many as there are workers."""
        queue, count = (self.suspects, 1) if self.suspects else (self.waiting, self.jobs)
        if queue is self.suspects and self.running:
            return
        while queue and len(self.running) < count:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self.jobs, get_context("spawn"), _begin)
            playable = queue.popleft()
            self._again = playable if queue is self.suspects else None
            try:
                self.running[self._pool.submit(_attempt, playable, self.task)] = playable
            except BrokenProcessPool:  # a worker died since the last result came
                queue.appendleft(playable)
                self._leave_pool()

    def collect(self, done: Iterable[Future[Result | None]]) -> Iterator[tuple[Playable, Result]]:
        """The results of these; of a pool that broke, a failure or new suspects."""
        broken = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
        for future in set(done).difference(broken):
            yield from self._result(future)
        if not broken:
            return
        found = [future for future in self.running if future.done() and future not in broken]
        for future in [f for f in found if not isinstance(f.exception(), BrokenProcessPool)]:
            yield from self._result(future)
        lost = list(self.running.values())
        self.running.clear()
        self._leave_pool()
        if len(lost) == 1 and lost[0] is self._again:
            yield lost[0], _DIED
        else:
            self.suspects.extend(lost)

    def interrupted(self) -> Iterator[tuple[Playable, Result]]:
        """Let the workers end what they have in hand, and give what came of it."""
        for child in self._children():
            child.terminate()
        done, _ = wait(self.running, timeout=_PATIENCE)
        for future in done:
            if future.exception() is None and isinstance(future.result(), Evaluation):
                yield from self._result(future)

    def end(self) -> None:
        """End the workers, whatever they do."""
        if self.running:
            for child in self._children():
                child.kill()
        self._leave_pool()

    def _result(self, future: Future[Result | None]) -> Iterator[tuple[Playable, Result]]:
        playable, result = self.running.pop(future), future.result()
        if result is not None:
            yield playable, result

    def _children(self) -> list[BaseProcess]:
        return [child for child in active_children() if child not in self._others]

    def _leave_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _begin() -> None:
    """In a worker, at its start: it ends with the process that started it, and when that one says so."""
    os.environ.pop("PYTHONSAFEPATH", None)
    ignore_interrupts()
    die_with_parent()


def _attempt(playable: Playable, task: Task) -> Result | None:
    """In a worker: errors come back as words, so that one broken save ends nothing; None: interrupted too early."""
    try:
        with interrupts(ignored_too=True):
            return task(playable)
    except KeyboardInterrupt:
        return None
    except SpindbError as error:
        return error.message
    except Exception as error:  # an author's own code can raise anything
        return f"{type(error).__name__}: {error}"
