"""Reads runs into rows, here or in several processes.

Importing this costs little, and no database: each process that reads does so. A run whose files are large is read in a
process of its own even where nothing else is: there memory is limited, and C code that does not return can be ended.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from spindb.disk.formats import format_named
from spindb.disk.regular import follow_links_within
from spindb.disk.run_directory import why_failed
from spindb.index.write.rows import RunRows, rows_of
from spindb.ingest.deadline import SECONDS, TooSlowError, within_seconds
from spindb.ingest.workers import MEMORY, Loss, Workers
from spindb.records import Problem, RunRecord

_WORTH_A_POOL = 300  # below that, starting processes costs more than it gives
_LARGE = 2 << 20  # bytes of a run's files: what lies in less can't take long, or much memory
_SELDOM = 100_000  # new containers between two looks for garbage, as on the command line


class ToRead(NamedTuple):
    """A run directory to read: ``path`` is relative to what is ingested, ``place`` to the root, which may lie above.

    ``previous_size`` is how many bytes its metrics had when they were read before, ``size`` how many all of its files
    have now; ``stamp_zone`` is the time zone of a stamp in its name, None for this machine's.
    """

    path: str
    place: str
    format: str
    previous_size: int | None
    size: int = 0
    stamp_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads runs under `directory`, into rows for that kind of database, in so many processes.

    A run that takes more than `time_limit` seconds of CPU time is broken. Links to files are followed within `root`,
    which is `directory` or lies above it: which part of a root is ingested makes no difference.
    """

    directory: Path
    dialect: str
    jobs: int
    time_limit: float = SECONDS
    root: Path | None = None

    def read_all(self, runs: Iterable[ToRead]) -> Iterator[RunRows]:
        """The rows of each, in order.

        Raises:
            SpindbError: no process can be started.
        """
        runs = iter(runs)
        first = list(islice(runs, _WORTH_A_POOL)) if self.jobs > 1 else []
        runs = chain(first, runs)
        several = len(first) == _WORTH_A_POOL
        with Workers(self.read, self.jobs if several else 1, self.lost, self.time_limit) as workers:
            if several:
                yield from workers.map(runs)
                return
            for run in runs:
                if run.size > _LARGE:
                    yield from workers.map([run])
                else:
                    yield self.read(run)

    def read(self, run: ToRead) -> RunRows:
        """Read one run; whatever goes wrong is said in its rows and hides no other run."""
        try:
            return within_seconds(self.time_limit, self.rows, run)
        except TooSlowError:
            return self.broken(run, "too-slow", self.too_slow())
        except Exception as error:  # a defect of a reader must not end the ingest of all other runs
            return self.broken(run, "unreadable-run", why_failed(error))

    def rows(self, run: ToRead) -> RunRows:
        """The rows of a run, as far as its files can be read.

        Raises:
            OSError: its directory can't be listed.
        """
        return rows_of(self.record(run, run.previous_size), self.dialect)

    def record(self, run: ToRead, previous_size: int | None) -> RunRecord:
        """What the run's files say."""
        follow_links_within(self.root or self.directory)
        return format_named(run.format).read(self.directory / run.path, run.place, previous_size, run.stamp_zone)

    def begins(self, run: ToRead, size: int) -> str | None:
        """The digest of the first `size` bytes of a run's metrics, None where it can't be told."""
        try:
            return within_seconds(self.time_limit, self.record, run, size).content.begins
        except (TooSlowError, Exception):
            return None

    def too_slow(self) -> str:
        """What is said of a run that takes too long."""
        return f"takes more than {self.time_limit:g} seconds to read: given up (--time-limit SECONDS allows more)"

    def lost(self, run: ToRead, loss: Loss) -> RunRows:
        """What is known of a run with which the process that read it ended."""
        if loss.slow:
            return self.broken(run, "too-slow", self.too_slow())
        reason = f"the process that read it ended ({loss.how}), and so did a second one: given up"
        return self.broken(run, "reader-died", f"{reason}; it may take more than {MEMORY >> 30} GiB of memory")

    def broken(self, run: ToRead, code: str, reason: str) -> RunRows:
        """What is known of a run that could not be read or stored: that it is there, and why not more."""
        problem = Problem(code, reason)
        name = (self.directory / run.path).name
        return rows_of(RunRecord(run.place, name, run.format, "broken", problems=(problem,)), self.dialect)


@contextmanager
def garbage_seldom_collected() -> Iterator[None]:
    """Tables are thousands of tuples, none of them garbage: to look for some takes a twentieth of an ingest."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
