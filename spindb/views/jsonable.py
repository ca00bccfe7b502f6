"""Values as JSON and CSV hold them, for every face that hands data to programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from spindb.index.database.unknown import UNKNOWN_NUMBER

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What a JSON document holds; of floats only the finite ones."""

JSON_VERSION = 1
"""Version of what --json and --jsonl print (docs/output.schema.json). Within one, keys are added and never removed."""


def plain(value: object) -> Json:
    """The value as JSON can hold it.

    NaN and infinities, which JSON lacks, become the texts ``NaN``, ``Infinity`` and ``-Infinity``; times get a ``Z`` at
    the end; bytes become hexadecimal digits; a number that can't be read from the database becomes null.
    """
    # Before the test for NaN, which it is as well: NaN was logged, an unknown number could not be read.
    if value is UNKNOWN_NUMBER:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return value.hex()
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)  # PostgreSQL has types that JSON lacks: exact decimals, intervals, dates


def csv_cell(value: object) -> str | int | float | None:
    """The value as a cell of CSV."""
    simple = plain(value)
    if isinstance(simple, (list, dict)):
        return json.dumps(simple, ensure_ascii=False)
    if isinstance(simple, bool):
        return "true" if simple else "false"
    return simple


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def spreadsheet_cell(value: object) -> str | int | float | None:
    """The value as a cell of CSV that a spreadsheet shows instead of computing it.

    A text that begins as a formula does (``=``, ``+``, ``-``, ``@``, a tab, a carriage return) and is no number gets
    an apostrophe before it, by which spreadsheets know text.
    """
    cell = csv_cell(value)
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
