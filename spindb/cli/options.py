"""Options that several commands share, and where the database is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DATABASE_NAME = "spindb.db"

Db = Annotated[
    str | None,
    typer.Option("--db", help="Database: a file or a URL. [default: $SPINDB_URL, else the nearest spindb.db upward]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Everything = Annotated[bool, typer.Option("--all", help="Archived and missing runs too.")]
FilterWords = Annotated[
    list[str] | None, typer.Argument(metavar="[FILTER]", help="Which runs, such as 'env=Hopper-v2 pi_lr<1e-3'.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Id, directory, name or the beginning of a name.")]


def database(ctx: typer.Context, given: str | None) -> str:
    """The database that is meant: ``--db``, else ``SPINDB_URL``, else the nearest file upward, else here."""
    chosen = given or ctx.obj or os.environ.get("SPINDB_URL")
    if chosen:
        return str(chosen)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / DATABASE_NAME).is_file():
            return str(directory / DATABASE_NAME)
    return str(here / DATABASE_NAME)
