"""The number of inputs of each supported operation, and the inputs that determine the size of the result.

A node with another number of inputs is damaged: numpy would raise, or interpret an input as an optional argument
(``np.argmax(x, axis, out)``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputCount:
    """`least` to `most` inputs (None: unlimited); the values of those at `sizing` determine the shape of the result."""

    least: int
    most: int | None
    sizing: tuple[int, ...] = ()

    def takes(self, count: int) -> bool:
        """Whether `count` inputs are valid."""
        return self.least <= count and (self.most is None or count <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"{self.least} or more"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


_NONE, _ONE, _TWO, _THREE = InputCount(0, 0), InputCount(1, 1), InputCount(2, 2), InputCount(3, 3)

SIGNATURES: Mapping[str, InputCount] = {
    **dict.fromkeys(("Placeholder", "PlaceholderV2", "Const", "VariableV2", "Variable", "VarHandleOp"), _NONE),
    "PlaceholderWithDefault": _ONE,
    **dict.fromkeys(("Identity", "StopGradient", "Snapshot", "ReadVariableOp", "CheckNumerics"), _ONE),
    **dict.fromkeys(("Neg", "Abs", "Sign", "Exp", "Log", "Log1p", "Sqrt", "Rsqrt", "Square", "Reciprocal"), _ONE),
    **dict.fromkeys(("Tanh", "Relu", "Relu6", "Elu", "LeakyRelu", "Sigmoid", "Softplus", "Softsign"), _ONE),
    **dict.fromkeys(("Softmax", "LogSoftmax", "ZerosLike", "OnesLike", "Shape", "Squeeze", "Cast", "LogicalNot"), _ONE),
    **dict.fromkeys(("MatMul", "BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Pow"), _TWO),
    **dict.fromkeys(("Maximum", "Minimum", "SquaredDifference"), _TWO),
    **dict.fromkeys(("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "LogicalAnd", "LogicalOr"), _TWO),
    **dict.fromkeys(("Select", "SelectV2", "ClipByValue"), _THREE),
    **dict.fromkeys(
        ("Inv", "Expm1", "Erf", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Floor", "Ceil", "Asin", "Acos"), _ONE
    ),
    **dict.fromkeys(("Atan", "Rint", "Round", "Selu", "IsNan", "IsInf", "IsFinite", "PreventGradient", "L2Loss"), _ONE),
    **dict.fromkeys(("Rank", "Size", "EnsureShape", "Unpack", "Diag", "MatrixDiag", "MaxPool", "AvgPool"), _ONE),
    **dict.fromkeys(("Atan2", "FloorDiv", "FloorMod", "Mod", "TruncateMod", "DivNoNan", "NotEqual", "Gather"), _TWO),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "DepthwiseConv2dNative"), _TWO),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), InputCount(5, 5)),
    "MatrixDiagV2": InputCount(5, 5, (1, 2, 3)),
    "MatrixDiagV3": InputCount(5, 5, (1, 2, 3)),
    "AddN": InputCount(1, None),
    "Pack": InputCount(1, None),
    "ConcatV2": InputCount(2, None, (-1,)),
    "Concat": InputCount(2, None, (0,)),
    **dict.fromkeys(("ExpandDims", "Reshape", "Transpose", "Tile", "ArgMax"), InputCount(2, 2, (1,))),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm"), InputCount(2, 2, (1,))),
    **dict.fromkeys(("ArgMin", "Cumsum", "Cumprod", "BroadcastTo", "Pad", "ReverseV2"), InputCount(2, 2, (1,))),
    "PadV2": InputCount(3, 3, (1,)),
    "BroadcastArgs": InputCount(2, 2, (0, 1)),
    "Range": InputCount(3, 3, (0, 1, 2)),
    "SplitV": InputCount(3, 3, (1, 2)),
    **dict.fromkeys(("Split", "Fill"), InputCount(2, 2, (0,))),
    "StridedSlice": InputCount(4, 4, (1, 2, 3)),
    "Slice": InputCount(3, 3, (1, 2)),
    "OneHot": InputCount(4, 4, (1,)),
    "GatherV2": InputCount(3, 3, (2,)),
    "Multinomial": InputCount(2, 2, (1,)),
    **dict.fromkeys(("RandomStandardNormal", "RandomUniform", "TruncatedNormal"), InputCount(1, 1, (0,))),
    "RandomUniformInt": InputCount(3, 3, (0,)),
}
