"""Prints the evaluated snapshots with the highest returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection, require_runs
from spindb.cli.terminal.data import Format, print_records
from spindb.cli.terminal.evaluations import print_evaluations
from spindb.cli.terminal.tables import echo, say, show
from spindb.index.read.evaluations import Conditions, Evaluated, ranked
from spindb.views.evaluations import ranking_as_json


def print_best(selection: Selection, least: int, limit: int, chosen: Format) -> None:
    """Print the best `limit` of each kind of conditions, of evaluations with `least` episodes or more.

    Raises:
        NotFoundError: no run is selected.
    """
    with selected_runs(selection) as (connection, ids):
        require_runs(ids, selection.words)
        found = {conditions: rows[:limit] for conditions, rows in ranked(connection, ids, least).items()}
    if chosen != "text":
        print_records(chosen, [row for rows in found.values() for row in ranking_as_json(rows)], ("run",))
    elif found:
        _print(found)
    else:
        say("no evaluation was recorded: spindb sweep with the same filter makes them")


def _print(found: Mapping[Conditions, Sequence[Evaluated]]) -> None:
    """A table for each kind of conditions."""
    for position, (conditions, rows) in enumerate(found.items()):
        if len(found) > 1:
            if position:
                echo("")
            echo(show(conditions.words))
        print_evaluations(rows)
    for conditions, rows in found.items():
        where = f" in {conditions.words}" if len(found) > 1 else ""
        say(f"the best{where}: {rows[0].command}")
    if len(found) > 1:
        say("ranked apart: returns of different environments, ways to act or lengths of episodes don't compare")
