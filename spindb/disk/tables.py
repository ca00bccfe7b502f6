"""Tab-separated metrics (``progress.txt``) into columns.

Two ways lead to the same records. Nearly every file consists of numbers and separators only; then
the whole table is turned into one JSON array of arrays and parsed at once (`_read_fast`). Every
other file is read line by line (`_read_carefully`): rows that are certain are kept, the rest
becomes a problem with its line, and a column never shifts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from spindb.records import Cell, MetricSeries, Problem

_PLAIN = b"0123456789+-.eE\t\n"
_INTEGER = re.compile(r"[+-]?\d+\Z")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1  # beyond these a JSON parser gives floats, and so do we
_MAX_PROBLEMS = 20
_BOM = b"\xef\xbb\xbf"
_Report = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length and what was odd about the file."""

    columns: tuple[MetricSeries, ...]
    rows: int
    problems: tuple[Problem, ...] = ()


def read_table(data: bytes, path: str = "progress.txt") -> Table:
    """Parse the bytes of a tab-separated table with one header line.

    `path` only names the file in problems. An empty file is a table without columns.
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
    return Table(columns, len(rows))


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _clean_names(header: bytes) -> list[str] | None:
    """The names in a header where nothing is odd about them, else None."""
    if not header.isascii():
        return None
    names = header.decode().split("\t")
    clean = len(set(names)) == len(names) and all(n.strip() == n and n.isprintable() and n for n in names)
    return names if clean else None


def _read_carefully(data: bytes, path: str) -> Table:
    problems: list[Problem] = []
    odd_rows = 0

    def report(code: str, message: str, line: int | None = None) -> None:
        problems.append(Problem(code, message, path, line))

    if not data.strip():
        return Table((), 0, (Problem("progress-empty", "the file is empty: no epoch was finished", path),))
    text, odd = _decode(data)
    if odd is not None:
        report("encoding", *odd)
    lines = text.split("\n")
    unfinished = lines.pop()  # what follows the last newline
    header = lines[0].rstrip("\r") if lines else unfinished.rstrip("\r")
    first_row = next((line for line in lines[1:] if line.strip()), None)
    one_column = len(header.split()) < 2 or (first_row is not None and len(first_row.split()) < 2)
    separator = "\t" if "\t" in header or one_column else None
    if separator is None:
        report("separator", "separated by spaces where tabs were expected: split at white space", 1)
    names = _column_names([n.strip() for n in header.split(separator)], report)
    cells: list[list[Cell]] = [[] for _ in names]
    body = list(enumerate(lines[1:], start=2))
    if lines and unfinished.strip("\0\r "):
        body.append((len(lines) + 1, unfinished))
        report("no-final-newline", "the last line has no newline: its last cell may be cut off", len(lines) + 1)
    for number, raw in body:
        row = raw.rstrip("\r")
        if not row.strip():
            continue
        fields = row.split(separator)
        reason = _why_odd(row, fields, names)
        if reason is None:
            for column, field in zip(cells, fields, strict=True):
                column.append(parse_cell(field))
            continue
        odd_rows += 1
        if odd_rows <= _MAX_PROBLEMS:
            report(*reason, number)
    if odd_rows > _MAX_PROBLEMS:
        report("more-odd-rows", f"{odd_rows - _MAX_PROBLEMS} more rows are odd and left out")
    rows = len(cells[0]) if cells else 0
    if not rows:
        report("no-rows", "a header and no row that can be read")
    columns = tuple(MetricSeries(n, tuple(c)) for n, c in zip(names, cells, strict=True))
    return Table(columns, rows, tuple(problems))


def _decode(data: bytes) -> tuple[str, tuple[str, int] | None]:
    """The text, and what is odd about its encoding: message and line."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), ("UTF-16, read as such", 1)
    data = data.removeprefix(_BOM)
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return data.decode("utf-8", "replace"), ("not UTF-8: such characters are replaced", line)


def _why_odd(line: str, fields: list[str], names: list[str]) -> tuple[str, str] | None:
    """Code and message where a row can't be taken for certain, else None."""
    if "\0" in line:
        return "nul-bytes", "NUL bytes in the row: left out"
    if len(fields) != len(names):
        return "ragged-row", f"{len(fields)} fields for {len(names)} columns: row left out, nothing shifted"
    if fields == names and any(isinstance(parse_cell(name), str) for name in names):
        return "repeated-header", "the header again in mid-file: left out"
    return None


def _column_names(names: list[str], report: _Report) -> list[str]:
    """The header's names, made unique and never empty."""
    seen: dict[str, int] = {}
    unique = []
    for position, name in enumerate(names, start=1):
        if not name:
            name = f"column{position}"
            report("unnamed-column", f"column {position} has no name: called {name}", 1)
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            report("duplicate-column", f"column {name} stands twice: called {name}.{seen[name]} here", 1)
            name = f"{name}.{seen[name]}"
        unique.append(name)
    return unique


def parse_cell(text: str) -> Cell:
    """One cell: a number where it is one, NaN and infinities included, None where it is empty, else text."""
    text = text.strip()
    if not text:
        return None
    if "_" in text:  # Python reads 1_000 as a number; no logger writes one so
        return text
    try:
        number = int(text) if _INTEGER.match(text) else None
        if number is not None and _MIN_INTEGER <= number <= _MAX_INTEGER:
            return number
        return float(text)
    except ValueError:
        return text
