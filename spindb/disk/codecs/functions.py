"""Inlines the functions of TensorFlow 2 graphs: the result is a flat graph, as written by TensorFlow 1.

Formats: tensorflow/core/framework ``function.proto``. Inside a function the name of a tensor is ``argument`` or
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
"""An operation of our own that replaces a call: its inputs are the call's outputs."""
_MAX_DEPTH = 50  # nested calls; TensorFlow has no recursion in graphs, so deeper ones are cycles


@dataclass(frozen=True)
class Function:
    """A function: the names of its arguments, its nodes, and the tensors that it returns, in order."""

    arguments: tuple[str, ...]
    nodes: tuple[Node, ...]
    returns: tuple[str, ...]

    @cached_property
    def inputs(self) -> int:
        """Number of inputs of all nodes."""
        return sum(len(node.inputs) for node in self.nodes)


def inlined(nodes: Mapping[str, Node], functions: Mapping[str, Function]) -> dict[str, Node]:
    """The graph with each call replaced by the body of its function, without the bodies' control inputs.

    Raises:
        SavedModelError: the graph exceeds the limits.
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
        # Counted before the body is expanded: a few functions that call each other twice grow exponentially.
        inputs += len(node.inputs) + len(function.returns) + function.inputs
        if depth > _MAX_DEPTH or len(done) + len(pending) + len(function.nodes) > limits.NODES:
            raise SavedModelError("saved_model.pb: its functions call each other endlessly")
        if inputs > limits.INPUTS or len(node.name) > limits.NAME:
            raise SavedModelError("saved_model.pb: its functions have more inputs, or longer names, than any graph")
        # Control inputs (^name) only order the execution; they are no arguments.
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
            # node:output:number becomes node:number, or node for number 0.
            yield f"{call}/{name}:{place[-1]}" if place and place[-1] != "0" else f"{call}/{name}"
