"""How rows are printed: as a table for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import typer


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


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    flexible: str | None = None,
    right: Sequence[str] = (),
    left: Sequence[str] = (),
) -> None:
    """A table on stdout that fits the terminal; only the column `flexible` gives way.

    Columns that hold numbers stand right, unless `left` names them, and so do those named in `right`.
    Where stdout is no terminal nothing is cut.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    values = [list(row) for row in rows]
    texts = [[show(value) for value in row] for row in values]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, title in enumerate(titles):
        numeric = title in right or (title not in left and any(_is_number(row[i]) for row in values))
        width = max([len(title), *(len(row[i]) for row in texts)])
        table.add_column(
            title,
            justify="right" if numeric else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=min(width, 12) if title == flexible else width,
        )
    for row in texts:
        table.add_row(*(Text(cell, style="red" if cell == "nan" else "") for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    console.print(table)


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
