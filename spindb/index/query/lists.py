"""Conditions of any number of values or parts.

Databases limit the parameters of a statement, and SQLite how deep an expression is: a thousand terms with ``OR``
between are a thousand deep. Long lists travel as one JSON parameter, many parts are put together in portions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, Text, and_, cast, false, func, literal, or_, select, true

_FEW = 100
"""Values that stand in a statement one by one, parts that stand beside each other."""


def one_of(dialect: str, column: ColumnElement[Any], values: Sequence[int] | Sequence[str]) -> ColumnElement[bool]:
    """That a column, of whole numbers or of text, holds one of these values."""
    of_numbers = bool(values) and isinstance(values[0], int)
    if len(values) <= _FEW:  # numbers as the largest type: a column's own may be too small for them
        return column.in_([literal(value, BigInteger) for value in values] if of_numbers else values)
    listed = json.dumps(list(values))
    if dialect == "sqlite":
        found = func.json_each(literal(listed, Text)).table_valued("value")
        return column.in_(select(found.c.value))
    # The general JSON type: the module of PostgreSQL's own takes 20 ms to import, on SQLite for nothing.
    texts = func.json_array_elements_text(cast(literal(listed, Text), JSON)).table_valued("value")
    return column.in_(select(cast(texts.c.value, BigInteger) if of_numbers else texts.c.value))


def all_of(parts: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """That all parts hold. The first of many stay as they are, so that an index can answer them."""
    first = list(parts)
    rest = [_portions(and_, first[_FEW:])] if len(first) > _FEW else []
    return and_(*first[:_FEW], *rest) if first else true()


def any_of(parts: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """That one of the parts holds."""
    found = list(parts)
    return _portions(or_, found) if found else false()


def _portions(join: Callable[..., ColumnElement[bool]], parts: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    while len(parts) > _FEW:
        # A call around each portion keeps it apart: ORs beside each other are one row of ORs again.
        parts = [func.coalesce(join(*parts[n : n + _FEW]), false()) for n in range(0, len(parts), _FEW)]
    return join(*parts)
