"""How rows are printed for people: a table that fits the terminal."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.door import bold, echo, echo_block, red, say
from spindb.views.text import plural, show

__all__ = [
    "CUT",
    "LONGEST_CELL",
    "brief",
    "cell",
    "cell_len",
    "clip",
    "echo",
    "fitting",
    "is_numeric",
    "plural",
    "print_json",
    "print_table",
    "say",
    "show",
    "table",
    "terminal_width",
]

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


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[object]],
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
    rows: Iterable[Sequence[object]],
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
    numeric = [title in right or any(is_numeric(row[i]) for row in values) for i, title in enumerate(titles)]
    natural = [max([cell_len(head), *(cell_len(row[i]) for row in texts)]) for i, head in enumerate(heads)]
    kept = list(range(len(titles)))
    # A column is dropped before others are squeezed below a readable width, and not before.
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


def cell(value: object) -> str:
    """A value as `show` shows it, and of one that `brief` would cut no more than that takes to tell."""
    # Cut before it is made legible, which takes time for each character of a megabyte.
    return show(value[: LONGEST_CELL + 1] if isinstance(value, (str, bytes)) else value)[: LONGEST_CELL + 1]


def brief(text: str) -> str:
    """The text as a line or a table for people holds it: the beginning, with a sign, where it is too long."""
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        cut = clip(cell, width)
        pad = " " * (width - cell_len(cut))
        # Coloured after it was padded: escapes take no columns, and would count as some.
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


def is_numeric(value: object) -> bool:
    """Whether the value is a number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
