"""``spindb doctor``: what is wrong with runs."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import completion, handlers
from spindb.cli.options import AsIds, AsJson, Db, Everything, FilterWords, output_format, selection


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("doctor")(doctor)


def doctor(
    ctx: typer.Context,
    words: FilterWords = None,
    finding: Annotated[
        str | None,
        typer.Option(
            "--finding",
            metavar="FINDING",
            help="Show one finding only, such as nan or crashed.",
            autocompletion=completion.of_finding,
        ),
    ] = None,
    everything: Everything = False,
    as_json: AsJson = False,
    as_ids: AsIds = False,
    db: Db = None,
) -> None:
    """Look for what is wrong with runs: crashed, stalled, cut short, NaN, doubled, without seeds that others have.

    spindb doctor 'env=CartPole-v1'

    spindb doctor --finding nan --ids | spindb tag +diverged -
    """
    chosen = output_format(json=as_json, ids=as_ids)
    handlers.doctor.print_findings(selection(ctx, db, words, everything), finding, chosen)
