"""``spindb query``: saved queries."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import completion, handlers
from spindb.cli.options import AsJson, Db, database

query_app = typer.Typer(help="Saved queries: filters with a name, used as @NAME.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.add_typer(query_app, name="query")


@query_app.command("save")
def save_query(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name; in a filter, @NAME is replaced by it.")],
    words: Annotated[list[str], typer.Argument(metavar="FILTER", autocompletion=completion.of_filter)],
    db: Db = None,
) -> None:
    """Save a filter under a name.

    spindb query save good 'env=Hopper-v2 Performance>2000 not tag:broken'

    spindb runs '@good seed=0'
    """
    handlers.query.save_filter(database(ctx, db), name, " ".join(words))


@query_app.command("list")
def list_queries(ctx: typer.Context, as_json: AsJson = False, db: Db = None) -> None:
    """List saved queries.

    spindb query list
    """
    handlers.query.show_all(database(ctx, db), as_json=as_json)


@query_app.command("rm")
def remove_query(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the saved query.", autocompletion=completion.of_query)],
    db: Db = None,
) -> None:
    """Delete a saved query.

    spindb query rm good
    """
    handlers.query.delete_filter(database(ctx, db), name.removeprefix("@"))
