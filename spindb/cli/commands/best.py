"""``spindb best``: which evaluated snapshot to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.options import AsCsv, AsJson, Db, Everything, FilterWords, at_most_one, database, require_runs, words_of
from spindb.cli.terminal.evaluations import print_evaluations
from spindb.cli.terminal.tables import echo, print_csv, print_json, say, show

if TYPE_CHECKING:
    from spindb.index.read.evaluations import Conditions, Evaluated


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("best")(best)


def best(
    ctx: typer.Context,
    words: FilterWords = None,
    least: Annotated[int, typer.Option("--least", help="Only evaluations of so many episodes or more.", min=1)] = 1,
    limit: Annotated[int, typer.Option("--limit", help="How many to show.", min=1)] = 5,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """Name the snapshot to use: the highest mean return among recorded evaluations, per environment and conditions.

    spindb best 'env=Hopper-v2' --least 10
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected
    from spindb.index.read.evaluations import ranked

    at_most_one(json=as_json, csv=as_csv)
    with connected(database(ctx, db)) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        require_runs(ids, words)
        found = {conditions: places[:limit] for conditions, places in ranked(connection, ids, least).items()}
    rows = [_row(e, _rank(e, places)) for places in found.values() for e in places]
    if as_json:
        print_json(rows)
    elif as_csv:
        print_csv(tuple(rows[0]) if rows else ("run",), [tuple(row.values()) for row in rows])
    elif found:
        _print_best(found)
    else:
        say("no evaluation was recorded: spindb sweep with the same filter makes them")


def _print_best(found: Mapping[Conditions, Sequence[Evaluated]]) -> None:
    """A table for the evaluations under equal conditions: others don't compare."""
    for position, (conditions, places) in enumerate(found.items()):
        if len(found) > 1:
            if position:
                echo("")
            echo(show(conditions.words))
        print_evaluations(places)
    for conditions, places in found.items():
        where = f" in {conditions.words}" if len(found) > 1 else ""
        say(f"the best{where}: {places[0].command}")
    if len(found) > 1:
        say("ranked apart: returns of different environments, ways to act or lengths of episodes don't compare")


def _rank(e: Evaluated, places: Sequence[Evaluated]) -> int:
    """One more than those that did better: equal means are of equal rank."""
    return 1 + sum(other.mean_return > e.mean_return for other in places)


def _row(e: Evaluated, rank: int) -> dict[str, Any]:
    return {
        "run": e.run_id,
        "name": e.name,
        "itr": e.itr,
        "snapshot": e.snapshot_path,
        "env": e.env_id,
        "episodes": e.episodes,
        "mean_return": e.mean_return,
        "standard_error": e.standard_error,
        "deterministic": e.deterministic,
        "seed": e.seed,
        "max_ep_len": e.max_ep_len,
        "rank": rank,
        "action": e.options.action,
        "command": e.command,
    }
