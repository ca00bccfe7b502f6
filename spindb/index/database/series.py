"""How a metric's series is kept: as text that any SQL client reads, or as an array where the database has arrays.

SQLite: a JSON array, one element per row.

============== =====================================
cell           element
============== =====================================
number         the number
empty          ``null``
NaN            ``"NaN"``
infinities     ``"Infinity"``, ``"-Infinity"``
text           the text (none of the three above: those spellings are numbers in progress.txt)
============== =====================================

PostgreSQL: ``double precision[]`` with NULL for what is empty; cells that such an array can't hold, text and whole
numbers beyond 2⁵³, stand in ``odd_cells``, a JSON object from row to cell. Text is NULL in the array.

The steps of a metric that has its own are kept likewise: an array of finite numbers, one for each cell.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from spindb.index.database.unknown import json_object, json_value, noted

if TYPE_CHECKING:  # to unpack a curve takes no records
    from spindb.records import Cell, MetricSeries

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


_EXACT = 2**53
_BEYOND_64_BITS = 2.0**63
_NUMBERS = re.compile(r"\[[^\[\"{ltu]*\]\Z").match  # neither text nor null, true, false, lists or objects
Packed = str | list[float | None]
"""A series as the database gives it."""


def packed(values: Sequence[Cell], dialect: str, *, finite: bool = False) -> tuple[str, str | None]:
    """What is written for a series: ``series``, a JSON array or PostgreSQL's literal of an array, and ``odd_cells``.

    `finite` says that all cells are finite numbers, which makes it quicker.
    """
    if finite:
        try:
            text = orjson.dumps(values).decode()
        except TypeError:  # whole numbers beyond 64 bits
            pass
        else:
            if dialect != "postgresql":
                return text, None
            if all(type(value) is float for value in values):
                return f"{{{text[1:-1]}}}", None
    if dialect != "postgresql":
        return encode(values), None
    odd = {row: cell for row, cell in enumerate(values) if _is_odd(cell)}
    return f"{{{','.join(map(_literal, values))}}}", json.dumps(odd) if odd else None


def packed_steps(metric: MetricSeries, dialect: str) -> str | None:
    """What is written for the steps of a metric, None where it has none of its own.

    Raises:
        ValueError: they are not as many finite numbers as the metric has cells.
    """
    if metric.steps is None:
        return None
    steps = [step if abs(step) <= _EXACT else float(step) for step in metric.steps]
    if len(steps) != len(metric.values) or not all(map(math.isfinite, steps)):
        raise ValueError(f"the steps of {metric.name!r} are not a finite number for each of its cells")
    return packed(steps, dialect, finite=True)[0]


def _is_odd(cell: Cell) -> bool:
    return isinstance(cell, str) or (isinstance(cell, int) and abs(cell) > _EXACT)


def _literal(cell: Cell) -> str:
    if cell is None or isinstance(cell, str):
        return "NULL"
    try:
        return repr(float(cell))
    except OverflowError:  # a whole number beyond all floats
        return "inf" if cell > 0 else "-inf"


def encode(values: Sequence[Cell]) -> str:
    """The JSON array for a series of cells."""
    cells = [_element(v) if isinstance(v, float) and not math.isfinite(v) else v for v in values]
    try:
        return orjson.dumps(cells).decode()
    except TypeError:  # whole numbers beyond 64 bits, lone surrogates
        return json.dumps(cells)


def _element(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decode(series: Packed, odd_cells: str | None = None) -> list[Cell]:
    """The cells of a series; the inverse of `packed`, but that an array gives whole numbers as floats.

    What is no series, in a damaged database, has no cells, and is noted (see `spindb.index.database.unknown`).
    """
    if isinstance(series, list):
        odd = json_object(odd_cells) if odd_cells else {}
        return [odd.get(str(row), cell) for row, cell in enumerate(series)] if odd else list(series)
    try:
        cells: Any = orjson.loads(series)
    except orjson.JSONDecodeError:
        cells = json_value(series)
    if not isinstance(cells, list):
        noted.unfit()
        return []
    if any(isinstance(cell, float) and abs(cell) >= _BEYOND_64_BITS for cell in cells):
        cells = json_value(series)  # orjson rounds whole numbers beyond
    return [_NON_FINITE.get(c, c) if isinstance(c, str) else c for c in cells]


def unpacked(text: str, odd_cells: str | None) -> list[Cell]:
    """The cells of what `packed` made, for either kind of database."""
    if not text.startswith("{"):
        return decode(text, odd_cells)
    literals = text[1:-1].split(",") if len(text) > len("{}") else []
    return decode([None if literal == "NULL" else float(literal) for literal in literals], odd_cells)


def steps_of(packed: Packed | None) -> list[float] | None:
    """The steps of a metric's cells out of its column ``steps``, None where its cells are those of the run's rows."""
    return None if packed is None else curve(packed)


def last_cell(last: float | None, text: str | None) -> float | str | None:
    """The last cell out of a metric's `last` and `last_text`: a number, NaN, text, or None where it is empty."""
    if last is not None:
        return last
    return math.nan if text == "NaN" else text or None


def curve(series: Packed) -> list[float]:
    """The cells of a series as floats, NaN where a cell is no number: what a curve is drawn from."""
    if isinstance(series, list):
        return [math.nan if cell is None else cell for cell in series]
    if not _NUMBERS(series):
        return numbers(decode(series))
    try:
        found: list[float] = orjson.loads(series)  # numbers alone, as most series are
    except orjson.JSONDecodeError:
        return numbers(decode(series))
    return found


def numbers(cells: Sequence[Cell]) -> list[float]:
    """The cells as floats, NaN where a cell is no number: what a curve is drawn from."""
    return [float(c) if isinstance(c, (int, float)) else math.nan for c in cells]
