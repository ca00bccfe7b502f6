"""What the values that are typed in a filter mean: numbers, texts as JSON, times; and how columns compare with them."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, case, func
from sqlalchemy.sql.selectable import FromClause

from spindb.canonical import canonical
from spindb.index.database.models import LARGEST
from spindb.index.query.language import Value
from spindb.machine import now

_TIME = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?\Z")
_AGO = re.compile(r"(\d+)(min|h|d|w)\Z")
_AGO_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WORDS = {"true": "true", "false": "false", "null": "null", "none": "null", "nan": "NaN"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}\Z")


def period(value: Value) -> tuple[datetime, datetime]:
    """When what is typed begins and ends, in UTC: a day, a month, a second; a moment for ``7d``, seven days ago.

    A time is local time of the machine that asks, unless it ends in a zone: ``Z`` or ``+02:00``.
    """
    # `7d` is a moment: it begins and ends at once.
    if ago := _AGO.match(value.text):
        then = now() - timedelta(**{_AGO_UNITS[ago[2]]: int(ago[1])})
        return then, then
    match = _TIME.match(value.text)
    try:
        if match is None:
            raise ValueError
        *parts, zone = match.groups()
        year, *rest = (int(part) for part in parts if part is not None)
        month, day, hour, minute, second = [*rest, *(1, 1, 0, 0, 0)[len(rest) :]]
        begin = datetime(year, month, day, hour, minute, second)
        return _in_utc(begin, zone), _in_utc(_end(begin, len(rest)), zone)
    except (ValueError, OverflowError):
        hint = "2026-11-22, '2026-11-22 14:30', or 7d for seven days ago"
        raise value.error(f"not a time: {value.text!r}", hint) from None


def _end(begin: datetime, parts: int) -> datetime:
    """The end of a year, a month, a day, a minute or a second: of what so many parts behind the year say."""
    if parts == 0:
        return begin.replace(year=begin.year + 1)
    if parts == 1:
        # From the first of a month, 31 days lead into the next one whichever month it is.
        return (begin + timedelta(days=31)).replace(day=1)
    steps = {2: timedelta(days=1), 4: timedelta(minutes=1), 5: timedelta(seconds=1)}
    return begin + steps[parts]


def _in_utc(local: datetime, zone: str | None) -> datetime:
    """A time as tables hold it: UTC, without a zone."""
    if zone is None:
        # Without a zone a time is one of the clock of the machine that asks; tables hold UTC.
        aware = local.astimezone()
    else:
        aware = datetime.fromisoformat(f"{local.isoformat()}{'+00:00' if zone == 'Z' else _with_colon(zone)}")
    return aware.astimezone(timezone.utc).replace(tzinfo=None)


def _with_colon(zone: str) -> str:
    return zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"


def canonical_texts(value: Value) -> list[str]:
    """The canonical texts (see `spindb.canonical`) that a typed value may mean.

    Quotes only delimit. The words true, false, null, none and nan in any case are what they say, or the text.
    """
    # A list is compared as a whole. In quotes it is a text that happens to begin with a bracket.
    if not value.quoted and value.text.startswith(("[", "{")):
        try:
            return [canonical(json.loads(value.text))]
        except (ValueError, RecursionError):
            raise value.error(f"not a JSON list: {value.text!r}", "quote it to mean a text") from None
    found = [canonical(value.text)]
    literal = _WORDS.get(value.text.lower())
    return found if literal is None or literal in found else [literal, *found]


def typed_number(value: Value, name: str) -> float | int:
    """The number that is typed. Raises `FilterError` where it is none."""
    number = as_number(value)
    if number is None:
        hint = f"{name}:none finds runs without one" if value.text.lower() in ("null", "none") else None
        raise value.error(f"{name} is a number: it can't be compared with {value.text!r}", hint)
    return number


def as_number(value: Value) -> float | int | None:
    """The number that is typed, a whole one where it is written and stored so; None where it is none."""
    text = value.text
    # float() takes more than people mean by a number: underscores, blanks around it, and digits of other scripts.
    if not text.isascii() or "_" in text or text != text.strip():
        return None
    if _WHOLE.match(text) and abs(number := int(text)) <= LARGEST:
        return number
    try:
        return float(text)
    except ValueError:
        return None


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compare_column(column: ColumnElement[Any], comparator: str, value: object) -> ColumnElement[bool]:
    """The column beside a value, by a comparator as it is typed."""
    condition: ColumnElement[bool] = _OPERATORS[comparator](column, value)
    return condition


def glob(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """``*`` for any text, ``?`` for one character, A to Z in either case."""
    # The escape itself first, or it would escape the escapes that are put in after it.
    literal = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.ilike(literal.replace("*", "%").replace("?", "_"), escape="\\")


def displayed(alias: FromClause) -> ColumnElement[str]:
    """The text of a hyperparameter as it is shown: text without its quotes, anything else as JSON.

    Of JSON's escapes only those of quotes and backslashes are undone: control characters are shown escaped, too.
    """
    inside = func.substr(alias.c.value, 2, func.length(alias.c.value) - 2)
    # A control character never stands in JSON as it is: it holds the place of backslashes meanwhile.
    plain = func.replace(func.replace(func.replace(inside, "\\\\", "\x01"), '\\"', '"'), "\x01", "\\")
    return case((alias.c.type == "str", plain), else_=alias.c.value)
