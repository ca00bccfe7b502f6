"""One comparison as a condition on one row: of a run, a hyperparameter or a metric. What docs/queries.md promises.

Each function raises `FilterError` where what was typed can't be compared with such a field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Double, and_, false, func, literal, not_, or_
from sqlalchemy.sql.selectable import FromClause

from spindb.errors import FilterError
from spindb.index.database.backend import Backend
from spindb.index.query.fields import MetricField, RunField
from spindb.index.query.language import Comparator, Value
from spindb.index.query.lists import any_of, one_of
from spindb.index.query.values import as_number, canonical_texts, compare_column, displayed, glob, period, typed_number

_RANGE = re.compile(r"(.*?)\.\.(.*)\Z", re.DOTALL)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})\b", re.IGNORECASE | re.ASCII)
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAX_PATTERN = 10_000  # characters; SQLite takes no longer ones than 50,000 bytes


class Test(NamedTuple):
    """A comparator and what was typed behind it: one value, or for ``=`` several, of which one must be equal."""

    comparator: Comparator
    values: tuple[Value, ...]
    backend: Backend

    @property
    def value(self) -> Value:
        return self.values[0]

    def of(self, *values: Value) -> Test:
        """The same comparator with other values."""
        return self._replace(values=values)

    def error(self, message: str, hint: str | None = None) -> FilterError:
        return self.value.error(message, hint)


def column_test(field: RunField, column: ColumnElement[Any], test: Test) -> ColumnElement[bool]:
    """That a column of the run passes the test."""
    if field.kind == "bytes":
        test = test.of(*map(_in_bytes, test.values))
    if test.comparator == "~":
        if field.kind != "text":
            raise test.error(f"{field.name} is not text: ~ compares text")
        return matches(column, test)
    if test.comparator in ("=", "!="):
        equal = any_of(_equal_column(field, column, test))
        return equal if test.comparator == "=" else and_(column.is_not(None), not_(func.coalesce(equal, false())))
    if field.kind == "flag":
        raise test.error(f"{field.name} is true or false")
    if field.kind == "time":
        return _time(column, test.comparator, test.value)
    if field.kind in ("number", "bytes"):
        return compare_column(column, test.comparator, _typed(_number(test.value, field.name)))
    return compare_column(column, test.comparator, test.value.text)


def config_test(alias: FromClause, test: Test) -> ColumnElement[bool]:
    """That a hyperparameter passes the test."""
    if test.comparator == "~":
        return matches(displayed(alias), test)
    if test.comparator in ("=", "!="):
        texts: dict[str, None] = {}
        ranges: list[ColumnElement[bool]] = []
        for value in test.values:
            bounds = _range(value, _is_number)
            if bounds is None:
                texts |= dict.fromkeys(canonical_texts(value))
            else:
                ranges.append(and_(*(_config_order(alias, c, v) for c, v in bounds)))
        same = [one_of(test.backend, alias.c.canonical, list(texts))] if texts else []
        equal = any_of([*same, *ranges])
        return equal if test.comparator == "=" else not_(func.coalesce(equal, false()) if ranges else equal)
    return _config_order(alias, test.comparator, test.value)


def metric_test(field: MetricField, alias: FromClause, test: Test, *, few: bool = False) -> ColumnElement[bool]:
    """That a metric passes the test. For `few` rows, which were found otherwise, its index stays out of it."""
    column: ColumnElement[Any] = alias.c[field.statistic] + 0 if few else alias.c[field.statistic]
    if test.comparator == "~":
        raise test.error(f"{field.shown} is a metric: ~ compares text")
    if test.comparator not in ("=", "!="):
        number = _number(test.value, field.shown, "METRIC=nan finds NaN")
        return compare_column(column, test.comparator, _double(number))
    equal = any_of(_equal_metric(field, alias, column, test))
    if test.comparator == "=":
        return equal
    there: ColumnElement[bool] = column.is_not(None)
    if field.statistic == "last":
        there = or_(there, func.coalesce(alias.c.last_text, "") != "")
    return and_(there, not_(func.coalesce(equal, false())))


def matches(column: ColumnElement[Any], test: Test) -> ColumnElement[bool]:
    """That a text matches the pattern of a test."""
    if len(test.value.text) > _MAX_PATTERN:
        raise test.error(f"a pattern has at most {_MAX_PATTERN} characters")
    return glob(column, test.value.text)


def _equal_column(field: RunField, column: ColumnElement[Any], test: Test) -> Iterator[ColumnElement[bool]]:
    if field.kind in ("text", "codes"):
        yield one_of(test.backend, column, [value.text for value in test.values])
        return
    whole: list[int] = []
    for value in test.values:
        if field.kind == "flag":
            if value.text.lower() not in _TRUTH:
                raise value.error(f"{field.name} is true or false")
            yield compare_column(column, "=", _TRUTH[value.text.lower()])
        elif field.kind == "time":
            bounds = _range(value)
            yield _time(column, "=", value) if bounds is None else and_(*(_time(column, c, v) for c, v in bounds))
        elif bounds := _range(value, _is_number):
            yield and_(*(compare_column(column, c, _typed(_number(v, field.name))) for c, v in bounds))
        else:
            number = _number(value, field.name)
            if isinstance(number, float):
                yield compare_column(column, "=", _typed(number))
            else:
                whole.append(number)
    if whole:
        yield one_of(test.backend, column, whole)


def _equal_metric(
    field: MetricField, alias: FromClause, column: ColumnElement[Any], test: Test
) -> Iterator[ColumnElement[bool]]:
    numbers: list[float] = []
    for value in test.values:
        if bounds := _range(value, _is_number):
            yield and_(*(compare_column(column, c, _double(_number(v, field.shown))) for c, v in bounds))
            continue
        number = typed_number(value, field.shown)
        if not math.isnan(number):
            numbers.append(float(number))
        elif field.statistic == "last":
            yield alias.c.last_text == "NaN"
        else:
            raise value.error("NaN can only be looked for in the last value: METRIC=nan")
    if len(numbers) == 1:
        yield compare_column(column, "=", _double(numbers[0]))
    elif numbers:
        doubles = [_double(number) for number in numbers]
        yield from (column.in_(doubles[n : n + 100]) for n in range(0, len(doubles), 100))


def _config_order(alias: FromClause, comparator: Comparator, value: Value) -> ColumnElement[bool]:
    number = as_number(value)
    if number is None or math.isnan(number):
        raise value.error(f"{comparator} needs a number, not {value.text!r}")
    return compare_column(alias.c.number, comparator, float(number))


def _time(column: ColumnElement[Any], comparator: Comparator, value: Value) -> ColumnElement[bool]:
    """Times are compared by the period that was typed: a day, a month, a second."""
    begin, end = period(value)
    match comparator:
        case "<":
            return column < begin
        case "<=":
            return column < end
        case ">":
            return column >= end
        case ">=":
            return column >= begin
    return and_(column >= begin, column < end)


def _range(value: Value, is_end: Callable[[Value], bool] | None = None) -> Iterable[tuple[Comparator, Value]] | None:
    """``low..high`` as two tests, where both ends are of the right kind or one is open."""
    match = None if value.quoted else _RANGE.match(value.text)
    if not match or not (match[1] or match[2]):
        return None
    low = replace(value, text=match[1], end=value.start + len(match[1]))
    high = replace(value, text=match[2], start=value.end - len(match[2]))
    if is_end and not all(is_end(end) for end in (low, high) if end.text):
        return None
    bounds: tuple[tuple[Comparator, Value], ...] = ((">=", low), ("<=", high))
    return [(comparator, end) for comparator, end in bounds if end.text]


def _in_bytes(value: Value) -> Value:
    """The value with its units of bytes worked out: ``1.5GB`` is 1500000000."""
    text = _SIZE.sub(lambda match: repr(float(match[1]) * _UNITS[match[2].lower()]), value.text)
    return replace(value, text=text)


def _is_number(value: Value) -> bool:
    number = as_number(value)
    return number is not None and not math.isnan(number)


def _number(value: Value, name: str, hint: str | None = None) -> float | int:
    """The number that is typed; a whole one as such, however it is spelled."""
    number = typed_number(value, name)
    if math.isnan(number):
        raise value.error(f"{name} can't be compared with NaN like that", hint)
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**63:
        return int(number)
    return number


def _double(number: float | int) -> ColumnElement[float]:
    return literal(float(number), Double)


def _typed(number: float | int) -> ColumnElement[Any]:
    """The number as the database takes it: a column of whole numbers must not round what it is compared with."""
    return literal(number, BigInteger if isinstance(number, int) else Double)
