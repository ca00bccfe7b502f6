"""Describes, upgrades, checks, copies and rebuilds databases; dumps and restores what people added."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.door import echo_document
from spindb.cli.terminal.tables import echo, plural, say
from spindb.errors import DatabaseError, NotFoundError, UsageError
from spindb.files import atomic_write
from spindb.index.database import migrate
from spindb.index.database.backup import back_up, beside
from spindb.index.database.connect import connected
from spindb.index.database.damage import damage
from spindb.index.database.deferred_indexes import missing_indexes
from spindb.index.database.engine import database_errors, database_url, open_engine, shown_location, sqlite_path
from spindb.index.database.planner import refresh_statistics
from spindb.index.maintenance import dump as dumps
from spindb.index.maintenance.copy import verified_copy
from spindb.index.maintenance.describe import describe_database
from spindb.ingest.verify import deviations_from_disk
from spindb.ingest.verify import rebuild_index as read_again
from spindb.views.text import size

_MAX_LINES = 200


def print_facts(location: str, *, as_json: bool) -> None:
    """Print where the database is, how large, and how much it holds."""
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


def upgrade_schema(location: str) -> None:
    """Bring the schema up to date.

    Raises:
        SchemaError: it is newer than this spindb.
    """
    with database_errors(location):
        engine = open_engine(location, write=True)
        before, after = migrate.upgrade(engine, shown_location(location))
        engine.dispose()
    if before == after:
        say(f"{shown_location(location)} is up to date: schema {after}")
    else:
        say(f"{shown_location(location)}: schema {before or 'none'} -> {after}")


def check_soundness(location: str, *, deep: bool, as_json: bool) -> None:
    """Print what is damaged; with `deep` also runs that differ from their files.

    Raises:
        DatabaseError: the database is damaged; typer.Exit: with code 1, where runs differ from their files.
    """
    with connected(location) as connection:
        damaged = damage(connection)
        unindexed = missing_indexes(connection)
        # Of a damaged database every run might differ: only what is sound is worth reading all files for.
        compared = deviations_from_disk(connection) if deep and not damaged else ()
        mismatches = [f"run {d.run_id}: {d.what} ({d.directory})" for d in compared]
    _print_findings(damaged + mismatches, as_json=as_json)
    if mismatches:
        say("spindb ingest reads what changed; spindb db rebuild reads all files again")
        raise typer.Exit(1)
    if damaged:
        raise DatabaseError(
            f"{shown_location(location)} is damaged",
            hint="keep a copy; spindb ingest into a new one reads all files again, db dump and restore carry the rest",
        )
    say(f"{shown_location(location)} is sound")
    if unindexed:
        say("an ingest was interrupted or is still at work: questions are slow until spindb ingest has ended")


def _print_findings(found: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"damage": found})
    for line in found[:_MAX_LINES]:
        say(f"  {line}")
    if len(found) > _MAX_LINES:
        say(f"  … and {len(found) - _MAX_LINES} more: --json lists all")


def back_up_file(location: str, out: Path | None) -> None:
    """Copy a SQLite database.

    Raises:
        UsageError: it is no SQLite file, or the copy can't be written; DatabaseError: it is damaged.
    """
    path = sqlite_path(database_url(location))
    if path is None:
        raise UsageError("db backup copies SQLite files only", hint="pg_dump, or spindb db copy URL sqlite:///copy.db")
    place = out or beside(path)
    with database_errors(location):
        back_up(path, place)
    say(f"written to {place}")


def copy_database(source: str, target: str) -> None:
    """Copy a whole database into another.

    Raises:
        DatabaseError: one of them can't be used, the target is not empty, or the copy differs.
    """
    with connected(source) as reading, database_errors(target):
        engine = open_engine(target, write=True)
        migrate.upgrade(engine, shown_location(target))
        with engine.begin() as writing:
            counts = verified_copy(reading, writing)
        # A database that was filled at once has no statistics, and its planner guesses.
        refresh_statistics(engine)
        engine.dispose()
    counted = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    say(f"{shown_location(target)} holds what {shown_location(source)} holds, compared row by row: {counted}")


def read_all_again(location: str, jobs: int) -> None:
    """Read all files again, in `jobs` processes (0: one per core).

    Raises:
        DatabaseError: the database can't be used.
    """
    path = sqlite_path(database_url(location))
    if path is not None and os.path.exists(path):
        with database_errors(location):
            say(f"backup: {back_up(path, beside(path))}")
    summary = read_again(location, jobs=jobs or os.cpu_count() or 1)
    say(f"{plural(summary.total, 'run')} read again, {plural(len(summary.problems), 'problem')}")


def write_dump(location: str, out: Path | None) -> None:
    """Write what files can't give, to stdout or to a file that is private.

    Raises:
        UsageError: the file can't be written.
    """
    with connected(location) as connection:
        text = dumps.dump(connection)
    if out is None:
        echo_document(text)
    else:
        with atomic_write(out, private=True) as file:  # notes are nobody else's business until their author says so
            file.write_text(text, encoding="utf-8")
        say(f"written to {out}")


def restore_database(location: str, path: Path) -> None:
    """Put back what a dump holds.

    Raises:
        NotFoundError: the file can't be read; UsageError: it is no dump.
        typer.Exit: with code 1, where runs of the dump are not in this database.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"{path} can't be read: {error}") from None
    with connected(location, write=True) as connection:
        done = dumps.restore_dump(connection, text)
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
