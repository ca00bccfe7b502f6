"""Each operation that a plan tells in ONNX's, run by onnxruntime beside numpy (`test_operations.py` checks numpy)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_export_policy import run_onnx

from spindb.disk.codecs.nodes import Constant, Node
from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.program import Graph
from spindb.play.export.onnx_plan import Plan, plan_of
from spindb.play.export.write import largest_difference, write_npz, write_onnx

W = np.array([[1.0, -2.0], [0.5, 0.25], [-1.0, 3.0]], "f4")
ROW = np.array([0.5, -0.25, 2.0], "f4")
INDICES = np.array([2, 0], "i4")


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, "i4")


def scalar(value: float, dtype: str = "f4") -> np.ndarray:
    return np.array(value, dtype)


def policy_of(
    op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...], before: Mapping[str, Node] | None = None
) -> GraphPolicy:
    """A policy that observes ``x`` of three numbers and gives what one operation makes of it and of constants."""
    nodes = {"x": Node("x", "Placeholder", (), {"dtype": "f4", "shape": (-1, 3)}), **(before or {})}
    names = []
    for place, item in enumerate(inputs):
        name = item if isinstance(item, str) else f"constant{place}"
        if not isinstance(item, str):
            value = Constant(item.dtype.str[1:], item.shape, item.tobytes(), ())
            nodes[name] = Node(name, "Const", (), {"value": value, "dtype": item.dtype.str[1:]})
        names.append(name)
    nodes["result"] = Node("result", op, tuple(names), attributes)
    graph = Graph(Path("save"), nodes, {}, {"x": "x"}, {"pi": "result"})
    return GraphPolicy(graph, deterministic=True)


POSITIVE = {
    "abs": Node("abs", "Abs", ("x",), {}),
    "one": Node("one", "Const", (), {"value": Constant("f4", (), np.float32(0.1).tobytes(), ())}),
    "positive": Node("positive", "Add", ("abs", "one"), {}),
    "sign": Node("sign", "Greater", ("x", "one"), {}),
    "small": Node("small", "Less", ("abs", "one"), {}),
    "length": Node("length", "Shape", ("x",), {"out_type": "i4"}),
}
"""Nodes that a case may start from beside ``x``."""

SLICE_X = ("x", whole(0, 1), whole(0, 3), whole(1, 1))

CASES: dict[str, tuple[str, Mapping[str, Any], tuple[Any, ...]]] = {
    "MatMul": ("MatMul", {}, ("x", W)),
    "MatMul by a transposed constant": ("MatMul", {"transpose_b": True}, ("x", np.ascontiguousarray(W.T))),
    "MatMul of what is transposed": ("MatMul", {"transpose_a": True}, ("x", "positive")),
    "MatMul by what is transposed": ("MatMul", {"transpose_b": True}, ("x", "positive")),
    **{op: (op, {}, ("x", ROW)) for op in ("BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div")},
    **{op: (op, {}, ("x", ROW)) for op in ("Maximum", "Minimum", "SquaredDifference")},
    **{op: (op, {}, ("x", ROW)) for op in ("Greater", "GreaterEqual", "Less", "LessEqual", "Equal")},
    "AddN": ("AddN", {}, ("x", "positive", "x")),
    "Pow": ("Pow", {}, ("positive", scalar(1.5))),
    **{op: (op, {}, ("x",)) for op in ("Neg", "Abs", "Sign", "Exp", "Square", "Tanh", "Relu", "Relu6", "Elu")},
    **{op: (op, {}, ("x",)) for op in ("Sigmoid", "Softplus", "Softsign", "Softmax", "LogSoftmax", "LeakyRelu")},
    **{op: (op, {}, ("positive",)) for op in ("Log", "Log1p", "Sqrt", "Rsqrt", "Reciprocal")},
    **{op: (op, {}, ("x",)) for op in ("Erf", "Selu", "Sin", "Cos", "Floor", "Ceil", "Atan", "Rint", "Expm1")},
    "PreventGradient": ("PreventGradient", {}, ("x",)),
    "NotEqual": ("NotEqual", {}, ("x", ROW)),
    "LeakyRelu with a slope": ("LeakyRelu", {"alpha": 0.5}, ("x",)),
    "ClipByValue": ("ClipByValue", {}, ("x", scalar(-0.5), scalar(0.25))),
    "LogicalNot": ("LogicalNot", {}, ("sign",)),
    "LogicalAnd": ("LogicalAnd", {}, ("sign", "small")),
    "LogicalOr": ("LogicalOr", {}, ("sign", "small")),
    "Select": ("Select", {}, ("sign", "x", "positive")),
    "SelectV2": ("SelectV2", {}, ("sign", "positive", "x")),
    "ExpandDims": ("ExpandDims", {}, ("x", scalar(1, "i4"))),
    "Reshape": ("Reshape", {}, ("x", whole(-1, 1, 3))),
    "Reshape as another": ("Reshape", {}, ("positive", "length")),
    "Tile": ("Tile", {}, ("x", whole(1, 2))),
    "Fill": ("Fill", {}, ("length", scalar(2.5))),
    "Shape": ("Shape", {}, ("x",)),
    "Shape in 64 bits": ("Shape", {"out_type": "i8"}, ("x",)),
    "Transpose": ("Transpose", {}, ("x", whole(1, 0))),
    "ConcatV2": ("ConcatV2", {}, ("x", "positive", scalar(1, "i4"))),
    "GatherV2": ("GatherV2", {}, ("x", INDICES, scalar(1, "i4"))),
    "Pack": ("Pack", {}, ("x", "positive")),
    "Pack at the end": ("Pack", {"axis": 2}, ("x", "positive")),
    "Cast": ("Cast", {"DstT": "i4"}, ("x",)),
    "ArgMax": ("ArgMax", {}, ("x", scalar(1, "i4"))),
    "ArgMax in 32 bits": ("ArgMax", {"output_type": "i4"}, ("x", scalar(1, "i4"))),
    **{op: (op, {}, ("x", whole(1))) for op in ("Sum", "Mean", "Max", "Min", "Prod")},
    "Sum that keeps the axis": ("Sum", {"keep_dims": True}, ("x", scalar(1, "i4"))),
    "Mean of two axes": ("Mean", {}, ("x", whole(0, 1))),
    "StridedSlice": ("StridedSlice", {}, ("x", whole(0, 0), whole(9, 2), whole(1, 1))),
    "StridedSlice from the beginning": ("StridedSlice", {"begin_mask": 3, "end_mask": 1}, SLICE_X),
    "StridedSlice to the end": ("StridedSlice", {"begin_mask": 1, "end_mask": 3}, SLICE_X),
    "StridedSlice backwards": (
        *("StridedSlice", {"begin_mask": 3, "end_mask": 3}),
        ("x", whole(0, 0), whole(0, 0), whole(1, -1)),
    ),
    "StridedSlice by steps of two": (
        *("StridedSlice", {"end_mask": 3}),
        ("x", whole(0, 0), whole(0, 0), whole(1, 2)),
    ),
    "StridedSlice of one column": (
        *("StridedSlice", {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}),
        ("x", whole(0, 1), whole(0, 2), whole(1, 1)),
    ),
    "StridedSlice of the last column": (
        *("StridedSlice", {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}),
        ("x", whole(0, -1), whole(0, 0), whole(1, 1)),
    ),
    "StridedSlice of one row": ("StridedSlice", {"shrink_axis_mask": 1}, ("x", whole(4), whole(5), whole(1))),
    "Multinomial": ("Multinomial", {}, ("x", scalar(1, "i4"))),
    "Multinomial in 32 bits": ("Multinomial", {"output_dtype": "i4"}, ("x", scalar(1, "i4"))),
    "RandomStandardNormal": ("RandomStandardNormal", {"dtype": "f4"}, ("length",)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_operation_is_that_of_onnx(case: str, tmp_path: Path) -> None:
    op, attributes, inputs = CASES[case]
    policy = policy_of(op, attributes, inputs, POSITIVE)
    plan = plan_of(policy)
    assert (plan.observation_shape, plan.observation_dtype) == ((3,), "f4")
    write_onnx(tmp_path / "policy.onnx", plan, {})
    observations = np.random.default_rng(1).normal(size=(1000, 3)).astype("f4")
    for scaled in (observations, observations[:5] * 5):
        found, wanted = run_onnx(tmp_path / "policy.onnx", scaled)["action"], np.asarray(policy.actions(scaled))
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axes", [[1], None])
def test_squeeze(axes: list[int] | None, tmp_path: Path) -> None:
    """Without axes it is unknown how many are left: ONNX's checker refuses that."""
    axis = Node("axis", "Const", (), {"value": Constant("i4", (), np.int32(1).tobytes(), ())})
    apart = {"axis": axis, "apart": Node("apart", "ExpandDims", ("x", "axis"), {})}
    policy = policy_of("Squeeze", {"squeeze_dims": axes} if axes else {}, ("apart",), apart)
    if axes is None:
        with pytest.raises(PolicyError, match=r"^no valid ONNX model came of it: "):
            write_onnx(tmp_path / "policy.onnx", plan_of(policy), {})
        return
    write_onnx(tmp_path / "policy.onnx", plan_of(policy), {})
    assert largest_difference(tmp_path / "policy.onnx", policy) == 0


def steps(plan: Plan) -> list[str]:
    return [step.op for step in plan.steps]


def test_equal_steps_are_told_once_but_for_draws() -> None:
    twice = {"first": Node("first", "Tanh", ("x",), {}), "second": Node("second", "Tanh", ("x",), {})}
    assert steps(plan_of(policy_of("Add", {}, ("first", "second"), twice))) == ["Tanh", "Add"]
    square = plan_of(policy_of("Square", {}, ("x",)))
    assert [(step.op, step.inputs) for step in square.steps] == [("Mul", ("observation", "observation"))]


def test_what_follows_from_no_input_is_an_array() -> None:
    constant = {"sum": Node("sum", "Add", ("constant1", "constant1"), {})}
    plan = plan_of(policy_of("Mul", {}, ("x", ROW, "sum")[:2], None))
    assert [array.tolist() for array in plan.arrays.values()] == [ROW.tolist()]
    nodes = policy_of("Mul", {}, ("x", ROW)).graph.nodes
    graph = Graph(
        Path("save"),
        {**nodes, **constant, "result": Node("result", "Mul", ("x", "sum"), {})},
        {},
        {"x": "x"},
        {"pi": "result"},
    )
    folded = plan_of(GraphPolicy(graph, deterministic=True))
    assert steps(folded) == ["Mul"]
    assert [array.tolist() for array in folded.arrays.values()] == [(2 * ROW).tolist()]


@pytest.mark.parametrize(
    ("op", "attributes", "inputs"),
    [
        ("OneHot", {}, ("length", scalar(3, "i4"), scalar(1), scalar(0))),
        ("Sum", {}, ("x", "length")),
        ("Multinomial", {}, ("x", scalar(2, "i4"))),
    ],
    ids=["OneHot", "axes that are no constants", "several draws"],
)
def test_what_can_not_be_told_is_refused(op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...]) -> None:
    with pytest.raises(PolicyError) as caught:
        plan_of(policy_of(op, attributes, inputs, POSITIVE))
    assert caught.value.message == f"save: the operation {op} of result can't be exported"
    assert str(caught.value.hint).startswith("spindb export-policy exports feed-forward networks only")


def test_a_policy_that_does_not_say_what_it_observes_is_refused() -> None:
    graph = policy_of("Tanh", {}, ("x",)).graph
    nodes = {**graph.nodes, "x": Node("x", "Placeholder", (), {"dtype": "f4", "shape": None})}
    with pytest.raises(PolicyError, match=r"^save does not tell the shape of its observations"):
        plan_of(GraphPolicy(Graph(graph.save, nodes, {}, graph.inputs, graph.outputs)))


def test_what_comes_out_of_several_outputs_can_not_be_told() -> None:
    parts = {
        "axis": Node("axis", "Const", (), {"value": Constant("i4", (), np.int32(1).tobytes(), ())}),
        "parts": Node("parts", "Split", ("axis", "x"), {"num_split": 3}),
    }
    with pytest.raises(PolicyError, match=r"^save: the operation Split of parts can't be exported$"):
        plan_of(policy_of("Tanh", {}, ("parts:1",), parts))
    graph = policy_of("Tanh", {}, ("x",), parts).graph
    last = Graph(graph.save, graph.nodes, {}, graph.inputs, {"pi": "parts:2"})
    with pytest.raises(PolicyError, match=r"^save: the operation Split of parts can't be exported$"):
        plan_of(GraphPolicy(last, deterministic=True))


def test_the_version_of_the_operations_is_the_one_that_is_said(tmp_path: Path) -> None:
    import onnx

    plan = plan_of(policy_of("Tanh", {}, ("x",)))
    write_onnx(tmp_path / "policy.onnx", plan, {"run": "a"})
    model = onnx.load(tmp_path / "policy.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert (model.producer_name, model.ir_version) == ("spindb", 8)
    write_npz(tmp_path / "policy.npz", plan, {"run": "a"})
    program = json.loads(str(np.load(tmp_path / "policy.npz")["program"]))
    assert program == {
        "about": {"run": "a"},
        "opset": 18,
        "input": {"name": "observation", "shape": [None, 3], "dtype": "f4"},
        "steps": [{"op": "Tanh", "inputs": ["observation"], "output": "tanh_0", "attributes": {}}],
        "outputs": {"action": "tanh_0"},
    }
