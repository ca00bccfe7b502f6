"""``spindb export``: tables for other tools."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from spindb.cli.options import Db, Everything, FilterWords, database, words_of
from spindb.cli.terminal.door import records_on_stdout
from spindb.cli.terminal.tables import csv_cell, json_line, plural, say, spreadsheet_cell
from spindb.errors import UsageError
from spindb.extras import require_extra
from spindb.files import atomic_write

if TYPE_CHECKING:
    from spindb.index.read.exports import Export

_TABLES = ("runs", "configs", "metrics", "evaluations")
_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("export")(export)


def export(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(metavar="TABLE", help=f"One of {', '.join(_TABLES)}.",
                                         autocompletion=lambda: list(_TABLES))],
    words: FilterWords = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A .csv, .jsonl or .parquet file. (default: stdout)")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", "-f", help="csv, jsonl or parquet. (default: by the file, else csv)")
    ] = None,
    spreadsheet: Annotated[
        bool, typer.Option("--spreadsheet", help="CSV whose texts no spreadsheet takes for formulas (=, +, -, @).")
    ] = False,
    everything: Everything = False,
    db: Db = None,
) -> None:  # fmt: skip
    """Export runs, configs, metrics (a row per logged value) or evaluations (a row per episode).

    spindb export metrics 'env=CartPole-v1' --out cartpole.parquet

    spindb export runs --format csv
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected
    from spindb.index.read.exports import EXPORTS

    if table not in EXPORTS:
        raise UsageError(f"no table is called {table!r}", hint=f"tables: {', '.join(EXPORTS)}")
    form = form or (_FORMATS.get(out.suffix) if out else "csv")
    if form not in ("csv", "jsonl", "parquet"):
        raise UsageError(f"unknown format: {form or out}", hint="csv, jsonl, parquet, or a file that ends so")
    if spreadsheet and form != "csv":
        raise UsageError("--spreadsheet is about CSV", hint="--format csv")
    if form == "parquet" and out is None:
        raise UsageError("Parquet goes into a file", hint="--out runs.parquet")
    with connected(database(ctx, db)) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        rows = EXPORTS[table].rows(connection, ids)
        if out is None:
            with records_on_stdout() as file:
                _write_text(file, EXPORTS[table], rows, form, spreadsheet)
        else:
            count = _write_file(out, EXPORTS[table], rows, form, spreadsheet)
            say(f"{plural(count, 'row')} of {plural(len(ids), 'run')} written to {out}")


def _write_file(out: Path, table: Export, rows: Iterable[tuple[Any, ...]], form: str, spreadsheet: bool) -> int:
    with atomic_write(out) as beside:
        if form == "parquet":
            with require_extra():
                from spindb.analysis.parquet import write_parquet
            return write_parquet(beside, table.columns, rows)
        with beside.open("w", encoding="utf-8", newline="") as file:
            return _write_text(file, table, rows, form, spreadsheet)


def _write_text(file: TextIO, table: Export, rows: Iterable[Sequence[Any]], form: str, spreadsheet: bool) -> int:
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
