"""``config.json``: whatever a training function was called with, as far as JSON can say it.

What JSON can't hold becomes what a reader can use best: functions and classes their names, numpy
scalars and arrays numbers and lists, objects ``{str(object): {attributes}}``, anything else its text.
"""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_DEPTH = 6


def config_text(config: dict[str, Any], exp_name: str | None) -> str:
    """The text of ``config.json``; ``exp_name`` is added where there is one."""
    values = to_jsonable(config)
    if exp_name is not None:
        values["exp_name"] = exp_name
    return json.dumps(values, separators=(",", ":\t"), indent=4, sort_keys=True)


def to_jsonable(value: object, _depth: int = 0, _inside: frozenset[int] = frozenset()) -> Any:
    """The value as JSON has it. Cycles and what lies deeper than six objects become text."""
    if value is None or (isinstance(value, (bool, int, float, str)) and type(value).__module__ == "builtins"):
        return value
    if id(value) in _inside or _depth > _MAX_DEPTH:
        return str(value)
    inside = _inside | {id(value)}
    if isinstance(value, dict):
        return {_key(k): to_jsonable(v, _depth, inside) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_jsonable(v, _depth, inside) for v in value]
    if type(value).__module__ == "numpy":
        return _from_numpy(value, _depth, inside)
    name = getattr(value, "__name__", None)
    if isinstance(name, str) and "lambda" not in name:
        return name
    attributes = getattr(value, "__dict__", None)
    if attributes and not isinstance(value, type):
        return {str(value): {_key(k): to_jsonable(v, _depth + 1, inside) for k, v in attributes.items()}}
    return str(value)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key)
    return str(key)


def _from_numpy(value: Any, depth: int, inside: frozenset[int]) -> Any:
    """Numbers and lists for scalars and arrays; 32-bit floats by their shortest spelling."""
    if not hasattr(value, "tolist"):
        return str(value)
    if getattr(value, "shape", None) == () and getattr(value, "dtype", None) is not None:
        number = value.item()
        is_short = isinstance(number, float) and value.dtype.itemsize < 8 and math.isfinite(number)
        return float(str(value)) if is_short else to_jsonable(number, depth, inside)
    return to_jsonable(value.tolist(), depth + 1, inside)
