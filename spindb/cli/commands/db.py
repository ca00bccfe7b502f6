"""``spindb db``: the database itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsJson, Db, database

db_app = typer.Typer(help="The database itself.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.add_typer(db_app, name="db")


@db_app.command("info")
def info(ctx: typer.Context, as_json: AsJson = False, db: Db = None) -> None:
    """Show where the database is, how large, and how much it holds."""
    handlers.db.print_facts(database(ctx, db), as_json=as_json)


@db_app.command("upgrade")
def upgrade(ctx: typer.Context, db: Db = None) -> None:
    """Bring the schema up to date, or create it; nothing else is touched."""
    handlers.db.upgrade_schema(database(ctx, db))


@db_app.command("check")
def check(
    ctx: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Read all files again and compare, too.")] = False,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Look for damage: the file itself, rows that belong to nothing, summaries that don't fit.

    spindb db check --deep
    """
    handlers.db.check_soundness(database(ctx, db), deep=deep, as_json=as_json)


@db_app.command("backup")
def backup(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The copy. (default: beside it, with the time in its name)")
    ] = None,
    db: Db = None,
) -> None:
    """Copy a SQLite database while it may be in use; the copy is whole and checked.

    spindb db backup /backups/spindb.db
    """
    handlers.db.back_up_file(database(ctx, db), out)


@db_app.command("copy")
def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A database: a file or a URL.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An empty database, or one that does not exist yet.")],
) -> None:
    """Copy a whole database into another, SQLite or PostgreSQL, and compare both row by row.

    spindb db copy spindb.db postgresql+psycopg://you@server/lab
    """
    handlers.db.copy_database(source, target)


@db_app.command("rebuild")
def rebuild(
    ctx: typer.Context,
    jobs: Annotated[int, typer.Option("--jobs", help="Parallel processes. (default: all cores)", min=0)] = 0,
    db: Db = None,
) -> None:
    """Read all files again into the index. Ids stay, and all that people added; a SQLite file is backed up before.

    spindb db rebuild
    """
    handlers.db.read_all_again(database(ctx, db), jobs)


@db_app.command("dump")
def dump(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file. (default: stdout)")] = None,
    db: Db = None,
) -> None:
    """Write what files can't give, as YAML: tags, notes, archive and removal marks, evaluations, what was overwritten.

    spindb db dump --out annotations.yaml
    """
    handlers.db.write_dump(database(ctx, db), out)


@db_app.command("restore")
def restore(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What db dump wrote.")],
    db: Db = None,
) -> None:
    """Put back what `db dump` wrote: what is there already stays, nothing is added twice.

    spindb db restore annotations.yaml
    """
    handlers.db.restore_database(database(ctx, db), path)
