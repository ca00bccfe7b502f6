"""Connections of commands, and the runs that they select; notes on names that may surprise go to stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection

from spindb.cli.options import Selection, words_of
from spindb.cli.terminal.door import say
from spindb.index.database.connect import connected
from spindb.index.query.runs import RunInfo, find_run
from spindb.index.query.selection import selected


class Ranking(NamedTuple):
    """What settings are ranked by: a metric, its summary, the fields of a setting (none: all but the seed)."""

    metric: str
    summary: str
    group_by: tuple[str, ...]
    lower: bool


@contextmanager
def selected_runs(selection: Selection) -> Iterator[tuple[Connection, list[int]]]:
    """A connection that reads, and the ids of the selected runs.

    Raises:
        FilterError: the filter can't be read; NotFoundError: a run that was named is not there.
    """
    with connected(selection.location) as connection:
        yield connection, ids_of(connection, selection.words, everything=selection.everything)


def ids_of(connection: Connection, words: Sequence[str], *, everything: bool) -> list[int]:
    """Ids of the runs that the words select."""
    return selected(connection, words_of(words), everything=everything, notice=say)


def run_of(connection: Connection, word: str) -> RunInfo:
    """The run that a word names (see `spindb.index.query.reference`).

    Raises:
        NotFoundError: there is none; UsageError: there are several.
    """
    found = find_run(connection, word)
    if found.note:
        say(found.note)
    return found
