"""``spindb db``: the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli.options import AsJson, Db, database
from spindb.cli.output import print_json, say, size
from spindb.errors import DatabaseError

db_app = typer.Typer(help="The database itself.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(db_app, name="db")


@db_app.command("info")
def info(ctx: typer.Context, as_json: AsJson = False, db: Db = None) -> None:
    """Where the database is, how large, and how much it holds."""
    from spindb.index.connect import connected
    from spindb.index.upkeep import describe

    location = database(ctx, db)
    with connected(location) as connection:
        facts = describe(connection, location)
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if name == "roots":
            for root in facts["roots"]:
                typer.echo(f"{'root':<12} {root['path']} on {root['host']}: {root['runs']} runs")
        elif name == "bytes":
            typer.echo(f"{'size':<12} {size(value)}")
        else:
            typer.echo(f"{name:<12} {value}")


@db_app.command("upgrade")
def upgrade(ctx: typer.Context, db: Db = None) -> None:
    """Bring the schema up to date, or create it; nothing else is touched."""
    from spindb.index import schema
    from spindb.index.engine import database_errors, open_engine

    location = database(ctx, db)
    with database_errors(location):
        engine = open_engine(location, write=True)
        before, after = schema.upgrade(engine, location)
        engine.dispose()
    if before == after:
        say(f"{location} is up to date: schema {after}")
    else:
        say(f"{location}: schema {before or 'none'} -> {after}")


@db_app.command("check")
def check(
    ctx: typer.Context, db: Db = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Look for damage: the file itself, rows that belong to nothing, summaries that don't fit."""
    from spindb.index.connect import connected
    from spindb.index.upkeep import damage

    location = database(ctx, db)
    with connected(location) as connection:
        found = damage(connection)
    if as_json:
        print_json({"damage": found})
    for line in found:
        say(f"  {line}")
    if found:
        raise DatabaseError(
            f"{location} is damaged", hint="keep a copy; spindb ingest into a new one reads all files again"
        )
    say(f"{location} is sound")
