"""Canonical text of configuration values: two values are equal if their canonical texts are equal.

Loggers write one value in several ways: numpy scalars become strings (``"0.001"``), lists become text, integers
become floats. Filters, groups, seeds and comparisons all use the same rule:

- Quotes only delimit. A text that spells a JSON number, list, object, ``true``, ``false`` or ``null`` (or Python's
  ``True``, ``False``, ``None``, ``nan``, ``inf``) is that value.
- Numbers are compared as numbers, also inside lists and objects: ``1e-3``, ``0.001``, ``.001`` and ``"0.001"`` are
  equal; so are 1, 1.0 and ``"1"``.
- Text that is too long for an index is replaced by its beginning and a digest, which are equal for equal values.
- ``null`` equals ``null`` and differs from an absent value; ``true`` is not 1; NaN equals NaN.
"""

from __future__ import annotations

import json
import math
import re
from hashlib import blake2b
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:\d+(\.\d*)?|(\.\d+))([eE][+-]?\d+)?\Z", re.ASCII)
_MAX_DIGITS = 400  # no double has more in front of its point; int() takes quadratic time
_MAX_NESTED = 100_000  # characters of a text that is parsed as a list or an object; more would be slow
_MAX_BYTES = 1000  # PostgreSQL index entries have at most 2,704 bytes; the key stored with it has up to 1,000
_SHOWN = 200
_WHOLE = 2**63  # integers below are written with all digits, so that 1e3 and 1000 are equal
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("null", "None"), None),
    **dict.fromkeys(("true", "True"), True),
    **dict.fromkeys(("false", "False"), False),
    **dict.fromkeys(("NaN", "nan"), math.nan),
    **dict.fromkeys(("Infinity", "inf"), math.inf),
    **dict.fromkeys(("-Infinity", "-inf"), -math.inf),
}

_quoted = json.JSONEncoder(ensure_ascii=False).encode


def canonical(value: Any) -> str:
    """The canonical text of a JSON value: JSON, with ``NaN`` and ``Infinity``.

    >>> canonical("1e-3") == canonical(0.001) == "0.001"
    True
    >>> canonical("[64, 64.0]")
    '[64, 64]'
    """
    try:
        return _indexable(_text(value))
    except RecursionError:  # nested deeper than any real configuration: compared by its text
        return _indexable(_quoted(str(value)))


def _indexable(text: str) -> str:
    """The text if it fits into a PostgreSQL index entry together with a key, else its beginning and a digest."""
    # UTF-8 has at most four bytes per character, so most texts need not be encoded to know that they fit.
    if len(text) <= _MAX_BYTES // 4:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= _MAX_BYTES:
        return text
    return _quoted(f"{text[:_SHOWN]}… {blake2b(encoded, digest_size=16).hexdigest()}")


def visible(text: str) -> str:
    """The text, in quotes if it is empty or begins or ends with white space, which would be invisible.

    >>> visible("0.001 ")
    '"0.001 "'
    """
    return text if text and text == text.strip() else _quoted(text)


def equal_value(value: Any) -> Any:
    """The value that a text spells: a number, list, object or word; other values unchanged."""
    if not isinstance(value, str):
        return value
    if value in _WORDS:
        return _WORDS[value]
    # A regular expression instead of float(): Python also accepts 1_000 and surrounding space, which no logger
    # writes.
    match = _NUMBER.match(value)
    if match and len(value) <= _MAX_DIGITS:
        number = float(value) if any(match.groups()) else int(value)
        # 1e999 is infinite as a float; the text is kept, so that it does not equal every other such number.
        return number if math.isfinite(number) else value
    if value[:1] in ("[", "{") and value[-1:] in ("]", "}") and len(value) <= _MAX_NESTED:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _text(value: Any) -> str:
    value = equal_value(value)
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    # bool is a subclass of int: this must come before the numbers.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(str(key))}: {_text(value[key])}' for key in sorted(value, key=str))}}}"
    return _number(value)


def _number(value: int | float) -> str:
    try:
        double = float(value)
    except OverflowError:  # a whole number beyond all doubles
        return str(value)
    if math.isnan(double):
        return "NaN"
    if math.isinf(double):
        return "Infinity" if double > 0 else "-Infinity"
    if double == value and not double.is_integer():
        return repr(double)
    # An integer with no exact double keeps all its digits; otherwise 2**53 and 2**53 + 1 would be equal.
    return repr(double) if double == value and abs(double) >= _WHOLE else str(int(value))
