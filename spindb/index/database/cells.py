"""How SQLite's cells are read: each as its column's type, or as unknown where it can't be that.

SQLite checks no types, so that a time may be any text and a number a blob; SQLAlchemy would fail on the first and hand
on the second. PostgreSQL checks, and its cells are read as they come.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Double, Engine, Integer, Text
from sqlalchemy.dialects.sqlite import DATETIME

from spindb.index.database.unknown import UNKNOWN, UNKNOWN_NUMBER, noted

_PLAIN_NUMBERS = (int, float, type(None))


def _number(value: object) -> object:
    if value.__class__ in _PLAIN_NUMBERS:
        return value
    noted.unfit()
    return UNKNOWN_NUMBER


def _text(value: object) -> object:
    if value.__class__ is not bytes:
        return value
    noted.unfit()
    return UNKNOWN


def _flag(value: object) -> bool | None:
    if value is None or value == 0 or value == 1:
        return None if value is None else bool(value)
    noted.unfit()
    return None


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        noted.unfit()
        return None
    if found.tzinfo is None:
        return found
    noted.unfit()
    return None


def _read_by(convert: Callable[[Any], Any]) -> Any:
    def result_processor(self: Any, dialect: Any, coltype: Any) -> Callable[[Any], Any]:
        return convert

    return result_processor


class _Integer(Integer):
    result_processor = _read_by(_number)


class _BigInteger(BigInteger):
    result_processor = _read_by(_number)


class _Double(Double[float]):
    result_processor = _read_by(_number)


class _Text(Text):
    result_processor = _read_by(_text)


class _Boolean(Boolean):
    result_processor = _read_by(_flag)


class _DateTime(DATETIME):
    result_processor = _read_by(_time)


def read_with_care(engine: Engine) -> None:
    """Let all columns of this SQLite engine be read so."""
    types = {
        Integer: _Integer,
        BigInteger: _BigInteger,
        Double: _Double,
        Text: _Text,
        Boolean: _Boolean,
        DateTime: _DateTime,
    }
    engine.dialect.colspecs = {**engine.dialect.colspecs, **types}
