"""How a metric's series is kept: a JSON array, one element per row, readable by any SQL client.

============== =====================================
cell           element
============== =====================================
number         the number
empty          ``null``
NaN            ``"NaN"``
infinities     ``"Infinity"``, ``"-Infinity"``
text           the text (none of the three above: those spellings are numbers in progress.txt)
============== =====================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import orjson

from spindb.records import Cell

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(values: Sequence[Cell]) -> str:
    """The JSON array for a series of cells."""
    cells = [_element(v) if isinstance(v, float) and not math.isfinite(v) else v for v in values]
    try:
        return orjson.dumps(cells).decode()
    except TypeError:  # whole numbers beyond 64 bits, lone surrogates
        return json.dumps(cells)


def _element(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decode(series: str) -> list[Cell]:
    """The cells of a series; the inverse of `encode`."""
    try:
        cells: list[Any] = orjson.loads(series)
    except orjson.JSONDecodeError:
        cells = json.loads(series)
    return [_NON_FINITE.get(c, c) if isinstance(c, str) else c for c in cells]


def last_cell(last: float | None, text: str | None) -> float | str | None:
    """The last cell out of a metric's `last` and `last_text`: a number, NaN, text, or None where it is empty."""
    if last is not None:
        return last
    return math.nan if text == "NaN" else text or None


def curve(series: str) -> list[float]:
    """The cells of a series as floats, NaN where a cell is no number: what a curve is drawn from."""
    if '"' in series or "null" in series:
        return numbers(decode(series))
    found: list[float] = orjson.loads(series)  # numbers alone, as most series are
    return found


def numbers(cells: Sequence[Cell]) -> list[float]:
    """The cells as floats, NaN where a cell is no number: what a curve is drawn from."""
    return [float(c) if isinstance(c, (int, float)) else math.nan for c in cells]
