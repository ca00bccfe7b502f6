"""What a statement selected for a field, as Python has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from spindb.index.database import series
from spindb.index.database.unknown import json_value
from spindb.index.query.fields import Alternatives, ConfigField, Field, MetricField, RunField

_LISTS = ("tags", "problem", "verified")


def width(found: Field) -> int:
    """How many cells `spindb.index.query.sources` selects for a field."""
    if isinstance(found, Alternatives):
        return sum(1 + width(one) for one in found.fields)
    return 2 if isinstance(found, MetricField) and found.statistic == "last" else 1


def converter(found: Field) -> Callable[[Sequence[Any]], Any] | None:
    """What makes a value of a field's cells, None where the only cell is the value."""
    match found:
        case ConfigField():
            return lambda cells: None if cells[0] is None else json_value(cells[0])
        case MetricField(_, "last"):
            return lambda cells: series.last_cell(*cells)
        case RunField(name) if name in _LISTS:
            return lambda cells: tuple(cells[0].split(", ")) if cells[0] else ()
        case Alternatives(fields):
            return _first(fields)
    return None


def _first(fields: Sequence[ConfigField | MetricField]) -> Callable[[Sequence[Any]], Any]:
    """The value of the first field that is there: each one's cells follow one that says so."""
    places, place = [], 0
    for one in fields:
        places.append((place, place + 1 + width(one), converter(one)))
        place += 1 + width(one)

    def first(cells: Sequence[Any]) -> object:
        for begin, end, convert in places:
            if cells[begin] is not None:
                return cells[begin + 1] if convert is None else convert(cells[begin + 1 : end])
        return None

    return first
