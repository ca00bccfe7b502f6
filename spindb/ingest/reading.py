"""Reads runs into rows, here or in several processes.

Importing this costs little, and no database: each process that reads does so.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from spindb.disk.formats import format_named
from spindb.index.rows import RunRows, rows_of
from spindb.records import Problem, RunRecord

_WORTH_A_POOL = 300  # below that, starting processes costs more than it gives
_PORTION = 16  # runs per message to a process
_SELDOM = 100_000  # new containers between two looks for garbage, as on the command line
_AHEAD = 8  # portions per process that wait for the writer: more would only fill the memory


class ToRead(NamedTuple):
    """A run directory to read: ``path`` is relative to what is ingested, ``place`` to the root, which may lie above.

    ``previous_size`` is how many bytes its metrics had when they were read before.
    """

    path: str
    place: str
    format: str
    previous_size: int | None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads runs under `directory`, into rows for that kind of database, in so many processes."""

    directory: Path
    dialect: str
    jobs: int

    def read_all(self, runs: Iterable[ToRead]) -> Iterator[RunRows]:
        """The rows of each, in order."""
        runs = iter(runs)
        first = list(islice(runs, _WORTH_A_POOL)) if self.jobs > 1 else []
        if len(first) < _WORTH_A_POOL:
            yield from map(self.read, chain(first, runs))
            return
        runs = chain(first, runs)
        with ProcessPoolExecutor(self.jobs, get_context("spawn"), gc.set_threshold, (_SELDOM,)) as pool:
            waiting: deque[Future[list[RunRows]]] = deque()
            while portion := list(islice(runs, _PORTION)):
                waiting.append(pool.submit(_read_portion, self, portion))
                if len(waiting) > _AHEAD * self.jobs:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def read(self, run: ToRead) -> RunRows:
        """Read one run; whatever goes wrong is said in its rows and hides no other run."""
        try:
            return rows_of(self.record(run, run.previous_size), self.dialect)
        except OSError as error:
            reason = f"can't be read: {error.strerror or error}"
        except Exception as error:  # a defect of a reader must not end the ingest of all other runs
            reason = f"spindb failed to read it ({type(error).__name__}: {error}): please report this"
        return self.broken(run, reason)

    def record(self, run: ToRead, previous_size: int | None) -> RunRecord:
        """What the run's files say."""
        return format_named(run.format).read(self.directory / run.path, run.place, previous_size)

    def broken(self, run: ToRead, reason: str) -> RunRows:
        """What is known of a run that could not be read or stored: that it is there, and why not more."""
        problem = Problem("unreadable-run", reason)
        name = (self.directory / run.path).name
        return rows_of(RunRecord(run.place, name, run.format, "broken", problems=(problem,)), self.dialect)


def _read_portion(reader: Reader, runs: Sequence[ToRead]) -> list[RunRows]:
    return [reader.read(run) for run in runs]


@contextmanager
def garbage_seldom_collected() -> Iterator[None]:
    """Tables are thousands of tuples, none of them garbage: to look for some takes a twentieth of an ingest."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
