"""Cells of a table: numbers, text that represents exactly one number, and other text.

Loggers write ``str(value)``, so a tensor, an array or a numpy scalar becomes text such as ``tensor(2.5)``,
``array([1.])`` or ``np.float64(2.5)``. Such text represents one number and is read as that number
(`number_in_text`). Ambiguous text remains text: ``1,5`` may be 1.5 or a list of two, ``1,500`` may be 1500 or 1.5,
``50%`` may be 50 or 0.5. ``True`` and ``None`` are not numbers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from spindb.records import Cell

_INTEGER = re.compile(r"[+-]?\d+\Z")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1  # orjson returns floats beyond these, and both readers must agree
_LONGEST = 300  # characters of text that is searched for a number: bounds the time of the patterns
_DEEPEST = 8  # nested calls, brackets and quotes around one number

# Types whose text is a call with the value as its first argument.
_CALL = re.compile(
    r"(?:[A-Za-z_]\w*\.)*"
    r"(?:tensor|Tensor|EagerTensor|array|Array|ArrayImpl|DeviceArray|ndarray|Parameter|Decimal"
    r"|float_?|b?float\d+|int_?|u?int\d+|longdouble|double|single|half|longlong)"
    r"\((.*)\)\Z",
    re.DOTALL,
)
# <tf.Tensor: shape=(), dtype=float32, numpy=2.5>
_SHOWN_BY_TENSORFLOW = re.compile(r"<(?:tf\.)?(?:Tensor|Variable|EagerTensor)\b.*?\bnumpy=(.*)>\Z", re.DOTALL)
# The first keyword argument after the value: dtype=, device=, requires_grad=.
_FURTHER_ARGUMENTS = re.compile(r",\s*[A-Za-z_]\w*\s*=")
# Types of such arguments whose values are not numbers, even if they print as digits.
_NO_NUMBER_TYPE = re.compile(r"(?:datetime64|timedelta64|bool|complex|object)")
_BRACKETS = {"[": "]", "(": ")"}
_QUOTED = re.compile(r"b?(['\"])(.*)\1\Z", re.DOTALL)

# 1,234,567 or 1,234.5: two groups, or a group and a decimal point. One group alone, 1,500, is ambiguous.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3}){2,}(?:\.\d+)?\Z|[+-]?[1-9]\d{0,2},\d{3}\.\d+\Z")
_THOUSANDS_BY_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+,\d+\Z")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?\Z")
_AMBIGUOUS = re.compile(r"[+-]?[\d,.']*\d(?:[eE][+-]?\d+)?\s*%?\Z")
# Not-finite numbers as printed by C's printf on Windows, and NaN with its kind on other systems.
_NOT_FINITE = {
    "1.#inf": "inf",
    "-1.#inf": "-inf",
    **dict.fromkeys(("1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"), "nan"),
}
_NAN_OF_A_KIND = re.compile(r"-?nan\((?:ind|snan)\)\Z")


class TextNumber(NamedTuple):
    """The number that a text represents; ``inside`` is true if it was in brackets, which may also be a list."""

    number: float
    inside: bool


def parse_cell(text: str) -> Cell:
    """Parse a cell: a number (including NaN and infinities), None if it is empty, else text."""
    text = text.strip()
    if not text:
        return None
    if "_" in text:  # Python accepts 1_000 as a number, but no logger writes it
        return text
    try:
        number = int(text) if _INTEGER.match(text) else None
        if number is not None and _MIN_INTEGER <= number <= _MAX_INTEGER:
            return number
        return float(text)
    except ValueError:
        return text


def is_number(cell: Cell) -> bool:
    """Whether a cell is a number or text that represents one."""
    if isinstance(cell, str):
        return number_in_text(cell) is not None
    return cell is not None


def with_decimal_comma(text: str) -> str:
    """Replace the decimal comma of a number by a point; other text is unchanged."""
    text = text.strip()
    if _DECIMAL_COMMA.match(text):
        return text.replace(",", ".")
    return text.replace(".", "").replace(",", ".") if _THOUSANDS_BY_POINTS.match(text) else text


def number_in_text(text: str) -> TextNumber | None:
    """The number that a text represents, or None if it is ambiguous or not a number."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    wrapped = inside = False
    for _ in range(_DEEPEST):
        # Within a call or brackets a comma separates items, so grouped thousands are read only outside.
        number = _plain_number(text, grouped=not wrapped)
        if number is not None:
            return TextNumber(number, inside)
        unwrapped = _unwrapped(text)
        if unwrapped is None:
            return None
        inside = inside or text[0] in _BRACKETS
        wrapped = wrapped or not _QUOTED.match(text)
        text = unwrapped
    return None


def is_ambiguous(text: str) -> bool:
    """Whether a text looks like a number with a comma, an apostrophe or a percent sign, which are ambiguous."""
    text = text.strip()
    return len(text) <= _LONGEST and any(sign in text for sign in ",'%") and bool(_AMBIGUOUS.match(text))


def _plain_number(text: str, *, grouped: bool) -> float | None:
    """The number in a text without calls, brackets or quotes; `grouped` allows ``1,500.5``."""
    text = text.replace("\N{MINUS SIGN}", "-")
    cell = parse_cell(text)
    if cell is not None and not isinstance(cell, str):
        return cell
    lowered = text.lower()
    if lowered in _NOT_FINITE:
        return float(_NOT_FINITE[lowered])
    if _NAN_OF_A_KIND.match(lowered):
        return float("nan")
    if grouped and _THOUSANDS.match(text):
        text = text.replace(",", "")
    elif grouped and _THOUSANDS_BY_POINTS.match(text):
        text = with_decimal_comma(text)
    else:
        return None
    cell = parse_cell(text)
    return None if isinstance(cell, str) else cell


def _unwrapped(text: str) -> str | None:
    """The content of the call, brackets or quotes around the whole text; None if there are none."""
    if shown_value := _SHOWN_BY_TENSORFLOW.match(text):
        return shown_value[1].strip()
    if call := _CALL.match(text):
        value, *further = _FURTHER_ARGUMENTS.split(call[1], maxsplit=1)
        return None if further and _NO_NUMBER_TYPE.search(call[1][len(value) :]) else value.strip()
    if quoted := _QUOTED.match(text):
        return quoted[2].strip()
    if text[:1] in _BRACKETS and text.endswith(_BRACKETS[text[0]]):
        return text[1:-1].strip().removesuffix(",").strip()
    return None
