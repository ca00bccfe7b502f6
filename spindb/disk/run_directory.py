"""Reads the files of one run directory, each once; unreadable files become problems.

Every part of a run (metrics, config, states, snapshots) is read separately (`RunDirectory.part`): an error in one is a
problem with that part's path and does not affect the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from spindb.disk import limits
from spindb.disk.content import content_of, digest_of_saves
from spindb.disk.regular import LinkError, NotRegularError, TooLargeError, read_with_time
from spindb.disk.told import text_of
from spindb.records import Content, Problem

_name_of: Callable[[os.DirEntry[str]], str] = attrgetter("name")
_Part = TypeVar("_Part")
_Absent = TypeVar("_Absent")


class RunDirectory:
    """Names and contents of a run directory's files, and the problems that were met.

    ``names`` are its entries, sorted; ``stamp_zone`` is the time zone of a stamp in its name, None for this machine's.
    Paths of files are relative to the directory.
    """

    def __init__(self, directory: Path, stamp_zone: str | None = None) -> None:
        """
        Raises:
            OSError: the directory can't be listed.
        """
        self.directory = directory
        self.stamp_zone = stamp_zone
        self._base = os.fspath(directory)
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()
        self._contents: dict[str, bytes] = {}
        self._times: dict[str, float] = {}
        self.names, more = listed(directory)
        if more:
            self.report("too-many-entries", f"more than {limits.ENTRIES:,} entries: the rest is not looked at", "")

    def report(self, code: str, message: str, path: str) -> None:
        self.problems.append(Problem(code, message, path))

    def data(self, name: str, limit: int | None = None) -> bytes:
        """Content of a regular file, empty if it is absent or unreadable.

        `limit` is its largest size in bytes, needed if `limits.BYTES` does not have the name.
        """
        if name not in self._contents:
            self._contents[name] = self._read(name, limits.BYTES.get(name, limits.STATE) if limit is None else limit)
        return self._contents[name]

    def _read(self, name: str, limit: int) -> bytes:
        try:
            data, self._times[name] = read_with_time(f"{self._base}/{name}", limit)
        except OSError as error:
            if name in self.names or not isinstance(error, FileNotFoundError):
                self.unreadable.add(name)
                self.report(*why_unreadable(error), name)
            return b""
        return data

    def mtime(self, name: str) -> float | None:
        """Modification time of a file in seconds since the epoch; None if unknown."""
        if name not in self._times:
            try:
                self._times[name] = os.stat(f"{self._base}/{name}").st_mtime
            except OSError:
                return None
        return self._times[name]

    def files(self, depth: int, within: str = "") -> list[str]:
        """The paths of all files down to so many directories below, as `files_below` has them."""
        return files_below(self._base, depth, within)

    def content(self, metrics: bytes, config: bytes, previous: int | None = None, saves: Iterable[str] = ()) -> Content:
        """Digests by which the run is known again.

        Args:
            metrics: what its metrics are made of, so that those of a run that grew begin with what they were.
            config: what its hyperparameters are made of.
            previous: how many bytes of metrics there were when it was read before.
            saves: paths of the saved policies of a run without rows, which are all that may tell it from others.
        """
        paths = tuple(saves)
        return content_of(metrics, config, previous, digest_of_saves(self.directory, paths) if paths else "")

    def part(self, name: str, code: str, absent: _Absent, read: Callable[[], _Part]) -> _Part | _Absent:
        """The result of `read`; if it fails, `absent`, and a problem with that code.

        `name` is the path of the part, relative to the run.
        """
        try:
            return read()
        except Exception as error:  # untrusted files may cause any exception; the other parts are kept
            self.unreadable.add(name)
            if isinstance(error, OSError):
                self.report(*why_unreadable(error), name)
            else:
                self.report(code, why_failed(error), name)
            return absent


def listed(directory: str | os.PathLike[str]) -> tuple[list[str], bool]:
    """The sorted names in a directory, and whether names beyond `limits.ENTRIES` were left out.

    Raises:
        OSError: it can't be listed.
    """
    with os.scandir(directory) as entries:
        names = list(map(_name_of, islice(entries, limits.ENTRIES + 1)))
    more = len(names) > limits.ENTRIES
    return sorted(names[: limits.ENTRIES]), more


def files_below(directory: str | os.PathLike[str], depth: int, within: str = "") -> list[str]:
    """The paths of the files in a directory and down to so many below, relative to it, sorted.

    There are at most `limits.ENTRIES`. `within` is a directory below to begin with. Directories that are links are not
    entered, those that can't be listed are left out.
    """
    base = os.fspath(directory)
    found: list[str] = []
    pending = [(within, depth)]
    while pending and len(found) < limits.ENTRIES:
        inside, left = pending.pop()
        try:
            with os.scandir(f"{base}/{inside}" if inside else base) as entries:
                for entry in islice(entries, limits.ENTRIES - len(found)):
                    path = f"{inside}/{entry.name}" if inside else entry.name
                    if not entry.is_dir(follow_symlinks=False):
                        found.append(path)
                    elif left:
                        pending.append((path, left - 1))
        except OSError:
            continue
    return sorted(found)


def why_unreadable(error: OSError) -> tuple[str, str]:
    """Problem code and message for a file that can't be read."""
    if isinstance(error, NotRegularError):
        return "not-a-regular-file", f"{error.strerror}: not opened"
    if isinstance(error, LinkError):
        return "link-outside", f"{error.strerror}: not opened (to ingest a directory that holds both follows it)"
    if isinstance(error, TooLargeError):
        return "too-large", f"{error.strerror}: not read"
    return "unreadable-file", f"can't be read: {error.strerror or error}"


def why_failed(error: Exception) -> str:
    """The reason why a part could not be read, for messages."""
    if isinstance(error, OSError):
        return why_unreadable(error)[1]
    if isinstance(error, MemoryError):
        return "can't be read: takes more memory than there is"
    if isinstance(error, RecursionError):
        return "can't be read: nested too deeply"
    return f"spindb failed to read it ({type(error).__name__}: {text_of(error)}): please report this"


def bounded(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems of a run, limited in number and length."""
    found = list(problems)
    kept = found[: limits.PROBLEMS]
    if len(found) > len(kept):
        kept.append(Problem("more-problems", f"{len(found) - len(kept)} more problems are left out"))
    return tuple(p if len(p.message) <= limits.MESSAGE else _shortened(p) for p in kept)


def _shortened(problem: Problem) -> Problem:
    message = problem.message
    return Problem(problem.code, f"{message[: limits.MESSAGE - 1]}…", problem.path, problem.line)
