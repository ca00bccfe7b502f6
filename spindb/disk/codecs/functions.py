"""Functions of TensorFlow 2 graphs, put where they are called: what remains is a flat graph, as TensorFlow 1 wrote it.

Formats: tensorflow/core/framework ``function.proto``. Inside a function a tensor is called ``argument`` or
``node:output:number``; outside, ``node`` or ``node:number``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from spindb.disk import limits
from spindb.disk.codecs.nodes import Node
from spindb.disk.codecs.savedmodel import SavedModelError

CALLS = ("StatefulPartitionedCall", "PartitionedCall")
OUTPUTS = "Outputs"
"""Not TensorFlow's: stands where a call stood, its inputs are the call's outputs."""
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Function:
    """A function: the names of its arguments, its nodes, and the tensors that it gives back, in order."""

    arguments: tuple[str, ...]
    nodes: tuple[Node, ...]
    returns: tuple[str, ...]

    @cached_property
    def inputs(self) -> int:
        """Number of inputs of all nodes."""
        return sum(len(node.inputs) for node in self.nodes)


def inlined(nodes: Mapping[str, Node], functions: Mapping[str, Function]) -> dict[str, Node]:
    """The graph with the body of each function in the place of its calls; control inputs of bodies are dropped.

    Raises:
        SavedModelError: the graph grows beyond all reason.
    """
    done: dict[str, Node] = {}
    pending = [(node, 0) for node in nodes.values()]
    inputs = 0
    while pending:
        node, depth = pending.pop()
        function = functions.get(str(node.attributes.get("f"))) if node.op in CALLS else None
        if function is None:
            done[node.name] = node
            continue
        inputs += len(node.inputs) + len(function.returns) + function.inputs
        if depth > _MAX_DEPTH or len(done) + len(pending) + len(function.nodes) > limits.NODES:
            raise SavedModelError("saved_model.pb: its functions call each other endlessly")
        if inputs > limits.INPUTS or len(node.name) > limits.NAME:
            raise SavedModelError("saved_model.pb: its functions have more inputs, or longer names, than any graph")
        given = dict(zip(function.arguments, (i for i in node.inputs if not i.startswith("^")), strict=False))
        pending += (
            (Node(f"{node.name}/{n.name}", n.op, tuple(_outside(n.inputs, node.name, given)), n.attributes), depth + 1)
            for n in function.nodes
        )
        done[node.name] = Node(node.name, OUTPUTS, tuple(_outside(function.returns, node.name, given)), {})
    return done


def _outside(tensors: tuple[str, ...], call: str, given: Mapping[str, str]) -> Iterator[str]:
    for tensor in tensors:
        name, *place = tensor.split(":")
        if name in given:
            yield given[name]
        elif not name.startswith("^"):
            yield f"{call}/{name}:{place[-1]}" if place and place[-1] != "0" else f"{call}/{name}"
