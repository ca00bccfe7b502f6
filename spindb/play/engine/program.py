"""Evaluates graphs of TensorFlow operations with numpy.

The nodes of a tensor are sorted once, and nodes that depend on no input are computed once. An evaluation is then a list
of numpy calls. Random operations use numpy's generator: samples are equal in distribution to TensorFlow's, but not
individually. Without a generator they return the most probable value: the mean of a normal, the greatest logit.

Graphs are untrusted. The inputs of each node are checked when the steps are sorted. The size of each result is checked
against a budget before it is allocated: for constants when they are computed, for steps at the first evaluation with
inputs of a given shape. Sizes depend on shapes, so later evaluations need no check; if they depend on values, every
evaluation is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spindb.disk.codecs.nodes import Constant, Node
from spindb.errors import PolicyError
from spindb.play.arrays import Array
from spindb.play.engine.budget import Budget, cost, elements
from spindb.play.engine.operations import MANY, OPERATIONS, RANDOM
from spindb.play.engine.problems import UnsupportedGraphError, damaged, shown_name
from spindb.play.engine.signatures import SIGNATURES
from spindb.play.policies.network import Graph as Graph

VARIABLES = ("VariableV2", "Variable", "VarHandleOp")
_PASSED_ON = ("Identity", "StopGradient", "Snapshot", "ReadVariableOp", "CheckNumerics")
PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")

_MAX_NODES = 200_000  # of one output; real policies have hundreds
_MAX_SHAPES = 64  # remembered shapes of inputs whose evaluation was checked

_NONE = -1
Step = tuple[int, Callable[..., Any], int, int]
"""Slot of the result, function, slots of its one or two inputs; without inputs the function takes all values."""


class _Detail(NamedTuple):
    """Node and inputs of a step, for checked evaluations."""

    node: Node
    sources: tuple[int, ...]
    ports: tuple[int, ...]


class Program:
    """The steps that compute one tensor of a graph.

    Attributes:
        random: whether the tensor depends on a random operation.
        placeholders: the inputs that it needs.
        order: the nodes that it needs, in topological order.
    """

    def __init__(
        self,
        graph: Graph,
        tensor: str,
        generator: Callable[[], Any] | None = None,
        also: Sequence[str] = (),
        *,
        filled: Mapping[str, Any] | None = None,
    ) -> None:
        """Sort and check the steps.

        Args:
            graph: the whole network.
            tensor: ``name`` or ``name:port``.
            generator: returns the random generator; None: random operations return the most probable value.
            also: further tensors that `all` returns.
            filled: values of placeholders that are not inputs, by name.

        Raises:
            UnsupportedGraphError: an operation is not supported.
            PolicyError: a node or variable is missing.
        """
        self.graph = graph
        self.placeholders: list[str] = []
        self.random = False
        self.order: list[Node] = []
        self._generator = generator
        # Each node has a slot in the following lists: index by name, constant, several outputs, size known from
        # shapes, value.
        self._slots: dict[str, int] = {}
        self._constant: list[bool] = []
        self._many: list[bool] = []
        self._sized: list[bool] = []
        self._values: list[Any] = []
        self._steps: list[Step] = []
        self._details: list[_Detail] = []
        self._checked: set[tuple[Any, ...]] = set()
        self._always_checked = False
        self._filled = filled or {}
        self._given = {graph.resolve(name)[0] for name in graph.inputs.values()}
        self._targets = [self._target_of(name) for name in (tensor, *also)]
        self._target, self.port = self._targets[0]

    def _defaulted(self, node: Node) -> bool:
        """Whether it is a placeholder with a default that is not an input."""
        return node.op == "PlaceholderWithDefault" and node.name not in self._given

    def _target_of(self, tensor: str) -> tuple[int, int]:
        """Add the nodes of a tensor; returns the slot of its node and the output number."""
        name, port = self.graph.resolve(tensor)
        slot = self._add_all(name)
        self._require_port(name, port)
        return slot, port

    def __call__(self, feed: Mapping[str, Array]) -> Array:
        """The tensor's value for arrays by the placeholders' names.

        Raises:
            PolicyError: an input is missing, or the graph can't be evaluated on inputs of these shapes.
        """
        found = self._evaluated(feed)[self._target]
        value: Array = found[self.port] if isinstance(found, tuple) else found
        return value

    def all(self, feed: Mapping[str, Array]) -> list[Array]:
        """The values of the tensor and of the tensors in `also`, from one evaluation. Raises as a call."""
        values = self._evaluated(feed)
        return [values[slot][port] if isinstance(values[slot], tuple) else values[slot] for slot, port in self._targets]

    def _evaluated(self, feed: Mapping[str, Any]) -> list[Any]:
        values = self._values.copy()
        for name in self.placeholders:
            if name not in feed:
                raise PolicyError(f"{self.graph.save}: this output takes an action as well")
            values[self._slots[name]] = feed[name]
        shapes = tuple([feed[name].shape for name in self.placeholders])
        with np.errstate(all="ignore"):  # a diverged policy returns NaN without warnings, as in TensorFlow
            if shapes in self._checked and not self._always_checked:
                try:
                    self._run(values)
                except Exception:  # such as an index out of range: the checked run names the step
                    self._run_checked(values)
            else:
                self._run_checked(values)
                if len(self._checked) >= _MAX_SHAPES:
                    self._checked.clear()
                self._checked.add(shapes)
        return values

    def _run(self, values: list[Any]) -> None:
        for slot, function, first, second in self._steps:
            if second >= 0:
                values[slot] = function(values[first], values[second])
            elif first >= 0:
                values[slot] = function(values[first])
            else:
                values[slot] = function(values)

    def _run_checked(self, values: list[Any]) -> None:
        """Like `_run`, with each step checked against the budget before."""
        budget = Budget()
        for (slot, function, first, second), detail in zip(self._steps, self._details, strict=True):
            try:
                budget.spend(*cost(detail.node.op, detail.node.attributes, _inputs(values, detail)))
                if second >= 0:
                    values[slot] = function(values[first], values[second])
                else:
                    values[slot] = function(values[first] if first >= 0 else values)
            except Exception as error:
                raise damaged(self.graph.save, detail.node, error) from error

    def constant(self, name: str) -> Array | None:
        """The value of a node that depends on no input and no random operation, else None."""
        slot = self._slots[name]
        return self._values[slot] if self._constant[slot] else None

    def passes_on(self, node: Node) -> bool:
        """Whether the node's value is that of its first input."""
        return node.op in _PASSED_ON and self.graph.sources(node)[0][1] == 0

    def _add_all(self, target: str) -> int:
        """Add a node and the nodes that it needs, without recursion, because graphs can be deep."""
        pending = [target]
        entered: set[str] = set()
        while pending:
            name = pending[-1]
            if name in self._slots:
                pending.pop()
                continue
            node = self.graph.node(name)
            needed = [source for source, _ in self.graph.sources(node) if source not in self._slots]
            if node.op == "PlaceholderWithDefault" and not self._defaulted(node):
                needed = []
            if needed and name in entered:  # the node was entered before its inputs, so it is one of them
                raise UnsupportedGraphError(self.graph.save, f"the graph has a loop at {shown_name(name)}")
            if len(self.order) >= _MAX_NODES:
                raise PolicyError(f"{self.graph.save}: one output needs more than {_MAX_NODES:,} nodes")
            if needed:
                entered.add(name)
                pending += needed
            else:
                self._add(node)
                pending.pop()
        return self._slots[target]

    def _step(self, slot: int, function: Callable[..., Any], detail: _Detail) -> None:
        """Add a step; operations of one or two inputs, the most frequent ones, are called without unpacking."""
        sources = detail.sources
        self._details.append(detail)
        if 1 <= len(sources) <= 2:
            self._steps.append((slot, function, sources[0], sources[1] if len(sources) == 2 else _NONE))
        else:
            self._steps.append((slot, lambda values: function(*[values[s] for s in sources]), _NONE, _NONE))

    def _add(self, node: Node) -> None:
        self.order.append(node)
        self._require_inputs(node)
        if self.passes_on(node) or self._defaulted(node):
            self._slots[node.name] = self._slots[self.graph.sources(node)[0][0]]
            return
        slot = self._slots[node.name] = len(self._values)
        self._values.append(None)
        self._constant.append(True)
        self._sized.append(True)
        self._many.append(node.op in MANY)
        if node.name in self._filled:
            self._values[slot] = self._filled[node.name]
        elif node.op in PLACEHOLDERS:
            self.placeholders.append(node.name)
            self._constant[slot] = self._sized[slot] = False
        elif node.op == "Const" or node.op in VARIABLES:
            self._values[slot] = self._folded(node, lambda: self._stored(node))
        else:
            self._add_operation(slot, node)

    def _stored(self, node: Node) -> Any:
        """The value of a constant or a variable."""
        if node.op != "Const":
            return np.asarray(self.graph.variables[node.name])
        value = node.attributes["value"]
        if not isinstance(value, Constant):
            raise ValueError("its value is not an array")
        if not value.dtype:
            raise UnsupportedGraphError(self.graph.save, f"numpy has no type for the constant {shown_name(node.name)}")
        self.graph.budget.spend(elements(value.shape) * np.dtype(value.dtype).itemsize, 0)
        return _array(value)

    def _folded(self, node: Node, make: Callable[[], Any]) -> Any:
        """The value of a node that depends on no input, computed once for all outputs."""
        if node.name not in self.graph.folded:
            try:
                with np.errstate(all="ignore"):
                    self.graph.folded[node.name] = make()
            except PolicyError:
                raise
            except Exception as error:
                raise damaged(self.graph.save, node, error) from error
        return self.graph.folded[node.name]

    def _add_operation(self, slot: int, node: Node) -> None:
        sources, ports = self._sources(node)
        detail = _Detail(node, sources, ports)
        function = self._function(node)
        if any(self._many[source] for source in sources):  # an input is one of several outputs of a node
            inner = function

            def function(*args: Any) -> Any:
                return inner(*_picked(args, ports))

        drawn = node.op in RANDOM
        self.random |= drawn
        if not drawn and all(self._constant[source] for source in sources):

            def fold() -> Any:
                self.graph.budget.spend(*cost(node.op, node.attributes, _inputs(self._values, detail)))
                return function(*(self._values[source] for source in sources))

            self._values[slot] = self._folded(node, fold)
            return
        self._constant[slot] = False
        # The value of Shape depends on shapes only, even if its input is a value.
        self._sized[slot] = node.op == "Shape" or (not drawn and all(self._sized[source] for source in sources))
        # The values of these inputs determine the size of the result; if they can change between evaluations with
        # equal shapes, each evaluation is checked.
        self._always_checked |= not all(self._sized[sources[which]] for which in SIGNATURES[node.op].sizing)
        self._step(slot, function, detail)

    def _function(self, node: Node) -> Callable[..., Any]:
        """The function of a node."""
        try:
            if node.op not in RANDOM:
                return OPERATIONS[node.op](node.attributes)
            likeliest, drawn = RANDOM[node.op](node.attributes)
        except NotImplementedError as error:
            raise UnsupportedGraphError(self.graph.save, f"numpy does not know {error}") from error
        except Exception as error:
            raise damaged(self.graph.save, node, error) from error
        generator = self._generator
        return likeliest if generator is None else lambda *args: drawn(generator(), *args)

    def _require_inputs(self, node: Node) -> None:
        """Refuse unsupported operations, and nodes with a wrong number of inputs."""
        signature = SIGNATURES.get(node.op)
        if signature is None:
            raise UnsupportedGraphError(
                self.graph.save,
                f"numpy does not know the operation {shown_name(node.op)} (node {shown_name(node.name)})",
            )
        sources = self.graph.sources(node)
        if not signature.takes(len(sources)):
            raise damaged(self.graph.save, node, f"its number of inputs is {len(sources)}, it takes {signature}")
        if node.op != "PlaceholderWithDefault" or self._defaulted(node):
            for name, port in sources:
                self._require_port(name, port)

    def _require_port(self, name: str, port: int) -> None:
        """Refuse an output number of a node with a single output; for other nodes it is checked at evaluation."""
        if port and not self._many[self._slots[name]]:
            raise damaged(self.graph.save, self.graph.node(name), f"it has one output, and number {port + 1} is taken")

    def _sources(self, node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
        pairs = self.graph.sources(node)
        return tuple(self._slots[name] for name, _ in pairs), tuple(port for _, port in pairs)


def _picked(args: Sequence[Any], ports: Sequence[int]) -> list[Any]:
    """The arguments, with tuples of outputs replaced by the output that is used."""
    return [a[p] if isinstance(a, tuple) else a for a, p in zip(args, ports, strict=True)]


def _inputs(values: Sequence[Any], detail: _Detail) -> list[Any]:
    """The inputs of a step."""
    return _picked([values[source] for source in detail.sources], detail.ports)


def _array(constant: Constant) -> Array:
    """The array of a constant: raw bytes, or values of which the last one fills the rest.

    Raises:
        ValueError: the number of values or bytes does not match the shape.
    """
    if constant.raw:
        return np.frombuffer(constant.raw, "<" + constant.dtype).reshape(constant.shape)
    count = elements(constant.shape)
    if len(constant.values) > count:
        raise ValueError(f"{len(constant.values)} values in an array of {count}")
    found = np.full(count, constant.values[-1] if constant.values else 0, dtype=constant.dtype)
    found[: len(constant.values)] = constant.values
    return found.reshape(constant.shape)
