"""``spindb diff``: what differs between runs."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import completion, handlers
from spindb.cli.options import AsCsv, AsJson, Db, output_format, renamed, selection

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN RUN...",
        help="Two runs or more: ids, names, directories, or one filter.",
        autocompletion=completion.of_filter,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("diff")(diff)


def diff(
    ctx: typer.Context,
    words: Runs,
    equal: Annotated[bool, typer.Option("--equal", help="Show keys that are equal, too.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
    old_equal: Annotated[bool, typer.Option("--all", hidden=True, callback=renamed("--equal"))] = False,
) -> None:
    """Show what differs between runs, side by side: hyperparameters, facts, the last and the best of each metric.

    spindb diff 3 7

    spindb diff 'exp_name=ppo-cartpole seed=0'
    """
    chosen = output_format(json=as_json, csv=as_csv)
    handlers.diff.print_differences(selection(ctx, db, words), chosen, equal=equal or old_equal)
