"""From a plan (`spindb.index.query.analysis`) to one condition in SQL and the tables that it needs. Asks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, exists, false, func, not_, select, true

from spindb.errors import FilterError
from spindb.index.database.backend import Backend
from spindb.index.database.models import runs, tags
from spindb.index.query import comparisons
from spindb.index.query.analysis import (
    AllOf,
    AnyOf,
    Compared,
    Condition,
    Ids,
    Negated,
    Present,
    QueryPlan,
    Separate,
)
from spindb.index.query.comparisons import Test
from spindb.index.query.fields import (
    CODES,
    Alternatives,
    ConfigField,
    Field,
    MetricField,
    RunField,
    Stored,
    alternatives,
)
from spindb.index.query.language import Tagged, Value
from spindb.index.query.lists import all_of, any_of, one_of
from spindb.index.query.sources import RowTest, Sources, ids_where, table_of
from spindb.index.query.values import glob
from spindb.index.query.visibility import KINDS, THERE
from spindb.verdicts import VERDICTS


class SqlCondition(NamedTuple):
    """A plan as SQL.

    ``said`` is what the filter says, for all runs that were not removed; ``hidden`` the condition of each kind of runs
    that are left out; ``sources`` the tables that both are about, to which columns and sort keys may be added.
    """

    said: ColumnElement[bool]
    hidden: Mapping[str, ColumnElement[bool]]
    sources: Sources

    @property
    def selected(self) -> ColumnElement[bool]:
        """What the filter says, for the runs that it speaks of."""
        return and_(self.said, *map(not_, self.hidden.values()))


def to_sql(plan: QueryPlan, backend: Backend, *, counting: bool = False) -> SqlCondition:
    """The SQL of a plan; the same for the same plan.

    Args:
        plan: its separate parts answered.
        backend: whose SQL.
        counting: the runs are only counted. Joins are sets of ids then, unless the plan is selective: each set is
            read off an index once, where a join looks up a row for each of many runs.

    Raises:
        FilterError: a value that its field can't be compared with.
    """
    writer = _Writer(plan, backend, joining=plan.selective or not counting)
    said = and_(writer.condition(plan.condition), THERE)
    return SqlCondition(said, {kind: KINDS[kind].condition for kind in plan.left_out}, writer.sources)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the conditions of one plan; ``sources`` gathers the tables that they need."""

    plan: QueryPlan
    backend: Backend
    joining: bool
    sources: Sources = field(default_factory=Sources)

    def condition(self, node: Condition) -> ColumnElement[bool]:
        match node:
            case AllOf(items):
                return all_of([self.condition(item) for item in items])
            case AnyOf(items):
                return any_of([self.condition(item) for item in items])
            case Negated(Present() as item):
                return not_(self.condition(item))
            case Negated(item):
                # Two-valued: a run without the field is among those for which the test does not hold.
                return not_(func.coalesce(self.condition(item), false()))
            case Compared():
                return self.compared(node)
            case Present(found):
                return self.presence(found)
            case Tagged(tag):
                return exists().where(tags.c.run_id == runs.c.id, tags.c.tag == tag)
            case Ids(ids):
                return one_of(self.backend, runs.c.id, ids)
            case Separate():
                raise AssertionError("a separate part should have been answered")

    def presence(self, found: Field) -> ColumnElement[bool]:
        if isinstance(found, RunField):
            return _has_codes(found) if found.kind == "codes" else self.sources.column(found).is_not(None)
        return any_of([_in_set(one, lambda alias: true()) for one in alternatives(found)])

    def compared(self, node: Compared) -> ColumnElement[bool]:
        test = Test(node.comparator, node.values, self.backend)
        match node.field:
            case RunField(kind="codes") as found:
                return _of_codes(found, test)
            case RunField() as found:
                return comparisons.column_test(found, self.sources.column(found), test)
            case MetricField() as metric:
                # Few are left, to be looked up one by one: adding nothing keeps the metric's index out of it.
                few = node.joined and self.plan.selective
                return self.where(metric, node, lambda alias: comparisons.metric_test(metric, alias, test, few=few))
            case ConfigField() as key:
                return self.where(key, node, lambda alias: comparisons.config_test(alias, test))
            case Alternatives(fields):
                return _of_alternatives(fields, test)

    def where(self, found: Stored, node: Compared, test: RowTest) -> ColumnElement[bool]:
        """That a field of the run passes a test."""
        if node.joined and self.joining:
            return test(self.sources.join(found, required=True))
        return _in_set(found, test)


def _of_alternatives(fields: Sequence[Stored], test: Test) -> ColumnElement[bool]:
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


def _of_codes(found: RunField, test: Test) -> ColumnElement[bool]:
    """That the run has such a code; for ``!=`` that it has codes, none of them that one."""
    rows = CODES[found.name]
    code = rows.c.code
    if found.name == "verified" and test.comparator in ("=", "!="):
        test = test.of(*map(_verdict, test.values))
    match test.comparator:
        case "=" | "!=":
            row = comparisons.column_test(found, code, test._replace(comparator="="))
        case "~":
            row = glob(code, test.value.text)
        case _:
            raise test.error(f"{found.name} is compared by =, !=, ~ and in")
    such = runs.c.id.in_(select(rows.c.run_id).where(row))
    return and_(_has_codes(found), not_(such)) if test.comparator == "!=" else such


def _has_codes(found: RunField) -> ColumnElement[bool]:
    rows = CODES[found.name]
    return runs.c.id.in_(select(rows.c.run_id))


def _verdict(value: Value) -> Value:
    """A verdict as it is kept, however its apostrophe and blank were typed."""
    text = value.text.lower().replace("'", "").replace("’", "").replace(" ", "-").replace("_", "-")
    word = {verdict.replace("'", ""): verdict for verdict in VERDICTS}.get(text)
    if word is None:
        raise value.error(f"verified is {', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}")
    return replace(value, text=word)


def _in_set(found: Stored, test: RowTest, better: Sequence[Stored] = ()) -> ColumnElement[bool]:
    return runs.c.id.in_(ids_where(found, test, better))


def _row_test(found: Stored, test: Test, alias: FromClause) -> ColumnElement[bool]:
    if isinstance(found, ConfigField):
        return comparisons.config_test(alias, test)
    return comparisons.metric_test(found, alias, test)
