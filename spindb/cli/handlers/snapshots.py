"""Prints a run's snapshots and paths."""

from __future__ import annotations

import os

from spindb.cli.handlers.access import run_of
from spindb.cli.terminal.data import Format, print_records
from spindb.cli.terminal.door import echo_path, say
from spindb.cli.terminal.snapshots import print_snapshots
from spindb.errors import NotFoundError
from spindb.index.database.connect import connected
from spindb.index.query.runs import pick_snapshot, snapshots_of
from spindb.index.read.run import verdicts_of
from spindb.views.snapshots import Snapshots


def print_path(location: str, word: str, itr: int | None) -> None:
    """Print the directory of a run, or the path of one of its snapshots.

    Raises:
        NotFoundError: the run, the snapshot or the directory is not there.
    """
    with connected(location) as connection:
        found = run_of(connection, word)
        place = found.files
        if itr is not None:
            place = found.directory / pick_snapshot(snapshots_of(connection, found.id), itr, found.directory).path
    # Checked here: a shell that changes into a path that is gone gives an error that does not say which run it was.
    if not os.path.exists(place):
        raise NotFoundError(f"run {found.id} was at {place} on {found.host}, and is not there now")
    echo_path(str(place))


def print_snapshots_of(location: str, word: str, chosen: Format) -> None:
    """Print the snapshots of a run, with the last verdict on each.

    Raises:
        NotFoundError: there is no such run.
    """
    with connected(location) as connection:
        found = run_of(connection, word)
        saved = Snapshots(tuple(snapshots_of(connection, found.id)), verdicts_of(connection, found.id))
    if chosen != "text":
        print_records(chosen, saved.as_json(), ("kind",))
    elif saved.all:
        print_snapshots(saved, reasons=True)
    else:
        say(f"run {found.id} has no saved policy")
