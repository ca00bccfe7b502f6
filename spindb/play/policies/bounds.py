"""Between which numbers a tensor of a graph lies, whatever is observed: known by its last operations.

``Mul(2, Tanh(…))`` lies between -2 and 2. Only operations that bound what they are given, or pass bounds on, are
followed; for anything else nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spindb.play.engine.program import Program
from spindb.play.policies.network import Graph

Bounds = tuple[Any, Any]
_MAX_DEPTH = 40
_SAME = ("Identity", "StopGradient", "Snapshot", "CheckNumerics", "Squeeze", "Cast", "ReadVariableOp")
_FIXED = {
    **dict.fromkeys(("Tanh", "Softsign", "Sin", "Cos"), (-1.0, 1.0)),
    **dict.fromkeys(("Sigmoid", "Softmax"), (0.0, 1.0)),
}


def bounds_of(graph: Graph, tensor: str, program: Program) -> Bounds | None:
    """Least and greatest values, as arrays that broadcast to the last axis; None if one side is unbounded."""
    found = _Walker(graph, program).of(tensor, 0)
    if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
        return None
    return found


class _Walker:
    def __init__(self, graph: Graph, program: Program) -> None:
        self.graph = graph
        self.program = program

    def of(self, tensor: str, depth: int) -> Bounds | None:
        name, port = self.graph.resolve(tensor)
        if depth > _MAX_DEPTH or port:
            return None
        node = self.graph.node(name)
        if node.op in _FIXED:
            return _FIXED[node.op]
        constant = self.program.constant(name)
        # Only numbers and vectors broadcast to the last axis, as the result must.
        if constant is not None and np.ndim(constant) <= 1:
            return constant, constant
        sources = [source for source in node.inputs if not source.startswith("^")]
        if node.op in _SAME and sources:
            return self.of(sources[0], depth + 1)
        combine = _COMBINED.get(node.op)
        if combine is None or len(sources) < 2:
            return None
        sides = [self.of(source, depth + 1) or _ANY for source in sources]
        with np.errstate(all="ignore"):
            return combine(*sides)


_ANY: Bounds = (-np.inf, np.inf)


def _product(a: Bounds, b: Bounds) -> Bounds:
    corners = [x * y for x in a for y in b]
    # 0 times infinity is NaN, but 0 times any value is 0
    corners = [np.where(np.isnan(corner), 0, corner) for corner in corners]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _quotient(a: Bounds, b: Bounds) -> Bounds:
    if np.array_equal(b[0], b[1]) and np.all(b[0] != 0):
        return _product(a, (1 / np.asarray(b[0]), 1 / np.asarray(b[0])))
    return _ANY


_COMBINED: dict[str, Callable[..., Bounds]] = {
    "Mul": _product,
    **dict.fromkeys(("RealDiv", "Div"), _quotient),
    **dict.fromkeys(("Add", "AddV2", "BiasAdd"), lambda a, b: (a[0] + b[0], a[1] + b[1])),
    "Sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "Maximum": lambda a, b: (np.maximum(a[0], b[0]), np.maximum(a[1], b[1])),
    "Minimum": lambda a, b: (np.minimum(a[0], b[0]), np.minimum(a[1], b[1])),
    "ClipByValue": lambda x, low, high: (
        np.minimum(np.maximum(x[0], low[0]), high[0]),
        np.minimum(np.maximum(x[1], low[1]), high[1]),
    ),
}
