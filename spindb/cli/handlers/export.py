"""Writes a table of runs to stdout or to a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.data import json_line
from spindb.cli.terminal.door import records_on_stdout
from spindb.cli.terminal.tables import plural, say
from spindb.extras import require_extra
from spindb.files import atomic_write
from spindb.index.read.exports import EXPORTS, Export
from spindb.views.jsonable import csv_cell, spreadsheet_cell


def write_table(selection: Selection, table: str, out: Path | None, form: str, *, spreadsheet: bool) -> None:
    """Write the rows of `table`; with `spreadsheet` no text is read as a formula.

    Raises:
        FilterError: the filter can't be read; UsageError: the file can't be written; MissingExtraError: no pyarrow.
    """
    with selected_runs(selection) as (connection, ids):
        rows = EXPORTS[table].rows(connection, ids)
        if out is None:
            with records_on_stdout() as file:
                _write_text(file, EXPORTS[table], rows, form, spreadsheet)
        else:
            count = _write_file(out, EXPORTS[table], rows, form, spreadsheet)
            say(f"{plural(count, 'row')} of {plural(len(ids), 'run')} written to {out}")


def _write_file(out: Path, table: Export, rows: Iterable[tuple[object, ...]], form: str, spreadsheet: bool) -> int:
    # Beside the target and renamed at the end: a full disk leaves the old file as it was.
    with atomic_write(out) as beside:
        if form == "parquet":
            with require_extra():  # pyarrow: part of an extra
                from spindb.analysis.parquet import write_parquet
            return write_parquet(beside, table.columns, rows)
        with beside.open("w", encoding="utf-8", newline="") as file:
            return _write_text(file, table, rows, form, spreadsheet)


def _write_text(file: TextIO, table: Export, rows: Iterable[Sequence[object]], form: str, spreadsheet: bool) -> int:
    names = [column.name for column in table.columns]
    count = 0
    if form == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        cell = spreadsheet_cell if spreadsheet else csv_cell
        for row in rows:
            writer.writerow([cell(value) for value in row])
            count += 1
    else:
        for row in rows:
            file.write(json_line(dict(zip(names, row, strict=True))))
            count += 1
    return count
