"""``spindb du``: what saved policies take on disk, and what could be removed."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spindb.cli import handlers
from spindb.cli.options import AsCsv, AsJson, Db, FilterWords, output_format, renamed, selection

Limit = Annotated[int, typer.Option("--limit", help="At most so many runs; 0: all.", min=0)]
OldLimit = Annotated[int | None, typer.Option("-n", hidden=True, min=0, callback=renamed("--limit"))]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("du")(du)


def du(
    ctx: typer.Context,
    words: FilterWords = None,
    commands: Annotated[
        Literal["stale", "between", "copies"] | None,
        typer.Option("--commands", help="Print the shell commands that would remove these; run none of them."),
    ] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
    old_limit: OldLimit = None,
) -> None:
    """List what saved policies take on disk, the largest first: hidden runs too, since they take it as well.

    spindb du 'size>1GB'

    stale: left by an earlier run in the directory. between: neither the latest nor evaluated. A copy: its whole
    directory has the content of another run's.
    """
    chosen = output_format(json=as_json, csv=as_csv, commands=commands is not None)
    shown = limit if old_limit is None else old_limit
    handlers.du.print_usage(selection(ctx, db, words, everything=True), commands, shown, chosen)
