"""``spindb runs``: the table of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import completion, handlers
from spindb.cli.options import (
    AsCsv,
    AsIds,
    AsJson,
    AsJsonLines,
    Db,
    Everything,
    FilterWords,
    output_format,
    renamed,
    selection,
    split,
)

Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="FIELDS",
        help="Sort by these fields, separated by commas; -FIELD sorts in descending order.",
        autocompletion=completion.of_fields,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        "-c",
        metavar="FIELDS",
        help="Columns, separated by commas; +FIELD and -FIELD change the usual ones.",
        autocompletion=completion.of_fields,
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", help="At most so many runs; 0: all. (default: 50 in a terminal)", min=0)
]
Page = Annotated[int, typer.Option("--page", "-p", help="Which page, of --limit runs each.", min=1)]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Refresh the table until Ctrl-C.")]
OldSort = Annotated[str | None, typer.Option("-s", hidden=True, callback=renamed("--sort"))]
OldLimit = Annotated[int | None, typer.Option("-n", hidden=True, min=0, callback=renamed("--limit"))]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("runs")(runs)
    app.command("ls", hidden=True)(runs)


def runs(
    ctx: typer.Context,
    words: FilterWords = None,
    sort: Sort = None,
    columns: Columns = None,
    limit: Limit = None,
    page: Page = 1,
    watch: Watch = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_jsonl: AsJsonLines = False,
    as_csv: AsCsv = False,
    as_ids: AsIds = False,
    db: Db = None,
    old_sort: OldSort = None,
    old_limit: OldLimit = None,
) -> None:
    """List runs: the hyperparameters that vary among them, performance, its curve, age.

    Quote the filter, or the shell takes < and > for itself:

    spindb runs 'env=CartPole-v0 pi_lr<1e-3 AverageEpRet.max>150 (seed=0 or seed=10)'

    spindb runs 'algo in (sac, td3) not status=empty' --sort -Performance --limit 5

    spindb runs "hidden_sizes=[64, 32]" --columns +pi_lr,-env
    """
    chosen = output_format(json=as_json, jsonl=as_jsonl, csv=as_csv, ids=as_ids, watch=watch)
    most = limit if old_limit is None else old_limit
    table = handlers.runs.RunColumns(split(sort or old_sort), columns, most, page)
    handlers.runs.list_runs(selection(ctx, db, words, everything), table, chosen, watch=watch)
