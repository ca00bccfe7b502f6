"""Text of values from files, with bounded length.

``repr`` of a few hundred bytes of nested lists can need more memory than there is, and ``repr`` of an integer with many
digits raises ValueError. Messages therefore format untrusted values with `told`, not with ``str`` or ``repr``.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

_LENGTH = 200  # characters
_ITEMS = 20  # of each container
_DEPTH = 3
_DIGITS = 10**40  # larger integers are described: Python refuses to convert very long ones to text
_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", dict: "{}"}


def told(value: Any, length: int = _LENGTH) -> str:
    """The value as Python writes it, cut to `length` characters.

    Descriptions (`spindb.disk.described.Global`, ``Built``) are formatted by their method ``short``.
    """
    text = _told(value, _DEPTH)
    return text if len(text) <= length else text[: length - 1] + "…"


def text_of(error: BaseException) -> str:
    """The message of an exception, cut in the same way: its arguments may come from a file."""
    parts = [arg if isinstance(arg, str) else told(arg) for arg in error.args]
    if any("integer string conversion" in part for part in parts):  # Python's message would name a setting of Python
        return "a number in it has thousands of digits"
    return told_text(": ".join(part for part in parts if part) or type(error).__name__)


def told_text(text: str, length: int = _LENGTH) -> str:
    """The text, cut to `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def longer_than(text: str, limit: int) -> bool:
    """Whether the text has more than `limit` bytes in a database."""
    return len(text) * 4 > limit and size_of(text) > limit


def size_of(text: str) -> int:
    """The number of bytes of the text in a database."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _told(value: Any, depth: int) -> str:
    if isinstance(value, (str, bytes)):
        return repr(value[:_LENGTH])
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if -_DIGITS < value < _DIGITS else f"a number of {value.bit_length():,} bits"
    brackets = _BRACKETS.get(type(value))
    if brackets is None:
        short = getattr(value, "short", None)
        return short(depth) if short is not None else f"<{type(value).__name__}>"
    if depth == 0:
        return f"{brackets[0]}…{brackets[1]}"
    if isinstance(value, dict):
        inside = [f"{_told(k, depth - 1)}: {_told(v, depth - 1)}" for k, v in islice(value.items(), _ITEMS)]
    else:
        inside = [_told(item, depth - 1) for item in islice(value, _ITEMS)]
    if len(value) > _ITEMS:
        inside.append("…")
    comma = "," if isinstance(value, tuple) and len(inside) == 1 else ""
    return f"{brackets[0]}{', '.join(inside)}{comma}{brackets[1]}"
