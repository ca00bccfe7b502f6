"""``spindb du``: what saved policies take on disk, and what could go."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.options import AsCsv, AsJson, Db, FilterWords, at_most_one, database, words_of
from spindb.cli.terminal.door import echo
from spindb.cli.terminal.tables import plural, print_csv, print_json, print_table, say, size

if TYPE_CHECKING:
    from spindb.index.read.usage import Usage
    from spindb.records import SnapshotRecord

_MOST = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("du")(du)


def du(
    ctx: typer.Context,
    words: FilterWords = None,
    commands: Annotated[
        str | None,
        typer.Option(
            "--commands",
            metavar="stale|between|copies",
            help="Print the shell commands that would remove these, and execute none.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Runs that are shown; 0 for all.", min=0)] = _MOST,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List what saved policies take on disk, the largest first: hidden runs too, since they take it as well.

    spindb du 'size>1GB'

    stale: left by an earlier run in the directory. between: neither the latest nor evaluated. A copy: its whole
    directory has the content of another run's.
    """
    from spindb.errors import UsageError
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected
    from spindb.index.read.usage import usage_of

    at_most_one(json=as_json, csv=as_csv, commands=commands is not None)
    if commands not in (None, "stale", "between", "copies"):
        raise UsageError(f"--commands takes stale, between or copies, not {commands!r}")
    with connected(database(ctx, db)) as connection:
        found = usage_of(connection, selected(connection, words_of(words), everything=True, notice=say))
    if commands is not None:
        _print_commands(found, commands)
    elif as_json:
        print_json([_as_dict(usage) for usage in found])
    elif as_csv:
        rows = [_as_dict(usage) for usage in found]
        print_csv(tuple(rows[0]) if rows else ("id",), [tuple(row.values()) for row in rows])
    elif found:
        _print(found, found[:limit] if limit else found)
    else:
        say("no saved policy")


def _print(found: Sequence[Usage], shown: Sequence[Usage]) -> None:
    rows = [(u.run_id, u.name, len(u.saved), size(u.size), _size(u.stale), _size(u.between), _copy(u)) for u in shown]
    titles = ("id", "name", "saves", "size", "stale", "between", "")
    print_table(titles, rows, right=("saves", "size", "stale", "between"))
    total = sum(usage.size for usage in found)
    more = f", {len(shown)} shown" if len(shown) < len(found) else ""
    say(f"{plural(len(found), 'run')} with {size(total)} of saved policies{more}")
    for kind, what in (("stale", "left by earlier runs"), ("between", "neither the latest nor evaluated"),
                       ("copies", "in copies of other runs")):  # fmt: skip
        places = list(_places(found, kind))
        if places:
            taken = size(sum(count for _, count in places))
            say(f"  {taken} {what}: spindb du --commands {kind} prints what would remove it")


def _size(saved: Sequence[SnapshotRecord]) -> str:
    from spindb.index.read.usage import stored_bytes

    return size(stored_bytes(saved)) if saved else ""


def _copy(usage: Usage) -> str:
    return "" if usage.copy_of is None else f"copy of {usage.copy_of}"


def _places(found: Iterable[Usage], kind: str) -> Iterable[tuple[Path, int]]:
    """What could go, with the bytes of saved policies in it; nothing of copies but the copies themselves."""
    from spindb.disk.formats.snapshots import twin_of

    for usage in found:
        if usage.copy_of is not None:
            if kind == "copies":
                yield usage.directory, usage.size
            continue
        for snapshot in {"stale": usage.stale, "between": usage.between}.get(kind, ()):
            place = usage.directory / snapshot.path
            yield place, snapshot.size
            if snapshot.kind == "pyt_save" and os.path.lexists(twin := twin_of(place)):
                yield twin, 0
            if snapshot.state_path and not _is_shared(usage, snapshot):
                yield usage.directory / snapshot.state_path, 0


def _is_shared(usage: Usage, snapshot: SnapshotRecord) -> bool:
    """Whether the saved environment belongs to another saved policy, too."""
    return any(s.state_path == snapshot.state_path for s in usage.saved if s is not snapshot)


def _print_commands(found: Sequence[Usage], kind: str) -> None:
    """A line of shell for each; what lies on other machines is left out and said."""
    places = list(_places([usage for usage in found if usage.here], kind))
    for place, _ in places:
        echo(f"rm -r -- {shlex.quote(str(place))}")
    elsewhere = len(list(_places([usage for usage in found if not usage.here], kind)))
    if elsewhere:
        say(f"{plural(elsewhere, 'path')} on other machines left out")
    say(f"{plural(len(places), 'command')} with {size(sum(count for _, count in places))} of saved policies: none ran")


def _as_dict(usage: Usage) -> dict[str, Any]:
    return {
        "id": usage.run_id,
        "name": usage.name,
        "directory": str(usage.directory),
        "copy_of": usage.copy_of,
        "here": usage.here,
        "saves": len(usage.saved),
        "size": usage.size,
        "stale": [snapshot.path for snapshot in usage.stale],
        "between": [snapshot.path for snapshot in usage.between],
    }
