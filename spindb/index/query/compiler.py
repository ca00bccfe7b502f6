"""Turns a filter's tree into one condition, and names of columns and sort keys into what they select."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, and_, exists, false, func, not_, select, true

from spindb.errors import FilterError
from spindb.index.database.models import runs, tags
from spindb.index.query import comparisons, language, saved
from spindb.index.query.comparisons import Test
from spindb.index.query.fields import (
    CODES,
    ConfigField,
    Field,
    MetricField,
    Names,
    RunField,
    alternatives,
    run_field,
)
from spindb.index.query.language import Comparison, Filter, Membership, Name, Presence, Tagged, Value
from spindb.index.query.lists import all_of, any_of, one_of
from spindb.index.query.sources import MAX_JOINS, RowTest, Sources, Stored, ids_where, table_of
from spindb.index.query.values import error, glob
from spindb.index.query.visibility import THERE, hidden
from spindb.verdicts import VERDICTS

_MAX_HEIGHT = 6
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Apart:
    """A value that is there and equal to none of several."""

    name: Name
    values: tuple[Value, ...]


@dataclass
class Compiler:
    """Compiles one filter and what is selected with it, and remembers which tables that takes."""

    connection: Connection
    text: str
    everything: bool = False
    counting: bool = False
    """Whether the runs are only counted: sets of ids then, where the condition leaves many."""
    sources: Sources = field(default_factory=Sources)
    selective: bool = False
    """Whether all results have a certain value of some hyperparameter."""
    asked: dict[str, Field] = field(default_factory=dict)
    """What each name stood for."""

    def __post_init__(self) -> None:
        self.names = Names(self.connection)
        self.dialect = self.connection.dialect.name
        self.tree = saved.expanded(self.connection, language.parse(self.text), self.text)
        speaks_of = {column.name for name in language.names_in(self.tree) if (column := run_field(name))}
        self.hidden = hidden(speaks_of, everything=self.everything)

    def find(self, name: Name, text: str) -> Field:
        found = self.asked[name.text] = self.names.find(name, text)
        return found

    def field(self, name: str) -> Field:
        """What the name of a column or a sort key stands for.

        Raises:
            FilterError: nothing here has that name.
        """
        return self.find(Name(name, 0, len(name)), name)

    def sorted_by(self, name: str) -> tuple[Field, bool]:
        """The field that a sort key names, and whether downwards."""
        word = name.removeprefix("-")
        return self.find(Name(word, len(name) - len(word), len(name)), name), word != name

    # Conditions.

    def selected(self) -> ColumnElement[bool]:
        """The condition that the text says, for the runs that it speaks of."""
        return and_(self.said(), *map(not_, self.hidden.values()))

    def said(self) -> ColumnElement[bool]:
        """The condition that the text says, for all runs that were not removed: see `spindb.index.query.visibility`."""
        return and_(self.conjunction(self.tree), THERE)

    def conjunction(self, tree: Filter | _Apart) -> ColumnElement[bool]:
        """A condition that must hold: its fields are joined inside."""
        match tree:
            case language.All(items):
                together = sorted(_together(items, "!="), key=lambda item: not _is_equality(item))
                return all_of([self.conjunction(item) for item in together])
            case language.Within():
                return self.within(tree, self.conjunction)
            case Comparison() | Membership() | _Apart():
                return self.comparison(tree, required=True)
        return self.condition(tree)

    def condition(self, tree: Filter | _Apart) -> ColumnElement[bool]:
        return self.measured(tree)[0]

    def measured(self, tree: Filter | _Apart) -> tuple[ColumnElement[bool], int]:
        """A condition that may or may not hold, and how many parts of it stand within each other."""
        match tree:
            case language.All(items):
                return self.composed(all_of, _together(items, "!="))
            case language.Either(items):
                return self.composed(any_of, _together(items, "="))
            case language.Not(language.Not(item)):
                return self.measured(item)
            case language.Not(item):
                # Two-valued: a run without the field is among those for which the test does not hold.
                inner, height = self.measured(item)
                return self.flat(not_(func.coalesce(inner, false())), height + 1)
            case language.Within():
                return self.within(tree, self.measured)
            case language.Saved(name):
                raise AssertionError(f"@{name} should have been expanded")
            case Tagged(tag):
                return exists().where(tags.c.run_id == runs.c.id, tags.c.tag == tag), 0
            case Presence(name, present):
                there = self.presence(self.find(name, self.text))
                return there if present else not_(there), 0
        return self.comparison(tree, required=False), 0

    def composed(
        self, join: Callable[[Iterable[ColumnElement[bool]]], ColumnElement[bool]], items: Iterable[Filter | _Apart]
    ) -> tuple[ColumnElement[bool], int]:
        parts = [self.measured(item) for item in items]
        return self.flat(join([part for part, _ in parts]), 1 + max((height for _, height in parts), default=0))

    def flat(self, condition: ColumnElement[bool], height: int) -> tuple[ColumnElement[bool], int]:
        """The condition, answered at once where it is too deep for a part of a statement: SQLite's parser takes
        about twenty levels."""
        if height < _MAX_HEIGHT:
            return condition, height
        sources = Sources(of_roots=self.sources.of_roots)
        ids = self.connection.execute(select(runs.c.id).select_from(sources.tables()).where(condition)).scalars().all()
        return one_of(self.dialect, runs.c.id, ids), 0

    def comparison(self, tree: Comparison | Membership | _Apart, *, required: bool) -> ColumnElement[bool]:
        match tree:
            case Membership(name, values):
                return self.compare(name, "=", values, required)
            case _Apart(name, values):
                return self.compare(name, "!=", values, required)
            case Comparison(name, comparator, value):
                return self.compare(name, comparator, (value,), required)

    def within(self, tree: language.Within, compile_: Callable[[Filter], T]) -> T:
        """A saved query's condition; its errors show its own text."""
        outer, self.text = self.text, tree.text
        try:
            return compile_(tree.item)
        finally:
            self.text = outer

    def presence(self, found: Field) -> ColumnElement[bool]:
        if isinstance(found, RunField):
            return _has_codes(found) if found.kind == "codes" else self._there(found)
        return any_of([_in_set(one, lambda alias: true()) for one in alternatives(found)])

    def _there(self, found: RunField) -> ColumnElement[bool]:
        return self.sources.column(found).is_not(None)

    def compare(self, name: Name, comparator: str, values: tuple[Value, ...], required: bool) -> ColumnElement[bool]:
        found, test = self.find(name, self.text), Test(self.text, comparator, values, self.dialect)
        match found:
            case RunField(kind="codes"):
                return self.of_codes(found, test)
            case RunField():
                return comparisons.of_column(found, self.sources.column(found), test)
            case MetricField():
                # Few are left, to be looked up one by one: adding nothing keeps the metric's index out of it.
                few = required and self.selective
                return self.where(found, required, lambda alias: comparisons.of_metric(found, alias, test, few=few))
        equal = required and comparator == "="
        self.selective |= equal
        if isinstance(found, ConfigField):
            # Equality leaves few: sets of their ids out of the index are cheaper than a look at each one's row.
            joined = required and not equal and len(found.keys) == 1
            return self.where(found, joined, lambda alias: comparisons.of_config(alias, test))
        return self.of_alternatives(found.fields, test)

    def where(self, found: Stored, required: bool, test: RowTest) -> ColumnElement[bool]:
        """That a field of the run passes a test: of its join where that is required, else as a set of ids."""
        room = self.sources.is_joined(found) or len(self.sources.joins) < MAX_JOINS
        if required and room and (self.selective or not self.counting):
            return test(self.sources.join(found, required=True))
        return _in_set(found, test)

    def of_alternatives(self, fields: Sequence[Stored], test: Test) -> ColumnElement[bool]:
        """That the first of these fields that a run has passes the test.

        What one of them can't be compared with is not equal to it; what none can be compared with is an error.
        """
        refused: dict[Value, FilterError] = {}
        taken: set[Value] = set()
        parts = []
        for place, one in enumerate(fields):
            fitting = []
            for value in test.values:
                try:
                    _row_test(one, test.of(value), table_of(one))
                    fitting.append(value)
                except FilterError as error:
                    refused.setdefault(value, error)
            taken.update(fitting)
            if fitting:
                parts.append(_in_set(one, partial(_row_test, one, test.of(*fitting)), fields[:place]))
            elif test.comparator == "!=":
                parts.append(_in_set(one, lambda alias: true(), fields[:place]))
        for value, reason in refused.items():
            if value not in taken:
                raise reason
        return any_of(parts)

    def of_codes(self, found: RunField, test: Test) -> ColumnElement[bool]:
        """That the run has such a code; for ``!=`` that it has codes, none of them that one."""
        rows = CODES[found.name]
        code = rows.c.code
        if found.name == "verified" and test.comparator in ("=", "!="):
            test = replace(test, values=tuple(_verdict(value, test) for value in test.values))
        match test.comparator:
            case "=" | "!=":
                row = comparisons.of_column(found, code, replace(test, comparator="="))
            case "~":
                row = glob(code, test.value.text)
            case _:
                raise test.error(f"{found.name} is compared by =, !=, ~ and in")
        such = runs.c.id.in_(select(rows.c.run_id).where(row))
        return and_(self.presence(found), not_(such)) if test.comparator == "!=" else such


def _has_codes(found: RunField) -> ColumnElement[bool]:
    rows = CODES[found.name]
    return runs.c.id.in_(select(rows.c.run_id))


def _verdict(value: Value, test: Test) -> Value:
    """A verdict as it is kept, however its apostrophe and blank were typed."""
    text = value.text.lower().replace("'", "").replace("’", "").replace(" ", "-").replace("_", "-")
    word = {verdict.replace("'", ""): verdict for verdict in VERDICTS}.get(text)
    if word is None:
        raise error(test.query, f"verified is {', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}", value)
    return replace(value, text=word)


def _in_set(found: Stored, test: RowTest, better: Sequence[Stored] = ()) -> ColumnElement[bool]:
    return runs.c.id.in_(ids_where(found, test, better))


def _row_test(found: Stored, test: Test, alias: Any) -> ColumnElement[bool]:
    return (
        comparisons.of_config(alias, test)
        if isinstance(found, ConfigField)
        else comparisons.of_metric(found, alias, test)
    )


def _is_equality(tree: Filter | _Apart) -> bool:
    return isinstance(tree, Comparison) and tree.comparator == "="


def _together(items: Iterable[Filter], comparator: str) -> list[Filter | _Apart]:
    """The parts of an ``or``, ``a=1 or a=2`` as ``a in (1, 2)``; those of an ``and``, ``a!=1 a!=2`` likewise."""
    together: dict[tuple[str, bool], list[Comparison]] = {}
    others: list[Filter | _Apart] = []
    for item in items:
        if isinstance(item, Comparison) and item.comparator == comparator:
            together.setdefault((item.name.text, item.name.quoted), []).append(item)
        else:
            others.append(item)
    kind = Membership if comparator == "=" else _Apart
    return [*(kind(group[0].name, tuple(item.value for item in group)) for group in together.values()), *others]
