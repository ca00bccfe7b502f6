"""``spindb best``: which evaluated snapshot to use."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsCsv, AsJson, Db, Everything, FilterWords, output_format, selection


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("best")(best)


def best(
    ctx: typer.Context,
    words: FilterWords = None,
    least: Annotated[int, typer.Option("--least", help="Only evaluations of so many episodes or more.", min=1)] = 1,
    limit: Annotated[int, typer.Option("--limit", help="At most so many for equal conditions.", min=1)] = 5,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """Name the snapshot to use: the highest mean return among recorded evaluations, per environment and conditions.

    spindb best 'env=Hopper-v2' --least 10
    """
    chosen = output_format(json=as_json, csv=as_csv)
    handlers.best.print_best(selection(ctx, db, words, everything), least, limit, chosen)
