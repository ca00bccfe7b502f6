"""Collects the nodes of a graph while PyTorch modules are converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from spindb.disk.codecs.nodes import Constant, Node
from spindb.disk.codecs.torchfiles import Module
from spindb.errors import PolicyError
from spindb.play.policies.network import State

HINT = (
    "--trust plays it by that code, where its modules can be imported (--import FILE.py for classes of a script): "
    "that executes what the file says, and needs PyTorch"
)
PICTURE = 4
"""Number of axes of a batch of images."""


@dataclass
class TorchWriter:
    """Collects the nodes of a graph."""

    save: Path
    root: Module
    variables: Mapping[str, Any]
    nodes: dict[str, Node] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    """Number of axes of tensors; two if missing."""
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns its name, which is changed if an input of the graph has that name."""
        if name in self.nodes and self.nodes[name].op == "Placeholder":
            name = f"{name}_"
        self.nodes[name] = Node(name, op, inputs, attributes)
        if known := [self.axes[source] for source in inputs if source in self.axes]:
            self.axes.setdefault(name, max(known))
        return name

    def new(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with a generated name."""
        return self.add(f"{op}_{len(self.nodes)}", op, *inputs, **attributes)

    def variable(self, name: str) -> str:
        """A tensor of the module by its name in the state dict."""
        return self.add(name, "Variable")

    def constant(self, value: Any) -> str:
        """Add a constant."""
        array = np.asarray(value)
        return self.new("Const", value=Constant(array.dtype.str[1:], array.shape, array.tobytes(), ()))

    def number(self, value: float) -> str:
        """Add a constant of one number."""
        return self.constant(np.float32(value))

    def whole(self, *numbers: int) -> str:
        """Add a constant of integers."""
        return self.constant(np.array(numbers, "i4"))

    def note(self, text: str) -> None:
        """Keep a note for those who play it."""
        if text not in self.notes:
            self.notes.append(text)

    def unknown(self, why: str) -> PolicyError:
        """The error for a module that can't be rebuilt."""
        met = ", ".join(sorted(_classes(self.root))[:20])
        return PolicyError(
            f"{self.save} can't be rebuilt without its author's code: {why}. Its modules: {met}", hint=HINT
        )


def _classes(module: Module) -> set[str]:
    return {module.class_path}.union(*(_classes(child) for child in module.children.values()))


Layer: TypeAlias = Callable[[TorchWriter, Module, str, str], str]
"""Writes a layer: takes the writer, the module, its path and the input tensor; returns the name of the result."""
