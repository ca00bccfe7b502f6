"""The table of runs: the usual columns or those that were chosen, a page of rows, and what all runs have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from spindb.analysis.drawing.sparkline import sparkline
from spindb.index.query.fields import STATISTICS, ConfigField, alternatives
from spindb.index.query.find import shortest_names
from spindb.index.query.language import Name
from spindb.index.query.outline import Outline, outline
from spindb.index.query.question import Question
from spindb.index.query.search import Query, Result, search
from spindb.index.query.selection import question_of
from spindb.index.read.curves import performance_curves
from spindb.index.read.overview import varying_keys
from spindb.machine import now
from spindb.views.text import age

DATA_COLUMNS = (
    *("id", "root", "path", "name", "exp_name", "algo", "env", "seed", "status", "rows"),
    *("Performance", "Performance.max", "started", "updated", "tags"),
)
"""Columns of the table as data, where none are chosen."""
CURVE, AGE = "curve", "age"
_TITLES = {"Performance": "perf", "Performance.max": "best"}
_MAX_VARYING = 8
_NOT_VARYING = ("seed", "exp_name", "env", "env_name", "env_id", "algo")  # have columns of their own, or tell nothing


class TableRequest(NamedTuple):
    """Which runs, columns and page; `columns` as they are typed: names, or ``+NAME`` and ``-NAME``."""

    words: Sequence[str]
    sort: tuple[str, ...] = ()
    columns: Sequence[str] = ()
    limit: int | None = None
    offset: int = 0
    everything: bool = False

    def query(self, question: Question, columns: Sequence[str], total: int | None = None) -> Query:
        """The query of a question for these columns; `total` is how many runs match, where that is known."""
        return Query(question, tuple(columns), self.sort, self.limit, self.everything, self.offset, total)


class ColumnLayout(NamedTuple):
    """Columns by name; which may be left out, the last first; and what all runs have in common, ``algo=ppo``."""

    columns: tuple[str, ...]
    droppable: tuple[str, ...] = ()
    common: tuple[str, ...] = ()


class RunsTable(NamedTuple):
    """A page of the table.

    ``question`` is what was searched for, ``titles`` and ``rows`` are by column, ``exact`` are the columns
    that hold hyperparameters, ``meaning`` what names stood for (see `spindb.index.query.search.Result`).
    """

    question: Question
    whole: Outline
    layout: ColumnLayout
    titles: Mapping[str, str]
    rows: Sequence[Mapping[str, object]]
    exact: frozenset[str]
    meaning: Mapping[str, tuple[str, ...]]


def runs_data(connection: Connection, request: TableRequest, notice: Callable[[str], None]) -> Result:
    """The runs as data, with the columns that were chosen or `DATA_COLUMNS`.

    Raises:
        FilterError: the query can't be read or names something unknown.
    """
    question = question_of(connection, request.words, everything=request.everything, notice=notice)
    return search(connection, request.query(question, chosen_columns(DATA_COLUMNS, request.columns)))


def runs_table(connection: Connection, request: TableRequest, notice: Callable[[str], None]) -> RunsTable:
    """The table for people; without rows where no run is on this page.

    Raises:
        FilterError: the query can't be read or names something unknown.
    """
    question = question_of(connection, request.words, everything=request.everything, notice=notice)
    whole = outline(connection, question)
    # The identity of each run comes first: names can be shortened only beside each other.
    identity = ("id", "status", "root", "path", "updated")
    found = search(connection, request.query(question, identity, whole.total))
    if not found.rows:
        return RunsTable(question, whole, ColumnLayout(()), {}, (), frozenset(), {})
    layout = _layout(connection, whole, request.columns)
    names = [name for name in layout.columns if name not in (CURVE, AGE)]
    # A second query: which columns there are follows from all runs that match, not from the page.
    shown = search(connection, request.query(question, names, whole.total))
    extra = _computed(connection, found, layout.columns)
    rows = [dict(zip(names, row, strict=True)) | more for row, more in zip(shown.rows, extra, strict=True)]
    exact = _hyperparameters(question, names)
    return RunsTable(question, whole, layout, _titles(layout.columns), rows, exact, shown.meaning)


def chosen_columns(usual: Sequence[str], chosen: Sequence[str]) -> tuple[str, ...]:
    """The chosen columns: a list of their own, or changes to the usual ones."""
    if not chosen:
        return tuple(usual)
    if not all(field.startswith(("+", "-")) for field in chosen):
        return tuple(chosen)
    removed = {field[1:] for field in chosen if field.startswith("-")}
    # A field that is there already keeps its place: --columns +rows moves nothing.
    added = [field[1:] for field in chosen if field.startswith("+") and field[1:] not in usual]
    kept = [field for field in usual if field not in removed]
    # Before the result, where a reader looks for what explains it.
    place = kept.index("Performance") if "Performance" in kept else len(kept)
    return (*kept[:place], *added, *kept[place:])


def _layout(connection: Connection, whole: Outline, chosen: Sequence[str]) -> ColumnLayout:
    """The usual columns for these runs: what identifies them, what varies among all of them, how they did."""
    if chosen and not chosen[0].startswith(("+", "-")):
        return ColumnLayout(chosen_columns((), chosen))
    common: list[str] = []
    identity = ["id", "name"]
    for name in ("algo", "env"):
        if name not in whole.common:
            identity.append(name)
        elif whole.total > 1 and whole.common[name] is not None:
            common.append(f"{name}={whole.common[name]}")
    # Left out only where no run has one: several runs of one seed are worth seeing.
    seeds = ["seed"] if whole.common.get("seed", 0) is not None else []
    keys = varying_keys(connection, whole.ids)
    varying = [row.key for row in keys if len(row.values) > 1 and row.key not in _NOT_VARYING and not row.opaque]
    varying = varying[:_MAX_VARYING]
    columns = chosen_columns((*identity, *varying, *seeds, "rows", "Performance", CURVE, AGE), chosen)
    # The last is left out first; the first hyperparameter, which varies most, is kept.
    droppable = [AGE, *varying[1:3], "rows", *varying[3:]]
    named = {field.lstrip("+") for field in chosen}
    return ColumnLayout(
        columns, tuple(name for name in droppable if name in columns and name not in named), tuple(common)
    )


def _hyperparameters(question: Question, names: Sequence[str]) -> frozenset[str]:
    """The columns that hold hyperparameters, of some runs at least."""
    found = {name: alternatives(question.names.find(Name.whole(name))) for name in names}
    return frozenset(name for name, kinds in found.items() if any(isinstance(one, ConfigField) for one in kinds))


def _computed(connection: Connection, found: Result, columns: Sequence[str]) -> list[dict[str, object]]:
    """What no field holds: the shortest names that differ; the curve, or the status where there is none; the age."""
    # Series are the largest values in the database: they are read only where the column is shown.
    curves = performance_curves(connection, [row[0] for row in found.rows]) if CURVE in columns else {}
    names = shortest_names([os.path.normpath(os.path.join(root, path)) for _, _, root, path, _ in found.rows])
    moment = now()
    return [
        {
            "name": name,
            CURVE: sparkline(curves[run_id]) if status == "ok" and run_id in curves else _status(status),
            AGE: age((moment - updated).total_seconds()) if updated else "",
        }
        for name, (run_id, status, _, _, updated) in zip(names, found.rows, strict=True)
    ]


def _status(status: str) -> str:
    return "" if status == "ok" else f"({status})"


def _titles(columns: Sequence[str]) -> dict[str, str]:
    """A title per column: the last part of a hyperparameter's path where no other column ends so."""
    ends = [name.rpartition(".")[2] for name in columns]
    return {
        name: _TITLES.get(name, end if end not in ("", *STATISTICS) and ends.count(end) == 1 else name)
        for name, end in zip(columns, ends, strict=True)
    }
