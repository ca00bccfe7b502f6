"""Metrics (``progress.txt``) into columns.

Two ways lead to the same records. Nearly every file consists of numbers and tabs only; then the whole table is
turned into one JSON array of arrays and parsed at once (`_read_fast`). Every other file is read line by line
(`spindb.disk.rows`): rows that are certain are kept, the rest becomes a problem with its line, and a column never
shifts.
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
_PLAIN = b"0123456789+-.eE\t\n"
_NO_NAME = ('"', "'", "#", "//")  # what begins a quoted name or a comment


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length and what was odd about the file; ``readable`` where it is a table at all."""

    columns: tuple[MetricSeries, ...]
    rows: int
    problems: tuple[Problem, ...] = ()
    readable: bool = True


def read_table(data: bytes, path: str = "progress.txt") -> Table:
    """Parse the bytes of a table, one header line and a line per row, separated by tabs.

    What else is understood is in docs/formats.md: other separators, quotes, comments, further headers. `path` only
    names the file in problems. An empty file is a table without columns.
    """
    header, _, body = data.partition(b"\n")
    return _read_fast(header, body, path) or _read_carefully(data, path)


def _read_fast(header: bytes, body: bytes, path: str = "progress.txt") -> Table | None:
    """The table where header and body are clean, else None."""
    names = _clean_names(header)
    if names is None or not body.endswith(b"\n") or body.translate(None, _PLAIN):
        return None
    text = body[:-1].replace(b"\t", b",").replace(b"\n", b"],[")
    try:
        rows = orjson.loads(b"[[" + text + b"]]")
        columns = tuple(map(_column, zip(names, zip(*rows, strict=True), repeat(None, len(names)), strict=True)))
    except ValueError:  # no JSON after all, or rows of several lengths
        return None
    return Table(columns, len(rows), counting_problems(columns, range(2, len(rows) + 2), path))


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _clean_names(header: bytes) -> tuple[str, ...] | None:
    """The names in a header where nothing is odd about them, else None."""
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
