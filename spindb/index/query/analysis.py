"""What a filter asks of the database, worked out before any SQL is written: see `spindb.index.query.compiler` for that.

Fields are looked up and each test gets its way of being answered:

- A test that every result must pass (it stands in the outermost ``and``) is *joined*: the row of its hyperparameter or
  metric beside the run, so that the database can begin with the index of that row.
- Any other test is a *set*: the ids of the runs that pass it, made once out of an index.

Equality of a hyperparameter leaves few runs, so it is always a set, and the filter is *selective*: what else it asks is
looked up for those few, and the page is sorted rather than read off an index. A filter is never tried in several ways:
the same filter always gets the same plan, whatever the database holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from spindb.index.query import language
from spindb.index.query.fields import Alternatives, ConfigField, Field, MetricField, Names, RunField, join_key
from spindb.index.query.language import Comparator, Filter, Membership, Presence, Tagged, Value, ValueTest
from spindb.index.query.visibility import hidden_kinds

MAX_JOINS = 20
"""Tables that stand beside the runs for one purpose; SQLite joins at most 64 in all."""

_MAX_HEIGHT = 6
"""Levels of ``and``, ``or`` and ``not`` in one statement. SQLite's parser takes twenty; each of ours is several."""


class Compared(NamedTuple):
    """A field beside values: ``=`` any of them, ``!=`` none of them, other comparators have one value."""

    field: Field
    comparator: Comparator
    values: tuple[Value, ...]
    joined: bool = False
    """Whether the field's row stands beside the run, where runs are selected."""


class Present(NamedTuple):
    """That a run has a field."""

    field: Field


class AllOf(NamedTuple):
    items: tuple[Condition, ...]


class AnyOf(NamedTuple):
    items: tuple[Condition, ...]


class Negated(NamedTuple):
    item: Condition


class Ids(NamedTuple):
    """The runs with these ids."""

    ids: tuple[int, ...]


class Separate(NamedTuple):
    """A part that is too deep for a statement: it is answered before, and its ids stand for it."""

    item: Condition


Condition = Compared | Present | Tagged | AllOf | AnyOf | Negated | Ids | Separate


class QueryPlan(NamedTuple):
    """A filter as it will be answered.

    ``selective`` says whether all results have a certain value of some hyperparameter. ``fields`` has what each name
    stood for, in the order of the filter. ``left_out`` are the kinds of runs (see `spindb.index.query.visibility`) that
    the filter does not speak of. ``deep`` says whether parts are `Separate`.
    """

    condition: Condition
    selective: bool = False
    fields: Mapping[str, Field] = MappingProxyType({})
    left_out: tuple[str, ...] = ()
    deep: bool = False


def analyse(tree: Filter, names: Names, *, everything: bool = False) -> QueryPlan:
    """Look up what a filter names and decide how each of its tests is answered.

    Args:
        tree: with saved queries expanded.
        names: of the database.
        everything: leave out no kind of runs.

    Raises:
        FilterError: a name that nothing in the database has.
    """
    analysis = _Analysis(names)
    condition = analysis.outermost(tree)
    named = {found.name for found in analysis.used.values() if isinstance(found, RunField)}
    left_out = hidden_kinds(named, everything=everything)
    return QueryPlan(condition, analysis.selective, analysis.used, left_out, analysis.deep)


class _Analysis:
    """One walk through a filter, and what it has found so far."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.used: dict[str, Field] = {}
        self.joins: set[object] = set()
        self.selective = False
        self.deep = False

    def outermost(self, tree: Filter) -> Condition:
        """The tests that every result must pass, and of those the ones that are joined."""
        found = [self.required(item) for item in _gathered(_conjuncts(tree), "!=")]
        # What is joined is decided when all is known; equality goes first, as the planner reads conditions in order.
        found.sort(key=lambda one: not (isinstance(one, Compared) and one.comparator == "=" and len(one.values) == 1))
        return found[0] if len(found) == 1 else AllOf(tuple(found))

    def required(self, tree: Filter | _NoneOf) -> Condition:
        if not isinstance(tree, (ValueTest, Membership, _NoneOf)):
            return self.measured(tree)[0]
        one = self.compared(tree)
        if isinstance(one.field, (ConfigField, Alternatives)) and one.comparator == "=":
            self.selective = True
            return one
        if isinstance(one.field, MetricField) or (isinstance(one.field, ConfigField) and len(one.field.keys) == 1):
            key = join_key(one.field)
            if key in self.joins or len(self.joins) < MAX_JOINS:
                self.joins.add(key)
                return one._replace(joined=True)
        return one

    def measured(self, tree: Filter | _NoneOf) -> tuple[Condition, int]:
        """A condition that may or may not hold, and how many levels it has."""
        match tree:
            case language.All(items):
                parts, height = self.parts(_gathered(items, "!="))
                return self.limited(AllOf(parts), height)
            case language.Either(items):
                parts, height = self.parts(_gathered(items, "="))
                return self.limited(AnyOf(parts), height)
            case language.Not(language.Not(item)):
                return self.measured(item)
            case language.Not(item):
                inner, height = self.measured(item)
                return self.limited(Negated(inner), height + 1)
            case Tagged():
                return tree, 0
            case Presence(name, present):
                there = Present(self.find(name))
                return (there if present else Negated(there)), 0
            case language.SavedQuery(name):
                raise AssertionError(f"@{name} should have been expanded")
            case _:
                return self.compared(tree), 0

    def parts(self, items: Iterable[Filter | _NoneOf]) -> tuple[tuple[Condition, ...], int]:
        found = [self.measured(item) for item in items]
        return tuple(part for part, _ in found), 1 + max((height for _, height in found), default=0)

    def limited(self, condition: Condition, height: int) -> tuple[Condition, int]:
        if height < _MAX_HEIGHT:
            return condition, height
        self.deep = True
        return Separate(condition), 0

    def compared(self, tree: ValueTest | Membership | _NoneOf) -> Compared:
        match tree:
            case ValueTest(name, comparator, value):
                return Compared(self.find(name), comparator, (value,))
            case Membership(name, values):
                return Compared(self.find(name), "=", values)
            case _NoneOf(name, values):
                return Compared(self.find(name), "!=", values)

    def find(self, name: language.Name) -> Field:
        found = self.used[name.text] = self.names.find(name)
        return found


class _NoneOf(NamedTuple):
    """A value that is there and equal to none of several."""

    name: language.Name
    values: tuple[Value, ...]


def _conjuncts(tree: Filter) -> Iterable[Filter]:
    """What must all hold, whatever parentheses and saved queries it stands in."""
    match tree:
        case language.All(items):
            for item in items:
                yield from _conjuncts(item)
        case language.Not(language.Not(item)):
            yield from _conjuncts(item)
        case _:
            yield tree


def _gathered(items: Iterable[Filter], comparator: Comparator) -> list[Filter | _NoneOf]:
    """The parts of an ``or``, ``a=1 or a=2`` as ``a in (1, 2)``; those of an ``and``, ``a!=1 a!=2`` likewise.

    A thousand values are one look into an index so, not a thousand.
    """
    together: dict[tuple[str, bool], list[ValueTest]] = {}
    others: list[Filter | _NoneOf] = []
    for item in items:
        if isinstance(item, ValueTest) and item.comparator == comparator:
            together.setdefault((item.name.text, item.name.quoted), []).append(item)
        else:
            others.append(item)
    kind = Membership if comparator == "=" else _NoneOf
    gathered = (kind(group[0].name, tuple(item.value for item in group)) for group in together.values())
    return [*gathered, *others]
