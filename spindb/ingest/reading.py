"""Reads runs into rows, here or in several processes.

Importing this costs little, and no database: each process that reads does so. A run whose files are large is read in a
process of its own even where nothing else is: there memory is limited, and C code that does not return can be ended.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from spindb.disk.formats import Previous, layout_named, read_runs
from spindb.disk.regular import follow_links_within
from spindb.disk.run_directory import why_failed
from spindb.index.write.rows import RunRows, rows_of
from spindb.ingest.deadline import SECONDS, TooSlowError, within_seconds
from spindb.ingest.workers import MEMORY, Loss, Workers
from spindb.records import Problem, RunRecord, path_of

_WORTH_A_POOL = 300  # below that, starting processes costs more than it gives
_LARGE = 2 << 20  # bytes of a run's files: what lies in less can't take long, or much memory
_SELDOM = 100_000  # new containers between two looks for garbage, as on the command line


class ToRead(NamedTuple):
    """A run directory to read: ``path`` is relative to what is ingested, ``place`` to the root, which may lie above.

    ``previous_size`` is how many bytes its metrics had when they were read before, ``size`` how many all of its files
    have now; ``stamp_zone`` is the time zone of a stamp in its name, None for this machine's. ``parts`` holds the
    previous sizes of those runs that share the directory, by their parts.
    """

    path: str
    place: str
    format: str
    previous_size: int | None
    size: int = 0
    stamp_zone: str | None = None
    parts: Mapping[str, int] | None = None

    @property
    def previous(self) -> Previous:
        """The previous sizes of all runs of the directory."""
        found: dict[str | None, int] = {}
        found.update(self.parts or {})
        if self.previous_size is not None:
            found[None] = self.previous_size
        return found


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

    def read_each(self, runs: Iterable[ToRead]) -> Iterator[list[RunRows]]:
        """The rows of each directory's runs, in order.

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

    def read(self, run: ToRead) -> list[RunRows]:
        """Read the runs of one directory; whatever goes wrong is said in their rows and hides no other run."""
        found: list[RunRows] = []
        try:
            within_seconds(self.time_limit, self.rows, run, found)
        except TooSlowError:
            return self.broken(run, "too-slow", self.too_slow(), found)
        except Exception as error:  # a defect of a reader must not end the ingest of all other runs
            return self.broken(run, "unreadable-run", why_failed(error), found)
        return found

    def rows(self, run: ToRead, into: list[RunRows]) -> None:
        """Add the rows of the directory's runs, as far as its files can be read.

        Raises:
            OSError: the directory can't be listed.
        """
        into.extend(rows_of(record, self.dialect) for record in self.records(run, run.previous))

    def records(self, run: ToRead, previous: Previous) -> Iterator[RunRecord]:
        """What the files of the directory say."""
        follow_links_within(self.root or self.directory)
        return read_runs(layout_named(run.format), self.directory / run.path, run.place, previous, run.stamp_zone)

    def begins(self, run: ToRead, part: str | None, size: int) -> str | None:
        """The digest of the first `size` bytes of the metrics of a directory's run, None where it can't be told."""

        def digest() -> str | None:
            return next((r.content.begins for r in self.records(run, {part: size}) if r.part == part), None)

        try:
            return within_seconds(self.time_limit, digest)
        except (TooSlowError, Exception):
            return None

    def too_slow(self) -> str:
        """What is said of a run that takes too long."""
        return f"takes more than {self.time_limit:g} seconds to read: given up (--time-limit SECONDS allows more)"

    def lost(self, run: ToRead, loss: Loss) -> list[RunRows]:
        """What is known of the runs with which the process that read them ended."""
        if loss.slow:
            return self.broken(run, "too-slow", self.too_slow())
        reason = f"the process that read it ended ({loss.how}), and so did a second one: given up"
        return self.broken(run, "reader-died", f"{reason}; it may take more than {MEMORY >> 30} GiB of memory")

    def broken(self, run: ToRead, code: str, reason: str, found: Sequence[RunRows] = ()) -> list[RunRows]:
        """What was read of a directory, and what is known of its other runs: that they are there, and why not more."""
        read = {rows.record.part for rows in found}
        unread: list[str | None] = [part for part in run.parts or {} if part not in read]
        return [*found, *(self.broken_run(run, part, code, reason) for part in unread or [None])]

    def broken_run(self, run: ToRead, part: str | None, code: str, reason: str) -> RunRows:
        """What is known of a run that could not be read or stored."""
        name = part or (self.directory / run.path).name
        record = RunRecord(
            path_of(run.place, part), name, run.format, "broken", problems=(Problem(code, reason),), part=part
        )
        return rows_of(record, self.dialect)


@contextmanager
def garbage_seldom_collected() -> Iterator[None]:
    """Tables are thousands of tuples, none of them garbage: to look for some takes a twentieth of an ingest."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
