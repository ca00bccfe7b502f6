"""Values as people read and type them: numbers, times, sizes, ages. Every face shows them alike."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone

from spindb.canonical import visible
from spindb.index.database.unknown import json_value
from spindb.printable import printable


def show(value: object) -> str:
    """A value as a person would write it: numbers with five significant digits, nothing for None.

    Control characters in text (tabs, newlines) are spelled out, so that a cell stays on its line.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _show_float(value)
    if isinstance(value, datetime):
        return _show_time(value)
    if isinstance(value, (list, dict)):
        return printable(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bytes):
        return value.hex()
    return printable(str(value))


def _show_time(value: datetime) -> str:
    """A time (UTC where it has no zone) in the reader's zone, which is named."""
    try:
        local = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone()
    except (OverflowError, ValueError, OSError):  # on the edge of what calendars and systems know
        return f"{value:%Y-%m-%d %H:%M} UTC"
    zone = local.tzname() or ""
    return f"{local:%Y-%m-%d %H:%M} {zone if zone[:1].isalpha() else local.strftime('%z')}".rstrip()


def _show_float(value: float) -> str:
    if math.isnan(value):
        return str(value)
    # %g would write 2e+05.
    if 1e5 <= abs(value) < 1e10:  # steps and seconds: 200000, not 2e+05
        return f"{value:.0f}"
    return f"{value:.5g}"


def show_hyperparameter(text: str) -> str:
    """A hyperparameter's JSON text as a person would type it: numbers with all their digits, ``null`` for null."""
    value = json_value(text)
    return "null" if value is None else show_exactly(visible(value) if isinstance(value, str) else value)


def show_exactly(value: object) -> str:
    """A value as a person would type it: numbers with all the digits that tell them from others, nothing for None."""
    # Five digits where they are all there are; `repr` gives the shortest text that reads back as the same double.
    short = show(value)
    return repr(value) if isinstance(value, float) and value == value and float(short) != value else short


def size(count: int) -> str:
    """A number of bytes as a person would write it."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


_AGES = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (14 * 86400, 86400, "d"), (60 * 86400, 7 * 86400, "w"))
_YEAR = 365.25 * 86400


def age(seconds: float) -> str:
    """A time that passed, as people say it: ``5 min``, ``3 h``, ``12 d``, ``5 w``, ``7 mo``, ``3 y``."""
    for below, unit, name in _AGES:
        if seconds < below:
            return f"{max(0, int(seconds // unit))} {name}"
    if seconds < 2 * _YEAR:
        return f"{int(seconds // (_YEAR / 12))} mo"
    return f"{int(seconds // _YEAR)} y"


def plural(count: int, word: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {word}{'' if count == 1 else 's'}"
