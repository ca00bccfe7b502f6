"""``spindb db``: the database itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from spindb.cli.options import AsJson, Db, database
from spindb.cli.terminal.door import echo_document
from spindb.cli.terminal.tables import echo, plural, print_json, say, size, write_file
from spindb.errors import DatabaseError, NotFoundError, UsageError

_MAX_LINES = 200

db_app = typer.Typer(help="The database itself.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(db_app, name="db")


@db_app.command("info")
def info(ctx: typer.Context, as_json: AsJson = False, db: Db = None) -> None:
    """Where the database is, how large, and how much it holds."""
    from spindb.index.database.connect import connected
    from spindb.index.maintenance.describe import describe_database

    location = database(ctx, db)
    with connected(location) as connection:
        facts = describe_database(connection, location)
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if name == "roots":
            for root in facts["roots"]:
                echo(f"{'root':<12} {root['path']} on {root['host']}: {root['runs']} runs")
        elif name == "bytes":
            echo(f"{'size':<12} {size(value)}")
        else:
            echo(f"{name:<12} {value}")


@db_app.command("upgrade")
def upgrade(ctx: typer.Context, db: Db = None) -> None:
    """Bring the schema up to date, or create it; nothing else is touched."""
    from spindb.index.database import migrate
    from spindb.index.database.engine import database_errors, open_engine, shown_location

    location = database(ctx, db)
    with database_errors(location):
        engine = open_engine(location, write=True)
        before, after = migrate.upgrade(engine, shown_location(location))
        engine.dispose()
    if before == after:
        say(f"{shown_location(location)} is up to date: schema {after}")
    else:
        say(f"{shown_location(location)}: schema {before or 'none'} -> {after}")


@db_app.command("check")
def check(
    ctx: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Read all files again and compare, too.")] = False,
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for damage: the file itself, rows that belong to nothing, summaries that don't fit.

    spindb db check --deep
    """
    from spindb.index.database.connect import connected
    from spindb.index.database.damage import damage
    from spindb.index.database.deferred_indexes import missing_indexes
    from spindb.index.database.engine import shown_location

    location = database(ctx, db)
    with connected(location) as connection:
        found = damage(connection)
        unindexed = missing_indexes(connection)
        astray: list[str] = []
        if deep and not found:
            from spindb.ingest.verify import deviations_from_disk

            astray = [f"run {d.run_id}: {d.what} ({d.directory})" for d in deviations_from_disk(connection)]
    if as_json:
        print_json({"damage": found + astray})
    for line in (found + astray)[:_MAX_LINES]:
        say(f"  {line}")
    if len(found + astray) > _MAX_LINES:
        say(f"  … and {len(found + astray) - _MAX_LINES} more: --json lists all")
    if astray:
        say("spindb ingest reads what changed; spindb db rebuild reads all files again")
        raise typer.Exit(1)
    if found:
        raise DatabaseError(
            f"{shown_location(location)} is damaged",
            hint="keep a copy; spindb ingest into a new one reads all files again, db dump and restore carry the rest",
        )
    say(f"{shown_location(location)} is sound")
    if unindexed:
        say("an ingest was interrupted or is still at work: questions are slow until spindb ingest has ended")


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
    from spindb.index.database.backup import back_up, beside
    from spindb.index.database.engine import database_errors, database_url, sqlite_path

    location = database(ctx, db)
    path = sqlite_path(database_url(location))
    if path is None:
        raise UsageError("only SQLite files are copied so", hint="pg_dump, or spindb db copy URL sqlite:///copy.db")
    place = out or beside(path)
    with database_errors(location):
        back_up(path, place)
    say(f"written to {place}")


@db_app.command("copy")
def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A database: a file or a URL.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An empty one, or one that is not there yet.")],
) -> None:
    """Copy a whole database into another, SQLite or PostgreSQL, and compare both row by row.

    spindb db copy spindb.db postgresql+psycopg://you@server/lab
    """
    from spindb.index.database import migrate
    from spindb.index.database.connect import connected
    from spindb.index.database.engine import database_errors, open_engine, shown_location
    from spindb.index.database.planner import refresh_statistics
    from spindb.index.maintenance.copy import verified_copy

    with connected(source) as reading, database_errors(target):
        engine = open_engine(target, write=True)
        migrate.upgrade(engine, shown_location(target))
        with engine.begin() as writing:
            counts = verified_copy(reading, writing)
        refresh_statistics(engine)
        engine.dispose()
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    say(f"{shown_location(target)} holds what {shown_location(source)} holds, compared row by row: {told}")


@db_app.command("rebuild")
def rebuild_index(
    ctx: typer.Context,
    jobs: Annotated[int, typer.Option(help="Processes that read. (default: as many as cores)", min=0)] = 0,
    db: Db = None,
) -> None:
    """Read all files again into the index. Ids stay, and all that people added; a SQLite file is backed up before.

    spindb db rebuild
    """
    from spindb.index.database.backup import back_up, beside
    from spindb.index.database.engine import database_errors, database_url, sqlite_path
    from spindb.ingest.verify import rebuild_index as read_again

    location = database(ctx, db)
    path = sqlite_path(database_url(location))
    if path is not None and os.path.exists(path):
        with database_errors(location):
            say(f"backup: {back_up(path, beside(path))}")
    summary = read_again(location, jobs=jobs or os.cpu_count() or 1)
    say(f"{plural(summary.total, 'run')} read again, {plural(len(summary.problems), 'problem')}")


@db_app.command("dump")
def dump(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write. (default: stdout)")] = None,
    db: Db = None,
) -> None:
    """Write what files can't give, as YAML: tags, notes, archive and removal marks, evaluations, what was overwritten.

    spindb db dump --out annotations.yaml
    """
    from spindb.index.database.connect import connected
    from spindb.index.maintenance import dump as keepsakes

    with connected(database(ctx, db)) as connection:
        text = keepsakes.dump(connection)
    if out is None:
        echo_document(text)
    else:
        write_file(out, text, private=True)
        say(f"written to {out}")


@db_app.command("restore")
def restore(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What db dump wrote.")],
    db: Db = None,
) -> None:
    """Put back what `db dump` wrote: what is there already stays, nothing is added twice.

    spindb db restore annotations.yaml
    """
    from spindb.index.database.connect import connected
    from spindb.index.maintenance import dump as keepsakes

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"{path} can't be read: {error}") from None
    with connected(database(ctx, db), write=True) as connection:
        done = keepsakes.restore_dump(connection, text)
    say(
        f"{plural(done.runs, 'run')}: {plural(done.tags, 'tag')}, {plural(done.notes, 'note')}, "
        f"{plural(done.evaluations, 'evaluation')}, {plural(done.archived, 'archive mark')} added; "
        f"saved queries added: {done.queries}"
    )
    if done.superseded or done.removed:
        contents = plural(done.superseded, "overwritten content")
        say(f"{contents} put back, {plural(done.removed, 'run')} removed again")
    for place in done.changed:
        say(f"  removed, but it holds something else now: {place}")
    for place in done.unknown:
        say(f"  not here: {place}")
    if done.unknown:
        say(f"{plural(len(done.unknown), 'run')} of the dump are not in this database: ingest them, then restore again")
        raise typer.Exit(1)
