"""``spindb params`` and ``metrics``: which hyperparameters and metrics there are."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsCsv, AsJson, Db, Everything, FilterWords, Internal, output_format, selection


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("params")(params)
    app.command("metrics")(metrics)


def params(
    ctx: typer.Context,
    words: FilterWords = None,
    varying: Annotated[
        bool, typer.Option("--varying", "-v", help="Only those that differ between these runs, absence included.")
    ] = False,
    internal: Internal = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List hyperparameters: in how many runs each stands, and its values with their counts.

    spindb params 'algo=ppo' --varying
    """
    chosen = output_format(json=as_json, csv=as_csv)
    runs = selection(ctx, db, words, everything)
    handlers.params.print_hyperparameters(runs, chosen, varying=varying, internal=internal)


def metrics(
    ctx: typer.Context,
    words: FilterWords = None,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List metrics: in how many runs each stands, how many values it has, and their range.

    spindb metrics 'env=Pendulum-v0'
    """
    handlers.params.print_metrics(selection(ctx, db, words, everything), output_format(json=as_json, csv=as_csv))
