"""Fields as SQL: joins beside the runs, sets of run ids, and what columns and sort keys select.

A hyperparameter or metric that must hold for every result becomes a join on (run, key) or (run, name), so that the
database can begin with its index: ten times faster than subqueries on 100,000 runs. One that stands under ``or`` or
``not`` becomes a set of run ids, made once out of the index, and so does one that stands for several keys. Columns and
sort keys are joined outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, and_, case, exists, func, not_, select
from sqlalchemy.sql.selectable import FromClause

from spindb.index.database.models import configs, metrics, roots, runs
from spindb.index.query.fields import (
    ROOT_FIELDS,
    Alternatives,
    ConfigField,
    Field,
    MetricField,
    RunField,
    Stored,
    alternatives,
    join_key,
    run_column,
)

RowTest = Callable[[FromClause], ColumnElement[bool]]


@dataclass
class Join:
    alias: FromClause
    on: ColumnElement[bool]
    required: bool = False


class Lead(NamedTuple):
    """A part of a sort key that an index can lead: runs whose value lies in one key or metric.

    ``order`` is the key as the index has it, ``condition`` which runs these are.
    """

    join: Join
    condition: ColumnElement[bool]
    order: ColumnElement[Any]


@dataclass
class Sources:
    """The tables that a statement selects from."""

    joins: dict[object, Join] = field(default_factory=dict)
    of_roots: bool = False

    def tables(self, leading: Join | None = None) -> FromClause:
        """What to select from, perhaps with one join that must be there."""
        source: FromClause = runs
        if self.of_roots:
            # Outer: a run of a root that is not there, which `spindb db check` finds, is still a run.
            source = source.join(roots, roots.c.id == runs.c.root_id, isouter=True)
        joins = list(self.joins.values())
        if leading is not None and not any(join is leading for join in joins):
            joins.append(leading)
        for join in joins:
            source = source.join(join.alias, join.on, isouter=not (join.required or join is leading))
        return source

    def join(self, found: Stored, *, required: bool = False) -> FromClause:
        """The field's row beside each run, at most one."""
        place = join_key(found)
        if place not in self.joins:
            alias = table_of(found).alias(f"{table_of(found).name[:-1]}{len(self.joins)}")
            self.joins[place] = Join(alias, and_(alias.c.run_id == runs.c.id, _counting(alias, found)))
        self.joins[place].required |= required
        return self.joins[place].alias

    def column(self, found: RunField) -> ColumnElement[Any]:
        self.of_roots |= found.name in ROOT_FIELDS
        return run_column(found)

    def cells(self, found: Field) -> list[ColumnElement[Any]]:
        """What is selected for a column; `spindb.index.query.cells` makes Python values of it."""
        match found:
            case RunField():
                return [self.column(found)]
            case Alternatives(fields):
                return [cell for one in fields for cell in (self.join(one).c.run_id, *self.cells(one))]
            case ConfigField():
                return [self.join(found).c.value]
            case MetricField(_, "last"):
                alias = self.join(found)
                return [alias.c.last, alias.c.last_text]
            case MetricField(_, statistic):
                return [self.join(found).c[statistic]]

    def keys(self, found: Field) -> list[ColumnElement[Any]]:
        """What is sorted by: numbers by size before everything else by its text."""
        match found:
            case RunField():
                return [self.column(found)]
            case MetricField(_, statistic):
                return [self.join(found).c[statistic]]
            case ConfigField():
                alias = self.join(found).c
                return [alias.number, case((alias.number.is_(None), alias.value))]
            case Alternatives(fields):
                each = [(self.join(one).c.run_id.is_not(None), self.keys(one)) for one in fields]
                numbers = case(*((there, keys[0]) for there, keys in each))
                return [numbers, case(*((there, keys[1] if len(keys) > 1 else None) for there, keys in each))]

    def leads(self, found: Field, own: Callable[[], Sequence[str]]) -> list[Lead]:
        """The parts of a sort key that indexes can lead; none where they can't.

        Args:
            found: what is sorted by.
            own: the metrics that are performances of runs.
        """
        fields = alternatives(found)
        if not all(isinstance(one, ConfigField) or one.statistic in ("last", "max") for one in fields):
            return []
        if isinstance(found, MetricField) and found.metric is None:
            # An equality as it is would seem to leave few runs, and the planner would begin with those.
            performance = func.coalesce(runs.c.performance, "")
            return [self._lead(MetricField(name, found.statistic), (), performance == name) for name in own()]
        parts = [part for one in fields for part in (_single(one) if isinstance(one, ConfigField) else [one])]
        if len(parts) == 1:
            alias = self.join(parts[0])
            join = next(join for join in self.joins.values() if join.alias is alias)
            return [Lead(join, _key(alias, parts[0]).is_not(None), _key(alias, parts[0]))]
        return [self._lead(part, parts[:position]) for position, part in enumerate(parts)]

    def _lead(self, part: Stored, better: Sequence[Stored], *more: ColumnElement[bool]) -> Lead:
        alias = table_of(part).alias()
        key = _key(alias, part)
        none_better = [not_(has(other, runs.c.id)) for other in better]
        on = and_(alias.c.run_id == runs.c.id, _named(alias, part))
        return Lead(Join(alias, on), and_(key.is_not(None), *none_better, *more), key)


def ids_where(found: Stored, test: RowTest, better: Sequence[Stored] = ()) -> Select[Any]:
    """The runs whose field passes the test and that have none of the `better` fields."""
    alias = table_of(found).alias()
    ids = select(alias.c.run_id).where(test(alias))
    if isinstance(found, MetricField) and found.metric is None:
        own = runs.alias()
        return ids.join(own, own.c.id == alias.c.run_id).where(alias.c.name == own.c.performance)
    ids = ids.where(_named(alias, found))
    if isinstance(found, ConfigField) and len(found.keys) > 1:
        other = configs.alias()
        first = and_(other.c.run_id == alias.c.run_id, _named(other, found), _rank(other, found) < _rank(alias, found))
        ids = ids.where(not_(exists().where(first)))
    return ids.where(*(not_(has(other, alias.c.run_id)) for other in better))


def keys_used(found: ConfigField, better: Sequence[Stored], among: ColumnElement[bool] | None) -> Select[Any]:
    """Which of the keys are the ones that count, for runs with these ids."""
    alias = configs.alias()
    counting = and_(_counting(alias, found, alias.c.run_id), *(not_(has(other, alias.c.run_id)) for other in better))
    statement = select(alias.c.key).where(counting).distinct()
    return statement if among is None else statement.join(runs, runs.c.id == alias.c.run_id).where(among)


def has(found: Stored, run_id: ColumnElement[int]) -> ColumnElement[bool]:
    """That a run has the field."""
    alias = table_of(found).alias()
    return exists().where(alias.c.run_id == run_id, _named(alias, found))


def table_of(found: Stored) -> Table:
    """The table that holds the field's rows."""
    return configs if isinstance(found, ConfigField) else metrics


def _key(alias: FromClause, found: Stored) -> ColumnElement[Any]:
    """What an index of the field is ordered by."""
    return alias.c.number if isinstance(found, ConfigField) else alias.c[found.statistic]


def _single(found: ConfigField) -> list[ConfigField]:
    return [ConfigField((key,)) for key in found.keys]


def _named(alias: FromClause, found: Stored) -> ColumnElement[bool]:
    """That a row is this field's; of several keys, any."""
    if isinstance(found, MetricField):
        return alias.c.name == (runs.c.performance if found.metric is None else found.metric)
    return alias.c.key == found.keys[0] if len(found.keys) == 1 else alias.c.key.in_(found.keys)


def _counting(alias: FromClause, found: Stored, run_id: ColumnElement[int] = runs.c.id) -> ColumnElement[bool]:
    """That a row is the one of this field that counts for its run."""
    if isinstance(found, MetricField) or len(found.keys) == 1:
        return _named(alias, found)
    other = configs.alias()
    first = select(other.c.key).where(other.c.run_id == run_id, _named(other, found)).order_by(_rank(other, found))
    return and_(_named(alias, found), alias.c.key == first.limit(1).correlate_except(other).scalar_subquery())


def _rank(alias: FromClause, found: ConfigField) -> ColumnElement[int]:
    """How far behind a key stands among those that a name stands for."""
    return case({key: place for place, key in enumerate(found.keys)}, value=alias.c.key)
