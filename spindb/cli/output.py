"""How rows are printed: as a table for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import typer

_GAP = 2
_LEAST_WIDTH = 10


def say(message: str) -> None:
    """Words for people, on stderr."""
    typer.echo(message, err=True)


def print_json(value: Any) -> None:
    """JSON on stdout. NaN and infinities, which JSON lacks, become the texts ``NaN``, ``Infinity``."""
    typer.echo(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def print_csv(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV on stdout: lists as JSON, nothing for what is absent."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout that fits the terminal: the widest columns of text give way, numbers never do.

    Columns that hold numbers stand right, and so do those named in `right`.
    Where stdout is no terminal nothing is cut.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    values = [list(row) for row in rows]
    texts = [[show(value) for value in row] for row in values]
    numeric = [title in right or any(_is_number(row[i]) for row in values) for i, title in enumerate(titles)]
    natural = [max([cell_len(title), *(cell_len(row[i]) for row in texts)]) for i, title in enumerate(titles)]
    console = Console(highlight=False)
    widths = fitting(natural, numeric, console.width - 1) if sys.stdout.isatty() else natural
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title, width, is_numeric in zip(titles, widths, numeric, strict=True):
        justify: Literal["left", "right"] = "right" if is_numeric else "left"
        table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in texts:
        table.add_row(*(Text(cell, style="red" if cell == "nan" else "") for cell in row))
    console.width = max(console.width, sum(widths) + _GAP * len(widths))
    console.print(table)


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


def cell_len(text: str) -> int:
    """Columns that a text takes in a terminal."""
    from rich.cells import cell_len as measure

    return measure(text)


def show(value: Any) -> str:
    """A value as a person would write it: numbers with five significant digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.5g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def show_hyperparameter(text: str) -> str:
    """A hyperparameter's JSON text as a person would write it; ``null`` is a value here, not an absence."""
    return "null" if text == "null" else show(json.loads(text))


def size(count: int) -> str:
    """A number of bytes as a person would write it."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _csv_cell(value: Any) -> Any:
    plain = _plain(value)
    if isinstance(plain, (list, dict)):
        return json.dumps(plain, ensure_ascii=False)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return plain
