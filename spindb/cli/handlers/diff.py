"""Prints what differs between runs, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from spindb.cli.options import Selection, words_of
from spindb.cli.terminal.data import Format, print_csv, print_json
from spindb.cli.terminal.tables import cell_len, clip, echo, print_table, say, terminal_width
from spindb.errors import UsageError
from spindb.index.database.connect import connected
from spindb.index.query.runs import RunInfo, run_by_id, shortest_run_names
from spindb.index.query.search import run_ids
from spindb.index.query.selection import references
from spindb.views.differences import Differences, differences_between

_MAX_VALUE = 24


def print_differences(selection: Selection, chosen: Format, *, equal: bool) -> None:
    """Print the keys that differ; with `equal` all keys.

    Raises:
        UsageError: fewer than two runs are named.
    """
    with connected(selection.location) as connection:
        found = differences_between(connection, _several(connection, words_of(selection.words)), equal=equal)
    if chosen == "json":
        print_json(found.as_json())
    elif chosen == "csv":
        print_csv(("key", *found.titles), ((row.key, *row.exact) for row in found.rows))
    elif found.rows:
        _print(found)
    else:
        say("no difference")


def _several(connection: Connection, words: Sequence[str]) -> list[RunInfo]:
    """The named runs, in the order in which they were named.

    Raises:
        UsageError: there are fewer than two.
    """
    named = references(connection, words, notice=say)
    # Words that name runs keep their order, which is that of the columns; a filter has none of its own.
    ids = run_ids(connection, " ".join(words)) if named is None else named
    found = [run_by_id(connection, run_id) for run_id in ids]
    if len(found) < 2:
        raise UsageError("diff needs at least two runs")
    return found


def _print(found: Differences) -> None:
    for run, name in zip(found.runs, shortest_run_names(found.runs), strict=True):
        say(f"{run.id:>5}  {name}")
    rows = [["-" if value is None else value for value in row.values] for row in found.rows]
    _side_by_side([row.key for row in found.rows], found.titles, rows)


def _side_by_side(keys: Sequence[str], titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The table, in several blocks where the terminal is too narrow for all runs."""
    width = terminal_width()
    key_width = max(map(cell_len, keys))
    widths = [max([cell_len(t), *(min(cell_len(row[i]), _MAX_VALUE) for row in rows)]) for i, t in enumerate(titles)]
    first = 0
    while first < len(titles):
        last, used = first, key_width
        # At least one run a block, however narrow the terminal is.
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
