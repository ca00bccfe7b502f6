"""A network as a graph of TensorFlow operations, independent of the file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from spindb.disk.codecs.functions import OUTPUTS
from spindb.disk.codecs.nodes import Node
from spindb.errors import PolicyError
from spindb.play.engine.budget import Budget
from spindb.play.policies.forms import SETTLED, Form


@dataclass(frozen=True, slots=True)
class State:
    """A state that a network keeps through an episode: the tensor of its value after a step, and its size."""

    after: str
    size: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: nodes, values of variables, and the tensors of inputs and outputs by name.

    ``save`` is the file or directory that it was read from.
    """

    save: Path
    nodes: Mapping[str, Node]
    variables: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    form: Form = SETTLED
    states: Mapping[str, State] = field(default_factory=dict)
    """States from one step to the next, by the name of their placeholder."""
    notes: tuple[str, ...] = ()

    _resolved: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict, init=False, repr=False)
    folded: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """Values of nodes that depend on no input, by name."""
    budget: Budget = field(default_factory=Budget, init=False, repr=False)
    """The budget of `folded`, shared by all outputs."""

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            PolicyError: the graph has no such node.
        """
        if name not in self.nodes:
            raise PolicyError(f"{self.save} is damaged: its graph has no node {name[:80]!r}")
        return self.nodes[name]

    def resolve(self, tensor: str) -> tuple[str, int]:
        """The node that computes a tensor, and the number of its output, with calls of functions resolved.

        Raises:
            PolicyError: there is no such node, or the name is invalid.
        """
        found = self._split(tensor)
        passed: list[tuple[str, int]] = []
        seen = set()
        while found not in self._resolved:
            node = self.node(found[0])
            if node.op != OUTPUTS or found[1] >= len(node.inputs):
                break
            if found in seen:
                raise PolicyError(f"{self.save} is damaged: a call in its graph gives its own result")
            seen.add(found)
            passed.append(found)
            found = self._split(node.inputs[found[1]])
        found = self._resolved.get(found, found)
        self._resolved.update(dict.fromkeys(passed, found))  # cached, so that long chains of calls are followed once
        return found

    def _split(self, tensor: str) -> tuple[str, int]:
        name, colon, port = tensor.partition(":")
        if colon and not (port.isascii() and port.isdecimal() and len(port) < 6):
            raise PolicyError(f"{self.save} is damaged: {tensor[:80]!r} is no name of a tensor")
        return name, int(port or 0)

    def sources(self, node: Node) -> list[tuple[str, int]]:
        """The inputs of a node: names of nodes, and numbers of their outputs."""
        return [self.resolve(source) for source in node.inputs if not source.startswith("^")]

    def needed(self, tensor: str) -> dict[str, Node]:
        """All nodes that a tensor depends on, including its own."""
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

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with all variables, without what can be computed again."""
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        return _rebuilt, ({**given, "variables": dict(self.variables)},)


def _rebuilt(given: Mapping[str, Any]) -> Graph:
    return Graph(**given)
