"""``spindb query``: saved queries."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import completion
from spindb.cli.options import AsJson, Db, database
from spindb.cli.terminal.tables import (
    plural,
    print_json,
    print_table,
    say,
)

query_app = typer.Typer(help="Saved queries: filters with a name, used as @NAME.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.add_typer(query_app, name="query")


@query_app.command("save")
def save_query(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name: @NAME in a filter then stands for it.")],
    words: Annotated[list[str], typer.Argument(metavar="FILTER", autocompletion=completion.of_filter)],
    db: Db = None,
) -> None:
    """Give a filter a name.

    spindb query save good 'env=Hopper-v2 Performance>2000 not tag:broken'

    spindb runs '@good seed=0'
    """
    from spindb.index.database.connect import connected
    from spindb.index.query import saved as queries
    from spindb.index.query.question import question_of_tree
    from spindb.index.query.search import count

    text = " ".join(words)
    with connected(database(ctx, db), write=True) as connection:
        tree = queries.save_query(connection, name, text)
        found = count(connection, question_of_tree(connection, tree))
    say(f"@{name} is {text!r}: {plural(found, 'run')} now")


@query_app.command("list")
def list_queries(ctx: typer.Context, as_json: AsJson = False, db: Db = None) -> None:
    """List saved queries.

    spindb query list
    """
    from spindb.index.database.connect import connected
    from spindb.index.query import saved as queries

    with connected(database(ctx, db)) as connection:
        saved = queries.saved(connection)
    if as_json:
        print_json([{"name": name, "text": text} for name, text in saved.items()])
    elif saved:
        print_table(("name", "filter"), [(f"@{name}", text) for name, text in saved.items()])
    else:
        say("no saved query: spindb query save NAME 'FILTER' makes one")


@query_app.command("rm")
def remove_query(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Which one.", autocompletion=completion.of_query)],
    db: Db = None,
) -> None:
    """Forget a saved query.

    spindb query rm good
    """
    from spindb.index.database.connect import connected
    from spindb.index.query import saved as queries

    with connected(database(ctx, db), write=True) as connection:
        queries.remove_query(connection, name.removeprefix("@"))
    say(f"@{name.removeprefix('@')} is forgotten")
