"""Text as both databases take it."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> Any:
    """The value, in text lone surrogates and NUL spelled out: files may hold them, databases refuse them."""
    if type(value) is not str:
        return value
    if "\0" in value:
        value = value.replace("\0", "\\x00")
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
