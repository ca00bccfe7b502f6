"""``spindb sql``: plain SQL that reads."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsCsv, AsJson, AsJsonLines, Db, database, output_format


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("sql")(sql)


def sql(
    ctx: typer.Context,
    statement: Annotated[
        str | None, typer.Argument(help="A statement. (default: open a prompt)", show_default=False)
    ] = None,
    as_json: AsJson = False,
    as_jsonl: AsJsonLines = False,
    as_csv: AsCsv = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Stop a statement after so long; 0: never.", min=0)
    ] = 60,
    db: Db = None,
) -> None:
    """Run an SQL statement that reads, or open a prompt for such statements.

    spindb sql "SELECT env_id, count(*) FROM runs GROUP BY env_id"
    """
    chosen = output_format(json=as_json, jsonl=as_jsonl, csv=as_csv)
    handlers.sql.run_statements(database(ctx, db), statement, timeout, chosen)
