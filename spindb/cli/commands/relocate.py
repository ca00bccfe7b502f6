"""``spindb relocate``: tells the index that a directory moved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spindb.cli.options import Db, database
from spindb.cli.terminal.tables import say


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("relocate")(relocate)


def relocate(
    ctx: typer.Context,
    old: Annotated[Path, typer.Argument(help="Where the root was: spindb db info lists roots.")],
    new: Annotated[Path, typer.Argument(help="Where it is now, on this machine.")],
    db: Db = None,
) -> None:
    """Tell the index that a data directory moved; runs keep their ids and all that was added to them.

    spindb relocate /scratch/data /archive/data

    Ingesting the new place does the same for each run that is recognised by its content.
    """
    from spindb.index.database.connect import connected
    from spindb.index.write.roots import relocate_root

    location = database(ctx, db)
    with connected(location, write=True) as connection:
        count = relocate_root(connection, old, new)
    say(f"{count} runs are now under {new}")
