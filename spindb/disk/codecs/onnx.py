"""ONNX models, decoded as far as needed to evaluate them, without onnx and without executing anything.

Format: ``onnx.proto`` (github.com/onnx/onnx). Numbers in this module are field numbers of its messages. Models that
read other files, use custom code or contain loops are refused: values in external files, operations of other domains,
functions, operations that contain graphs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spindb.disk import limits
from spindb.disk.codecs import protobuf as wire
from spindb.disk.codecs.nodes import Constant, Node

DTYPES = {
    1: "f4",
    2: "u1",
    3: "i1",
    4: "u2",
    5: "i2",
    6: "i4",
    7: "i8",
    9: "?",
    10: "f2",
    11: "f8",
    12: "u4",
    13: "u8",
}
"""numpy's codes for ONNX's type numbers (``TensorProto.DataType``); only types of fixed size."""

_DOMAINS = ("", "ai.onnx")
_LISTS = {4: "<f", 10: "<d"}  # TensorProto: 4 float_data, 10 double_data
_EXTERNAL = 1  # TensorProto.DataLocation
_SHOWN = 80  # characters of a name in a message


class OnnxError(ValueError):
    """The file is not a supported ONNX model; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Step:
    """An operation; inputs and outputs are names of tensors, empty for omitted ones."""

    node: Node
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the model: numpy's type code and the shape, with -1 for an open length; None for an open shape."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Model:
    """An ONNX model: `steps` in the order of the file, saved `tensors`, inputs, outputs and metadata."""

    steps: tuple[Step, ...]
    tensors: Mapping[str, Constant]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]


def read_onnx(data: bytes) -> Model:
    """The model in the bytes of a file.

    Raises:
        OnnxError: the bytes are not an ONNX model, are truncated, or need more than the file itself.
    """
    # ModelProto: 7 graph, 14 metadata_props (StringStringEntryProto: 1 key, 2 value), 25 functions.
    graph, metadata = b"", {}
    try:
        for number, value in wire.fields(data):
            if number == 7:
                graph = wire.message(value)
            elif number == 14:
                pair = dict(wire.fields(wire.message(value)))
                metadata[wire.text(pair.get(1)) or ""] = wire.text(pair.get(2)) or ""
            elif number == 25:
                raise OnnxError("it defines functions of its own, which are not read")
        if not graph:
            raise OnnxError("not an ONNX model: it holds no graph")
        return _graph(graph, metadata)
    except OnnxError:
        raise
    except (IndexError, UnicodeDecodeError, ValueError, struct.error) as error:
        raise OnnxError(f"not an ONNX model, cut off or damaged: {error}") from error


def _graph(data: bytes, metadata: Mapping[str, str]) -> Model:
    # GraphProto: 1 node, 5 initializer, 11 input, 12 output (ValueInfoProto: 1 name), 15 sparse_initializer.
    steps: list[Step] = []
    tensors: dict[str, Constant] = {}
    inputs: list[Input] = []
    outputs: list[str] = []
    taken = 0
    for number, value in wire.fields(data):
        if number == 1:
            step = _step(wire.message(value))
            steps.append(step)
            taken += len(step.node.inputs) + len(step.outputs)
            if len(steps) > limits.NODES or taken > limits.INPUTS:
                raise OnnxError(f"more than {limits.NODES:,} operations")
        elif number == 5:
            name, tensor = _tensor(wire.message(value))
            tensors[name] = tensor
        elif number == 11:
            inputs.append(_input(wire.message(value)))
        elif number == 12:
            outputs.append(_name(dict(wire.fields(wire.message(value))).get(1)))
        elif number == 15:
            raise OnnxError("it holds sparse tensors, which are not read")
        if len(tensors) > limits.VARIABLES:
            raise OnnxError(f"more than {limits.VARIABLES:,} tensors")
    # before IR version 4 saved tensors were inputs too
    given = tuple(item for item in inputs if item.name not in tensors)
    return Model(tuple(steps), tensors, given, tuple(outputs), metadata)


def _step(data: bytes) -> Step:
    # NodeProto: 1 input, 2 output, 3 name, 4 op_type, 5 attribute, 7 domain.
    inputs: list[str] = []
    outputs: list[str] = []
    name = op = domain = ""
    attributes: dict[str, Any] = {}
    raw: list[bytes] = []
    for number, value in wire.fields(data):
        if number == 1:
            inputs.append(_name(value))
        elif number == 2:
            outputs.append(_name(value))
        elif number == 3:
            name = _name(value)
        elif number == 4:
            op = _name(value)
        elif number == 5:
            raw.append(wire.message(value))
        elif number == 7:
            domain = _name(value)
    if domain not in _DOMAINS:
        raise OnnxError(f"the operation {_shown(op)} is of {_shown(domain)}, not one of ONNX's own")
    # After the loop: messages of refused attributes name the operation, which may follow them in the file.
    for item in raw:
        attribute, value = _attribute(item, op)
        attributes[attribute] = value
    return Step(Node(name, op, tuple(inputs), attributes), tuple(outputs))


def _attribute(data: bytes, op: str) -> tuple[str, Any]:
    """The name and the value of an AttributeProto; None for kinds that no supported operation uses."""
    # AttributeProto: 1 name, 2 f, 3 i, 4 s, 5 t, 7 floats, 8 ints; 6 and 11 are graphs, which would be executed.
    name, found = "", None
    floats: list[float] = []
    numbers: list[int] = []
    for number, value in wire.fields(data):
        match number:
            case 1:
                name = _name(value)
            case 2:  # f
                found = struct.unpack("<f", wire.message(value))[0]
            case 3:  # i
                found = wire.signed(value)
            case 4:  # s
                found = wire.message(value)
            case 5:  # t
                found = _tensor(wire.message(value))[1]
            case 6 | 11:  # g, graphs
                raise OnnxError(f"the operation {_shown(op)} holds a graph of its own: it may repeat itself endlessly")
            case 7:  # floats
                floats += [item[0] for item in struct.iter_unpack("<f", wire.message(value))]
            case 8:  # ints
                numbers += wire.integers(value)
    if found is None and (floats or numbers):
        found = floats or numbers
    return name, found


def _tensor(data: bytes) -> tuple[str, Constant]:
    """The name of a tensor, and the tensor."""
    # TensorProto: 1 dims, 2 data_type, 4 float_data, 5 int32_data, 7 int64_data, 8 name, 9 raw_data, 10 double_data,
    # 11 uint64_data, 13 external_data, 14 data_location.
    name, dtype, raw = "", "", b""
    shape: list[int] = []
    values: list[Any] = []
    for number, value in wire.fields(data):
        if number == 1:
            shape += wire.integers(value)
        elif number == 2:
            dtype = DTYPES.get(wire.integer(value), "")
        elif number in _LISTS:
            packed = wire.message(value)
            values += [item[0] for item in struct.iter_unpack(_LISTS[number], packed)]
        elif number in (5, 7, 11):
            values += wire.integers(value)
        elif number == 8:
            name = _name(value)
        elif number == 9:
            raw = wire.message(value)
        elif number == 13 or (number == 14 and wire.integer(value) == _EXTERNAL):
            raise OnnxError(f"the values of {_shown(name) or 'a tensor'} lie in another file, which is not read")
    if len(shape) > limits.DIMENSIONS or any(length < 0 for length in shape):
        raise OnnxError(f"the tensor {_shown(name)} has a shape that no array has")
    if dtype:
        _require_whole(name, dtype, shape, raw, len(values))
    return name, Constant(dtype, tuple(shape), raw, tuple(values))


def _require_whole(name: str, dtype: str, shape: list[int], raw: bytes, count: int) -> None:
    """Refuse a tensor whose number of values does not match its shape."""
    elements = math.prod(shape)
    size = 1 if dtype == "?" else int(dtype[1])
    # int32_data holds the bits of float16 values, which are not decoded: float16 must be raw.
    if (len(raw) != elements * size) if raw or not count else (count != elements or dtype == "f2"):
        raise OnnxError(f"the tensor {_shown(name)} has other values than its shape {tuple(shape)}")


def _input(data: bytes) -> Input:
    # ValueInfoProto: 1 name, 2 type; TypeProto: 1 tensor_type; its Tensor: 1 elem_type, 2 shape; TensorShapeProto:
    # 1 dim, whose 1 is dim_value (its 2, dim_param, is a name: a length that is not known).
    value = dict(wire.fields(data))
    kind = dict(wire.fields(wire.message(value.get(2))))
    tensor = dict(wire.fields(wire.message(kind.get(1))))
    shape: list[int] | None = None
    if isinstance(tensor.get(2), bytes):
        shape = []
        for number, item in wire.fields(wire.message(tensor[2])):
            if number == 1:
                length = dict(wire.fields(wire.message(item))).get(1)
                shape.append(length if isinstance(length, int) and length < 1 << 31 else -1)
    return Input(
        _name(value.get(1)), DTYPES.get(wire.integer(tensor.get(1)), ""), None if shape is None else tuple(shape)
    )


def _name(value: int | bytes | None) -> str:
    found = wire.text(value) or ""
    if len(found) > limits.NAME:
        raise OnnxError(f"a name of {len(found):,} characters")
    return found


def _shown(name: str) -> str:
    cut = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return cut if cut.isprintable() else repr(cut)
