"""Where a new run is written, so that it never takes the place of another.

A directory that holds a run already stays as it is: the new run goes beside it, as ``NAME.2``, ``NAME.3`` and so on.
A directory without rows and without saved policies is used as it is, unless its table is a link to a file. The table
of metrics is locked while a logger has it open, so that of several that begin at once in one place each gets a
directory of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from spindb.disk.formats.snapshots import is_save

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none
    fcntl = importlib.import_module("fcntl")


TABLE = "progress.txt"
"""The table of metrics that makes a directory a run."""


def claim(directory: Path, table: str) -> tuple[Path, IO[str]]:
    """Find the directory of a new run, make it where it is absent, and open its table of metrics, which is empty.

    Args:
        directory: where the run was meant to go.
        table: the name of the file of metrics.

    Returns:
        The directory, which is another one where a run is there already, and the table, open for writing.
    """
    for place in _places(directory):
        place.mkdir(parents=True, exist_ok=True)
        if table == TABLE and any(map(is_save, os.listdir(place))):
            continue  # a policy, which a save would replace; other tables may stand beside a run's own
        file = _opened(place / table)
        if file is not None:
            return place, file
    raise AssertionError("there is always another name")


def _places(directory: Path) -> Iterator[Path]:
    yield directory
    has_name = directory.name not in ("", "..")
    whole = directory if has_name else Path(os.path.abspath(directory))
    yield from (whole.with_name(f"{whole.name}.{number}") for number in itertools.count(2))


def _opened(path: Path) -> IO[str] | None:
    """The table, locked and empty; None where it has rows, is a link, or another logger has it."""
    try:
        file = path.open("x", encoding="utf-8", newline="\n")
        is_new = True
    except FileExistsError:
        if path.is_symlink() or path.stat().st_nlink > 1:  # another run's file, which would be written through it
            return None
        file = path.open("r+", encoding="utf-8", newline="\n", errors="surrogateescape")
        is_new = False
    locked = _locked(file)
    # Without locks an old table may be another logger's that has not come to its first row.
    if locked is False or (locked is None and not is_new) or _has_rows(path):
        file.close()
        return None
    file.truncate(0)
    return file


def _locked(file: IO[str]) -> bool | None:
    """Whether the file is this logger's now; None where the system can't tell."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return None
    return True


def _has_rows(path: Path) -> bool:
    """Whether there is more than a header: a second line, or a first one of numbers."""
    with path.open("rb") as file:
        lines = list(itertools.islice((line for line in file if line.strip(b"\0 \t\r\n")), 2))
    return len(lines) > 1 or any(any(map(_is_number, line.split())) for line in lines)


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
