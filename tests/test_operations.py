"""Each of TensorFlow's operations in numpy, against values written out from its description.

The descriptions: tensorflow.org/api_docs/python/tf/raw_ops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import test_tensorflow_operations
from scipy import special

from spindb.play.engine.operations import OPERATIONS, RANDOM, draw_categories

A = np.array([[1.0, -2.0, 0.5], [4.0, 0.0, -1.0]], "f4")
B = np.array([[2.0, 2.0, -0.5], [-1.0, 3.0, 0.25]], "f4")
LOGITS = np.array([[0.0, math.log(2), math.log(3)], [1000.0, 1000.0, 1000.0]])
CUBE = np.arange(24.0).reshape(2, 3, 4)


def elementwise(function: Any) -> list[list[float]]:
    return [[function(float(x)) for x in row] for row in A]


POSITIVE = np.array([0.25, 1.0, 9.0])

CASES: dict[str, tuple[str, Mapping[str, Any], tuple[Any, ...], Any]] = {
    **{op: (op, {}, (A,), A) for op in ("Identity", "StopGradient", "Snapshot", "CheckNumerics")},
    "MatMul": ("MatMul", {}, (A, B.T), [[-2.25, -6.875], [8.5, -4.25]]),
    "MatMul of a transposed right side": ("MatMul", {"transpose_b": True}, (A, B), [[-2.25, -6.875], [8.5, -4.25]]),
    "MatMul of a transposed left side": ("MatMul", {"transpose_a": True}, (A, np.eye(2)), A.T),
    "BiasAdd": ("BiasAdd", {}, (A, np.array([1.0, 2.0, 3.0])), [[2, 0, 3.5], [5, 2, 2]]),
    "Add": ("Add", {}, (A, B), [[3, 0, 0], [3, 3, -0.75]]),
    "AddV2": ("AddV2", {}, (A, 1.0), [[2, -1, 1.5], [5, 1, 0]]),
    "AddN": ("AddN", {}, (A, A, B), [[4, -2, 0.5], [7, 3, -1.75]]),
    "AddN of one": ("AddN", {}, (A,), A),
    "Sub": ("Sub", {}, (A, B), [[-1, -4, 1], [5, -3, -1.25]]),
    "Mul": ("Mul", {}, (A, B), [[2, -4, -0.25], [-4, 0, -0.25]]),
    "RealDiv": ("RealDiv", {}, (A, 2.0), [[0.5, -1, 0.25], [2, 0, -0.5]]),
    "Div": ("Div", {}, (A, 4.0), [[0.25, -0.5, 0.125], [1, 0, -0.25]]),
    "Pow": ("Pow", {}, (A, 2.0), [[1, 4, 0.25], [16, 0, 1]]),
    "Maximum": ("Maximum", {}, (A, B), [[2, 2, 0.5], [4, 3, 0.25]]),
    "Minimum": ("Minimum", {}, (A, B), [[1, -2, -0.5], [-1, 0, -1]]),
    "ClipByValue": ("ClipByValue", {}, (A, -1.0, 2.0), [[1, -1, 0.5], [2, 0, -1]]),
    "SquaredDifference": ("SquaredDifference", {}, (A, B), [[1, 16, 1], [25, 9, 1.5625]]),
    "Neg": ("Neg", {}, (A,), [[-1, 2, -0.5], [-4, 0, 1]]),
    "Abs": ("Abs", {}, (A,), [[1, 2, 0.5], [4, 0, 1]]),
    "Sign": ("Sign", {}, (A,), [[1, -1, 1], [1, 0, -1]]),
    "Exp": ("Exp", {}, (A,), elementwise(math.exp)),
    "Log": ("Log", {}, (POSITIVE,), [math.log(0.25), 0, math.log(9)]),
    "Log1p": ("Log1p", {}, (POSITIVE,), [math.log(1.25), math.log(2), math.log(10)]),
    "Sqrt": ("Sqrt", {}, (POSITIVE,), [0.5, 1, 3]),
    "Rsqrt": ("Rsqrt", {}, (POSITIVE,), [2, 1, 1 / 3]),
    "Square": ("Square", {}, (A,), [[1, 4, 0.25], [16, 0, 1]]),
    "Reciprocal": ("Reciprocal", {}, (POSITIVE,), [4, 1, 1 / 9]),
    "Tanh": ("Tanh", {}, (A,), elementwise(math.tanh)),
    "Relu": ("Relu", {}, (A,), [[1, 0, 0.5], [4, 0, 0]]),
    "Relu6": ("Relu6", {}, (np.array([-1.0, 0.5, 6.0, 7.0]),), [0, 0.5, 6, 6]),
    "Elu": ("Elu", {}, (A,), elementwise(lambda x: x if x > 0 else math.exp(x) - 1)),
    "LeakyRelu": ("LeakyRelu", {}, (A,), [[1, -0.4, 0.5], [4, 0, -0.2]]),
    "LeakyRelu with a slope": ("LeakyRelu", {"alpha": 0.5}, (A,), [[1, -1, 0.5], [4, 0, -0.5]]),
    "Sigmoid": ("Sigmoid", {}, (A,), elementwise(lambda x: 1 / (1 + math.exp(-x)))),
    "Softplus": ("Softplus", {}, (A,), elementwise(lambda x: math.log(1 + math.exp(x)))),
    "Softsign": ("Softsign", {}, (A,), [[1 / 2, -2 / 3, 1 / 3], [4 / 5, 0, -1 / 2]]),
    "Softmax": ("Softmax", {}, (LOGITS,), [[1 / 6, 2 / 6, 3 / 6], [1 / 3] * 3]),
    "LogSoftmax": ("LogSoftmax", {}, (LOGITS,), special.log_softmax(LOGITS, axis=-1)),
    "Squeeze": ("Squeeze", {}, (A[None, :, None],), A),
    "Squeeze of one axis": ("Squeeze", {"squeeze_dims": [2]}, (A[None, :, None],), A[None]),
    "ExpandDims": ("ExpandDims", {}, (A, np.int32(1)), A[:, None]),
    "ExpandDims at the end": ("ExpandDims", {}, (A, np.int32(-1)), A[..., None]),
    "Reshape": ("Reshape", {}, (A, np.array([3, -1])), [[1, -2], [0.5, 4], [0, -1]]),
    "Shape": ("Shape", {}, (CUBE,), [2, 3, 4]),
    "Transpose": ("Transpose", {}, (A, np.array([1, 0])), [[1, 4], [-2, 0], [0.5, -1]]),
    "ConcatV2": ("ConcatV2", {}, (A, B, np.int32(1)), np.array([[*A[0], *B[0]], [*A[1], *B[1]]])),
    "Concat": ("Concat", {}, (np.int32(0), A, B), np.array([A[0], A[1], B[0], B[1]])),
    "Pack": ("Pack", {}, (A[0], A[1]), A),
    "Pack along the other axis": ("Pack", {"axis": 1}, (A[0], A[1]), A.T),
    "Slice": ("Slice", {}, (CUBE, [1, 0, 2], [1, -1, 1]), [[[14], [18], [22]]]),
    "Slice of a part": ("Slice", {}, (CUBE, [0, 1, 0], [2, 1, 2]), [[[4, 5]], [[16, 17]]]),
    "Tile": ("Tile", {}, (np.array([1, 2]), np.array([2])), [1, 2, 1, 2]),
    "Fill": ("Fill", {}, (np.array([2, 2]), np.float32(7)), [[7, 7], [7, 7]]),
    "ZerosLike": ("ZerosLike", {}, (A,), [[0, 0, 0], [0, 0, 0]]),
    "OnesLike": ("OnesLike", {}, (A,), [[1, 1, 1], [1, 1, 1]]),
    "Cast": ("Cast", {"DstT": "i4"}, (A,), [[1, -2, 0], [4, 0, -1]]),
    "ArgMax": ("ArgMax", {}, (A, np.int32(1)), [0, 0]),
    "ArgMax down": ("ArgMax", {}, (A, np.int32(0)), [1, 1, 0]),
    "OneHot": ("OneHot", {}, (np.array([2, 0]), np.int32(3), 1.0, 0.0), [[0, 0, 1], [1, 0, 0]]),
    "GatherV2": ("GatherV2", {}, (A, np.array([2, 0]), np.int32(1)), [[0.5, 1], [-1, 4]]),
    "Sum": ("Sum", {}, (A, np.array([1])), [-0.5, 3]),
    "Sum of all": ("Sum", {}, (A, np.array([0, 1])), 2.5),
    "Sum down one axis": ("Sum", {}, (A, np.int32(0)), [5, -2, -0.5]),
    "Sum keeping the axis": ("Sum", {"keep_dims": True}, (A, np.array([1])), [[-0.5], [3]]),
    "Mean": ("Mean", {}, (A, np.array([0])), [2.5, -1, -0.25]),
    "Max": ("Max", {}, (A, np.array([1])), [1, 4]),
    "Min": ("Min", {}, (A, np.array([1])), [-2, -1]),
    "Prod": ("Prod", {}, (A, np.array([1])), [-1, 0]),
    "Select": ("Select", {}, (A > 0, A, B), [[1, 2, 0.5], [4, 3, 0.25]]),
    "SelectV2": ("SelectV2", {}, (A < 0, 1.0, 0.0), [[0, 1, 0], [0, 0, 1]]),
    "Greater": ("Greater", {}, (A, 0.0), [[True, False, True], [True, False, False]]),
    "GreaterEqual": ("GreaterEqual", {}, (A, 0.0), [[True, False, True], [True, True, False]]),
    "Less": ("Less", {}, (A, 0.0), [[False, True, False], [False, False, True]]),
    "LessEqual": ("LessEqual", {}, (A, 0.0), [[False, True, False], [False, True, True]]),
    "Equal": ("Equal", {}, (A, 0.0), [[False, False, False], [False, True, False]]),
    "LogicalNot": ("LogicalNot", {}, (A > 0,), [[False, True, False], [False, True, True]]),
    "LogicalAnd": ("LogicalAnd", {}, (A > 0, A < 2), [[True, False, True], [False, False, False]]),
    "LogicalOr": ("LogicalOr", {}, (A < 0, A > 2), [[False, True, False], [True, False, True]]),
}


@pytest.mark.parametrize("case", CASES)
def test_operation(case: str) -> None:
    op, attributes, inputs, expected = CASES[case]
    found = OPERATIONS[op](attributes)(*inputs)
    assert np.shape(found) == np.shape(expected)
    assert np.asarray(found, dtype=float) == pytest.approx(np.asarray(expected, dtype=float), rel=1e-6)


def test_every_operation_has_a_case() -> None:
    told = {op for op, *_ in CASES.values()} | {"Split", "StridedSlice"}
    assert told | {op for op, *_ in test_tensorflow_operations.CASES.values()} == set(OPERATIONS)


# Bits of the masks stand for axes, the lowest for the first.
SLICES: dict[str, tuple[Mapping[str, int], tuple[list[int], list[int], list[int]], Any]] = {
    "a row": ({"shrink_axis_mask": 1}, ([1], [2], [1]), CUBE[1]),
    "the last row": ({"shrink_axis_mask": 1}, ([-1], [0], [1]), CUBE[-1]),
    "a column of a row": ({"shrink_axis_mask": 0b10}, ([0, 2], [1, 3], [1, 1]), CUBE[0:1, 2]),
    "from the beginning": ({"begin_mask": 0b10}, ([0, 9, 1], [2, 2, 3], [1, 1, 1]), CUBE[0:2, :2, 1:3]),
    "to the end": ({"end_mask": 0b100}, ([0, 0, 1], [1, 2, 0], [1, 1, 2]), CUBE[0:1, 0:2, 1::2]),
    "backwards": ({"begin_mask": 1, "end_mask": 1}, ([0], [0], [-1]), CUBE[::-1]),
    "a part of a row": ({"shrink_axis_mask": 1}, ([1, 0, 2], [2, 2, 4], [1, 1, 1]), CUBE[1, 0:2, 2:4]),
    "plain": ({}, ([0, 1], [1, 3], [1, 1]), CUBE[0:1, 1:3]),
}


@pytest.mark.parametrize("case", SLICES)
def test_strided_slice(case: str) -> None:
    masks, (begin, end, strides), expected = SLICES[case]
    found = OPERATIONS["StridedSlice"](masks)(CUBE, np.array(begin), np.array(end), np.array(strides))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ({"ellipsis_mask": 1, "shrink_axis_mask": 2}, CUBE[..., 2]),
        ({"new_axis_mask": 2, "begin_mask": 1, "end_mask": 1}, CUBE[:, None]),
        ({"ellipsis_mask": 1, "new_axis_mask": 2}, CUBE[..., None]),
    ],
    ids=["the last column", "a new axis", "a new axis at the end"],
)
def test_slices_with_an_ellipsis_or_a_new_axis(masks: Mapping[str, int], expected: Any) -> None:
    found = OPERATIONS["StridedSlice"](masks)(CUBE, np.array([0, 2]), np.array([0, 3]), np.array([1, 1]))
    assert found.tolist() == expected.tolist()


def test_split() -> None:
    left, right = OPERATIONS["Split"]({"num_split": 2})(np.int32(1), np.arange(8).reshape(2, 4))
    assert (left.tolist(), right.tolist()) == ([[0, 1], [4, 5]], [[2, 3], [6, 7]])


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "dtype"),
    [
        ("Shape", {}, (A,), "int32"),
        ("Shape", {"out_type": "i8"}, (A,), "int64"),
        ("ArgMax", {}, (A, 0), "int64"),
        ("ArgMax", {"output_type": "i4"}, (A, 0), "int32"),
        ("OneHot", {}, (np.array([0]), 2, 1.0, 0.0), "float32"),
        ("OneHot", {"T": "f8"}, (np.array([0]), 2, 1.0, 0.0), "float64"),
        ("LeakyRelu", {}, (A,), "float32"),
        ("Relu", {}, (A,), "float32"),
        ("Softplus", {}, (A,), "float32"),
        ("Fill", {}, (np.array([1]), np.float32(0)), "float32"),
        ("Fill", {}, (np.array([1]), np.int64(0)), "int64"),
    ],
)
def test_types(op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...], dtype: str) -> None:
    assert OPERATIONS[op](attributes)(*inputs).dtype == dtype


def test_types_that_numpy_does_not_have_are_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"^a type that is not numpy's \(DstT\)$"):
        OPERATIONS["Cast"]({"DstT": 14})


def test_great_numbers_stay_finite() -> None:
    great = np.array([[1000.0, -1000.0, 0.0]])
    assert OPERATIONS["Softmax"]({})(great).tolist() == [[1.0, 0.0, 0.0]]
    assert OPERATIONS["LogSoftmax"]({})(great).tolist() == [[0.0, -2000.0, -1000.0]]
    assert OPERATIONS["Elu"]({})(great).tolist() == [[1000.0, -1.0, 0.0]]
    assert OPERATIONS["Softplus"]({})(great) == pytest.approx(np.array([[1000.0, 0.0, math.log(2)]]))


# What is drawn.


def test_categories_are_drawn_as_often_as_their_logits_say() -> None:
    shares = np.array([0.5, 0.2, 0.3])
    logits = np.log(np.stack([shares, shares[::-1]])) + 5
    drawn = draw_categories(np.random.default_rng(0), logits, 20_000)
    assert drawn.shape == (2, 20_000)
    for row, expected in zip(drawn, (shares, shares[::-1]), strict=True):
        assert np.bincount(row, minlength=3) / 20_000 == pytest.approx(expected, abs=0.015)
    assert draw_categories(np.random.default_rng(0), logits).shape == (2, 1)
    certain = np.array([[-1e9, 0.0, -1e9]])
    assert set(draw_categories(np.random.default_rng(0), certain, 100).ravel().tolist()) == {1}


def test_multinomial() -> None:
    likeliest, draw = RANDOM["Multinomial"]({})
    logits = np.log(np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]]))
    found = likeliest(logits, np.int32(2))
    assert (found.tolist(), found.dtype) == ([[1, 1], [0, 0]], "int64")
    drawn = draw(np.random.default_rng(3), logits, np.int32(500))
    assert (drawn.shape, drawn.dtype) == ((2, 500), "int64")
    assert (drawn[0] == 1).mean() == pytest.approx(0.7, abs=0.07)
    small, _ = RANDOM["Multinomial"]({"output_dtype": "i4"})
    assert small(logits, 1).dtype == "int32"


@pytest.mark.parametrize(
    ("op", "certain", "mean", "deviation"),
    [("RandomStandardNormal", 0.0, 0.0, 1.0), ("RandomUniform", 0.5, 0.5, math.sqrt(1 / 12))],
)
def test_noise(op: str, certain: float, mean: float, deviation: float) -> None:
    likeliest, draw = RANDOM[op]({})
    found = likeliest(np.array([2, 3]))
    assert (found.tolist(), found.dtype) == ([[certain] * 3] * 2, "float32")
    drawn = draw(np.random.default_rng(1), np.array([100, 200]))
    assert (drawn.shape, drawn.dtype) == ((100, 200), "float32")
    assert (drawn.mean(), drawn.std()) == pytest.approx((mean, deviation), abs=0.02)
    double, _ = RANDOM[op]({"dtype": "f8"})
    assert double(np.array([1])).dtype == "float64"
