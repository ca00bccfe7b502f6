"""``spindb relocate``: records that a data directory moved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import Db, database


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("relocate")(relocate)


def relocate(
    ctx: typer.Context,
    old: Annotated[Path, typer.Argument(help="Where the root was: spindb db info lists roots.")],
    new: Annotated[Path, typer.Argument(help="Where it is now, on this machine.")],
    db: Db = None,
) -> None:
    """Record that a data directory moved; runs keep their ids and all that was added to them.

    spindb relocate /scratch/data /archive/data

    Ingesting the new place does the same for each run that is recognised by its content.
    """
    handlers.relocate.move_root(database(ctx, db), old, new)
