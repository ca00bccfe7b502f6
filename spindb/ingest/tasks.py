"""The runs that are to be read, in a file where there are many: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import gettempdir
from typing import IO, NamedTuple

import orjson

from spindb.errors import SpindbError
from spindb.index.write.batch import IndexedRun
from spindb.ingest.reading import ToRead
from spindb.records import RunRecord

UNSETTLED = "?"
"""What a signature begins with where files were written in the very instant of the scan: not to be trusted."""


class Task(NamedTuple):
    """A run to read, its signature as it was found, and what the index knows of it."""

    run: ToRead
    signature: str
    known: IndexedRun | None

    def proven_same(self, record: RunRecord) -> int | None:
        """The run, where it was read in the instant it was written before and proves to be the same."""
        known = self.known
        if known is None or known.status == "missing" or known.fingerprint != record.content.whole:
            return None
        if known.started_source != record.started_source:  # the stamp in its name is taken in another zone
            return None
        return known.id if known.signature == UNSETTLED + self.signature.removeprefix(UNSETTLED) else None


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
        try:
            self._file.write(orjson.dumps((tuple(task.run), task.signature, known)) + b"\n")
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
            run, signature, known = orjson.loads(line)
            yield Task(ToRead(*run), signature, None if known is None else IndexedRun(*known))


def _no_room(error: OSError) -> SpindbError:
    reason = f"the list of runs to read can't be kept in {gettempdir()}: {error.strerror or error}"
    return SpindbError(reason, hint="make room there, or let TMPDIR name another directory")
