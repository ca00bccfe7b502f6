"""Saved values as what Python code takes: arrays, dtypes, spaces, and functions of modules that may be imported."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from spindb.disk.saved_values import Reference, SavedArray, SavedDtype, SavedObject, Unread
from spindb.play.arrays import Array
from spindb.play.environments.libraries import import_quietly
from spindb.play.environments.protocols import GymSpace

_BOXES = ("gym.spaces.box.Box", "gymnasium.spaces.box.Box")


class NotRestoredError(Exception):
    """A value that can't be had; the message says what it is, ``module`` what would have to be imported."""

    def __init__(self, message: str, module: str | None = None) -> None:
        super().__init__(message)
        self.module = module


def restored(value: object, imports: Sequence[str] = ()) -> Any:
    """A value of `spindb.disk.saved_values` as it was.

    Args:
        value: what was read.
        imports: modules whose functions and classes may be looked up; numpy's own functions of arrays always may.

    Raises:
        NotRestoredError: it can't be had without running code from the file or of a module that was not imported.
    """
    if isinstance(value, (list, tuple)):
        items = [restored(item, imports) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        return {key: restored(item, imports) for key, item in value.items()}
    if isinstance(value, SavedArray):
        return _array(value)
    if isinstance(value, SavedDtype):
        return np.dtype(value.text)
    if isinstance(value, Reference):
        return _found(value, imports)
    if isinstance(value, SavedObject):
        if value.class_path in _BOXES:
            return _box(value)
        raise NotRestoredError(f"an object of {value.class_path or 'a class saved with its code'}", _module(value))
    if isinstance(value, Unread):
        raise NotRestoredError(value.words)
    return value


def imported(module: str, imports: Sequence[str]) -> ModuleType | None:
    """The module, where the user allowed it: by its name, or as part of a package that was imported; else None."""
    if module in imports:
        return sys.modules.get(module) or importlib.import_module(module)
    below = any(module.startswith(f"{name}.") for name in imports)
    return sys.modules.get(module) if below else None


def _module(value: SavedObject) -> str | None:
    return value.class_path.rpartition(".")[0] or None


def _array(value: SavedArray) -> Array:
    dtype = np.dtype(value.dtype)
    if math.prod(value.shape) * dtype.itemsize != len(value.data):
        raise NotRestoredError("an array whose data is not as long as its shape says")
    return np.frombuffer(value.data, dtype).reshape(value.shape, order="F" if value.order == "F" else "C").copy()


def _box(value: SavedObject) -> GymSpace:
    low, high = (restored(value.attributes.get(name)) for name in ("low", "high"))
    if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray):
        raise NotRestoredError("a Box without bounds")
    try:
        box: GymSpace = import_quietly("gymnasium").spaces.Box(low, high, dtype=low.dtype.type)
    except Exception as error:  # its constructor checks bounds
        raise NotRestoredError(f"a Box that can't be made: {error}") from error
    return box


def _found(reference: Reference, imports: Sequence[str]) -> object:
    if reference.module.partition(".")[0] == "numpy":
        found = getattr(np, reference.name, None)
        if isinstance(found, np.ufunc) or (isinstance(found, type) and issubclass(found, np.generic)):
            return found
    module = imported(reference.module, imports)
    found = module
    for part in reference.name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise NotRestoredError(f"{reference}, which is code", reference.module)
    return found
