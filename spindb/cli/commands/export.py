"""``spindb export``: tables for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spindb.cli import handlers
from spindb.cli.options import Db, Everything, FilterWords, selection
from spindb.errors import UsageError

Table = Annotated[
    Literal["runs", "configs", "metrics", "evaluations"], typer.Argument(help="Which table.", show_default=False)
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="A .csv, .jsonl or .parquet file. (default: stdout)")]
FileFormat = Annotated[
    Literal["csv", "jsonl", "parquet"] | None,
    typer.Option("--format", "-f", help="Format. (default: by the file's name, else csv)"),
]
Spreadsheet = Annotated[
    bool, typer.Option("--spreadsheet", help="CSV in which no text is read as a formula (=, +, -, @).")
]
_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("export")(export)


def export(
    ctx: typer.Context,
    table: Table,
    words: FilterWords = None,
    out: Out = None,
    form: FileFormat = None,
    spreadsheet: Spreadsheet = False,
    everything: Everything = False,
    db: Db = None,
) -> None:
    """Export runs, configs, metrics (a row per logged value) or evaluations (a row per episode).

    spindb export metrics 'env=CartPole-v1' --out cartpole.parquet

    spindb export runs --format csv
    """
    chosen = form or (_FORMATS.get(out.suffix) if out else "csv")
    if chosen is None:
        raise UsageError(f"unknown format: {out}", hint="--format csv, jsonl or parquet, or a file that ends so")
    if spreadsheet and chosen != "csv":
        raise UsageError("--spreadsheet is for CSV", hint="--format csv")
    if chosen == "parquet" and out is None:
        raise UsageError("Parquet is written to a file only", hint="--out runs.parquet")
    handlers.export.write_table(selection(ctx, db, words, everything), table, out, chosen, spreadsheet=spreadsheet)
