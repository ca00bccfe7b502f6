"""A policy as a list of ONNX's operations and arrays: what it computes, without spindb, TensorFlow or PyTorch.

What follows from no input is an array; what a graph of TensorFlow's operations does beside that is said in operations
of ONNX, opset 18 (onnx.ai/onnx/operators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spindb.disk.codecs.nodes import Node
from spindb.errors import PolicyError
from spindb.play.actions import RULES
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.problems import evaluating
from spindb.play.engine.program import Graph, Program

OPSET = 18
_HINT = "spindb export-policy exports feed-forward networks only; policy.weights() has the arrays of any"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """An operation of ONNX: what it takes, by name, and the name of what it gives."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a policy computes: `steps` in order, from the input ``observation`` of shape (n, *observation_shape).

    Outputs, by the tensor that holds them: ``action``, the mean or the likeliest; ``sample``, a draw, where the policy
    draws its actions; and what else was saved and follows from the observation alone (``mu``, ``v``, ``logits``).
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str
    arrays: Mapping[str, Any]
    steps: tuple[PlanStep, ...]
    outputs: Mapping[str, str]


def plan_of(policy: GraphPolicy, *, as_it_is: bool = False) -> Plan:
    """What a policy computes, as a plan.

    Args:
        policy: deterministic, so that ``action`` is the mean or the likeliest.
        as_it_is: its output ``action`` is what the network gives, also where that is no action yet.

    Raises:
        PolicyError: it uses an operation that is not known in ONNX's, or does not say what it observes.
    """
    with evaluating(policy.save, "can't be exported"):
        return _plan_of(policy, as_it_is)


def _plan_of(policy: GraphPolicy, as_it_is: bool) -> Plan:
    if policy.observation_shape is None:
        raise PolicyError(f"{policy.save} does not tell the shape of its observations: nothing to export it by")
    if policy.graph.states:
        raise PolicyError(
            f"{policy.save} carries a state through an episode: such networks can't be exported", hint=_HINT
        )
    if not as_it_is and not policy.form.settled:
        raise PolicyError(
            f"{policy.save} does not say how its outputs become actions: {policy.form.met}",
            hint="--with-wrappers lets the environment's action space decide; "
            f"--action {'|'.join(RULES)} says it where that leaves it open",
        )
    writer = _Writer(policy.graph, policy.filled)
    named = policy.graph.outputs
    action = named["mu" if policy.stochastic and "mu" in named else "pi"]
    outputs = {"action": writer.tensor(action, draws=False)}
    if policy.stochastic:
        outputs["sample"] = writer.tensor(named["pi"], draws=True)
    for name in policy.names:
        if not Program(policy.graph, named[name], filled=policy.filled).random:
            outputs.setdefault(name, writer.tensor(named[name], draws=False))
    if outputs.get("pi") == outputs["action"]:
        del outputs["pi"]
    dtype = np.dtype(policy.observation_dtype).str[1:]
    used = {*outputs.values()}.union(*(step.inputs for step in writer.steps))
    arrays = {name: array for name, array in writer.arrays.items() if name in used}
    return Plan(policy.observation_shape, dtype, arrays, tuple(writer.steps), outputs)


@dataclass
class _Writer:
    """Writes the operations of a graph's nodes, each once."""

    graph: Graph
    filled: Mapping[str, Any] = field(default_factory=dict)
    """Values of placeholders that no one gives."""
    arrays: dict[str, Any] = field(default_factory=dict)
    steps: list[PlanStep] = field(default_factory=list)
    written: dict[tuple[str, bool], str] = field(default_factory=dict)
    """Nodes, drawn or not, and the names of their tensors here."""
    found: dict[tuple[str, tuple[str, ...], str], str] = field(default_factory=dict)
    """What a step with these inputs and attributes gives, by its name."""

    def tensor(self, name: str, *, draws: bool) -> str:
        """Write what a tensor of the graph needs; returns its name here."""
        target, port = self.graph.resolve(name)
        if port:
            raise _not_exportable(self.graph, self.graph.node(target))
        program = Program(self.graph, name, filled=self.filled)
        for node in program.order:
            if (node.name, draws) not in self.written:
                self.written[node.name, draws] = self._node(program, node, draws)
        return self.written[target, draws]

    def _node(self, program: Program, node: Node, draws: bool) -> str:
        sources = self.graph.sources(node)
        inputs = [self.written[name, draws] for name, _ in sources]
        if program.passes_on(node):
            return inputs[0]
        constant = program.constant(node.name)
        if constant is not None:
            return self.array(node.name, constant)
        if node.name in program.placeholders:
            return "observation"
        if any(port for _, port in sources):
            raise _not_exportable(self.graph, node)
        values = [program.constant(name) for name, _ in sources]
        emit = (_DRAWN if draws else {}).get(node.op) or _EMITTED.get(node.op)
        if emit is None:
            raise _not_exportable(self.graph, node)
        return emit(_Emitter(self, node, inputs, values))

    def array(self, name: str, value: ArrayLike) -> str:
        """Keep an array; returns its name."""
        self.arrays.setdefault(name, np.ascontiguousarray(value).reshape(np.shape(value)))
        return name

    def add(self, op: str, *inputs: str, **attributes: object) -> str:
        """Add a step, or find the same one; returns the name of what it gives."""
        key = (op, inputs, repr(sorted(attributes.items())))
        if key in self.found and not op.startswith("Random"):
            return self.found[key]
        output = self.found[key] = f"{op.lower()}_{len(self.steps)}"
        self.steps.append(PlanStep(op, inputs, output, attributes))
        return output


def _not_exportable(graph: Graph, node: Node) -> PolicyError:
    return PolicyError(
        f"{graph.save}: the operation {node.op} of {node.name} can't be exported",
        hint=_HINT,
    )


@dataclass(frozen=True, slots=True)
class _Emitter:
    """A node to be written: its inputs by their names here, and their values where these are constant."""

    writer: _Writer
    node: Node
    inputs: list[str]
    values: list[Any]

    def add(self, op: str, *inputs: str, **attributes: object) -> str:
        return self.writer.add(op, *inputs, **attributes)

    def number(self, value: ArrayLike, dtype: str = "f4") -> str:
        """A constant of ours."""
        array = np.array(value, dtype=dtype)
        return self.writer.array(f"constant_{array.dtype}_{array.tolist()}".replace(" ", ""), array)

    def settled(self, which: int) -> Any:
        """The value of an input that must not depend on the observation."""
        if self.values[which] is None:
            raise _not_exportable(self.writer.graph, self.node)
        return self.values[which]

    def lengths(self, which: int) -> str:
        """An input that holds a shape, as ONNX wants it."""
        if self.values[which] is not None:
            return self.number(self.values[which], "i8")
        return self.add("Cast", self.inputs[which], to="i8")


Emit = Callable[[_Emitter], str]


def _same(op: str, **attributes: object) -> Emit:
    return lambda emit: emit.add(op, *emit.inputs, **attributes)


def _mat_mul(emit: _Emitter) -> str:
    operands = []
    for which, transposed in enumerate(("transpose_a", "transpose_b")):
        name, value = emit.inputs[which], emit.values[which]
        if emit.node.attributes.get(transposed):
            constant = value is not None
            name = emit.writer.array(f"{name}.T", value.T) if constant else emit.add("Transpose", name, perm=[1, 0])
        operands.append(name)
    return emit.add("MatMul", *operands)


def _squeeze(emit: _Emitter) -> str:
    axes = emit.node.attributes.get("squeeze_dims")
    return emit.add("Squeeze", emit.inputs[0], *([emit.number(axes, "i8")] if axes else []))


def _cast(to: str) -> Emit:
    return lambda emit: emit.add("Cast", emit.inputs[0], to=emit.node.attributes[to])


def _shape(emit: _Emitter) -> str:
    return emit.add("Cast", emit.add("Shape", emit.inputs[0]), to=emit.node.attributes.get("out_type", "i4"))


def _reduced(op: str) -> Emit:
    def run(emit: _Emitter) -> str:
        axes = emit.number(np.atleast_1d(emit.settled(1)), "i8")
        return emit.add(op, emit.inputs[0], axes, keepdims=int(bool(emit.node.attributes.get("keep_dims"))))

    return run


def _arg_max(emit: _Emitter) -> str:
    found = emit.add("ArgMax", emit.inputs[0], axis=int(emit.settled(1)), keepdims=0)
    return emit.add("Cast", found, to=emit.node.attributes.get("output_type") or "i8")


def _pack(emit: _Emitter) -> str:
    axis = int(emit.node.attributes.get("axis") or 0)
    parts = [emit.add("Unsqueeze", name, emit.number([axis], "i8")) for name in emit.inputs]
    return emit.add("Concat", *parts, axis=axis)


def _sliced(emit: _Emitter) -> str:
    attributes = emit.node.attributes
    begin, end, strides = ([int(n) for n in emit.settled(which)] for which in (1, 2, 3))
    begin_mask, end_mask, dropped = (
        int(attributes.get(name) or 0) for name in ("begin_mask", "end_mask", "shrink_axis_mask")
    )
    far = np.iinfo(np.int64)
    for axis, step in enumerate(strides):
        if dropped >> axis & 1:
            end[axis] = begin[axis] + 1 or far.max
            continue
        if begin_mask >> axis & 1:
            begin[axis] = 0 if step > 0 else far.max
        if end_mask >> axis & 1:
            end[axis] = far.max if step > 0 else far.min
    axes = list(range(len(begin)))
    numbers = (emit.number(values, "i8") for values in (begin, end, axes, strides))
    found = emit.add("Slice", emit.inputs[0], *numbers)
    gone = [axis for axis in axes if dropped >> axis & 1]
    return emit.add("Squeeze", found, emit.number(gone, "i8")) if gone else found


def _zeros(emit: _Emitter) -> str:
    """Zeros of the shape that the first input says."""
    return emit.add("ConstantOfShape", emit.lengths(0))


def _likeliest(emit: _Emitter) -> str:
    if int(emit.settled(1)) != 1:
        raise _not_exportable(emit.writer.graph, emit.node)
    found = emit.add("ArgMax", emit.inputs[0], axis=-1, keepdims=1)
    return emit.add("Cast", found, to=emit.node.attributes.get("output_dtype") or "i8")


def _category(emit: _Emitter) -> str:
    found = emit.add("Multinomial", emit.inputs[0], sample_size=int(emit.settled(1)), dtype="i8")
    return emit.add("Cast", found, to=emit.node.attributes.get("output_dtype") or "i8")


_EMITTED: Mapping[str, Emit] = {
    "MatMul": _mat_mul,
    **dict.fromkeys(("BiasAdd", "Add", "AddV2"), _same("Add")),
    "AddN": _same("Sum"),
    **dict.fromkeys(("RealDiv", "Div"), _same("Div")),
    **{op: _same(op) for op in ("Sub", "Mul", "Pow", "Neg", "Abs", "Sign", "Exp", "Log", "Sqrt", "Reciprocal")},
    **{op: _same(op) for op in ("Tanh", "Relu", "Elu", "Sigmoid", "Softplus", "Softsign", "Greater", "Less", "Equal")},
    **{op: _same(op) for op in ("Erf", "Selu", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Floor", "Ceil", "Asin", "Acos")},
    **{op: _same(op) for op in ("Atan", "IsNan", "IsInf")},
    **dict.fromkeys(("Rint", "Round"), _same("Round")),
    **dict.fromkeys(("PreventGradient", "EnsureShape"), _same("Identity")),
    "Expm1": lambda emit: emit.add("Sub", emit.add("Exp", emit.inputs[0]), emit.number(1)),
    "NotEqual": lambda emit: emit.add("Not", emit.add("Equal", *emit.inputs)),
    "Softmax": _same("Softmax", axis=-1),
    "LogSoftmax": _same("LogSoftmax", axis=-1),
    "Maximum": _same("Max"),
    "Minimum": _same("Min"),
    "GreaterEqual": _same("GreaterOrEqual"),
    "LessEqual": _same("LessOrEqual"),
    "LogicalNot": _same("Not"),
    "LogicalAnd": _same("And"),
    "LogicalOr": _same("Or"),
    **dict.fromkeys(("Select", "SelectV2"), _same("Where")),
    "Square": lambda emit: emit.add("Mul", emit.inputs[0], emit.inputs[0]),
    "SquaredDifference": lambda emit: emit.add("Pow", emit.add("Sub", *emit.inputs), emit.number(2)),
    "Rsqrt": lambda emit: emit.add("Reciprocal", emit.add("Sqrt", emit.inputs[0])),
    "Log1p": lambda emit: emit.add("Log", emit.add("Add", emit.inputs[0], emit.number(1))),
    "Relu6": lambda emit: emit.add("Min", emit.add("Relu", emit.inputs[0]), emit.number(6)),
    "LeakyRelu": lambda emit: emit.add("LeakyRelu", emit.inputs[0], alpha=emit.node.attributes.get("alpha", 0.2)),
    "ClipByValue": lambda emit: emit.add("Min", emit.add("Max", emit.inputs[0], emit.inputs[1]), emit.inputs[2]),
    "Squeeze": _squeeze,
    "ExpandDims": lambda emit: emit.add("Unsqueeze", emit.inputs[0], emit.number([emit.settled(1)], "i8")),
    "Reshape": lambda emit: emit.add("Reshape", emit.inputs[0], emit.lengths(1)),
    "Tile": lambda emit: emit.add("Tile", emit.inputs[0], emit.lengths(1)),
    "Fill": lambda emit: emit.add("Expand", emit.inputs[1], emit.lengths(0)),
    "Shape": _shape,
    "Transpose": lambda emit: emit.add("Transpose", emit.inputs[0], perm=[int(n) for n in emit.settled(1)]),
    "ConcatV2": lambda emit: emit.add("Concat", *emit.inputs[:-1], axis=int(emit.settled(-1))),
    "GatherV2": lambda emit: emit.add("Gather", emit.inputs[0], emit.inputs[1], axis=int(emit.settled(2))),
    "Pack": _pack,
    "StridedSlice": _sliced,
    "Cast": _cast("DstT"),
    "ArgMax": _arg_max,
    **{op: _reduced(f"Reduce{op}") for op in ("Sum", "Mean", "Max", "Min", "Prod")},
    "Multinomial": _likeliest,
    "RandomStandardNormal": _zeros,
}  # fmt: skip
"""TensorFlow's operations in ONNX's, with what is likeliest in the place of draws."""

_DRAWN: Mapping[str, Emit] = {
    "Multinomial": _category,
    "RandomStandardNormal": lambda emit: emit.add("RandomNormalLike", _zeros(emit)),
}
"""Draws."""
