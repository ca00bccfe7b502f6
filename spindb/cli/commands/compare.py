"""``spindb compare``: settings ranked over seeds."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import completion, handlers
from spindb.cli.options import (
    AsCsv,
    AsJson,
    Db,
    Everything,
    FilterWords,
    GroupBy,
    Lower,
    Summary,
    output_format,
    selection,
    split,
)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("compare")(compare)


def compare(
    ctx: typer.Context,
    words: FilterWords = None,
    value: Annotated[
        str, typer.Option("--value", "-y", help="The metric.", autocompletion=completion.of_metric)
    ] = "Performance",
    summary: Summary = "last",
    group_by: GroupBy = None,
    lower: Lower = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """Rank settings over their seeds: mean with Student's interval, median, interquartile mean, and what p says.

    spindb compare 'env=CartPole-v1 algo=ppo'

    spindb compare 'env=Pendulum-v0' --group-by algo --summary tail:10

    spindb compare 'algo=ppo' --summary reach:150
    """
    chosen = output_format(json=as_json, csv=as_csv)
    ranking = handlers.access.Ranking(value, summary, split(group_by), lower)
    handlers.compare.print_comparison_of(selection(ctx, db, words, everything), ranking, chosen)
