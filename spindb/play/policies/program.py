"""Graphs of TensorFlow's operations evaluated by numpy.

The nodes that a tensor needs are put in order once; what depends on no input is computed once; each step then is a list
of numpy calls. Random operations draw from numpy's generator: equal in distribution to TensorFlow's, not draw by draw.
Without a generator they give what is most likely, the mean of a normal and the greatest logit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk.functions import OUTPUTS
from spindb.disk.nodes import Constant, Node
from spindb.errors import PolicyError
from spindb.play.policies.operations import OPERATIONS, RANDOM

_VARIABLES = ("VariableV2", "Variable", "VarHandleOp")
_PASSED_ON = ("Identity", "StopGradient", "Snapshot", "ReadVariableOp", "CheckNumerics")
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")

_MANY = ("Split",)

_NONE = -1
Step = tuple[int, Callable[..., Any], int, int]
"""Where the result goes, the function, and where its one or two inputs are; with none it takes all values."""


class UnsupportedGraphError(PolicyError):
    """The graph holds operations that this engine does not know; TensorFlow does."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: its nodes, the values of its variables, and the tensors that are its inputs and outputs by name.

    ``save`` is the file or directory that it was read from.
    """

    save: Path
    nodes: Mapping[str, Node]
    variables: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            PolicyError: the graph has none.
        """
        if name not in self.nodes:
            raise PolicyError(f"{self.save} is damaged: its graph has no node {name!r}")
        return self.nodes[name]

    def resolve(self, tensor: str) -> tuple[str, int]:
        """The node that makes a tensor, and which of its outputs that is: behind calls of functions."""
        name, port = split(tensor)
        for _ in range(len(self.nodes)):
            node = self.node(name)
            if node.op != OUTPUTS or port >= len(node.inputs):
                break
            name, port = split(node.inputs[port])
        return name, port

    def sources(self, node: Node) -> list[tuple[str, int]]:
        """What a node takes: nodes by name, and which of their outputs."""
        return [self.resolve(source) for source in node.inputs if not source.startswith("^")]

    def needed(self, tensor: str) -> dict[str, Node]:
        """All nodes that a tensor depends on, its own among them."""
        found: dict[str, Node] = {}
        pending = [self.resolve(tensor)[0]]
        while pending:
            name = pending.pop()
            if name not in found:
                found[name] = self.node(name)
                pending += [source for source, _ in self.sources(found[name])]
        return found

    def drawn(self, tensor: str) -> bool:
        """Whether a tensor depends on a draw."""
        return any("Random" in node.op or "Multinomial" in node.op for node in self.needed(tensor).values())


class Program:
    """The steps to one tensor of a graph.

    Attributes:
        random: whether the tensor depends on a draw.
        placeholders: the inputs that it needs.
        order: the nodes that it needs, each after those that it takes.
    """

    def __init__(self, graph: Graph, tensor: str, generator: Callable[[], Any] | None = None) -> None:
        """Put the steps in order.

        Args:
            graph: the whole network.
            tensor: ``name`` or ``name:port``.
            generator: gives the generator to draw from; None: nothing is drawn, the likeliest is taken.

        Raises:
            UnsupportedGraphError: an operation is not known here.
            PolicyError: a node or variable is missing.
        """
        self.graph = graph
        self.placeholders: list[str] = []
        self.random = False
        self.order: list[Node] = []
        self._generator = generator
        self._slots: dict[str, int] = {}
        self._constant: list[bool] = []
        self._many: list[bool] = []
        self._values: list[Any] = []
        self._steps: list[Step] = []
        name, self.port = graph.resolve(tensor)
        self._target = self._add_all(name)

    def __call__(self, feed: Mapping[str, Any]) -> Any:
        """The tensor's value for arrays by the placeholders' names."""
        values = self._values.copy()
        for name in self.placeholders:
            if name not in feed:
                raise PolicyError(f"{self.graph.save}: this output takes an action as well")
            values[self._slots[name]] = feed[name]
        with np.errstate(all="ignore"):  # a diverged policy gives NaN, as it did in TensorFlow
            for slot, function, first, second in self._steps:
                if second >= 0:
                    values[slot] = function(values[first], values[second])
                elif first >= 0:
                    values[slot] = function(values[first])
                else:
                    values[slot] = function(values)
        found = values[self._target]
        return found[self.port] if isinstance(found, tuple) else found

    def constant(self, name: str) -> Any:
        """The value of a node that depends on no input and no draw; None where it does."""
        slot = self._slots[name]
        return self._values[slot] if self._constant[slot] else None

    def passes_on(self, node: Node) -> bool:
        """Whether the node's value is that of its first input."""
        return node.op in _PASSED_ON and self.graph.sources(node)[0][1] == 0

    def _add_all(self, target: str) -> int:
        """Put the node and what it needs in order, without recursion: graphs can be deep."""
        pending = [target]
        while pending:
            name = pending[-1]
            if name in self._slots:
                pending.pop()
                continue
            node = self.graph.node(name)
            needed = [source for source, _ in self.graph.sources(node) if source not in self._slots]
            if node.op == "PlaceholderWithDefault":
                needed = []
            if len(pending) > len(self.graph.nodes):
                raise UnsupportedGraphError(f"{self.graph.save}: the graph has a loop")
            if needed:
                pending += needed
            else:
                self._add(node)
                pending.pop()
        return self._slots[target]

    def _step(self, slot: int, function: Callable[..., Any], sources: tuple[int, ...]) -> None:
        """Add a step; nearly all operations have one input or two, which are called without unpacking."""
        if 1 <= len(sources) <= 2:
            self._steps.append((slot, function, sources[0], sources[1] if len(sources) == 2 else _NONE))
        else:
            self._steps.append((slot, lambda values: function(*[values[s] for s in sources]), _NONE, _NONE))

    def _add(self, node: Node) -> None:
        self.order.append(node)
        if self.passes_on(node):
            self._slots[node.name] = self._slots[self.graph.sources(node)[0][0]]
            return
        slot = self._slots[node.name] = len(self._values)
        self._values.append(None)
        self._constant.append(True)
        self._many.append(node.op in _MANY)
        if node.op in _PLACEHOLDERS:
            self.placeholders.append(node.name)
            self._constant[slot] = False
        elif node.op == "Const":
            self._values[slot] = _array(node.attributes["value"])
        elif node.op in _VARIABLES:
            self._values[slot] = self.graph.variables[node.name]
        elif node.op in RANDOM:
            self._add_draw(slot, node)
        elif node.op in OPERATIONS:
            self._add_operation(slot, node)
        else:
            raise UnsupportedGraphError(f"{self.graph.save}: the operation {node.op} is not known to the numpy engine")

    def _add_draw(self, slot: int, node: Node) -> None:
        self.random = True
        self._constant[slot] = False
        likeliest, drawn = RANDOM[node.op](node.attributes)
        generator = self._generator
        self._step(
            slot,
            likeliest if generator is None else lambda *args: drawn(generator(), *args),
            self._sources(node)[0],
        )

    def _add_operation(self, slot: int, node: Node) -> None:
        sources, ports = self._sources(node)
        function = OPERATIONS[node.op](node.attributes)
        if any(self._many[source] for source in sources):  # takes one output of a node that has several
            inner = function

            def function(*args: Any) -> Any:
                return inner(*(a[p] if isinstance(a, tuple) else a for a, p in zip(args, ports, strict=True)))

        if all(self._constant[source] for source in sources):
            with np.errstate(all="ignore"):
                self._values[slot] = function(*(self._values[source] for source in sources))
        else:
            self._constant[slot] = False
            self._step(slot, function, sources)

    def _sources(self, node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
        pairs = self.graph.sources(node)
        return tuple(self._slots[name] for name, _ in pairs), tuple(port for _, port in pairs)


def split(tensor: str) -> tuple[str, int]:
    """The node of a tensor's name, and which of its outputs."""
    name, _, port = tensor.partition(":")
    return name, int(port or 0)


def _array(constant: Constant) -> Any:
    """The array of a constant: raw bytes, or values of which the last repeats."""
    if not constant.dtype:
        raise UnsupportedGraphError("a constant of a type that numpy does not have")
    if constant.raw:
        return np.frombuffer(constant.raw, "<" + constant.dtype).reshape(constant.shape)
    count = int(np.prod(constant.shape))
    values = list(constant.values) or [0]
    values += [values[-1]] * (count - len(values))
    return np.array(values[:count], dtype=constant.dtype).reshape(constant.shape)
