"""Converts the descriptions of `spindb.disk.codecs.pickles` to plain Python values, without building objects.

Numbers, text, None, tuples, lists and dicts are unchanged. numpy scalars become Python numbers, arrays `SavedArray`,
classes and functions `Reference`, dtypes `SavedDtype`, other objects `SavedObject`. A value that only running code
could create becomes `Unread`, with a description for messages.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

from spindb.disk.described import Array, Built, Global

_MAX_DEPTH = 12  # values in wrappers are shallow; the state as a whole may refer to itself
_MAX_VALUES = 100_000  # of one state: shared parts are expanded, and could be many more than the file has
_MAX_ARRAY = 1 << 28  # bytes
# numpy's codes for numeric types: a character (struct's), or a kind with a size.
_DTYPE = re.compile(r"[?bBhHiIlLqQefd]|[biuf][1248]")
# numpy's codes in the characters of struct, which decodes scalars without numpy.
_SCALARS = {
    "b1": "?",
    "i1": "b",
    "u1": "B",
    "i2": "h",
    "u2": "H",
    "i4": "i",
    "u4": "I",
    "i8": "q",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
_FRAME_ARGUMENTS = 4  # of numpy's _frombuffer: buffer, dtype, shape, order
_ARRAY_STATE = 5  # of an array: version, shape, dtype, is_fortran, data
# cloudpickle saves classes of __main__ with their code; these are the functions that rebuild them.
_BY_VALUE = ("cloudpickle.cloudpickle._make_skeleton_class", "cloudpickle.cloudpickle._make_skeleton_enum")


@dataclass(frozen=True, slots=True)
class SavedArray:
    """A numeric array: numpy's ``dtype`` with its byte order, shape, ``C`` or ``F`` order, and the elements' bytes."""

    dtype: str
    shape: tuple[int, ...]
    order: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SavedDtype:
    """A numpy dtype by its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A class or function by module and name: whatever is there now."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Unread:
    """A value that can't be read without running code; ``words`` describes it."""

    words: str


@dataclass(frozen=True, slots=True)
class SavedObject:
    """An instance: its class (``module.Class``, empty if its code was saved with it) and its attributes."""

    class_path: str
    attributes: Mapping[str, SavedValue] = field(default_factory=dict)


SavedValue: TypeAlias = (
    "bool | int | float | str | tuple[SavedValue, ...] | list[SavedValue] | dict[str, SavedValue] "
    "| SavedArray | SavedDtype | Reference | SavedObject | Unread | None"
)
"""What `saved_value` gives."""


def saved_value(described: object, data: bytes) -> SavedValue:
    """Convert a description; see the module.

    Args:
        described: from `spindb.disk.codecs.pickles.read_pickle`.
        data: the file, which contains the arrays of joblib.
    """
    return _Reader(data).value(described, 0)


class _Reader:
    """Converts values of one file; limits end values that refer to themselves, or to one part very often."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = _MAX_VALUES

    def value(self, described: object, depth: int) -> SavedValue:
        self.left -= 1
        if described is None or isinstance(described, (bool, int, float, str)):
            return described
        if depth > _MAX_DEPTH or self.left < 0:
            return Unread("something too deep or too large")
        if isinstance(described, (list, tuple)):
            if len(described) > self.left:
                return Unread("something too large")
            items = [self.value(item, depth + 1) for item in described]
            return tuple(items) if isinstance(described, tuple) else items
        if isinstance(described, dict):
            return self.values(described, depth)
        if isinstance(described, Global):
            return Reference(described.module, described.name)
        if isinstance(described, Array):
            return _array(described, self.data)
        if isinstance(described, Built):
            return self.instance(described, depth)
        return Unread(f"a {type(described).__name__}")

    def values(self, items: Mapping[object, object], depth: int) -> dict[str, SavedValue] | Unread:
        if len(items) > self.left:
            return Unread("something too large")
        return {str(key): self.value(item, depth + 1) for key, item in items.items()}

    def instance(self, built: Built, depth: int) -> SavedValue:
        path = built.class_path
        args = built.args if isinstance(built.args, tuple) else ()
        if path == "numpy.dtype":
            return _dtype(built) or Unread("a dtype that is not a number")
        if path.endswith("multiarray.scalar"):
            return _scalar(args)
        if path.endswith(("multiarray._reconstruct", "numeric._frombuffer")):
            return _plain_array(built, args)
        if path == "collections.OrderedDict":
            pairs = [item for item in built.items if isinstance(item, tuple) and len(item) == 2]
            return self.values({key: item for key, item in pairs if isinstance(key, str)}, depth)
        if built.called:
            return Unread("a function that was saved as code" if path.endswith("_make_function") else f"{path}(…)")
        attributes = self.values(built.attributes, depth)
        return SavedObject(class_path_of(built), attributes if isinstance(attributes, dict) else {})


def class_path_of(layer: Built) -> str:
    """``module.Class`` of an instance, also if its class was saved by value (``__main__``); else an empty text."""
    if layer.class_path:
        return layer.class_path
    args = layer.args if isinstance(layer.args, tuple) else ()
    for target in (layer.callable, *args[:1]):
        if isinstance(target, Built) and target.class_path in _BY_VALUE and len(target.args) > 1:
            # Arguments of both functions: metaclass, name, bases, members, …
            members = target.args[3] if len(target.args) > 3 and isinstance(target.args[3], dict) else {}
            module = members.get("__module__", "__main__")
            return f"{module}.{target.args[1]}"
    return ""


def _dtype(described: object) -> SavedDtype | None:
    """The type of a pickled ``numpy.dtype``, with the byte order in its state."""
    if not isinstance(described, Built) or described.class_path != "numpy.dtype":
        return None
    code = described.args[0] if isinstance(described.args, tuple) and described.args else None
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        return None
    order = described.state[1] if isinstance(described.state, tuple) and len(described.state) > 1 else "|"
    return SavedDtype((order if order in ("<", ">") else "") + code)


def _scalar(args: tuple[object, ...]) -> bool | int | float | Unread:
    found = _dtype(args[0]) if args else None
    raw = args[1] if len(args) > 1 else None
    # Protocols before 3 have no bytes: they are text, one character per byte.
    if isinstance(raw, str):
        raw = raw.encode("latin-1", "replace")
    code = _SCALARS.get(found.text[-2:]) if found else None
    if found is None or code is None or not isinstance(raw, bytes):
        return Unread("a numpy scalar")
    layout = (">" if found.text[0] == ">" else "<") + code
    return struct.unpack(layout, raw)[0] if len(raw) == struct.calcsize(layout) else Unread("a numpy scalar")


def _plain_array(built: Built, args: tuple[object, ...]) -> SavedArray | Unread:
    """An array in a plain pickle: ``_reconstruct`` with a state, or ``_frombuffer`` since protocol 5."""
    if built.class_path.endswith("_frombuffer") and len(args) >= _FRAME_ARGUMENTS:
        raw, dtype, shape, order = args[:_FRAME_ARGUMENTS]
    elif isinstance(built.state, tuple) and len(built.state) == _ARRAY_STATE:
        _, shape, dtype, fortran, raw = built.state
        order = "F" if fortran else "C"
    else:
        return Unread("an array")
    if isinstance(raw, str):
        raw = raw.encode("latin-1", "replace")
    found = _dtype(dtype)
    if found is None or not isinstance(raw, (bytes, bytearray)) or not _is_shape(shape):
        return Unread("an array of no numbers")
    return SavedArray(found.text, tuple(shape), order if order == "F" else "C", bytes(raw))


def _array(array: Array, data: bytes) -> SavedArray | Unread:
    if not _DTYPE.fullmatch(array.dtype.lstrip("<>|=")) or array.count > _MAX_ARRAY:
        return Unread("an array of no numbers")
    raw = data[array.start : array.start + array.count]
    return SavedArray(array.dtype, array.shape, array.order if array.order == "F" else "C", raw)


def _is_shape(shape: object) -> TypeGuard[tuple[int, ...]]:
    return (
        isinstance(shape, tuple)
        and all(isinstance(length, int) and length >= 0 for length in shape)
        and math.prod(shape) <= _MAX_ARRAY
    )
