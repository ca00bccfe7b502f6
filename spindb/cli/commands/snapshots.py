"""``spindb snapshots`` and ``path``: what a run saved, and where it lies."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsCsv, AsJson, Db, Run, database, output_format


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("path")(path)
    app.command("snapshots")(snapshots)


def path(
    ctx: typer.Context,
    run: Run,
    itr: Annotated[
        int | None, typer.Option("--itr", "-i", help="Print this snapshot's path instead; -1: the latest.")
    ] = None,
    db: Db = None,
) -> None:
    """Print a run's directory, or a snapshot's, for the shell.

    cd "$(spindb path 42)"
    """
    handlers.snapshots.print_path(database(ctx, db), run, itr)


def snapshots(ctx: typer.Context, run: Run, as_json: AsJson = False, as_csv: AsCsv = False, db: Db = None) -> None:
    """List a run's saved policies.

    spindb snapshots 42
    """
    # Both formats together printed JSON from the first version on; scripts may rely on it.
    handlers.snapshots.print_snapshots_of(
        database(ctx, db), run, output_format(json=as_json, csv=as_csv and not as_json)
    )
