"""Extracts and checks the part of a saved graph that its outputs need, for TensorFlow.

TensorFlow's own loader runs operations chosen by the file, to restore variables, to initialise and to load assets.
Here loading runs nothing from the file. The graph is parsed by TensorFlow's own classes, so that exactly the checked
graph is evaluated. It is reduced to the nodes that the outputs depend on, including control inputs, and the functions
that they call. Each node must be pure (`pure_operations`). Variables are read by spindb and assigned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spindb.errors import PolicyError
from spindb.play.engine.budget import RESULT, Budget, elements
from spindb.play.engine.problems import evaluating, shown_name
from spindb.play.engine.pure_operations import PURE, VARIABLES

_DIRECTIONS = "--trust (trust=True) executes what the file says: it can read and write any file and start programs"
_UNSIZED = 8  # bytes of an element whose type has no fixed size


class ImpureGraphError(PolicyError):
    """The graph contains an operation that is not on the list of pure operations."""

    def __init__(self, save: Path, op: str, node: str) -> None:
        super().__init__(
            f"{save}: TensorFlow would execute the operation {shown_name(op)} (node {shown_name(node)}), "
            "which is not known to do nothing but compute",
            hint=_DIRECTIONS,
        )


def pure_part(save: Path, data: bytes, tensors: Iterable[str]) -> tuple[Any, list[str]]:
    """The part of the graph that the tensors depend on, as a ``GraphDef``, and the names of its variables.

    Args:
        save: path of the save, for messages.
        data: content of ``saved_model.pb``; its first graph is used.
        tensors: ``name:port`` or ``name``.

    Raises:
        ImpureGraphError: an operation is not on the list of pure operations.
        PolicyError: the graph is damaged.
    """
    from tensorflow.core.framework import graph_pb2  # an extra, which takes seconds
    from tensorflow.core.protobuf import saved_model_pb2

    with evaluating(save):
        saved = saved_model_pb2.SavedModel.FromString(data)
        if not saved.meta_graphs:
            raise PolicyError(f"{save} holds no graph: the save was interrupted")
        graph = saved.meta_graphs[0].graph_def
        functions = {function.signature.name: function for function in graph.library.function}
        nodes = _needed(save, graph, tensors)
        called = _called(nodes, functions)
        _require_pure(save, nodes, PURE | VARIABLES, functions)
        for function in called:
            _require_pure(save, function.node_def, PURE, functions)
        part = graph_pb2.GraphDef(versions=graph.versions)
        part.node.extend(_bare(node) for node in nodes)
        for function in called:
            added = part.library.function.add(signature=function.signature, ret=function.ret)
            added.control_ret.update(function.control_ret)
            added.node_def.extend(_bare(node) for node in function.node_def)
        _require_small(save, [*part.node, *(n for f in part.library.function for n in f.node_def)])
        return part, [node.name for node in nodes if node.op in VARIABLES]


def _needed(save: Path, graph: Any, tensors: Iterable[str]) -> list[Any]:
    """The nodes that the tensors depend on, including control inputs."""
    known = {node.name: node for node in graph.node}
    if len(known) != len(graph.node):
        raise PolicyError(f"{save} is damaged: two nodes of its graph have one name")
    found: dict[str, Any] = {}
    pending = [_node_of(tensor) for tensor in tensors]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        if name not in known:
            raise PolicyError(f"{save} is damaged: its graph has no node {name[:80]!r}")
        found[name] = known[name]
        pending += map(_node_of, known[name].input)
    return [node for node in graph.node if node.name in found]  # in the file's order


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _called(nodes: Iterable[Any], functions: dict[str, Any]) -> list[Any]:
    """The functions that the nodes call, directly or indirectly."""
    found: dict[str, Any] = {}
    pending = [name for node in nodes for name in _calls(node)]
    while pending:
        name = pending.pop()
        if name in functions and name not in found:
            found[name] = functions[name]
            pending += [called for node in functions[name].node_def for called in _calls(node)]
    return list(found.values())


def _calls(node: Any) -> Iterator[str]:
    """The names of functions that a node may call: those in its attributes, and its own operation."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _require_pure(save: Path, nodes: Iterable[Any], allowed: frozenset[str], functions: dict[str, Any]) -> None:
    for node in nodes:
        if node.op in functions:  # TensorFlow prefers functions: the file's could be called Tanh
            if node.op in allowed:
                raise PolicyError(f"{save} is damaged: it has a function with the name of the operation {node.op}")
        elif node.op not in allowed:
            raise ImpureGraphError(save, node.op, node.name)


def _bare(node: Any) -> Any:
    """A copy of the node without its device and without private attributes, which control TensorFlow itself."""
    copied = type(node)()
    copied.CopyFrom(node)
    copied.device = ""
    for name in [name for name in copied.attr if name.startswith("_")]:
        del copied.attr[name]
    copied.ClearField("experimental_debug_info")
    return copied


def _require_small(save: Path, nodes: Iterable[Any]) -> None:
    """Refuse large constants, which need only a few bytes in the file."""
    budget = Budget()
    for node in nodes:
        for value in node.attr.values():
            for tensor in (*([value.tensor] if value.HasField("tensor") else []), *value.list.tensor):
                with evaluating(save, f"can't be evaluated: {shown_name(node.op)} {shown_name(node.name)}"):
                    budget.spend(elements(tuple(dim.size for dim in tensor.tensor_shape.dim)) * _UNSIZED, 0)


def require_small_results(save: Path, operations: Iterable[Any]) -> None:
    """Refuse operations of an imported graph whose results have a known shape above the limit."""
    for operation in operations:
        for output in operation.outputs:
            if output.shape.is_fully_defined() and output.shape.num_elements() * (output.dtype.size or 1) > RESULT:
                raise PolicyError(
                    f"{save} can't be evaluated: {shown_name(operation.type)} {shown_name(operation.name)} "
                    f"would make an array of shape {tuple(output.shape.as_list())}"
                )
