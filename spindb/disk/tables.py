"""Reads metrics (``progress.txt``) into columns.

There are two readers with the same results. Almost all files consist only of numbers and tabs: such a table is
rewritten as one JSON array of arrays and parsed at once (`_read_fast`). Any other file is read line by line
(`spindb.disk.rows`): rows that are certain are kept, the others become problems with their line, and columns never
shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import repeat

import orjson

from spindb.disk.cells import is_number, parse_cell
from spindb.disk.counters import counting_problems
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.rows import read_rows
from spindb.records import MetricSeries, Problem

_column = partial(tuple.__new__, MetricSeries)  # of a triple; the class's own call takes three times as long
# Without these bytes nothing may remain: then the text is either valid JSON numbers or refused by the parser.
_PLAIN = b"0123456789+-.eE\t\n"
_NO_NAME = ('"', "'", "#", "//")  # quoted names and comments are left to the careful reader


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length and the problems of the file; ``readable`` is false if it is not a table."""

    columns: tuple[MetricSeries, ...]
    rows: int
    problems: tuple[Problem, ...] = ()
    readable: bool = True


def read_table(data: bytes, path: str = "progress.txt") -> Table:
    """Parse the bytes of a table: a header line and a line per row, separated by tabs.

    docs/formats.md describes other variants: separators, quotes, comments, further headers. `path` is the file's name
    in problems. An empty file is a table without columns.
    """
    header, _, body = data.partition(b"\n")
    return _read_fast(header, body, path) or _read_carefully(data, path)


def _read_fast(header: bytes, body: bytes, path: str = "progress.txt") -> Table | None:
    """The table if header and body are regular, else None."""
    names = _clean_names(header)
    if names is None or not body.endswith(b"\n") or body.translate(None, _PLAIN):
        return None
    text = body[:-1].replace(b"\t", b",").replace(b"\n", b"],[")
    try:
        rows = orjson.loads(b"[[" + text + b"]]")
        columns = tuple(map(_column, zip(names, zip(*rows, strict=True), repeat(None, len(names)), strict=True)))
    except ValueError:  # not JSON numbers, or rows of different lengths
        return None
    return Table(columns, len(rows), counting_problems(columns, range(2, len(rows) + 2), path))


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _clean_names(header: bytes) -> tuple[str, ...] | None:
    """The names in a regular header, else None."""
    if not header.isascii():
        return None
    names = tuple(header.decode().split("\t"))
    clean = len(set(names)) == len(names) and all(n.strip() == n and n.isprintable() and n for n in names)
    if not clean or any(n.startswith(_NO_NAME) for n in names) or any(is_number(parse_cell(n)) for n in names):
        return None
    return names


def _read_carefully(data: bytes, path: str) -> Table:
    if is_lfs_pointer(data):
        return Table((), 0, (Problem("lfs-pointer", LFS_REASON, path),), readable=False)
    if not data.strip():
        return Table((), 0, (Problem("progress-empty", "the file is empty: no epoch was finished", path),))
    columns, lines, problems = read_rows(data, path)
    return Table(columns, len(lines), (*problems, *counting_problems(columns, lines, path)))
