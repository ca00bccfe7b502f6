"""Writes the steps of an ONNX model as nodes of the engine's graph, with known types and numbers of axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from spindb.disk.codecs.nodes import Constant, Node
from spindb.disk.codecs.onnx import Input, Model, Step
from spindb.errors import PolicyError
from spindb.play.arrays import Array
from spindb.play.engine.problems import UnsupportedGraphError, shown_name
from spindb.play.engine.program import Program
from spindb.play.policies.network import Graph

_MOST_FOLDED = 100  # nodes


@dataclass
class OnnxWriter:
    """Collects the nodes of a graph while the steps of a model are translated."""

    save: Path
    model: Model
    nodes: dict[str, Node] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    observation: str = ""
    names: dict[str, str] = field(default_factory=dict)
    """Names in the graph by ONNX name."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Known types of tensors in the graph, as numpy's codes."""
    axes: dict[str, int] = field(default_factory=dict)
    """Known numbers of axes of tensors in the graph."""
    values: dict[str, Any] = field(default_factory=dict)
    """Tensors in the graph that are constants."""

    def __post_init__(self) -> None:
        self._input(self.model.inputs[0])
        for name, constant in self.model.tensors.items():
            self.names[name] = self._saved(name, constant)

    def _input(self, given: Input) -> None:
        if not given.dtype:
            raise UnsupportedGraphError(
                self.save, f"numpy does not have the type of the input {shown_name(given.name)}"
            )
        # The batch is open, even if the model was exported with a fixed one.
        shape = (-1, *given.shape[1:]) if given.shape else None
        self.observation = self.names[given.name] = "x"
        self.nodes["x"] = Node("x", "Placeholder", (), {"dtype": given.dtype, "shape": shape})
        self.kinds["x"] = given.dtype
        if given.shape:
            self.axes["x"] = len(given.shape)

    def _saved(self, name: str, constant: Constant) -> str:
        """Add a tensor of the file: a variable if it has axes, so that it is listed with the weights."""
        if not constant.dtype:
            raise UnsupportedGraphError(self.save, f"numpy does not have the type of the tensor {shown_name(name)}")
        value = self.array(constant)
        if value.dtype.kind != "f" or value.ndim == 0:
            return self.constant(value)
        ours = name.replace(":", "_").replace("^", "_") or "tensor"
        while ours in self.nodes:
            ours += "_"
        self.nodes[ours] = Node(ours, "Variable", (), {})
        self.variables[ours] = self.values[ours] = value
        self.kinds[ours], self.axes[ours] = value.dtype.str[1:], value.ndim
        return ours

    def array(self, constant: Constant) -> Array:
        """The values of a constant; `spindb.disk.codecs.onnx` has checked their number."""
        if constant.raw or not constant.values:
            return np.frombuffer(constant.raw, "<" + constant.dtype if constant.dtype != "?" else "?").reshape(
                constant.shape
            )
        return np.array(constant.values, dtype=constant.dtype).reshape(constant.shape)

    def tensor(self, name: str) -> str:
        """The name in the graph of an ONNX tensor.

        Raises:
            PolicyError: no earlier step computes it.
        """
        if name not in self.names:
            raise PolicyError(f"{self.save} is damaged: nothing gives the tensor {shown_name(name)}")
        return self.names[name]

    def new(self, op: str, *inputs: str, **attributes: object) -> str:
        """Add a node; its type and axes are those of its inputs until they are set."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes[name] = Node(name, op, inputs, attributes)
        if known := [self.kinds[source] for source in inputs[:1] if source in self.kinds]:
            self.kinds[name] = known[0]
        if inputs and all(source in self.axes for source in inputs):
            self.axes[name] = max(self.axes[source] for source in inputs)
        return name

    def constant(self, value: ArrayLike) -> str:
        """Add a constant."""
        array = np.asarray(value)
        name = f"Const_{len(self.nodes)}"
        # numpy's code for booleans is b1 here; graphs use ?.
        kept = Constant(array.dtype.str[1:].replace("b1", "?"), array.shape, array.tobytes(), ())
        self.nodes[name] = Node(name, "Const", (), {"value": kept})
        self.values[name] = array
        self.kinds[name], self.axes[name] = kept.dtype, array.ndim
        return name

    def folded(self, name: str) -> Array | None:
        """The value of a tensor that depends on a few constants only, or None."""
        if name not in self.values and self._is_small(name):
            graph = Graph(self.save, self.nodes, self.variables, {"x": self.observation}, {})
            found = Program(graph, name).constant(name)
            if found is not None:
                self.values[name] = found
        return self.values.get(name)

    def _is_small(self, name: str) -> bool:
        """Whether a tensor depends on a few nodes without the observation, as paddings in exported models do."""
        pending = [name]
        seen: set[str] = set()
        while pending and len(seen) <= _MOST_FOLDED:
            node = pending.pop()
            if node == self.observation or node not in self.nodes:  # one of several outputs is not a node
                return False
            if node not in seen:
                seen.add(node)
                pending += self.nodes[node].inputs[:_MOST_FOLDED]
        return not pending

    def unknown(self, op: str, what: str = "") -> UnsupportedGraphError:
        """The error for an operation, or a variant of it, that is not supported."""
        words = f"numpy does not know ONNX's operation {shown_name(op)}"
        return UnsupportedGraphError(self.save, f"{words} {what}".rstrip())


@dataclass(frozen=True, slots=True)
class Translation:
    """A step of a model, to be translated to nodes of the graph."""

    writer: OnnxWriter
    step: Step
    inputs: tuple[str, ...]
    """Its inputs by their names in the graph, without omitted ones at the end."""

    @classmethod
    def of(cls, writer: OnnxWriter, step: Step) -> Translation:
        """The translation of a step, with the names of its inputs looked up."""
        given = list(step.node.inputs)
        while given and not given[-1]:
            given.pop()
        return cls(writer, step, tuple(writer.tensor(name) if name else "" for name in given))

    def input(self, which: int) -> str:
        """An input by its position.

        Raises:
            PolicyError: there is none.
        """
        found = self.optional(which)
        if not found:
            raise PolicyError(
                f"{self.writer.save} is damaged: {shown_name(self.step.node.op)} lacks its input number {which + 1}"
            )
        return found

    def optional(self, which: int) -> str:
        """An input by its position; empty if omitted."""
        return self.inputs[which] if which < len(self.inputs) else ""

    def value(self, which: int) -> Array | None:
        """The value of an input that must be constant; None if omitted."""
        name = self.optional(which)
        found = self.writer.folded(name) if name else None
        if name and found is None:
            raise self.unknown("with an input that is computed")
        return found

    def needed_value(self, which: int) -> Array:
        """As `value`, of an input that must be there."""
        found = self.value(which)
        if found is None:
            self.input(which)  # says that it is missing
            raise self.unknown("without a constant")
        return found

    def get(self, name: str, usual: Any = None) -> Any:
        """An attribute."""
        found = self.step.node.attributes.get(name)
        return usual if found is None else found

    def whole(self, name: str, usual: Any = None) -> Any:
        """An attribute that is an integer or a list of integers."""
        found = self.get(name, usual)
        if not isinstance(found, (int, list, type(None))):
            raise PolicyError(
                f"{self.writer.save} is damaged: {shown_name(self.step.node.op)}'s {name} is no whole number"
            )
        return found

    def numbers(self, name: str, which: int) -> list[int] | None:
        """Integers that older opsets have as an attribute and newer ones as an input; None if there is neither."""
        found = self.get(name)
        value = self.value(which) if found is None else found
        return None if value is None else [int(number) for number in np.ravel(value)]

    def add(self, op: str, *inputs: str, **attributes: object) -> str:
        """Add a node."""
        return self.writer.new(op, *inputs, **attributes)

    def typed(self, kind: str, name: str) -> str:
        """Set the type of a tensor."""
        self.writer.kinds[name] = kind
        return name

    def axes(self, count: int | None, name: str) -> str:
        """Set the number of axes of a tensor; None: unknown."""
        self.writer.axes.pop(name, None)
        if count is not None:
            self.writer.axes[name] = count
        return name

    def number(self, value: float, like: str = "") -> str:
        """Add a constant of one number with the type of another tensor."""
        return self.writer.constant(np.array(value, dtype=self.writer.kinds.get(like, "f4")))

    def wholes(self, *values: int) -> str:
        """Add a constant of integers."""
        return self.writer.constant(np.array(values, dtype="i8"))

    def unknown(self, what: str) -> UnsupportedGraphError:
        """The error for an unsupported variant of the operation."""
        return self.writer.unknown(self.step.node.op, what)


Translator: TypeAlias = Callable[[Translation], "str | list[str]"]
"""Writes the nodes of a step; returns the name of its output, or the names of its outputs."""
