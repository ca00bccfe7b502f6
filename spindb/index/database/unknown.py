"""What stands in an answer for a stored value that can't be what its column holds.

SQLite takes any value into any column, and files get damaged. Such a cell must not take the answer away from all
other runs: it is read as unknown, and noted here; `spindb.index.database.connect` then warns, naming the rows.
"""

from __future__ import annotations

import json
from typing import Any

UNKNOWN = "?"
"""In place of text, and of JSON, that is none."""


class _UnknownNumber(float):
    """Not a number, and printed as unknown."""

    def __str__(self) -> str:
        return UNKNOWN

    __repr__ = __str__

    def __format__(self, form: str) -> str:
        return UNKNOWN


UNKNOWN_NUMBER = _UnknownNumber("nan")
"""In place of a number that is none: nothing can be counted or compared with it."""


class Noted:
    """How many unfit values were read since the count was taken last."""

    def __init__(self) -> None:
        self.count = 0
        self.last_warning = ""
        """The last warning about such values: an error that follows it is explained by them."""

    def unfit(self) -> None:
        """Note one."""
        self.count += 1

    def taken(self) -> int:
        """How many were read; the count starts again from 0."""
        count, self.count = self.count, 0
        return count


noted = Noted()


def json_value(text: Any) -> Any:
    """The value of a column of JSON text, `UNKNOWN` where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        noted.unfit()
        return UNKNOWN


def json_object(text: Any) -> dict[str, Any]:
    """The object of a column of JSON text, empty where it is none."""
    found = json_value(text)
    if isinstance(found, dict):
        return found
    if found is not UNKNOWN:
        noted.unfit()
    return {}


def json_texts(text: Any) -> tuple[str, ...]:
    """The texts of a column that holds a JSON list of such, none where it holds something else."""
    found = json_value(text)
    if isinstance(found, list) and all(isinstance(item, str) for item in found):
        return tuple(found)
    if found is not UNKNOWN:
        noted.unfit()
    return ()
