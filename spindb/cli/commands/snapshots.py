"""``spindb snapshots`` and ``path``: what a run saved, and where it lies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli.commands.show import snapshot_as_dict, snapshot_table
from spindb.cli.options import AsCsv, AsJson, Db, Run, database, run_meant
from spindb.cli.terminal.door import echo_path
from spindb.cli.terminal.tables import (
    print_csv,
    print_json,
    say,
)
from spindb.errors import NotFoundError

if TYPE_CHECKING:
    pass


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("path")(path)
    app.command("snapshots")(snapshots)


def path(
    ctx: typer.Context,
    run: Run,
    itr: Annotated[int | None, typer.Option("--itr", "-i", help="The snapshot's path instead.")] = None,
    db: Db = None,
) -> None:
    """Print a run's directory, or a snapshot's, for the shell.

    cd "$(spindb path 42)"
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.runs import pick_snapshot, snapshots_of

    with connected(database(ctx, db)) as connection:
        found = run_meant(connection, run)
        place = found.files
        if itr is not None:
            place = found.directory / pick_snapshot(snapshots_of(connection, found.id), itr, found.directory).path
    if not os.path.exists(place):
        raise NotFoundError(f"run {found.id} was at {place} on {found.host}, and is not there now")
    echo_path(str(place))


def snapshots(ctx: typer.Context, run: Run, as_json: AsJson = False, as_csv: AsCsv = False, db: Db = None) -> None:
    """List a run's saved policies.

    spindb snapshots 42
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.runs import snapshots_of
    from spindb.index.read.run import verdicts_of

    with connected(database(ctx, db)) as connection:
        found = run_meant(connection, run)
        saved = snapshots_of(connection, found.id)
        verdicts = verdicts_of(connection, found.id)
    rows = [snapshot_as_dict(snapshot, verdicts) for snapshot in saved]
    if as_json:
        print_json(rows)
    elif as_csv:
        print_csv(tuple(rows[0]) if rows else ("kind",), [tuple(row.values()) for row in rows])
    elif saved:
        snapshot_table(saved, verdicts, reasons=True)
    else:
        say(f"run {found.id} has no saved policy")
