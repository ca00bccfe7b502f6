"""How rows are printed: as a table for people, as JSON, JSON lines or CSV for programs."""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from spindb.canonical import visible
from spindb.cli.terminal.door import bold, colourful, echo, echo_block, echo_csv, echo_json, records_on_stdout, red, say
from spindb.files import atomic_write
from spindb.index.database.unknown import UNKNOWN_NUMBER, json_value
from spindb.printable import printable, printable_json

__all__ = [
    "CUT",
    "JSON_VERSION",
    "LONGEST_CELL",
    "age",
    "brief",
    "cell",
    "cell_len",
    "clip",
    "colourful",
    "csv_cell",
    "echo",
    "fitting",
    "json_line",
    "plain",
    "plural",
    "print_csv",
    "print_ids",
    "print_json",
    "print_json_lines",
    "print_json_rows",
    "print_table",
    "say",
    "show",
    "show_hyperparameter",
    "size",
    "spreadsheet_cell",
    "table",
    "terminal_width",
    "write_file",
]

JSON_VERSION = 1
"""Version of what --json and --jsonl print (docs/output.schema.json). Within one, keys are added and never taken."""

LONGEST_CELL = 500
"""Characters of a cell of a table: one hyperparameter of a megabyte would make each line a megabyte."""
CUT = f"texts longer than {LONGEST_CELL} characters are cut (…): --json prints them whole"

_GAP = 2
_LEAST_WIDTH = 10
_LEAST_WHILE_DROPPING = 24
_WIDE = ("W", "F")


class Laid(NamedTuple):
    """A table as text, the titles of the columns that were left out, and whether a cell was too long."""

    text: str
    dropped: list[str]
    cut: bool


def print_json(value: Any) -> None:
    """JSON on stdout. NaN and infinities, which JSON lacks, become the texts ``NaN``, ``Infinity``."""
    echo_json(json.dumps(plain(value), ensure_ascii=False, indent=2))


def print_json_rows(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A JSON list of one object per row on stdout, each written as it comes; as `print_json` prints it."""
    titles = apart(titles)
    with records_on_stdout() as file:
        before = "["
        for row in rows:
            text = json.dumps(plain(dict(zip(titles, row, strict=True))), ensure_ascii=False, indent=2)
            file.write(before + "".join(f"\n  {line}" for line in printable_json(text).split("\n")))
            before = ","
        file.write("[]\n" if before == "[" else "\n]\n")


def print_json_lines(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One JSON object per row, a line each, on stdout."""
    titles = apart(titles)
    with records_on_stdout() as file:
        for row in rows:
            file.write(json_line(dict(zip(titles, row, strict=True))))


def apart(titles: Sequence[str]) -> list[str]:
    """The titles as keys of one object: a second `a` is `a:1`, as SQLite names it in a subquery."""
    taken, found = set(titles), list[str]()
    for title in titles:
        key = title
        if key in found:
            key = next(name for n in itertools.count(1) if (name := f"{title}:{n}") not in taken)
            taken.add(key)
        found.append(key)
    return found


def json_line(row: Mapping[str, Any]) -> str:
    """A row as one line of JSON."""
    return printable_json(json.dumps(plain(row), ensure_ascii=False)) + "\n"


def print_ids(ids: Iterable[int]) -> None:
    """Ids on stdout, a line each."""
    with records_on_stdout() as file:
        for run_id in ids:
            file.write(f"{run_id}\n")


def write_file(path: Path, text: str, *, private: bool = False) -> None:
    """Write a text file whole or not at all; with `private` a new one is for its owner alone.

    Raises:
        UsageError: it can't be written there.
    """
    with atomic_write(path, private=private) as beside:
        beside.write_text(text, encoding="utf-8")


def print_csv(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV on stdout: lists as JSON, nothing for what is absent."""
    echo_csv(titles, ([csv_cell(value) for value in row] for row in rows))


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    droppable: Sequence[str] = (),
    fixed: Sequence[str] = (),
) -> list[str]:
    """A table on stdout that fits the terminal; returns the titles of the columns that were left out.

    Where it is too wide, columns named in `droppable` are left out, the last named first; then the widest
    columns of text give way. Numbers are never cut. Columns that hold numbers stand right, and so do those
    named in `right`; those named in `fixed` don't give way either. Where stdout is no terminal no column is left
    out or gives way. No cell is longer than `LONGEST_CELL` anywhere, and where one would have been, that is said.
    """
    laid = table(titles, rows, right=right, droppable=droppable, fixed=fixed, width=terminal_width())
    echo_block(laid.text)
    if laid.cut:
        say(CUT)
    return laid.dropped


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    droppable: Sequence[str] = (),
    fixed: Sequence[str] = (),
    width: int | None = None,
) -> Laid:
    """The table of `print_table` as text, for a terminal of `width` columns, None for any."""
    values = [list(row) for row in rows]
    whole = [cell(title) for title in titles], [[cell(value) for value in row] for row in values]
    heads = [brief(title) for title in whole[0]]
    texts = [[brief(text) for text in row] for row in whole[1]]
    cut = any(len(text) > LONGEST_CELL for row in (whole[0], *whole[1]) for text in row)
    numeric = [title in right or any(_is_number(row[i]) for row in values) for i, title in enumerate(titles)]
    natural = [max([cell_len(head), *(cell_len(row[i]) for row in texts)]) for i, head in enumerate(heads)]
    kept = list(range(len(titles)))
    for title in reversed(droppable if width is not None else ()):
        least = [
            natural[i] if numeric[i] or titles[i] in fixed else min(natural[i], _LEAST_WHILE_DROPPING) for i in kept
        ]
        if title in titles and sum(least) + _GAP * (len(kept) - 1) > (width or 0) - 1:
            kept.remove(titles.index(title))
    widths = [natural[i] for i in kept]
    if width is not None:
        widths = fitting(widths, [numeric[i] or titles[i] in fixed for i in kept], width - 1)
    head = _line([heads[i] for i in kept], widths, [numeric[i] for i in kept])
    rule = "─" * (sum(widths) + _GAP * (len(widths) - 1))
    lines = [bold(head), rule]
    for cells in texts:
        lines.append(_line([cells[i] for i in kept], widths, [numeric[i] for i in kept]))
    return Laid("\n".join(lines), [title for i, title in enumerate(titles) if i not in kept], cut)


def cell(value: Any) -> str:
    """A value as `show` shows it, and of one that `brief` would cut no more than that takes to tell."""
    return show(value[: LONGEST_CELL + 1] if isinstance(value, (str, bytes)) else value)[: LONGEST_CELL + 1]


def brief(text: str) -> str:
    """The text as a line or a table for people holds it: the beginning, with a sign, where it is too long."""
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        cut = clip(cell, width)
        pad = " " * (width - cell_len(cut))
        if cut == "nan":
            cut = red(cut)
        parts.append(pad + cut if is_right else cut + pad)
    return (" " * _GAP).join(parts).rstrip()


def fitting(natural: Sequence[int], fixed: Sequence[bool], available: int) -> list[int]:
    """Widths of columns that fit `available` characters, gaps included, as far as that is possible.

    The widest column that is not fixed gives way first, down to a least width.
    """
    widths = list(natural)
    excess = sum(widths) + _GAP * (len(widths) - 1) - available
    while excess > 0:
        able = [i for i, width in enumerate(widths) if not fixed[i] and width > _LEAST_WIDTH]
        if not able:
            break
        widest = max(able, key=widths.__getitem__)
        widths[widest] -= 1
        excess -= 1
    return widths


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is, else ``COLUMNS`` where that is set, else None."""
    if sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else None


def cell_len(text: str) -> int:
    """Columns that a text takes in a terminal."""
    return len(text) if text.isascii() else sum(map(_char_len, text))


@functools.cache
def _char_len(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def clip(text: str, width: int) -> str:
    """The text, or as much of its beginning as fits with a sign that it goes on."""
    if cell_len(text) <= width:
        return text
    used, kept = 0, ""
    for char in text:
        used += _char_len(char)
        if used > width - 1:
            break
        kept += char
    return kept + "…"


def show(value: Any) -> str:
    """A value as a person would write it: numbers with five significant digits, nothing for None.

    Control characters in text (tabs, newlines) are spelled out, so that a cell stays on its line.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _show_float(value)
    if isinstance(value, datetime):
        return _show_time(value)
    if isinstance(value, (list, dict)):
        return printable(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bytes):
        return value.hex()
    return printable(str(value))


def _show_time(value: datetime) -> str:
    """A time (UTC where it has no zone) in the reader's zone, which is named."""
    try:
        local = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone()
    except (OverflowError, ValueError, OSError):  # on the edge of what calendars and systems know
        return f"{value:%Y-%m-%d %H:%M} UTC"
    zone = local.tzname() or ""
    return f"{local:%Y-%m-%d %H:%M} {zone if zone[:1].isalpha() else local.strftime('%z')}".rstrip()


def _show_float(value: float) -> str:
    if math.isnan(value):
        return str(value)
    if 1e5 <= abs(value) < 1e10:  # steps and seconds: 200000, not 2e+05
        return f"{value:.0f}"
    return f"{value:.5g}"


def show_hyperparameter(text: str) -> str:
    """A hyperparameter's JSON text as a person would type it: numbers with all their digits, ``null`` for null."""
    value = json_value(text)
    return "null" if value is None else show_exactly(visible(value) if isinstance(value, str) else value)


def show_exactly(value: Any) -> str:
    """A value as a person would type it: numbers with all the digits that tell them from others, nothing for None."""
    short = show(value)
    return repr(value) if isinstance(value, float) and value == value and float(short) != value else short


def size(count: int) -> str:
    """A number of bytes as a person would write it."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


_AGES = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (14 * 86400, 86400, "d"), (60 * 86400, 7 * 86400, "w"))
_YEAR = 365.25 * 86400


def age(seconds: float) -> str:
    """A time that passed, as people say it: ``5 min``, ``3 h``, ``12 d``, ``5 w``, ``7 mo``, ``3 y``."""
    for below, unit, name in _AGES:
        if seconds < below:
            return f"{max(0, int(seconds // unit))} {name}"
    if seconds < 2 * _YEAR:
        return f"{int(seconds // (_YEAR / 12))} mo"
    return f"{int(seconds // _YEAR)} y"


def plural(count: int, word: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: see `print_json`; times with a ``Z`` at the end."""
    if value is UNKNOWN_NUMBER:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return value.hex()
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)  # what only servers know: exact decimals, intervals, dates


def csv_cell(value: Any) -> Any:
    """The value as a cell of CSV."""
    simple = plain(value)
    if isinstance(simple, (list, dict)):
        return json.dumps(simple, ensure_ascii=False)
    if isinstance(simple, bool):
        return "true" if simple else "false"
    return simple


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def spreadsheet_cell(value: Any) -> Any:
    """The value as a cell of CSV that a spreadsheet shows instead of computing it.

    A text that begins as a formula does (``=``, ``+``, ``-``, ``@``, a tab, a carriage return) and is no number gets
    an apostrophe before it, by which spreadsheets know text.
    """
    cell = csv_cell(value)
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
