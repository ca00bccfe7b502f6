"""Turns a filter's tree into SQL: one condition, and the joins that it takes.

A hyperparameter or metric that must hold for every result becomes a join on (run, key) or (run, name), so that the
database can begin with its index: ten times faster than subqueries on 100,000 runs. One that stands under ``or`` or
``not`` becomes a set of run ids, made once out of the index. Columns and sort keys are joined outside.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, false, func, not_, or_, select, true
from sqlalchemy.sql.selectable import FromClause

from spindb.index import filters, queries
from spindb.index.fields import PERFORMANCE, ROOT_FIELDS, ConfigField, Field, MetricField, Names, RunField, run_column
from spindb.index.filters import Comparison, Filter, Membership, Name, Presence, Tagged, Value
from spindb.index.models import configs, metrics, roots, runs, tags
from spindb.index.query.visibility import visible
from spindb.index.values import (
    NOT_A_NUMBER,
    as_number,
    canonical_texts,
    compare,
    compare_any,
    error,
    glob,
    number_of,
    period,
)

_RANGE = re.compile(r"(.*?)\.\.(.*)\Z", re.DOTALL)


@dataclass
class _Join:
    alias: FromClause
    on: ColumnElement[bool]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Lead:
    """A sort key whose index can lead: its join, that it is there, and the key as the index has it."""

    join: _Join
    there: ColumnElement[bool]
    key: ColumnElement[Any]


@dataclass
class Compiler:
    """Turns a tree into SQL and remembers which joins that takes."""

    connection: Connection
    text: str
    everything: bool = False
    counting: bool = False
    """Whether the runs are only counted: sets of ids then, where the condition leaves many."""
    joins: dict[tuple[str, str], _Join] = field(default_factory=dict)
    of_roots: bool = False
    """Whether a column of the root takes part."""
    selective: bool = False
    """Whether all results have a certain value of some hyperparameter."""
    columns: list[Field] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = Names(self.connection)

    def selected(self) -> ColumnElement[bool]:
        """The condition that the text says, for the runs that it speaks of: see `spindb.index.query.visibility`."""
        tree = queries.expanded(self.connection, filters.parse(self.text), self.text)
        return and_(self.conjunction(tree), *visible(_names(tree), everything=self.everything))

    def source(self, *, leading: _Join | None = None) -> FromClause:
        """What to select from, perhaps with one join that must be there."""
        source: FromClause = runs
        if self.of_roots:
            source = source.join(roots, roots.c.id == runs.c.root_id)
        for join in self.joins.values():
            source = source.join(join.alias, join.on, isouter=not (join.required or join is leading))
        return source

    def join(self, field: ConfigField | MetricField, *, required: bool = False) -> FromClause:
        place = ("config", field.key) if isinstance(field, ConfigField) else ("metric", field.metric)
        if place not in self.joins:
            alias = (configs if isinstance(field, ConfigField) else metrics).alias(f"{place[0]}{len(self.joins)}")
            self.joins[place] = _Join(alias, and_(alias.c.run_id == runs.c.id, _named(alias, field, runs)))
        self.joins[place].required |= required
        return self.joins[place].alias

    def where(
        self, found: ConfigField | MetricField, required: bool, test: Callable[[FromClause], ColumnElement[bool]]
    ) -> ColumnElement[bool]:
        """That a field of the run passes a test: of its join where that is required, else as a set of ids."""
        if required and (self.selective or not self.counting):
            return test(self.join(found, required=True))
        alias = (configs if isinstance(found, ConfigField) else metrics).alias()
        ids = select(alias.c.run_id).where(test(alias))
        if isinstance(found, MetricField) and found.metric == PERFORMANCE:
            own = runs.alias()
            ids = ids.join(own, own.c.id == alias.c.run_id).where(_named(alias, found, own))
        else:
            ids = ids.where(_named(alias, found, runs))
        return runs.c.id.in_(ids)

    def column_of(self, found: RunField) -> ColumnElement[Any]:
        self.of_roots |= found.name in ROOT_FIELDS
        return run_column(found)

    # Conditions.

    def conjunction(self, tree: Filter) -> ColumnElement[bool]:
        """A condition that must hold: its fields are joined inside."""
        if isinstance(tree, filters.All):
            equalities_first = sorted(tree.items, key=lambda item: not _is_equality(item))
            return and_(true(), *(self.conjunction(item) for item in equalities_first))
        if isinstance(tree, filters.Within):
            return self.within(tree, self.conjunction)
        return self.condition(tree, required=isinstance(tree, (Comparison, Membership)))

    def condition(self, tree: Filter, *, required: bool = False) -> ColumnElement[bool]:
        match tree:
            case filters.All(items):
                return and_(true(), *(self.condition(item) for item in items))
            case filters.Either(items):
                return or_(false(), *(self.condition(item) for item in items))
            case filters.Not(item):
                # Two-valued: a run without the field is among those for which the test does not hold.
                return not_(func.coalesce(self.condition(item), false()))
            case filters.Within():
                return self.within(tree, self.condition)
            case filters.Saved(name):
                raise AssertionError(f"@{name} should have been expanded")
            case Tagged(tag):
                return exists().where(tags.c.run_id == runs.c.id, tags.c.tag == tag)
            case Presence(name, present):
                return self.presence(self.names.find(name, self.text), present)
            case Membership(name, values):
                found = self.names.find(name, self.text)
                return or_(false(), *(self.compare(found, "=", value, required) for value in values))
            case Comparison(name, comparator, value):
                return self.compare(self.names.find(name, self.text), comparator, value, required)

    def within(self, tree: filters.Within, compile_: Callable[[Filter], ColumnElement[bool]]) -> ColumnElement[bool]:
        """A saved query's condition; its errors show its own text."""
        outer, self.text = self.text, tree.text
        try:
            return compile_(tree.item)
        finally:
            self.text = outer

    def presence(self, found: Field, present: bool) -> ColumnElement[bool]:
        if isinstance(found, RunField):
            there: ColumnElement[bool] = self.column_of(found).is_not(None)
        else:
            there = self.where(found, False, lambda alias: true())
        return there if present else not_(there)

    def compare(self, found: Field, comparator: str, value: Value, required: bool) -> ColumnElement[bool]:
        bounds = self.range(found, value) if comparator in ("=", "!=") else None
        if bounds is not None:
            inside = and_(true(), *(self.test(found, c, v, required) for c, v in bounds))
            if comparator == "=":
                return inside
            return and_(self.presence(found, True), not_(func.coalesce(inside, false())))
        return self.test(found, comparator, value, required)

    def range(self, found: Field, value: Value) -> list[tuple[str, Value]] | None:
        """``low..high`` as two tests, where both ends are numbers (or times) or one is open."""
        match = None if value.quoted else _RANGE.match(value.text)
        if not match or not (match[1] or match[2]):
            return None
        low = Value(match[1], value.start, value.start + len(match[1]))
        high = Value(match[2], value.end - len(match[2]), value.end)
        is_time = isinstance(found, RunField) and found.kind == "time"
        for end in (low, high):
            if end.text and not is_time and as_number(end) is NOT_A_NUMBER:
                return None
        return [(c, v) for c, v in ((">=", low), ("<=", high)) if v.text]

    def test(self, found: Field, comparator: str, value: Value, required: bool) -> ColumnElement[bool]:
        match found:
            case RunField():
                return self.test_run(found, comparator, value)
            case ConfigField():
                # Equality leaves few: sets of their ids out of the index are cheaper than a look at each one's row.
                equal = required and comparator == "="
                self.selective |= equal
                joined = required and not equal
                return self.where(found, joined, lambda alias: self.test_config(alias, comparator, value))
            case MetricField():
                # Few are left, to be looked up one by one: adding nothing keeps the metric's index out of it.
                few = required and self.selective
                return self.where(found, required, lambda alias: self.test_metric(found, alias, comparator, value, few))

    def test_run(self, found: RunField, comparator: str, value: Value) -> ColumnElement[bool]:
        column = self.column_of(found)
        if comparator == "~":
            if found.kind != "text":
                raise error(self.text, f"{found.name} is no text: ~ compares text", value)
            return glob(column, value.text)
        if found.kind == "time":
            return self.test_time(column, comparator, value)
        if found.kind == "flag":
            truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            if value.text.lower() not in truth or comparator not in ("=", "!="):
                raise error(self.text, f"{found.name} is true or false", value)
            return compare(column, comparator, truth[value.text.lower()])
        if found.kind == "number":
            return compare(column, comparator, number_of(self.text, value, found.name))
        return compare(column, comparator, value.text)

    def test_time(self, column: ColumnElement[Any], comparator: str, value: Value) -> ColumnElement[bool]:
        """Times are compared by the period that was typed: a day, a month, a second."""
        begin, end = period(self.text, value)
        match comparator:
            case "<":
                return column < begin
            case "<=":
                return column < end
            case ">":
                return column >= end
            case ">=":
                return column >= begin
            case "=":
                return and_(column >= begin, column < end)
        return or_(column < begin, column >= end)

    def test_config(self, alias: FromClause, comparator: str, value: Value) -> ColumnElement[bool]:
        if comparator == "~":
            text = json.dumps(value.text, ensure_ascii=False)
            is_text = alias.c.type == "str"
            return or_(and_(is_text, glob(alias.c.value, text)), and_(not_(is_text), glob(alias.c.value, value.text)))
        if comparator in ("=", "!="):
            return compare_any(alias.c.canonical, comparator, canonical_texts(self.text, value))
        number = as_number(value)
        if not isinstance(number, float) or math.isnan(number):
            raise error(self.text, f"{comparator} needs a number, not {value.text!r}", value)
        return compare(alias.c.number, comparator, number)

    def test_metric(
        self, found: MetricField, alias: FromClause, comparator: str, value: Value, few: bool
    ) -> ColumnElement[bool]:
        column = alias.c[found.statistic] + 0 if few else alias.c[found.statistic]
        if comparator == "~":
            raise error(self.text, f"{found.metric} is a metric: ~ compares text", value)
        number = number_of(self.text, value, found.metric)
        if not math.isnan(number):
            return compare(column, comparator, number)
        if found.statistic != "last" or comparator not in ("=", "!="):
            raise error(self.text, "NaN can only be looked for in the last value: METRIC=nan", value)
        if comparator == "=":
            return alias.c.last_text == "NaN"
        return and_(alias.c.run_id.is_not(None), func.coalesce(alias.c.last_text, "") != "NaN")

    # Columns and order.

    def expressions(self, found: Field) -> list[ColumnElement[Any]]:
        match found:
            case RunField():
                return [self.column_of(found)]
            case ConfigField():
                return [self.join(found).c.value]
            case MetricField(_, "last"):
                alias = self.join(found)
                return [alias.c.last, alias.c.last_text]
            case MetricField(_, statistic):
                return [self.join(found).c[statistic]]

    def column(self, name: str) -> list[ColumnElement[Any]]:
        found = self.names.find(Name(name, 0, len(name)), name)
        self.columns.append(found)
        return [e.label(f"c{len(self.columns)}_{i}") for i, e in enumerate(self.expressions(found))]

    def order(self, name: str) -> list[ColumnElement[Any]]:
        found, down = self.sorted_by(name)
        keys = self.expressions(found)[:1]
        if isinstance(found, ConfigField):  # numbers first, by size; then everything else by its text
            alias = self.join(found).c
            keys = [alias.number, case((alias.number.is_(None), alias.value))]
        return [(key.desc() if down else key.asc()).nulls_last() for key in keys]

    def sorted_by(self, name: str) -> tuple[Field, bool]:
        """The field that a sort key names, and whether downwards."""
        word = name.removeprefix("-")
        return self.names.find(Name(word, len(name) - len(word), len(name)), name), word != name

    def lead(self, name: str) -> Lead | None:
        """The sort key as an index has it: of a hyperparameter, or of a metric's last or max; None for others."""
        found, down = self.sorted_by(name)
        if isinstance(found, RunField) or (isinstance(found, MetricField) and found.statistic not in ("last", "max")):
            return None
        alias = self.join(found)
        key = alias.c.number if isinstance(found, ConfigField) else alias.c[found.statistic]
        join = next(join for join in self.joins.values() if join.alias is alias)
        return Lead(join, key.is_not(None), key.desc() if down else key.asc())


def _is_equality(tree: Filter) -> bool:
    return isinstance(tree, Comparison) and tree.comparator == "="


def _named(alias: FromClause, found: ConfigField | MetricField, of: FromClause) -> ColumnElement[bool]:
    """That a row is this field's, for runs of the table `of`."""
    if isinstance(found, ConfigField):
        return alias.c.key == found.key
    return alias.c.name == (of.c.performance if found.metric == PERFORMANCE else found.metric)


def _names(tree: Filter) -> set[str]:
    if isinstance(tree, (filters.All, filters.Either)):
        return {name for item in tree.items for name in _names(item)}
    if isinstance(tree, (filters.Not, filters.Within)):
        return _names(tree.item)
    return set() if isinstance(tree, (Tagged, filters.Saved)) else {tree.name.text}
