"""Prints what saved policies take on disk, or the shell commands that would remove some."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.data import Format, print_records
from spindb.cli.terminal.tables import echo, plural, print_table, say
from spindb.index.read.usage import Usage, stored_bytes, usage_of
from spindb.records import SnapshotRecord
from spindb.views.text import size
from spindb.views.usage import REMOVABLE, Removable, removable, usage_as_json


def print_usage(selection: Selection, commands: Removable | None, limit: int, chosen: Format) -> None:
    """Print a table of at most `limit` runs (0: all), data, or commands.

    Raises:
        FilterError: the filter can't be read.
    """
    with selected_runs(selection) as (connection, ids):
        found = usage_of(connection, ids)
    if commands is not None:
        _print_commands(found, commands)
    elif chosen != "text":
        print_records(chosen, [usage_as_json(usage) for usage in found])
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
    for kind, what in REMOVABLE.items():
        paths = list(removable(found, kind))
        if paths:
            taken = size(sum(count for _, count in paths))
            say(f"  {taken} {what}: spindb du --commands {kind} prints what would remove it")


def _size(saved: Sequence[SnapshotRecord]) -> str:
    return size(stored_bytes(saved)) if saved else ""


def _copy(usage: Usage) -> str:
    return "" if usage.copy_of is None else f"copy of {usage.copy_of}"


def _print_commands(found: Sequence[Usage], kind: Removable) -> None:
    """A line of shell for each path on this machine."""
    # Only paths of this machine: the same path may be another directory here.
    paths = list(removable([usage for usage in found if usage.here], kind))
    for path, _ in paths:
        # `--` and quotes: a directory may be called -rf, or hold blanks, and the line is piped into a shell.
        echo(f"rm -r -- {shlex.quote(str(path))}")
    elsewhere = len(list(removable([usage for usage in found if not usage.here], kind)))
    if elsewhere:
        say(f"{plural(elsewhere, 'path')} on other machines left out")
    say(f"{plural(len(paths), 'command')} with {size(sum(count for _, count in paths))} of saved policies: none ran")
