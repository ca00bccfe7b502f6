"""Writes SavedModels without TensorFlow: graphs, signatures and variables as its loader reads them.

Enough of the formats for graphs that no honest program would write.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i8": 9, "?": 10}


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    found = b""
    while number >= 0x80:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value)


def message(field_number: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field_number << 3 | 2) + varint(len(data)) + data


def shape(lengths: Any) -> bytes:
    return b"".join(message(2, number(1, length)) for length in lengths)


@dataclass
class Raw:
    """An attribute's bytes as they are."""

    data: bytes


@dataclass
class Const:
    """A TensorProto of any shape, whatever its values."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes = b""
    floats: tuple[float, ...] = ()
    ints: tuple[int, ...] = ()

    def encoded(self) -> bytes:
        parts = [number(1, TYPES.get(self.dtype, 7)), message(2, shape(self.shape))]
        if self.raw:
            parts.append(message(4, self.raw))
        if self.floats:
            parts.append(message(5, struct.pack(f"<{len(self.floats)}f", *self.floats)))
        if self.ints:
            parts.append(message(10 if self.dtype == "i8" else 7, b"".join(map(varint, self.ints))))
        return b"".join(parts)


def array(values: Any, dtype: str = "f4") -> Const:
    """A constant."""
    found = np.asarray(values, dtype)
    return Const(dtype, found.shape, found.tobytes())


def attribute(value: Any) -> bytes:
    match value:
        case Raw():
            return value.data
        case Const():
            return message(8, value.encoded())
        case bool():
            return number(5, value)
        case int():
            return number(3, value)
        case float():
            return varint(4 << 3 | 5) + struct.pack("<f", value)
        case str():
            return number(6, TYPES[value])
        case tuple():
            return message(7, shape(value))
        case list():
            return message(1, b"".join(number(3, item) for item in value))
    raise TypeError(value)


def node(name: str, op: str, *inputs: str, **attributes: Any) -> bytes:
    """A NodeDef."""
    pairs = (message(5, message(1, key) + message(2, attribute(value))) for key, value in attributes.items())
    return message(1, name) + message(2, op) + b"".join(message(3, i) for i in inputs) + b"".join(pairs)


@dataclass
class Save:
    """A SavedModel: nodes in order, with ``x`` and ``pi`` as its input and output."""

    nodes: list[bytes] = field(default_factory=list)
    variables: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=lambda: {"pi": "pi:0"})
    entries: Mapping[str, bytes] = field(default_factory=dict)
    """Entries of the variables' index that are written in place of the true ones."""

    def add(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(node(name, op, *inputs, **attributes))
        return name

    def graph(self) -> bytes:
        signature = b""
        for kind, names in ((1, {"x": "x:0"}), (2, self.outputs)):
            for name, tensor in names.items():
                signature += message(kind, message(1, name) + message(2, message(1, tensor)))
        meta = message(2, b"".join(message(1, item) for item in self.nodes))
        meta += message(5, message(1, "serving_default") + message(2, signature))
        return number(1, 1) + message(2, meta)

    def write(self, place: Path) -> Path:
        """Write it as a directory."""
        (place / "variables").mkdir(parents=True, exist_ok=True)
        (place / "saved_model.pb").write_bytes(self.graph())
        data, entries = b"", {"": number(1, 1)}
        for name, values in sorted(self.variables.items()):
            values = np.ascontiguousarray(values)
            entry = number(1, TYPES[values.dtype.str[1:]]) + message(2, shape(values.shape))
            entries[name] = entry + number(4, len(data)) + number(5, values.nbytes)
            data += values.tobytes()
        entries |= self.entries
        (place / "variables" / "variables.data-00000-of-00001").write_bytes(data)
        (place / "variables" / "variables.index").write_bytes(_table(entries))
        return place


def _table(entries: Mapping[str, bytes]) -> bytes:
    """A LevelDB table of one block."""

    def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
        rows = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in pairs)
        return rows + struct.pack("<II", 0, 1)

    data = block([(key.encode(), value) for key, value in sorted(entries.items())])
    index = block([(b"\xff", varint(0) + varint(len(data)))])
    start = len(data) + 5
    handles = varint(start) + varint(len(index)) + varint(start) + varint(len(index))
    return data + b"\0" * 5 + index + b"\0" * 5 + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def actor(rng: Any) -> Save:
    """A save as an honest program writes it: a Gaussian policy of two layers over four numbers, and its value."""
    save = Save(
        variables={
            "pi/w1": rng.normal(size=(4, 8)).astype("f4"),
            "pi/b1": rng.normal(size=8).astype("f4"),
            "pi/w2": rng.normal(size=(8, 2)).astype("f4"),
            "log_std": np.full(2, -0.5, "f4"),
            "v/w": rng.normal(size=(4, 1)).astype("f4"),
        },
        outputs={"pi": "pi:0", "mu": "mu:0", "v": "v:0"},
    )
    add_actor(save)
    return save


_SHAPES = {"pi/w1": (4, 8), "pi/b1": (8,), "pi/w2": (8, 2), "log_std": (2,), "v/w": (4, 1)}


def add_actor(save: Save) -> None:
    """Add the nodes of `actor`."""
    for name, lengths in _SHAPES.items():
        save.add(name, "VariableV2", dtype="f4", shape=lengths)
        save.add(f"{name}/read", "Identity", name, T="f4")
    save.add("x", "Placeholder", dtype="f4", shape=(-1, 4))
    save.add("matmul", "MatMul", "x", "pi/w1/read", transpose_a=False, transpose_b=False)
    save.add("bias", "BiasAdd", "matmul", "pi/b1/read")
    save.add("tanh", "Tanh", "bias")
    save.add("split", "Split", "axis", "tanh", num_split=2)
    save.add("axis", "Const", value=array(1, "i4"))
    save.add("joined", "ConcatV2", "split:1", "split", "axis")
    save.add("mu", "MatMul", "joined", "pi/w2/read")
    save.add("shape", "Shape", "mu", out_type="i4")
    save.add("noise", "RandomStandardNormal", "shape", dtype="f4", seed=1)
    save.add("std", "Exp", "log_std/read")
    save.add("scaled", "Mul", "noise", "std")
    save.add("sum", "AddV2", "mu", "scaled")
    save.add("low", "Const", value=Const("f4", (), floats=(-1.0,)))
    save.add("high", "Const", value=Const("f4", (2,), floats=(1.0,)))
    save.add("pi", "ClipByValue", "sum", "low", "high")
    save.add("value", "MatMul", "x", "v/w/read")
    save.add("begin", "Const", value=Const("i4", (2,), ints=(0, 0)))
    save.add("end", "Const", value=Const("i4", (2,), ints=(0, 1)))
    save.add("one", "Const", value=Const("i4", (2,), ints=(1,)))
    save.add("v", "StridedSlice", "value", "begin", "end", "one", begin_mask=1, end_mask=1, shrink_axis_mask=2)
