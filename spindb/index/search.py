"""A filter over the database: one SELECT, plain rows back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from spindb.errors import FilterError
from spindb.index import filters, series
from spindb.index.conditions import Compiler
from spindb.index.database.unknown import json_value
from spindb.index.fields import ConfigField, Field, MetricField, RunField
from spindb.index.models import LARGEST, runs
from spindb.index.portions import batches

_TAGS = RunField("tags", "text")
_MANY = 2000  # runs; below, sorting them all is cheaper than walking an index past those that don't match


class Result(NamedTuple):
    """Rows of a search: one title per column, values as Python has them (lists and None included)."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int


class Query(NamedTuple):
    """What is asked for: filter text, columns and sort keys by name (a leading ``-`` sorts downwards)."""

    text: str = ""
    columns: Sequence[str] = ("id",)
    sort: Sequence[str] = ()
    limit: int | None = None
    everything: bool = False
    offset: int = 0


def search(connection: Connection, query: Query) -> Result:
    """Run a query.

    Runs that are archived or missing are left out, unless `everything` is asked for or the filter
    itself speaks of ``id``, ``archived`` or ``status``.

    Raises:
        FilterError: the query can't be read or names something unknown.
    """
    limit = query.limit if query.limit is None else min(query.limit, LARGEST)
    query = query._replace(limit=limit, offset=min(query.offset, LARGEST))
    compiler = Compiler(connection, query.text, query.everything)
    condition = compiler.selected()
    columns = [compiler.column(name) for name in query.columns]
    wanted = select(*(e for column in columns for e in column)).where(condition)
    if query.limit is None:
        rows = _page(connection, compiler, wanted, query)
        total = len(rows)
    elif compiler.selective:
        counted = wanted.add_columns(func.count().over())
        rows = _page(connection, compiler, counted, query)
        total = rows[0][-1] if rows else query.offset and count(connection, query.text, everything=query.everything)
    else:
        total = count(connection, query.text, everything=query.everything)
        rows = _read_off(connection, compiler, wanted, query) if total > _MANY else []
        if len(rows) < query.limit:
            rows = _page(connection, compiler, wanted, query)
    widths = [len(column) for column in columns]
    return Result(tuple(query.columns), _rows(rows, widths, compiler.columns), total)


def _page(connection: Connection, compiler: Compiler, wanted: Select[Any], query: Query) -> Sequence[Any]:
    """Few runs are found by what they must hold, and sorted then."""
    order = [key for name in query.sort for key in compiler.order(name)]
    page = wanted.select_from(compiler.source()).order_by(*order, runs.c.id)
    return connection.execute(page.limit(query.limit).offset(query.offset or None)).all()


def _read_off(connection: Connection, compiler: Compiler, wanted: Select[Any], query: Query) -> Sequence[Any]:
    """The first of many are read off the index of what they are sorted by, as far as runs have that."""
    lead = compiler.lead(query.sort[0]) if query.sort else None
    if lead is None:
        return []
    rest = [key for name in query.sort[1:] for key in compiler.order(name)]
    page = wanted.select_from(compiler.source(leading=lead.join)).where(lead.there).order_by(lead.key, *rest, runs.c.id)
    return connection.execute(page.limit(query.limit).offset(query.offset or None)).all()


def run_ids(connection: Connection, text: str, *, everything: bool = False) -> list[int]:
    """The ids of the runs that a filter selects, ascending."""
    return [row[0] for row in search(connection, Query(text, everything=everything)).rows]


def fields_of(connection: Connection, ids: Sequence[int], names: Sequence[str]) -> dict[int, tuple[Any, ...]]:
    """The values of these fields for each of these runs, archived and missing ones too.

    Raises:
        FilterError: a name that is unknown.
    """
    found: dict[int, tuple[Any, ...]] = {}
    for batch in batches(ids):
        query = Query(f"id in ({', '.join(map(str, batch))})", ("id", *names))
        found |= {row[0]: row[1:] for row in search(connection, query).rows}
    return found


class TermCount(NamedTuple):
    """A term of a filter: how many runs hold it alone, and how many would be found without it."""

    term: str
    alone: int
    without: int


def explain(connection: Connection, text: str, *, everything: bool = False) -> list[TermCount]:
    """Why a filter finds what it finds: each of its terms by itself, and all but it."""
    terms = filters.terms(text)
    counts = []
    for position, term in enumerate(terms):
        others = " ".join(terms[:position] + terms[position + 1 :])
        try:
            counts.append(TermCount(term, *(count(connection, t, everything=everything) for t in (term, others))))
        except FilterError:  # a term that can't stand alone explains nothing
            continue
    return counts


def count(connection: Connection, text: str, *, everything: bool = False) -> int:
    """How many runs a filter selects."""
    compiler = Compiler(connection, text, everything, counting=True)
    condition = compiler.selected()
    return int(connection.execute(select(func.count()).select_from(compiler.source()).where(condition)).scalar_one())


def _converter(found: Field) -> Callable[[Any, Any], Any] | None:
    """What makes a Python value of a field's cells, None where the cell is the value."""
    if isinstance(found, ConfigField):
        return lambda text, _: None if text is None else json_value(text)
    if isinstance(found, MetricField) and found.statistic == "last":
        return series.last_cell
    if found == _TAGS:
        return lambda text, _: tuple(text.split(", ")) if text else ()
    return None


def _rows(rows: Sequence[Any], widths: Sequence[int], fields: Sequence[Field]) -> tuple[tuple[Any, ...], ...]:
    """The rows of a statement with one value per field: a field takes one cell or two."""
    places = [0, *itertools.accumulate(widths)]
    columns = [
        (place, place + width - 1, _converter(found))
        for place, width, found in zip(places, widths, fields, strict=False)
    ]
    return tuple(
        tuple(row[first] if convert is None else convert(row[first], row[last]) for first, last, convert in columns)
        for row in rows
    )
