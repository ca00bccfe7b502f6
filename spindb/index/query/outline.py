"""What all runs of an answer have in common, whichever page of it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, not_, or_, select

from spindb.index.database.backend import backend_of
from spindb.index.database.models import runs
from spindb.index.query.compiler import SqlCondition, to_sql
from spindb.index.query.question import Question, question

_SAMPLE = 500
"""Runs whose hyperparameters are looked at; of up to twice as many all are."""

_PRIME = 1_000_003
_FACTS = {"algo": runs.c.algo, "env": runs.c.env_id, "seed": runs.c.seed}


class Outline(NamedTuple):
    """All runs that a filter selects.

    ``hidden`` says how many more there are and why they are left out. ``common`` has the algorithm, environment and
    seed where all runs have the same (None where none has one). ``ids`` are the runs to look at for what varies: all,
    or where ``sampled`` is set about five hundred spread over the whole.
    """

    total: int
    hidden: Mapping[str, int]
    common: Mapping[str, Any]
    ids: list[int]
    sampled: bool


def outline(connection: Connection, filter: str | Question, *, everything: bool = False) -> Outline:
    """What is true of all runs that a filter selects.

    Raises:
        FilterError: as `spindb.index.query.search.search`.
    """
    plan = question(connection, filter, everything=everything).plan
    sql = to_sql(plan, backend_of(connection), counting=True)
    shown, tables = sql.selected, sql.sources.tables()

    def ask(*columns: ColumnElement[Any]) -> Select[Any]:
        return select(*columns).select_from(tables)

    total = connection.execute(ask(func.count()).where(shown)).scalar_one()
    few = ask(runs.c.id, *_FACTS.values()).where(shown).order_by(runs.c.id)
    sampled = total > 2 * _SAMPLE
    if sampled:
        # Spread by a multiplier, not by every so-manieth: settings come in regular order.
        few = few.where(runs.c.id % _PRIME * 48_271 % _PRIME < _PRIME * _SAMPLE // total)
    rows = connection.execute(few).all()
    common = {}
    for place, (name, column) in enumerate(_FACTS.items()):
        values = {row[1 + place] for row in rows}
        if len(values) != 1:
            continue
        value = values.pop()
        # A sample proves that values differ, never that all are equal: one run with another value is looked for in the
        # whole.
        other = ask(runs.c.id).where(shown, column.is_distinct_from(value)).limit(1)
        if not sampled or connection.execute(other).first() is None:
            common[name] = value
    return Outline(total, _hidden(connection, sql, ask), common, [row[0] for row in rows], sampled)


def _hidden(connection: Connection, sql: SqlCondition, ask: Callable[..., Select[Any]]) -> dict[str, int]:
    """How many runs of each kind are left out; one of several kinds counts once."""
    kinds = sql.hidden
    if not kinds:
        return {}
    earlier: list[ColumnElement[bool]] = []
    counts: list[ColumnElement[int]] = []
    # Each kind without those before it: an archived copy would be counted twice, and the sum would be wrong.
    for condition in kinds.values():
        counts.append(_how_many(and_(condition, *map(not_, earlier))))
        earlier.append(condition)
    found = connection.execute(ask(*counts).where(sql.said, or_(*kinds.values()))).one()
    return {kind: count for kind, count in zip(kinds, found, strict=True) if count}


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def words_of_hidden(hidden: Mapping[str, int]) -> str:
    """What was left out, in words: ``3 copies, 2 archived``."""
    return ", ".join(f"{count} {'copy' if kind == 'copies' and count == 1 else kind}" for kind, count in hidden.items())
