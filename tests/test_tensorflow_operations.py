"""Operations that policies of the last decade use beside dense layers, against TensorFlow itself.

Each case is computed by numpy within its budget; where TensorFlow is at hand, slowly, it computes the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from spindb.play.engine import budget
from spindb.play.engine.operations import OPERATIONS
from spindb.play.engine.signatures import SIGNATURES

RNG = np.random.default_rng(3)
A = RNG.normal(size=(3, 4)).astype("f4")
B = RNG.normal(size=(3, 4)).astype("f4")
UNIT = RNG.uniform(-1, 1, size=(3, 4)).astype("f4")
CUBE = RNG.normal(size=(2, 3, 4)).astype("f4")
PICTURES = RNG.normal(size=(2, 9, 8, 4)).astype("f4")
KERNEL = RNG.normal(size=(3, 2, 4, 5)).astype("f4")
GROUPED = RNG.normal(size=(3, 2, 2, 6)).astype("f4")
DEEP = RNG.normal(size=(3, 2, 4, 2)).astype("f4")
ODD = np.array([0.0, 1.0, np.nan, np.inf, -np.inf], "f4")
STATISTICS = tuple(RNG.uniform(0.5, 2, size=4).astype("f4") for _ in range(4))


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, "i4")


def number(value: float, dtype: str = "i4") -> np.ndarray:
    return np.array(value, dtype)


SAME = {"strides": [1, 2, 3, 1], "padding": b"SAME", "data_format": b"NHWC"}
EXPLICIT = {"strides": [1, 2, 1, 1], "padding": b"EXPLICIT", "explicit_paddings": [0, 0, 1, 2, 0, 1, 0, 0]}
DILATED = {"strides": [1, 1, 1, 1], "padding": b"VALID", "dilations": [1, 2, 3, 1]}
POOL = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1], "padding": b"SAME"}
EVALUATION = {"is_training": False, "epsilon": 1e-3}

CASES: dict[str, tuple[str, Mapping[str, Any], tuple[Any, ...]]] = {
    **{op: (op, {}, (A,)) for op in ("Expm1", "Erf", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Floor", "Ceil", "Atan")},
    **{op: (op, {}, (UNIT,)) for op in ("Asin", "Acos")},
    **{op: (op, {}, (A * 3,)) for op in ("Rint", "Round", "Selu", "Inv")},
    **{op: (op, {}, (ODD,)) for op in ("IsNan", "IsInf", "IsFinite")},
    **{op: (op, {}, (A, B)) for op in ("Atan2", "FloorDiv", "FloorMod", "Mod", "TruncateMod", "NotEqual")},
    "DivNoNan": ("DivNoNan", {}, (A, np.where(B > 0, B, 0).astype("f4"))),
    "PreventGradient": ("PreventGradient", {}, (A,)),
    "EnsureShape": ("EnsureShape", {"shape": (3, 4)}, (A,)),
    "L2Loss": ("L2Loss", {}, (A,)),
    "Rank": ("Rank", {}, (CUBE,)),
    "Size": ("Size", {}, (CUBE,)),
    "Unpack": ("Unpack", {"num": 3, "axis": 1}, (CUBE,)),
    "SplitV": ("SplitV", {"num_split": 3}, (CUBE, whole(1, -1, 2), number(2))),
    "Diag": ("Diag", {}, (A[0],)),
    "MatrixDiag": ("MatrixDiag", {}, (A,)),
    **{
        op: (op, {}, (A, number(0), number(-1), number(-1), number(0, "f4"))) for op in ("MatrixDiagV2", "MatrixDiagV3")
    },
    "Gather": ("Gather", {}, (A, whole(2, 0))),
    "BatchMatMul": ("BatchMatMul", {}, (CUBE, CUBE.transpose(0, 2, 1).copy())),
    "BatchMatMulV2": ("BatchMatMulV2", {"adj_y": True}, (CUBE, CUBE[:1])),
    "BatchMatMulV3": ("BatchMatMulV3", {"adj_x": True, "Tout": "f4"}, (CUBE, CUBE)),
    **{op: (op, {}, (CUBE > 0, whole(1))) for op in ("All", "Any")},
    "EuclideanNorm": ("EuclideanNorm", {}, (CUBE, whole(0, 2))),
    "ArgMin": ("ArgMin", {}, (A, number(1))),
    **{op: (op, {}, (A, number(1))) for op in ("Cumsum", "Cumprod")},
    "BroadcastTo": ("BroadcastTo", {}, (A[:, None], whole(3, 2, 4))),
    "BroadcastArgs": ("BroadcastArgs", {}, (whole(3, 1, 4), whole(2, 1))),
    "Pad": ("Pad", {}, (A, np.array([[1, 0], [0, 2]], "i4"))),
    "PadV2": ("PadV2", {}, (A, np.array([[1, 0], [0, 2]], "i4"), number(2.5, "f4"))),
    "ReverseV2": ("ReverseV2", {}, (CUBE, whole(0, 2))),
    "Range": ("Range", {}, (number(1), number(9), number(3))),
    "Conv2D": ("Conv2D", SAME, (PICTURES, KERNEL)),
    "Conv2D with paddings of its own": ("Conv2D", EXPLICIT, (PICTURES, KERNEL)),
    "Conv2D with gaps": ("Conv2D", DILATED, (PICTURES, KERNEL)),
    "Conv2D in groups": ("Conv2D", {"strides": [1, 1, 1, 1], "padding": b"VALID"}, (PICTURES, GROUPED)),
    "DepthwiseConv2dNative": (
        *("DepthwiseConv2dNative", {"strides": [1, 2, 2, 1], "padding": b"SAME"}),
        (PICTURES, DEEP),
    ),
    "MaxPool": ("MaxPool", POOL, (PICTURES,)),
    "AvgPool": ("AvgPool", POOL, (PICTURES,)),
    "AvgPool within": ("AvgPool", {**POOL, "padding": b"VALID"}, (PICTURES,)),
    **{
        op: (op, EVALUATION, (PICTURES, *STATISTICS))
        for op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
    },
}


def computed(case: str) -> tuple[str, Mapping[str, Any], tuple[Any, ...], list[Any]]:
    op, attributes, inputs = CASES[case]
    with np.errstate(all="ignore"):
        found = OPERATIONS[op](attributes)(*inputs)
    return op, attributes, inputs, list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("case", CASES)
def test_an_operation_stays_within_what_it_was_said_to_cost(case: str) -> None:
    op, attributes, inputs, found = computed(case)
    made, work = budget.cost(op, attributes, list(inputs))
    owned = sum(np.asarray(value).nbytes for value in found if np.asarray(value).base is None)
    assert made >= owned
    assert work >= 0
    assert SIGNATURES[op].takes(len(inputs))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_operation_is_that_of_tensorflow(case: str) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    op, attributes, inputs, found = computed(case)
    given = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    given |= {"Tout": tensorflow.float32} if "Tout" in given else {}
    if op == "Inv":
        wanted = tensorflow.raw_ops.Reciprocal(x=inputs[0])
    elif op == "Unpack":
        wanted = tensorflow.unstack(inputs[0], num=given["num"], axis=given["axis"])
    elif op == "TruncateMod" or op == "Mod":
        wanted = tensorflow.raw_ops.TruncateMod(x=inputs[0], y=inputs[1])
    elif op in ("MatrixDiag", "Diag"):
        wanted = getattr(tensorflow.raw_ops, op)(diagonal=inputs[0])
    else:
        function = getattr(tensorflow.raw_ops, op)
        names = inspect.signature(function).parameters
        names = [name for name in names if name not in given and name != "name"]
        wanted = function(**dict(zip(names, inputs, strict=False)), **given)
    wanted = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    for ours, theirs in zip(found, wanted[: 1 if op.startswith("Fused") else None], strict=not op.startswith("Fused")):
        theirs = theirs.numpy()
        assert (np.shape(ours), np.asarray(ours).dtype) == (theirs.shape, theirs.dtype)
        assert np.asarray(ours) == pytest.approx(theirs, abs=1e-5, rel=1e-5, nan_ok=True)
