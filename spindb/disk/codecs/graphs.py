"""The nodes of a TensorFlow SavedModel's graph, decoded as far as needed to evaluate them.

Formats: tensorflow/core/framework ``graph.proto``, ``node_def.proto``, ``attr_value.proto``, ``tensor.proto``,
``function.proto``, ``op_def.proto``. Numbers in this module are field numbers of these messages.
"""

from __future__ import annotations

import struct
from typing import Any

from spindb.disk.codecs import protobuf as wire
from spindb.disk.codecs.functions import Function, inlined
from spindb.disk.codecs.nodes import Constant, Node
from spindb.disk.codecs.savedmodel import SavedModelError, shape_of

DTYPES = {
    1: "f4",
    2: "f8",
    3: "i4",
    4: "u1",
    5: "i2",
    6: "i1",
    9: "i8",
    10: "?",
    17: "u2",
    19: "f2",
    22: "u4",
    23: "u8",
}
"""numpy's codes for TensorFlow's type numbers (``types.proto``); only types of fixed size."""


def read_graph(data: bytes) -> dict[str, Node]:
    """The nodes of the first graph in the bytes of ``saved_model.pb``, by name, with called functions inlined.

    Raises:
        SavedModelError: the bytes are not a SavedModel, or are truncated.
    """
    # SavedModel: 2 meta_graphs; MetaGraphDef: 2 graph_def.
    try:
        for number, meta_graph in wire.fields(data):
            # SavedModel: 2 meta_graphs. MetaGraphDef: 2 graph_def.
            if number == 2:
                graph = next((v for n, v in wire.fields(wire.message(meta_graph)) if n == 2), b"")
                return _graph(wire.message(graph))
    except (IndexError, UnicodeDecodeError, ValueError, struct.error) as error:
        raise SavedModelError(f"saved_model.pb is cut off or damaged: {error}") from error
    raise SavedModelError("saved_model.pb holds no graph: the save was interrupted")


def _graph(data: bytes) -> dict[str, Node]:
    # GraphDef: 1 node, 2 library (FunctionDefLibrary: 1 function).
    nodes: dict[str, Node] = {}
    functions: dict[str, Function] = {}
    for number, value in wire.fields(data):
        if number == 1:
            node = _node(wire.message(value))
            nodes[node.name] = node
        elif number == 2:
            functions |= (_function(wire.message(v)) for n, v in wire.fields(wire.message(value)) if n == 1)
    return inlined(nodes, functions)


def _function(data: bytes) -> tuple[str, Function]:
    """A FunctionDef as its name and the function."""
    # FunctionDef: 1 signature (OpDef: 1 name, 2 input_arg, 3 output_arg, each with 1 name), 3 node_def, 4 ret (a map).
    name = ""
    arguments: list[str] = []
    outputs: list[str] = []
    nodes: list[Node] = []
    returned: dict[str, str] = {}
    for number, value in wire.fields(data):
        message = wire.message(value)
        if number == 1:
            for kind, item in wire.fields(message):
                if kind == 1:
                    name = wire.text(item) or ""
                elif kind in (2, 3):
                    into = arguments if kind == 2 else outputs
                    into.append(wire.text(dict(wire.fields(wire.message(item))).get(1)) or "")
        elif number == 3:
            nodes.append(_node(message))
        elif number == 4:
            pair = dict(wire.fields(message))
            returned[wire.text(pair.get(1)) or ""] = wire.text(pair.get(2)) or ""
    return name, Function(tuple(arguments), tuple(nodes), tuple(returned.get(output, "") for output in outputs))


def _node(data: bytes) -> Node:
    # NodeDef: 1 name, 2 op, 3 input, 5 attr (a map: 1 key, 2 value).
    name = op = ""
    inputs: list[str] = []
    attributes: dict[str, Any] = {}
    for number, value in wire.fields(data):
        if number == 1:
            name = wire.text(value) or ""
        elif number == 2:
            op = wire.text(value) or ""
        elif number == 3:
            inputs.append(wire.text(value) or "")
        elif number == 5:
            pair = dict(wire.fields(wire.message(value)))
            attributes[wire.text(pair.get(1)) or ""] = _attribute(wire.message(pair.get(2)))
    return Node(name, op, tuple(inputs), attributes)


def _attribute(data: bytes) -> Any:
    """The value of an AttrValue; None for kinds that no supported operation uses."""
    # AttrValue: 1 list (3 i, 6 type), 2 s, 3 i, 4 f, 5 b, 6 type, 7 shape (TensorShapeProto: 3 unknown_rank), 8 tensor,
    # 10 func (NameAttrList: 1 name).
    for number, value in wire.fields(data):
        match number:
            case 1:  # list: of integers (3) or types (6); the others are not used
                return [
                    n for kind, item in wire.fields(wire.message(value)) if kind in (3, 6) for n in wire.integers(item)
                ]
            case 2:  # s, bytes
                return wire.message(value)
            case 3:  # i
                return wire.signed(value)
            case 4:  # f
                return struct.unpack("<f", wire.message(value))[0]
            case 5:  # b
                return bool(wire.integer(value))
            case 6:  # type
                return DTYPES.get(wire.integer(value))
            case 7:  # shape; its field 3 is unknown_rank
                message = wire.message(value)
                unknown = any(n == 3 and item for n, item in wire.fields(message))
                return None if unknown else shape_of(message)
            case 8:  # tensor
                return _constant(wire.message(value))
            case 10:  # func, by its name
                return wire.text(dict(wire.fields(wire.message(value))).get(1))
    return None


# TensorProto: 5 float_val, 6 double_val; packed, in little-endian order.
_LISTS = {5: "<f", 6: "<d"}


def _constant(data: bytes) -> Constant:
    # TensorProto: 1 dtype, 2 tensor_shape, 4 tensor_content, 5 float_val, 6 double_val, 7 int_val, 8 string_val,
    # 10 int64_val, 11 bool_val.
    dtype, raw = "", b""
    shape: tuple[int, ...] = ()
    values: list[Any] = []
    for number, value in wire.fields(data):
        if number == 1:
            dtype = DTYPES.get(wire.integer(value), "")
        elif number == 2:
            shape = shape_of(wire.message(value))
        elif number == 4:
            raw = wire.message(value)
        elif number in _LISTS:
            values += [item[0] for item in struct.iter_unpack(_LISTS[number], wire.message(value))]
        elif number in (7, 10, 11):
            values += wire.integers(value)
        elif number == 8:
            values.append(wire.message(value))
    return Constant(dtype, shape, raw, tuple(values))
