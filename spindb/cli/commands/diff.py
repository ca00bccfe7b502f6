"""``spindb diff``: what tells runs apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.canonical import canonical
from spindb.cli import completion
from spindb.cli.options import AsCsv, AsJson, Db, at_most_one, database, words_of
from spindb.cli.terminal.tables import (
    cell_len,
    clip,
    echo,
    print_csv,
    print_json,
    print_table,
    say,
    show,
    show_hyperparameter,
    terminal_width,
)
from spindb.errors import UsageError
from spindb.index.database.unknown import json_value

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.analysis.differences import Fact
    from spindb.index.query.runs import RunInfo
    from spindb.records import ConfigLeaf

_MAX_VALUE = 24


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("diff")(diff)


def diff(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="Two runs or more: ids, names, directories, or one filter.",
            autocompletion=completion.of_filter,
        ),
    ],
    everything: Annotated[bool, typer.Option("--all", help="Show keys that are equal, too.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """Show what differs between runs, side by side: hyperparameters, facts, the last and the best of each metric.

    spindb diff 3 7

    spindb diff 'exp_name=ppo-cartpole seed=0'
    """
    from spindb.analysis.differences import differences
    from spindb.index.database.connect import connected
    from spindb.index.query.runs import shortest_run_names

    at_most_one(json=as_json, csv=as_csv)
    with connected(database(ctx, db)) as connection:
        found = _several(connection, words_of(words))
        facts = [_comparable(connection, run) for run in found]
    rows = differences(facts, everything=everything)
    titles = [f"{run.id}" for run in found]
    if as_json:
        print_json([{"key": row.key, "values": dict(zip(titles, row.exact, strict=True))} for row in rows])
    elif as_csv:
        print_csv(("key", *titles), ((row.key, *row.exact) for row in rows))
    elif rows:
        for run, name in zip(found, shortest_run_names(found), strict=True):
            say(f"{run.id:>5}  {name}")
        table = [["-" if value is None else value for value in row.values] for row in rows]
        _side_by_side([row.key for row in rows], titles, table)
    else:
        say("no difference")


def _several(connection: Connection, words: Sequence[str]) -> list[RunInfo]:
    """The runs that are meant, in the order in which they were named.

    Raises:
        UsageError: there are fewer than two.
    """
    from spindb.index.query.runs import run_by_id
    from spindb.index.query.search import run_ids
    from spindb.index.query.selection import references

    named = references(connection, words, notice=say)
    ids = run_ids(connection, " ".join(words)) if named is None else named
    found = [run_by_id(connection, run_id) for run_id in ids]
    if len(found) < 2:
        raise UsageError("diff needs at least two runs")
    return found


def _side_by_side(keys: Sequence[str], titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The table, in several blocks where the terminal does not take all runs beside each other."""
    width = terminal_width()
    key_width = max(map(cell_len, keys))
    widths = [max([cell_len(t), *(min(cell_len(row[i]), _MAX_VALUE) for row in rows)]) for i, t in enumerate(titles)]
    first = 0
    while first < len(titles):
        last, used = first, key_width
        while last < len(titles) and (last == first or width is None or used + widths[last] + 2 < width):
            used += widths[last] + 2
            last += 1
        cells = [
            row[first:last] if width is None else [clip(cell, _MAX_VALUE) for cell in row[first:last]] for row in rows
        ]
        block = [(key, *row) for key, row in zip(keys, cells, strict=True)]
        print_table(("", *titles[first:last]), block, right=titles[first:last], fixed=("",))
        first = last
        if first < len(titles):
            echo()


def _comparable(connection: Connection, run: RunInfo) -> dict[str, Fact]:
    """What a run is compared by: hyperparameters, then facts, then the last and the best of each metric.

    Each is compared exactly: hyperparameters by their canonical texts, numbers by all their digits.
    """
    from spindb.analysis.differences import Fact
    from spindb.index.read.run import config_of, last_value, metrics_of

    facts = {"algo": run.algo, "env": run.env.id, "status": run.status, "rows": run.rows}
    found = {leaf.key: _hyperparameter(leaf) for leaf in config_of(connection, run.id)}
    found |= {f"run.{key}": Fact(str(v), show(v), str(v)) for key, v in facts.items() if v is not None}
    for metric in metrics_of(connection, run.id):
        found[f"metric.{metric.name}"] = _number(last_value(metric))
        if metric.name == run.performance:
            found[f"metric.{metric.name}.max"] = _number(metric.max)
    return found


def _hyperparameter(leaf: ConfigLeaf) -> Fact:
    from spindb.analysis.differences import Fact

    value = json_value(leaf.canonical)
    return Fact(
        leaf.canonical, show_hyperparameter(leaf.canonical), value if isinstance(value, str) else leaf.canonical
    )


def _number(value: float | str | None) -> Fact:
    from spindb.analysis.differences import Fact

    exact = canonical(value) if isinstance(value, float) else str(value or "")
    return Fact(exact, show(value), exact)
