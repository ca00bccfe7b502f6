"""Interprets pickles symbolically, without building any object.

`pickletools.genops` decodes the opcodes. A small stack machine follows them and creates *descriptions*
(`Global`, `Built`) where the real unpickler would import and call. Nothing is imported or called, so the worst that a
hostile file can cause is an error.

joblib's files are pickles with raw array data between the opcodes, directly after the opcode that completes a
``NumpyArrayWrapper``. These bytes are skipped (`Array` has their position).
Format: joblib's ``numpy_pickle.py``; numpy's ``dtype`` reduces to ``dtype('f4', 0, 1)``.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from spindb.disk import limits
from spindb.disk.described import Array, Built, Global, is_maker
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.told import text_of, told

_DTYPE = re.compile(r"[<>|=]?([?bBhHiIlLqQfdeguicSUVOMm])([0-9]{0,9})\Z")
_SIZES = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "e": 2, "g": 16, "d": 8, "q": 8, "Q": 8, "M": 8, "m": 8}
_DTYPE_STATE = 8  # version, byte order, subarray, names, fields, item size, alignment, flags
_HOLDS_OBJECTS = 1  # of the flags: such arrays are pickled, not written as bytes


class PickleError(Exception):
    """The file is not a pickle that can be interpreted; the message gives the reason.

    ``classes`` has the classes named before the error, which often show what was saved.
    """

    def __init__(self, message: str, classes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.classes = classes


def read_pickle(data: bytes) -> Any:
    """Describe the content of a plain or joblib pickle.

    Plain containers, numbers and text are returned unchanged, everything else as `Global`, `Built` or `Array`. Bytes
    after the end are ignored.

    Raises:
        PickleError: the bytes are not a pickle, are truncated or can't be interpreted.
    """
    if not data:
        raise PickleError("the file is empty")
    if is_lfs_pointer(data):
        raise PickleError(LFS_REASON)
    return _Machine(io.BytesIO(data), _Budget()).run()


def read_pickles(data: bytes, count: int) -> tuple[list[Any], int]:
    """Describe the first `count` of several consecutive pickles; also returns the position after the last of them.

    Raises:
        PickleError: as `read_pickle`.
    """
    if not data:
        raise PickleError("the file is empty")
    if is_lfs_pointer(data):
        raise PickleError(LFS_REASON)
    stream, budget = io.BytesIO(data), _Budget()
    return [_Machine(stream, budget).run() for _ in range(count)], stream.tell()


_MARK = object()
_MAX_MEMO = 1 << 32  # the binary instructions have 32 bits for it
_MAX_NUMBER = 45  # characters of the longest number that `told` writes in full
_SMALL = 1 << 60  # integers below it have distinct hashes (Python's modulus is 2**61 - 1)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Any] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_IGNORED = {"PROTO", "FRAME", "READONLY_BUFFER"}
_PUSH_ARGUMENT = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


@dataclass(slots=True)
class _Budget:
    """The remaining instructions of a file, and the depth of nested pickles."""

    opcodes: int = limits.OPCODES
    depth: int = 0


class _Machine:
    """Interprets one pickle; a nested machine interprets the pickle inside an array of objects."""

    def __init__(self, stream: io.BytesIO, budget: _Budget) -> None:
        self.stream = stream
        self.budget = budget
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.globals: list[Global] = []

    def run(self) -> Any:
        budget = self.budget
        try:
            for opcode, argument, _ in pickletools.genops(self.stream):
                budget.opcodes -= 1
                if budget.opcodes < 0:
                    raise PickleError(f"more than {limits.OPCODES:,} instructions: given up")
                if opcode.name == "STOP":
                    return self.stack.pop()
                self.step(opcode.name, argument)
        except PickleError as error:
            raise PickleError(str(error), self.mentioned()) from error
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            where = self.stream.tell()
            raise PickleError(f"cut off or damaged at byte {where:,}: {text_of(error)}", self.mentioned()) from error
        except MemoryError as error:
            raise PickleError("takes more memory than there is", self.mentioned()) from error
        raise PickleError("cut off: the end is missing", self.mentioned())

    def mentioned(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(g) for g in self.globals))

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _IGNORED:
            return
        if name in _PUSH_ARGUMENT:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _PUTS:
            if not 0 <= argument < _MAX_MEMO:  # larger ones could be chosen so that their hashes collide
                raise PickleError("a number in it is out of range")
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _GETS:
            stack.append(self.memo[argument])
        elif name in _TUPLES:
            self.push_tuple(_TUPLES[name])
        else:
            getattr(self, f"do_{name.lower()}", self.unknown(name))(argument)

    def unknown(self, name: str) -> Any:
        def refuse(_: object) -> None:
            raise PickleError(f"instruction {name} is not supported")

        return refuse

    def push_tuple(self, count: int) -> None:
        start = len(self.stack) - count
        if start < 0:
            raise IndexError("the stack is too short")
        self.stack[start:] = [tuple(self.stack[start:])]

    def to_mark(self) -> list[Any]:
        """Pop everything above the topmost mark, and the mark."""
        position = len(self.stack) - 1
        while self.stack[position] is not _MARK:
            position -= 1
            if position < 0:
                raise ValueError("no mark on the stack")
        items = self.stack[position + 1 :]
        del self.stack[position:]
        return items

    # One method per remaining instruction, named after it. pickletools documents their effect on the stack.

    def do_mark(self, _: object) -> None:
        self.stack.append(_MARK)

    def do_pop(self, _: object) -> None:
        self.stack.pop()

    def do_pop_mark(self, _: object) -> None:
        self.to_mark()

    def do_dup(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    def do_tuple(self, _: object) -> None:
        self.stack.append(tuple(self.to_mark()))

    def do_list(self, _: object) -> None:
        self.stack.append(self.to_mark())

    # A tuple, because items may not be hashable, or be slow to hash.
    def do_frozenset(self, _: object) -> None:
        self.stack.append(tuple(self.to_mark()))

    def do_dict(self, _: object) -> None:
        items = self.to_mark()
        self.stack.append({})
        self.set_items(items)

    def do_append(self, _: object) -> None:
        item = self.stack.pop()
        self.extend([item])

    def do_appends(self, _: object) -> None:
        self.extend(self.to_mark())

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        (target if isinstance(target, list) else target.items).extend(items)

    def do_setitem(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def do_setitems(self, _: object) -> None:
        self.set_items(self.to_mark())

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(target, dict):
                target[_hashable(key)] = value
            else:  # an instance of a dict's subclass
                target.items.append((key, value))

    def do_additems(self, _: object) -> None:
        items = self.to_mark()
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(_hashable(item) for item in items)
        else:
            target.items.extend(items)

    def do_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.push_global(module, name)

    def push_global(self, module: str, name: str) -> None:
        self.globals.append(Global(module, name))
        self.stack.append(self.globals[-1])

    def do_stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleError("the name of a class in it is not text")
        self.push_global(module, name)

    def do_inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Built(Global(module, name), tuple(self.to_mark())))

    def do_obj(self, _: object) -> None:
        target, *args = self.to_mark()
        self.stack.append(Built(target, tuple(args)))

    def do_newobj(self, _: object) -> None:
        args, target = self.stack.pop(), self.stack.pop()
        self.stack.append(Built(target, args))

    def do_newobj_ex(self, _: object) -> None:
        kwargs, args, target = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(Built(target, args, kwargs))

    def do_reduce(self, _: object) -> None:
        args, target = self.stack.pop(), self.stack.pop()
        self.stack.append(Built(target, args, called=not is_maker(target)))

    def do_build(self, _: object) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Built):
            target.state = state
            if target.class_path.startswith("joblib.") and target.class_path.endswith("ArrayWrapper"):
                self.stack[-1] = self.array(target.attributes)

    def do_persid(self, argument: object) -> None:
        self.stack.append(Built(Global("persistent", "id"), (argument,)))

    def do_binpersid(self, _: object) -> None:
        self.stack.append(Built(Global("persistent", "id"), (self.stack.pop(),)))

    def do_ext1(self, argument: object) -> None:
        self.stack.append(Global("extension", str(argument)))

    do_ext2 = do_ext4 = do_ext1

    def do_next_buffer(self, _: object) -> None:
        self.stack.append(Built(Global("pickle", "buffer")))

    def array(self, state: dict[Any, Any]) -> Any:
        """Skip the raw bytes after a complete ``NumpyArrayWrapper``."""
        dtype = state["dtype"]
        code = dtype.args[0] if isinstance(dtype, Built) and dtype.args else ""
        layout = _dtype_layout(dtype)
        if code == "O8" or code == "O" or (layout is not None and layout.flags & _HOLDS_OBJECTS):
            return self.nested()
        # joblib 1.1 and later: a byte with the length of the padding, then the padding, then the array.
        if state.get("numpy_array_alignment_bytes") is not None:
            self.stream.seek(self.stream.read(1)[0], io.SEEK_CUR)
        shape, size = _shape(state["shape"]), _item_size(code, layout)
        start = self.stream.tell()
        count = math.prod(shape) * size
        if start + count > self.stream.getbuffer().nbytes:
            raise PickleError("cut off inside an array")
        self.stream.seek(count, io.SEEK_CUR)
        order = state.get("order")
        endian = layout.endian if layout is not None and layout.endian == ">" else ""
        return Array(endian + code, shape, order if isinstance(order, str) else "C", start, count)

    def nested(self) -> Any:
        self.budget.depth += 1
        if self.budget.depth > limits.PICKLES:
            raise PickleError(f"more than {limits.PICKLES} pickles inside each other")
        inner = _Machine(self.stream, self.budget).run()
        self.budget.depth -= 1
        return inner


def _shape(lengths: object) -> tuple[int, ...]:
    """The shape of an array, checked: huge numbers would be slow to multiply."""
    if not isinstance(lengths, (tuple, list)) or len(lengths) > limits.DIMENSIONS:
        raise PickleError("an array in it has no shape")
    if not all(isinstance(length, int) and 0 <= length <= limits.ELEMENTS for length in lengths):
        raise PickleError(f"an array in it has the shape {told(lengths)}")
    return tuple(lengths)


class _Layout(NamedTuple):
    """A dtype's state: bytes per item if the type does not determine them, flags, and byte order (``>`` …)."""

    size: int | None
    flags: int
    endian: object


def _dtype_layout(dtype: object) -> _Layout | None:
    """The layout in a pickled dtype's state, or None."""
    state = dtype.state if isinstance(dtype, Built) else None
    if not isinstance(state, tuple) or len(state) < _DTYPE_STATE:
        return None
    size, flags = state[5], state[7]
    known = isinstance(size, int) and 0 < size <= limits.ELEMENTS  # -1 if the type determines it
    return _Layout(size if known else None, flags if isinstance(flags, int) else 0, state[1])


def _item_size(code: object, layout: _Layout | None) -> int:
    """Bytes per item: from the dtype's state (text, structures), else from its code."""
    match = _DTYPE.match(code) if isinstance(code, str) else None
    if match is None:
        raise PickleError(f"arrays of {told(code)} can't be stepped over")
    if layout is not None and layout.size is not None:
        return layout.size
    kind, digits = match.groups()
    if kind == "U":
        return 4 * int(digits or 0)  # numpy stores text as UTF-32
    return int(digits) if digits else _SIZES.get(kind, 4)


def _hashable(key: object) -> Any:
    """The key if it is cheap and safe to hash, else a text in its place.

    Hashing nested tuples can take exponential time. Integers and tuples of numbers can be chosen to have the same hash,
    so that a dict becomes quadratic. The hashes of text are randomised, and few floats have the same hash.
    """
    if key is None or isinstance(key, (str, bytes, float, Global)) or (isinstance(key, int) and -_SMALL < key < _SMALL):
        return key
    text = told(key)
    return f"<{text}>" if isinstance(key, int) and len(text) < _MAX_NUMBER else f"<{text} at {id(key)}>"
