"""Reads runs into rows, here or in several processes.

Importing this costs little, and no database: each process that reads does so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from spindb.disk.formats import format_named
from spindb.index.rows import RunRows, rows_of
from spindb.records import Problem, RunRecord

_WORTH_A_POOL = 300  # below that, starting processes costs more than it gives
_PORTION = 16  # runs per message to a process
_AHEAD = 8  # portions per process that wait for the writer: more would only fill the memory


class ToRead(NamedTuple):
    """A run directory to read: ``path`` is relative to `base`, ``place`` to the root, which may lie above it.

    ``previous_size`` is how many bytes its metrics had when they were read before.
    """

    base: str
    path: str
    place: str
    format: str
    previous_size: int | None

    @property
    def directory(self) -> Path:
        return Path(self.base, self.path)


@dataclass(frozen=True, slots=True)
class Reader:
    """How runs are read: rows for which kind of database, in how many processes."""

    dialect: str
    jobs: int

    def read(self, runs: Sequence[ToRead]) -> Iterator[RunRows]:
        """The rows of each, in order."""
        if self.jobs <= 1 or len(runs) < _WORTH_A_POOL:
            yield from map(partial(read, self.dialect), runs)
            return
        with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
            waiting: deque[Future[list[RunRows]]] = deque()
            for start in range(0, len(runs), _PORTION):
                waiting.append(pool.submit(_read_all, self.dialect, runs[start : start + _PORTION]))
                if len(waiting) > _AHEAD * self.jobs:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()


def _read_all(dialect: str, runs: Sequence[ToRead]) -> list[RunRows]:
    return [read(dialect, run) for run in runs]


def read(dialect: str, run: ToRead) -> RunRows:
    """Read one run; whatever goes wrong is said in its rows and hides no other run."""
    try:
        return rows_of(format_named(run.format).read(run.directory, run.place, run.previous_size), dialect)
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
    except Exception as error:  # a defect of a reader must not end the ingest of all other runs
        reason = f"spindb failed to read it ({type(error).__name__}: {error}): please report this"
    return broken(dialect, run, reason)


def broken(dialect: str, run: ToRead, reason: str) -> RunRows:
    """What is known of a run that could not be read or stored: that it is there, and why not more."""
    problem = Problem("unreadable-run", reason)
    return rows_of(RunRecord(run.place, run.directory.name, run.format, "broken", problems=(problem,)), dialect)
