"""Which hyperparameters and metrics the names of a query stood for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, and_, not_, select

from spindb.index.database.models import runs
from spindb.index.query.fields import ConfigField, Field, MetricField, Stored, alternatives
from spindb.index.query.sources import has, keys_used


def meaning_of(
    connection: Connection,
    named: Mapping[str, Field],
    among: ColumnElement[bool] | None,
    *,
    one_performance: bool = False,
) -> dict[str, tuple[str, ...]]:
    """The keys and metrics that each name stands for in the runs `among` all, where the name itself does not say it.

    Without a condition: what it may stand for in any run. ``Performance`` where it stands for several metrics, which it
    does not where the caller knows of `one_performance`.
    """
    meaning = {}
    for name, found in named.items():
        fields = alternatives(found)
        if isinstance(found, MetricField) and found.metric is None:
            used = () if among is None or one_performance else tuple(_performances(connection, among))
            if len(used) > 1:
                meaning[name] = used
            continue
        several = len(fields) > 1 or any(isinstance(one, ConfigField) and len(one.keys) > 1 for one in fields)
        if not fields or (not several and _says(name, fields[0])):
            continue
        mixed = len({type(one) for one in fields}) > 1
        used = tuple(
            spelled
            for place, one in enumerate(fields)
            for spelled in (_used(connection, one, fields[:place], among, mixed) if several else [_spell(one, mixed)])
        )
        if len(used) > 1 or (used and used[0] not in (name, f"config.{name}", f"metric.{name}")):
            meaning[name] = used
    return meaning


def _says(name: str, found: Stored) -> bool:
    """Whether a name is how the field is spelled."""
    if isinstance(found, ConfigField):
        return name.removeprefix("config.") in found.keys or name in found.keys
    spellings = found.shown, f"{found.shown}.{found.statistic}"
    return name in spellings or name.removeprefix("metric.") in spellings


def _spell(found: Stored, mixed: bool = False, key: str = "") -> str:
    """A field as it may be typed; with its kind before it where those of both kinds are listed."""
    if isinstance(found, ConfigField):
        return f"{'config.' if mixed else ''}{key or found.keys[0]}"
    statistic = "" if found.statistic == "last" else f".{found.statistic}"
    return f"{'metric.' if mixed else ''}{found.shown}{statistic}"


def _used(
    connection: Connection, found: Stored, better: Sequence[Stored], among: ColumnElement[bool] | None, mixed: bool
) -> Iterator[str]:
    """What some of the runs take for their value, having none of the `better` fields."""
    if isinstance(found, ConfigField):
        keys = set(connection.execute(keys_used(found, better, among)).scalars())
        yield from (_spell(found, mixed, key) for key in found.keys if key in keys)
        return
    there = and_(has(found, runs.c.id), *(not_(has(other, runs.c.id)) for other in better))
    some = select(runs.c.id).where(there, *([] if among is None else [among])).limit(1)
    if connection.execute(some).scalar() is not None:
        yield _spell(found, mixed)


def _performances(connection: Connection, among: ColumnElement[bool]) -> list[str]:
    statement = select(runs.c.performance).where(runs.c.performance.is_not(None), among).distinct()
    return sorted(connection.execute(statement).scalars())
