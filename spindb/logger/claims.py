"""Chooses the directory of a new run so that it never overwrites another run.

A directory that already contains a run is not changed: the new run is written next to it, as ``NAME.2``, ``NAME.3`` and
so on. A directory without rows and without saved policies is used. A table that is a symbolic or hard link is also
another file, which is never written. The table of metrics is locked while a logger has it open, so that several loggers
that start at the same time get different directories.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from spindb.disk.formats.snapshots import is_save, is_state
from spindb.errors import UsageError

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none
    fcntl = importlib.import_module("fcntl")


CONFIG = "config.json"
"""The file of the hyperparameters."""
TABLE = "progress.txt"
"""The table of metrics that makes a directory a run."""
_HEADER = 1 << 20  # bytes of the longest line that is read: no header is longer
_BLOCK = 1 << 16
_LINE_ENDS = re.compile(rb"[\r\n]")
_CELLS = re.compile(rb"[\s,;|\"']+")
_UNSEEN = re.compile(rb"[\0\xfe\xff\xef\xbb\xbf]")  # NUL and the bytes of byte order marks


def claim(directory: Path, table: str) -> tuple[Path, IO[str]]:
    """Find or create the directory of a new run, and open its empty table of metrics.

    Args:
        directory: the requested directory.
        table: the name of the file of metrics.

    Returns:
        The directory, which is another one if a run is there already, and the table, open for writing.

    Raises:
        UsageError: the table is not a plain file name, or the name of another file of the layout.
    """
    if table in ("", ".", "..") or os.path.basename(table) != table or "\0" in table:
        raise UsageError(f"output_fname is the name of a file in output_dir, not {table!r}")
    if table == CONFIG or is_save(table) or is_state(table):
        raise UsageError(f"{table} can't be the name of the table of metrics: the logger writes something else there")
    for place in _places(directory):
        if os.path.lexists(place) and not place.is_dir():
            continue  # a file, or a link to nothing
        place.mkdir(parents=True, exist_ok=True)
        if table == TABLE and any(map(is_save, os.listdir(place))):
            continue  # a policy that a save would replace; additional tables of an existing run are allowed
        file = _opened(place / table)
        if file is not None:
            return place, file
    raise AssertionError("choose another name")


def _places(directory: Path) -> Iterator[Path]:
    yield directory
    has_name = directory.name not in ("", "..")
    whole = directory if has_name else Path(os.path.abspath(directory))
    yield from (whole.with_name(f"{whole.name}.{number}") for number in itertools.count(2))


def _opened(path: Path) -> IO[str] | None:
    """The table, locked and empty; None if it has rows, is a link, or is in use by another logger."""
    try:
        file: IO[str] = path.open("x", encoding="utf-8", newline="\n")
        is_new = True
    except FileExistsError:
        found = _existing(path)
        if found is None:
            return None
        file, is_new = found, False
    locked = _locked(file)
    # Without locks, an existing empty table may belong to another logger before its first row.
    if locked is False or (locked is None and not is_new) or _has_rows(path):
        file.close()
        return None
    file.truncate(0)
    return file


def _existing(path: Path) -> IO[str] | None:
    """The existing table; None if it is a link or not a regular file, because another file would be written."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        return None
    return open(descriptor, "r+", encoding="utf-8", newline="\n", errors="surrogateescape")


def _locked(file: IO[str]) -> bool | None:
    """Whether the lock was taken; None if the system has no locks."""
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
    """Whether there is more than a header: a second line, or a first one with a number in it.

    Lines and cells are separated as in any table that spindb reads; in doubt the table has rows.
    """
    with path.open("rb") as file:
        lines = list(itertools.islice(_lines(file), 2))
    return len(lines) > 1 or any(len(line) > _HEADER or any(map(_is_number, _CELLS.split(line))) for line in lines)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines that are not blank, up to a length, without NUL bytes, which separate the characters of UTF-16."""
    rest = b""
    while block := file.read(_BLOCK):
        *whole, rest = _LINE_ENDS.split(rest + _UNSEEN.sub(b"", block))
        yield from filter(bytes.strip, whole)
        if len(rest) > _HEADER:
            break
    if rest.strip():
        yield rest


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
