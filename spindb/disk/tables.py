"""Metrics (``progress.txt``) into columns.

Two ways lead to the same records. Nearly every file consists of numbers and tabs only; then the whole table is
turned into one JSON array of arrays and parsed at once (`_read_fast`). Every other file is read line by line
(`spindb.disk.rows`): rows that are certain are kept, the rest becomes a problem with its line, and a column never
shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import orjson

from spindb.disk.cells import is_number, parse_cell
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.rows import read_rows
from spindb.records import MetricSeries, Problem

_PLAIN = b"0123456789+-.eE\t\n"
_NO_NAME = ('"', "'", "#", "//")  # what begins a quoted name or a comment
_COUNTERS = ("epoch", "iteration", "itr", "totalenvinteracts")


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
    return _read_fast(header, body) or _read_carefully(data, path)


def _read_fast(header: bytes, body: bytes) -> Table | None:
    """The table where header and body are clean, else None."""
    names = _clean_names(header)
    if names is None or not body.endswith(b"\n") or body.translate(None, _PLAIN):
        return None
    text = body[:-1].replace(b"\t", b",").replace(b"\n", b"],[")
    try:
        rows = orjson.loads(b"[[" + text + b"]]")
        columns = tuple(MetricSeries(n, c) for n, c in zip(names, zip(*rows, strict=True), strict=True))
    except ValueError:  # no JSON after all, or rows of several lengths
        return None
    counter = _counter(names)
    if counter is not None and _goes_back(columns[counter].values):
        return None
    return Table(columns, len(rows))


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


@lru_cache(maxsize=64)
def _counter(names: tuple[str, ...]) -> int | None:
    """The place of the column that counts upwards from row to row."""
    lowered = [name.lower() for name in names]
    return next((lowered.index(name) for name in _COUNTERS if name in lowered), None)


def _goes_back(values: Sequence[Any]) -> bool:
    return list(values) != sorted(values)


def _read_carefully(data: bytes, path: str) -> Table:
    if is_lfs_pointer(data):
        return Table((), 0, (Problem("lfs-pointer", LFS_REASON, path),), readable=False)
    if not data.strip():
        return Table((), 0, (Problem("progress-empty", "the file is empty: no epoch was finished", path),))
    columns, lines, problems = read_rows(data, path)
    back = _going_back(columns, lines, path)
    return Table(columns, len(lines), (*problems, *back))


def _going_back(columns: Sequence[MetricSeries], lines: Sequence[int], path: str) -> list[Problem]:
    """A problem where the column that counts the rows goes back: once, with the first line and how often."""
    place = _counter(tuple(column.name for column in columns))
    if place is None:
        return []
    name, values = columns[place]
    numbered = [
        (value, line)
        for value, line in zip(values, lines, strict=True)
        if isinstance(value, (int, float)) and value == value
    ]
    back = [(before, after, line) for (before, _), (after, line) in pairwise(numbered) if after < before]
    if not back:
        return []
    before, after, line = back[0]
    times = f", and {len(back) - 1} more times" if len(back) > 1 else ""
    message = (
        f"{name} goes back from {before} to {after}{times}: a second run was appended, or two processes wrote here; "
        "all rows are kept, in the order of the file"
    )
    return [Problem("epoch-goes-back", message, path, line)]
