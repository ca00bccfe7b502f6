"""Reads what several runs have together: hyperparameters with their values, metrics with their ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from spindb.index.database.batches import batches
from spindb.index.database.models import configs, metrics
from spindb.index.database.unknown import json_value


class KeyRow(NamedTuple):
    """A hyperparameter over several runs: in how many it stands and which values it takes."""

    key: str
    runs: int
    types: tuple[str, ...]
    values: tuple[tuple[Any, int], ...]


class MetricRange(NamedTuple):
    """A metric over several runs: in how many it stands, and the range of its values."""

    name: str
    runs: int
    points: int
    min: float | None
    max: float | None


def keys_over(connection: Connection, ids: Sequence[int], *, internal: bool = False) -> list[KeyRow]:
    """Every hyperparameter of these runs with its values and their counts, most frequent first."""
    c = configs.c
    counts: dict[str, dict[str, int]] = {}
    types: dict[str, set[str]] = {}
    for batch in batches(ids):
        statement = select(c.key, c.type, c.canonical, func.count()).where(c.run_id.in_(batch))
        if not internal:
            statement = statement.where(c.internal.is_(False))
        for key, kind, text, count in connection.execute(statement.group_by(c.key, c.type, c.canonical)):
            # Grouped by type as well, since 1 and 1.0 have one canonical text and two types: the counts are joined
            # here.
            values = counts.setdefault(key, {})
            values[text] = values.get(text, 0) + count
            types.setdefault(key, set()).add(kind)
    return [_key_row(key, types[key], counts[key]) for key in sorted(counts)]


def _key_row(key: str, types: set[str], values: Mapping[str, int]) -> KeyRow:
    """Equal values have one canonical text, by which they are counted and shown."""
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return KeyRow(key, sum(values.values()), tuple(sorted(types)), tuple((json_value(v), n) for v, n in ordered))


class VaryingKey(NamedTuple):
    """A hyperparameter that differs between runs: its values with their counts, and how many runs lack it."""

    key: str
    values: tuple[tuple[Any, int], ...]
    absent: int

    @property
    def opaque(self) -> bool:
        """Whether some value is no more than what Python says of an object: ``<function <lambda> at 0x…>``."""
        return any(isinstance(value, str) and value.startswith("<") for value, _ in self.values)


def varying_keys(connection: Connection, ids: Sequence[int]) -> list[VaryingKey]:
    """The hyperparameters that differ between these runs.

    First those with several values, fewest runs without it first; then those that only some runs have. Equal values are
    one, as in queries; what the logger wrote about itself is left out.
    """
    rows = [VaryingKey(row.key, row.values, len(ids) - row.runs) for row in keys_over(connection, ids)]
    varying = [row for row in rows if len(row.values) > 1 or row.absent]
    return sorted(varying, key=lambda row: (len(row.values) == 1, row.absent, row.key))


def metrics_over(connection: Connection, ids: Sequence[int]) -> list[MetricRange]:
    """Every metric of these runs with the range of its values."""
    c = metrics.c
    found: dict[str, MetricRange] = {}
    for batch in batches(ids):
        statement = select(c.name, func.count(), func.sum(c.count), func.min(c.min), func.max(c.max))
        for name, count, points, low, high in connection.execute(statement.where(c.run_id.in_(batch)).group_by(c.name)):
            # Over batches the ranges are joined here; a metric that is NaN in all runs has neither bound.
            old = found.get(name, MetricRange(name, 0, 0, None, None))
            lows = [v for v in (old.min, low) if v is not None]
            highs = [v for v in (old.max, high) if v is not None]
            found[name] = MetricRange(
                name, old.runs + count, old.points + points, min(lows, default=None), max(highs, default=None)
            )
    return [found[name] for name in sorted(found)]
