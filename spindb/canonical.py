"""One text for each value that a configuration may hold: two values are equal where their canonical texts are.

Loggers spell one value in several ways: numpy scalars become strings (``"0.001"``), lists become text, whole numbers
become floats. The rule, used by filters, groups, seeds and comparisons alike:

- Quotes only delimit. A text that spells a JSON number, list, object, ``true``, ``false`` or ``null`` (or Python's
  ``True``, ``False``, ``None``, ``nan``, ``inf``) is that value.
- Numbers are equal as numbers: ``1e-3``, ``0.001``, ``.001`` and ``"0.001"``; 1, 1.0 and ``"1"``. So they are inside
  lists and objects.
- A text longer than any index takes is its beginning and a digest of it: equal where the values are.
- ``null`` equals ``null`` and is not absent; ``true`` is not 1; NaN equals NaN.
"""

from __future__ import annotations

import json
import math
import re
from hashlib import blake2b
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:\d+(\.\d*)?|(\.\d+))([eE][+-]?\d+)?\Z", re.ASCII)
_MAX_DIGITS = 400  # no double has more in front of its point; int() takes quadratic time
_MAX_NESTED = 100_000  # characters of a text that may spell a list or an object
_MAX_BYTES = 1000  # an entry of a PostgreSQL index has at most 2,704, its key here up to 1,000
_SHOWN = 200
_WHOLE = 2**63  # whole numbers below are written with all their digits, however they were spelled
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
    """The canonical text of a value as JSON has it: JSON, with ``NaN`` and ``Infinity``.

    >>> canonical("1e-3") == canonical(0.001) == "0.001"
    True
    >>> canonical("[64, 64.0]")
    '[64, 64]'
    """
    try:
        return _indexable(_text(value))
    except RecursionError:  # deeper than any configuration: compared as it was written
        return _indexable(_quoted(str(value)))


def _indexable(text: str) -> str:
    """The text where it is short enough for an index of PostgreSQL, with room for a key beside it."""
    if len(text) <= _MAX_BYTES // 4:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= _MAX_BYTES:
        return text
    return _quoted(f"{text[:_SHOWN]}… {blake2b(encoded, digest_size=16).hexdigest()}")


def visible(text: str) -> str:
    """The text; in quotes where it is empty, or begins or ends with a blank, which would not be seen.

    >>> visible("0.001 ")
    '"0.001 "'
    """
    return text if text and text == text.strip() else _quoted(text)


def equal_value(value: Any) -> Any:
    """The value that another one spells: numbers, lists and words out of text; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value in _WORDS:
        return _WORDS[value]
    match = _NUMBER.match(value)
    if match and len(value) <= _MAX_DIGITS:
        number = float(value) if any(match.groups()) else int(value)
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
    return repr(double) if double == value and abs(double) >= _WHOLE else str(int(value))
