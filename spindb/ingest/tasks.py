"""The runs that are to be read, in a file where there are many: memory does not grow with their number."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from tempfile import gettempdir
from typing import IO, NamedTuple

import orjson

from spindb.disk.formats import READERS
from spindb.disk.scan import FoundRun
from spindb.disk.times import has_stamp, zone_of_source
from spindb.errors import SpindbError
from spindb.index.write.batch import IndexedRun
from spindb.index.write.identity import DigestOfStart
from spindb.index.write.rows import RunRows
from spindb.ingest.reading import Reader, ToRead
from spindb.records import RunRecord, directory_of

UNSETTLED = "?"
"""What a signature begins with where files were written in the very instant of the scan: not to be trusted."""


_READ_BY = f"@{READERS}"
"""Ends the signature of a run that shares its directory: it is as it was where this and its content are."""


class Task(NamedTuple):
    """A run to read, its signature as it was found, and what the index knows of it.

    ``parts`` holds what the index knows of runs that share the directory, by their paths.
    """

    run: ToRead
    signature: str
    known: IndexedRun | None
    parts: Mapping[str, IndexedRun] | None = None

    def known_as(self, path: str) -> IndexedRun | None:
        """What the index knows of the directory's run at that path."""
        return (self.parts or {}).get(path) if path != self.run.place else self.known

    def all_known(self) -> dict[str, IndexedRun]:
        """What the index knows of the directory's runs, by their paths."""
        own = {} if self.known is None else {self.run.place: self.known}
        return {**own, **self.parts} if self.parts else own

    def proven_same(self, record: RunRecord) -> int | None:
        """The run, where it was read in the instant it was written before and proves to be the same.

        So does one that shares its directory with others and has the content that it had.
        """
        known = self.known_as(record.path)
        if known is None or known.status == "missing" or known.fingerprint != record.content.whole:
            return None
        if known.started_source != record.started_source:  # the stamp in its name is taken in another zone
            return None
        if record.part is not None:
            same = known.status != "broken" and known.signature is not None and known.signature.endswith(_READ_BY)
        else:
            same = known.signature == UNSETTLED + self.signature.removeprefix(UNSETTLED)
        return known.id if same else None


def shared_signature(signature: str, count: int) -> str:
    """The signature of one of so many runs of a directory, out of the directory's: an ingest that died between them
    left fewer."""
    return f"{signature}*{count}{_READ_BY}"


class ReadRun(NamedTuple):
    """A run that was read, and how many runs its directory holds."""

    task: Task
    rows: RunRows
    beside: int

    @property
    def signature(self) -> str:
        alone = self.rows.record.part is None
        return self.task.signature if alone else shared_signature(self.task.signature, self.beside)

    def start_by(self, reader: Reader) -> DigestOfStart:
        """Digests of the first bytes of the metrics: the one that was asked for when the record was read is
        at hand, any other takes another look."""
        run, record = self.task.run, self.rows.record

        def digest(size: int) -> str | None:
            if run.previous.get(record.part) == size:
                return record.content.begins
            return reader.begins(run, record.part, size)

        return digest


def task_of(
    found: FoundRun, path: str, known: Mapping[str, IndexedRun], again: bool, stamp_zone: str | None
) -> Task | None:
    """What is to be read, or None where a directory's runs are as they were.

    Args:
        found: the directory.
        path: its path relative to the root.
        known: what the index knows of its runs, by their paths.
        again: whether what was broken is read again.
        stamp_zone: the time zone that was given for stamps in names.
    """
    again = again and any(run.status == "broken" for run in known.values())
    if stamp_zone is not None and has_stamp(os.path.basename(path)):
        again = again or any(zone_of_source(run.started_source) != stamp_zone for run in known.values())
    if not again and _is_as_it_was(found.signature, known.values()):
        return None
    if stamp_zone is None:
        stamp_zone = next((zone_of_source(run.started_source) for run in known.values()), None)
    alone = known.get(path)
    parts = {at: run for at, run in known.items() if run.part is not None}
    sizes = {run.part: run.metrics_size for run in parts.values() if run.part is not None}
    size = alone.metrics_size if alone else None
    reading = ToRead(found.path, path, found.layout.name, size, found.size, stamp_zone, sizes or None)
    return Task(reading, found.signature if found.settled else UNSETTLED + found.signature, alone, parts or None)


def _is_as_it_was(signature: str, known: Collection[IndexedRun]) -> bool:
    """Whether all runs of a directory with that signature are known, and were read since it last changed."""
    there = [run for run in known if run.status != "missing"]
    shared = shared_signature(signature, sum(run.part is not None for run in there))
    return bool(there) and all(run.signature == (signature if run.part is None else shared) for run in there)


def shared_directories(known: Mapping[str, IndexedRun]) -> dict[str, list[str]]:
    """The paths of runs that share their directories, by these."""
    found: dict[str, list[str]] = {}
    for path, run in known.items():
        if run.part is not None:
            found.setdefault(directory_of(path, run.part), []).append(path)
    return found


class Tasks:
    """Tasks in order, kept in a file: all are added, then all are taken, once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._count = 0

    def add(self, task: Task) -> None:
        """Put a task behind the others.

        Raises:
            SpindbError: there is no room for the file.
        """
        known = None if task.known is None else tuple(task.known)
        parts = None if task.parts is None else {path: tuple(known) for path, known in task.parts.items()}
        try:
            self._file.write(orjson.dumps((tuple(task.run), task.signature, known, parts)) + b"\n")
        except OSError as error:
            raise _no_room(error) from error
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Task]:
        try:
            self._file.seek(0)  # writes what is left
        except OSError as error:
            raise _no_room(error) from error
        for line in self._file:
            run, signature, known, parts = orjson.loads(line)
            shared = None if parts is None else {path: IndexedRun(*facts) for path, facts in parts.items()}
            yield Task(ToRead(*run), signature, None if known is None else IndexedRun(*known), shared)


def _no_room(error: OSError) -> SpindbError:
    reason = f"the list of runs to read can't be kept in {gettempdir()}: {error.strerror or error}"
    return SpindbError(reason, hint="make room there, or let TMPDIR name another directory")
