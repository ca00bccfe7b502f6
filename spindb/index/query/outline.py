"""What all runs of an answer have in common, whichever page of it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, select

from spindb.index.models import runs
from spindb.index.query.compiler import Compiler
from spindb.index.query.lists import all_of

_SAMPLE = 1000
"""Runs whose hyperparameters are looked at; of up to twice as many all are."""

_PRIME = 1_000_003

_SAME = {"algo": runs.c.algo, "env": runs.c.env_id, "seed": runs.c.seed}


class Outline(NamedTuple):
    """All runs that a filter selects.

    ``hidden`` says how many more there are and why they are left out. ``values`` has how many different values some
    fields take and one of them; a run without the field counts as one more. ``ids`` are the runs to look at for what
    varies: all, or where ``sampled`` is set about a thousand spread over the whole.
    """

    total: int
    hidden: Mapping[str, int]
    values: Mapping[str, tuple[int, Any]]
    ids: list[int]
    sampled: bool


def outline(connection: Connection, text: str, *, everything: bool = False) -> Outline:
    """What is true of all runs that a filter selects.

    Raises:
        FilterError: as `spindb.index.search.search`.
    """
    compiler = Compiler(connection, text, everything, counting=True)
    said, tables = compiler.said(), compiler.sources.tables()
    shown = all_of([not_(condition) for condition in compiler.hidden.values()])
    earlier: list[ColumnElement[bool]] = []  # kinds, so that a run of several kinds counts once
    counts: list[ColumnElement[Any]] = []
    for condition in compiler.hidden.values():
        counts.append(_how_many(and_(condition, *map(not_, earlier))))
        earlier.append(condition)
    facts: list[ColumnElement[Any]] = []
    for column in _SAME.values():
        value = case((shown, column))
        facts += [func.count(value), func.min(value), func.max(value)]
    statement = select(_how_many(shown), *counts, *facts).select_from(tables).where(said)
    total, *found = connection.execute(statement).one()
    values = {}
    for place, name in enumerate(_SAME):
        count, least, most = found[len(counts) + 3 * place :][:3]
        different = 0 if least is None else 1 if least == most else 2
        values[name] = different + (count < total), least
    ids = select(runs.c.id).select_from(tables).where(said, shown).order_by(runs.c.id)
    sampled = total > 2 * _SAMPLE
    if sampled:
        # Spread by a multiplier, not by every so-manieth: settings come in regular order.
        ids = ids.where(runs.c.id % _PRIME * 48_271 % _PRIME < _PRIME * _SAMPLE // total)
    hidden = {kind: count for kind, count in zip(compiler.hidden, found, strict=False) if count}
    return Outline(total, hidden, values, list(connection.execute(ids).scalars()), sampled)


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def words_of(hidden: Mapping[str, int]) -> str:
    """What was left out, in words: ``3 copies, 2 archived``."""
    return ", ".join(f"{count} {'copy' if kind == 'copies' and count == 1 else kind}" for kind, count in hidden.items())
