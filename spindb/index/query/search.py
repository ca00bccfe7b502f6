"""A filter over the database: one SELECT, plain rows back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from spindb.index.database.backend import backend_of
from spindb.index.database.batches import batches
from spindb.index.database.models import LARGEST, runs
from spindb.index.query import language
from spindb.index.query.analysis import MAX_JOINS, QueryPlan
from spindb.index.query.cells import converter, width
from spindb.index.query.compiler import to_sql
from spindb.index.query.fields import Field, Names, alternatives
from spindb.index.query.language import Name
from spindb.index.query.lists import one_of
from spindb.index.query.meaning import meaning_of
from spindb.index.query.question import Question, about_ids, planned, question
from spindb.index.query.sources import Lead, Sources

_MANY = 2000  # runs; below, sorting them all is cheaper than walking an index past those that don't match
_MAX_LEADS = 8  # indexes that are walked for one sort key
_MAX_CELLS = 500  # that one statement selects
_MAX_LISTED = 5000  # ids that are sent to the database, rather than the question again
_MAX_EXPLAINED = 20  # terms; each is counted twice


class Result(NamedTuple):
    """Rows of a search: one title per column, values as Python has them (lists and None included).

    ``meaning`` says which hyperparameters and metrics a name stood for in all runs that match, where that is not what
    the name itself says: several, or one that is spelled otherwise. Where no run matches, what it may stand for.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int
    meaning: Mapping[str, tuple[str, ...]]


class Query(NamedTuple):
    """What is searched for: a filter, columns and sort keys by name (a leading ``-`` sorts downwards).

    A filter of several questions is read once, by `spindb.index.query.question.question`; as text it is
    read here, and hidden runs are left out unless it is about ``everything``.
    """

    filter: str | Question = ""
    columns: Sequence[str] = ("id",)
    sort: Sequence[str] = ()
    limit: int | None = None
    everything: bool = False
    offset: int = 0
    total: int | None = None
    """How many runs match, where that is known already."""


def search(connection: Connection, query: Query) -> Result:
    """Run a query, of any number of terms, columns and sort keys.

    Which runs are left out unless `everything` is set or the filter itself speaks of them:
    `spindb.index.query.visibility`.

    Raises:
        FilterError: the query can't be read or names something unknown.
    """
    limit = query.limit if query.limit is None else min(query.limit, LARGEST)
    query = query._replace(limit=limit, offset=min(query.offset, LARGEST))
    one = _Search(connection, query)
    ids, values, matching = one.page()
    rows = tuple(zip(*(values[found] for found in one.columns), strict=True)) if one.columns else ((),) * len(ids)
    return Result(tuple(query.columns), rows, matching.total, one.meaning(ids, matching))


class _Matching(NamedTuple):
    """How many runs match, and the one metric that is the performance of all that have one, where it is one."""

    total: int
    only: str | None = None


class _Search:
    """One question on its way through the database."""

    def __init__(self, connection: Connection, query: Query) -> None:
        self.connection, self.query = connection, query
        self.backend = backend_of(connection)
        self.question = question(connection, query.filter, everything=query.everything)
        sql = to_sql(self.question.plan, self.backend)
        self.condition, self.sources = sql.selected, sql.sources
        self.used = dict(self.question.plan.fields)
        self.columns = [self.find(Name.whole(name)) for name in query.columns]
        sort: dict[Field, bool] = {}  # a key that comes a second time decides nothing
        for name in query.sort:
            word = name.removeprefix("-")
            found = self.find(Name(word, len(name) - len(word), len(name), source=name))
            sort.setdefault(found, word != name)
        self.sort = list(sort.items())

    def find(self, name: Name) -> Field:
        """What the name of a column or a sort key stands for."""
        found = self.used[name.text] = self.question.names.find(name)
        return found

    def page(self) -> tuple[list[int], dict[Field, list[Any]], _Matching]:
        """The ids of the page, the values of each column, and what is known of all runs that match."""
        first, *more = _chunks(self.columns)
        if sum(_tables(found) for found, _ in self.sort) > MAX_JOINS:
            ids, total = self.sorted_here()
            return ids, self.values_of(ids, self.columns), _Matching(total)
        rows, matching = self.rows(first)
        ids = [row[0] for row in rows]
        values = dict(zip(first, _values(rows, first), strict=True))
        for chunk in more:
            values |= self.values_of(ids, chunk)
        return ids, values, matching

    def meaning(self, ids: Sequence[int], found: _Matching) -> dict[str, tuple[str, ...]]:
        """What the names stood for in all runs that match, whichever page of them this is."""
        among: ColumnElement[bool] | None = None
        total = found.total
        if len(ids) == total <= _MAX_LISTED and ids:
            among = one_of(self.backend, runs.c.id, ids)
        elif total:
            matching = select(runs.c.id).select_from(self.sources.tables()).where(self.condition)
            among = runs.c.id.in_(matching.correlate(None))
        return meaning_of(self.connection, self.used, among, one_performance=found.only is not None)

    def rows(self, columns: Sequence[Field]) -> tuple[Sequence[Any], _Matching]:
        """The page's rows, ids first, and what is known of all runs that match."""
        query = self.query
        wanted = select(runs.c.id, *self.cells(columns)).where(self.condition)
        if query.limit is None:
            rows = self.sorted_page(wanted.add_columns(_OWN))
            matching = _Matching(len(rows) + query.offset, _only({row[-1] for row in rows} - {None}))
            return rows, matching if rows or not query.offset else self.count()
        if self.question.plan.selective:
            # Few runs match: all are found anyway, so the same statement counts them.
            totals = [part.over() for part in _TOTALS]
            rows = self.sorted_page(wanted.add_columns(*totals))
            return rows, _matching(rows[0][-len(totals) :]) if rows else self.count() if query.offset else _Matching(0)
        # Many may match: counted apart, by sets instead of joins; a page is read off an index where there are many,
        # since the first rows in its order are then near its beginning, and sorted where there are few.
        matching = self.count()
        rows = self.read_off(wanted) if matching.total > _MANY else []
        return (rows if len(rows) >= query.limit else self.sorted_page(wanted)), matching

    def count(self) -> _Matching:
        if self.query.total is not None:
            return _Matching(self.query.total)
        return _counted(self.connection, self.question.plan)

    def cells(self, columns: Iterable[Field]) -> list[ColumnElement[Any]]:
        cells = [cell for found in columns for cell in self.sources.cells(found)]
        return [cell.label(f"c{place}") for place, cell in enumerate(cells)]

    def order(self, sort: Sequence[tuple[Field, bool]]) -> list[ColumnElement[Any]]:
        keys = [(key, down) for found, down in sort for key in self.sources.keys(found)]
        return [(key.desc() if down else key.asc()).nulls_last() for key, down in keys]

    def sorted_page(self, wanted: Select[Any]) -> Sequence[Any]:
        """Few runs are found by what they must hold, and sorted then."""
        order = self.order(self.sort)
        page = wanted.select_from(self.sources.tables()).order_by(*order, runs.c.id)
        return self.connection.execute(self.cut(page)).all()

    def read_off(self, wanted: Select[Any]) -> Sequence[Any]:
        """The first of many are read off the index of what they are sorted by, as far as runs have that.

        Where several indexes lead, the first of each are what the page is chosen from.
        """
        leads = self.sources.leads(self.sort[0][0], self.own_metrics) if self.sort else []
        if len(leads) == 1 and any(join is leads[0].join for join in self.sources.joins.values()):
            return self.connection.execute(self.cut(self.led(wanted, leads[0]))).all()
        if not leads or len(leads) > _MAX_LEADS or self.query.limit is None:
            return []
        end = self.query.limit + self.query.offset
        ids = [
            row[0]
            for lead in leads
            for row in self.connection.execute(self.led(select(runs.c.id).where(self.condition), lead).limit(end))
        ]
        if len(ids) < end:
            return []
        return self.sorted_page(wanted.where(one_of(self.backend, runs.c.id, ids)))

    def led(self, wanted: Select[Any], lead: Lead) -> Select[Any]:
        down = self.sort[0][1]
        rest = self.order(self.sort[1:])
        page = wanted.select_from(self.sources.tables(lead.join)).where(lead.condition)
        return page.order_by(lead.order.desc() if down else lead.order.asc(), *rest, runs.c.id)

    def own_metrics(self) -> list[str]:
        """The metrics that are performances of runs, as far as few are."""
        names: list[str] = []
        own = runs.c.performance
        while len(names) <= _MAX_LEADS:
            found = self.connection.execute(
                select(func.min(own)).where(own > names[-1]) if names else select(func.min(own))
            )
            name = found.scalar()
            if name is None:
                break
            names.append(name)
        return names

    def cut(self, page: Select[Any]) -> Select[Any]:
        return page.limit(self.query.limit).offset(self.query.offset or None)

    def sorted_here(self) -> tuple[list[int], int]:
        """The page's ids where there are more sort keys than a statement takes."""
        statement = select(runs.c.id).where(self.condition).select_from(self.sources.tables())
        ids = list(self.connection.execute(statement.order_by(runs.c.id)).scalars())
        for found, down in reversed(self.sort):
            keys = self.keys_of(ids, found)
            for place in reversed(range(len(next(iter(keys.values()), ())))):
                there = [run_id for run_id in ids if keys[run_id][place] is not None]
                missing = [run_id for run_id in ids if keys[run_id][place] is None]
                ids = [*sorted(there, key=lambda run_id: keys[run_id][place], reverse=down), *missing]
        first = self.query.offset
        return ids[first : None if self.query.limit is None else first + self.query.limit], len(ids)

    def keys_of(self, ids: Sequence[int], found: Field) -> dict[int, tuple[Any, ...]]:
        sources = Sources()
        statement = select(runs.c.id, *sources.keys(found)).select_from(sources.tables())
        rows = self.connection.execute(statement.where(one_of(self.backend, runs.c.id, ids)))
        return {row[0]: tuple(row[1:]) for row in rows}

    def values_of(self, ids: Sequence[int], columns: Sequence[Field]) -> dict[Field, list[Any]]:
        """The values of columns for these runs, in order."""
        values: dict[Field, list[Any]] = {}
        for chunk in _chunks(columns):
            sources = Sources()
            cells = [cell for found in chunk for cell in sources.cells(found)]
            labelled = [cell.label(f"c{place}") for place, cell in enumerate(cells)]
            statement = select(runs.c.id, *labelled).select_from(sources.tables())
            rows = self.connection.execute(statement.where(one_of(self.backend, runs.c.id, ids)))
            by_id = {row[0]: row for row in rows}
            values |= dict(zip(chunk, _values([by_id[run_id] for run_id in ids], chunk), strict=True))
        return values


def _tables(found: Field) -> int:
    return len(alternatives(found))


def _chunks(columns: Iterable[Field]) -> list[list[Field]]:
    """The different fields, cut into chunks that one statement takes; one chunk at least."""
    chunks: list[list[Field]] = [[]]
    tables = cells = 0
    for found in dict.fromkeys(columns):
        tables, cells = tables + _tables(found), cells + width(found)
        if chunks[-1] and (tables > MAX_JOINS or cells > _MAX_CELLS):
            chunks.append([])
            tables, cells = _tables(found), width(found)
        chunks[-1].append(found)
    return chunks


def _values(rows: Sequence[Any], columns: Sequence[Field]) -> list[list[Any]]:
    """The values of each column: an id, then the cells of one column after another."""
    found, place = [], 1
    for column in columns:
        convert, end = converter(column), place + width(column)
        found.append(_column(rows, place, end, convert))
        place = end
    return found


def _column(rows: Sequence[Any], begin: int, end: int, convert: Callable[[Sequence[Any]], Any] | None) -> list[Any]:
    if convert is None:
        return [row[begin] for row in rows]
    return [convert(row[begin:end]) for row in rows]


def run_ids(connection: Connection, filter: str | Question, *, everything: bool = False) -> list[int]:
    """The ids of the runs that a filter selects, ascending."""
    return [row[0] for row in search(connection, Query(filter, everything=everything)).rows]


def fields_of(connection: Connection, ids: Sequence[int], names: Sequence[str]) -> dict[int, tuple[Any, ...]]:
    """The values of these fields for each of these runs, archived and missing ones too.

    Raises:
        FilterError: a name that is unknown.
    """
    found: dict[int, tuple[Any, ...]] = {}
    known = Names(connection)
    for batch in batches(ids):
        query = Query(about_ids(known, batch), ("id", *names))
        found |= {row[0]: row[1:] for row in search(connection, query).rows}
    return found


class TermCount(NamedTuple):
    """A term of a filter: how many runs hold it alone, and how many would be found without it."""

    term: str
    alone: int
    without: int


def explain(connection: Connection, filter: str | Question, *, everything: bool = False) -> list[TermCount]:
    """Why a filter finds what it finds: each of its terms by itself, and all but it. Nothing for very many terms."""
    whole = question(connection, filter, everything=everything)
    terms = language.terms_of(whole.tree, whole.text)
    if len(terms) > _MAX_EXPLAINED:
        return []

    def held_by(*trees: language.Filter) -> int:
        plan = planned(connection, language.All(trees), whole.names, everything=whole.everything)
        return _counted(connection, plan).total

    trees = [term.tree for term in terms]
    return [
        TermCount(term.text, held_by(term.tree), held_by(*trees[:place], *trees[place + 1 :]))
        for place, term in enumerate(terms)
    ]


def count(connection: Connection, filter: str | Question, *, everything: bool = False) -> int:
    """How many runs a filter selects."""
    return _counted(connection, question(connection, filter, everything=everything).plan).total


_OWN = runs.c.performance
_TOTALS = (func.count(), func.min(_OWN), func.max(_OWN))


def _counted(connection: Connection, plan: QueryPlan) -> _Matching:
    sql = to_sql(plan, backend_of(connection), counting=True)
    statement = select(*_TOTALS).select_from(sql.sources.tables()).where(sql.selected)
    return _matching(connection.execute(statement).one())


def _matching(totals: Sequence[Any]) -> _Matching:
    """What `_TOTALS` says."""
    total, least, greatest = totals
    return _Matching(int(total), _only({least, greatest} - {None}))


def _only(names: Set[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None
