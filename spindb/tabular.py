"""The table that the logger prints after each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MIN_KEY_WIDTH = 15
_VALUE_WIDTH = 15


def format_table(row: Mapping[str, Any]) -> str:
    """Keys and values in a frame: numbers with three significant digits, the rest as it is."""
    width = max([_MIN_KEY_WIDTH, *map(len, row)])
    rule = "-" * (width + _VALUE_WIDTH + 7)
    lines = [f"| {key:>{width}} | {_value(value):>{_VALUE_WIDTH}} |" for key, value in row.items()]
    return "\n".join([rule, *lines, rule])


def _value(value: Any) -> str:
    return f"{float(value):8.3g}" if hasattr(value, "__float__") else str(value)
