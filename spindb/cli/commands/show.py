"""``spindb show``: everything about one run."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsJson, Db, Internal, Run, database


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("show")(show_run)


def show_run(
    ctx: typer.Context,
    run: Run,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Show what its directory held before it was overwritten.")
    ] = False,
    internal: Internal = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Show everything about one run: its launch, hyperparameters, metrics, snapshots, evaluations, problems, notes.

    spindb show 42

    spindb show 42 --superseded
    """
    handlers.show.print_run(database(ctx, db), run, superseded=superseded, internal=internal, as_json=as_json)
