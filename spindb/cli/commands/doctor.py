"""``spindb doctor``: what is wrong with runs."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli.options import AsJson, Db, Everything, FilterWords, at_most_one, database, words_of
from spindb.cli.terminal.tables import (
    echo,
    plural,
    print_ids,
    print_json,
    say,
)
from spindb.errors import NotFoundError


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("doctor")(doctor)


def doctor(
    ctx: typer.Context,
    words: FilterWords = None,
    only: Annotated[
        str | None, typer.Option("--ids", metavar="FINDING", help="Print the ids of one finding alone: for pipes.")
    ] = None,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Look for what is wrong with runs: crashed, stalled, cut short, NaN, doubled, without seeds that others have.

    spindb doctor 'env=CartPole-v1'

    spindb doctor --ids nan | spindb tag +diverged -
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected
    from spindb.index.read.doctor import CODES, examine

    at_most_one(json=as_json, ids=only is not None)
    if only is not None and only not in CODES:
        raise NotFoundError(f"no finding is called {only!r}", hint=f"findings: {', '.join(CODES)}")
    with connected(database(ctx, db)) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        findings = examine(connection, ids)
    if only is not None:
        found = sorted({run_id for finding in findings if finding.code == only for run_id in finding.ids})
        print_ids(found)
    elif as_json:
        print_json([{"finding": f.code, "message": f.message, "ids": f.ids} for f in findings])
    else:
        for finding in findings:
            echo(f"{finding.code:<12} {finding.message}")
            echo(f"{'':<12} {' '.join(map(str, finding.ids))}")
        say(f"{plural(len(ids), 'run')}, {plural(len(findings), 'finding') if findings else 'nothing found'}")
