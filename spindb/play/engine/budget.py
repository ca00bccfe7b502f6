"""Limits on memory and work of the evaluation of a graph, checked before arrays are allocated.

A file of a few bytes can request any size: ``Fill([2**40], 0)``. So the size of each result is first computed from the
inputs (`cost`). `spindb.play.engine.program` decides which evaluations need the check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spindb.play.engine.convolution import is_channels_first, output_shape
from spindb.play.engine.signatures import SIGNATURES

RESULT = 256 << 20
"""Largest size of one array, in bytes."""
TOTAL = 1 << 30
"""Largest total size of all arrays of one evaluation, and of all constants of a graph, in bytes."""
WORK = 10**10
"""Most elements read and written by one evaluation; 16 multiplications of a float matrix product count as one."""
_MAX_AXES = 32  # numpy's own limit
_FAST = 16  # BLAS does this many multiplications in the time of one element elsewhere; integer products do not use BLAS
_OVERHEAD = 256  # bytes of an array without elements


class BudgetError(ValueError):
    """A limit would be exceeded; the message has the size."""


class Budget:
    """The memory and work used so far."""

    def __init__(self) -> None:
        self._made = 0
        self._worked = 0

    def spend(self, made: int, work: int) -> None:
        """Add an array of `made` bytes, and `work` elements.

        Raises:
            BudgetError: a limit would be exceeded.
        """
        if made > RESULT:
            raise BudgetError(f"would make an array of {_size(made)}; the limit is {_size(RESULT)}")
        self._made += made
        self._worked += work
        if self._made > TOTAL:
            raise BudgetError(f"the arrays made so far take {_size(self._made)}; the limit is {_size(TOTAL)}")
        if self._worked > WORK:
            raise BudgetError(f"takes {self._worked:.2g} elements of work so far; the limit is {WORK:.2g}")


def cost(op: str, attributes: Mapping[str, Any], inputs: Sequence[Any]) -> tuple[int, int]:
    """The bytes that an operation allocates, and the elements that it reads and writes.

    Raises:
        ValueError: a length is negative, or the shapes do not fit. numpy's own errors for unexpected types.
    """
    count, work = _COUNTS.get(op, _broadcast)(attributes, inputs)
    sizing = {which % len(inputs) for which in SIGNATURES[op].sizing}
    types = [np.asarray(value).dtype for which, value in enumerate(inputs) if which not in sizing]
    # An upper bound: results of integers, and of the operations in _WIDE, may have eight bytes per element.
    known = op not in _WIDE and any(dtype.kind == "f" for dtype in types)
    itemsize = max(dtype.itemsize for dtype in types) if known else 8
    return count * itemsize + _OVERHEAD, work + count


def elements(shape: Any) -> int:
    """The number of elements of an array of that shape.

    Raises:
        ValueError: a length is negative, or there are too many axes.
    """
    lengths = np.atleast_1d(np.asarray(shape)) if not isinstance(shape, tuple) else shape
    if len(lengths) > _MAX_AXES or getattr(lengths, "ndim", 1) > 1:
        raise ValueError(f"a shape of {len(lengths)} axes; {_MAX_AXES} are possible")
    found = [int(length) for length in lengths]
    if any(length < 0 for length in found):
        raise ValueError(f"a shape with a negative length: {found}")
    if any(length >= 2**62 for length in found):
        raise ValueError("a shape with a length that no memory holds")
    return math.prod(found)


def _size(count: int) -> str:
    power, unit = next((p for p in ((30, "GiB"), (20, "MiB")) if count >= 1 << p[0]), (10, "KiB"))
    value = count >> power  # integers: the count may exceed the range of floats
    return f"{value:,} {unit}" if value < 10**9 else f"more than {10**9:,} {unit}"


Count = tuple[int, int]
_Counter = Callable[[Mapping[str, Any], Sequence[Any]], Count]


def _read(inputs: Sequence[Any]) -> int:
    return sum(np.size(value) for value in inputs)


def _broadcast(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return math.prod(np.broadcast_shapes(*map(np.shape, inputs))), _read(inputs)


def _views(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return 0, 0


def _copies(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return _read(inputs), _read(inputs)


def _mat_mul(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    left, right = (list(np.shape(value)) for value in inputs)
    if min(len(left), len(right)) < 2:
        raise ValueError(f"a product of arrays of shapes {tuple(left)} and {tuple(right)}")
    if attributes.get("transpose_a"):
        left.reverse()
    if attributes.get("transpose_b"):
        right.reverse()
    count = math.prod(np.broadcast_shapes(left[:-2], right[:-2])) * left[-2] * right[-1]
    fast = all(np.asarray(value).dtype.char in "fd" for value in inputs)
    return count, count * left[-1] // (_FAST if fast else 1) + _read(inputs)


def _shaped(which: int) -> _Counter:
    """Counts of a result whose shape is the value of an input."""
    return lambda attributes, inputs: (elements(inputs[which]), 0)


def _tile(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return elements(inputs[1]) * np.size(inputs[0]), 0


def _one_hot(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return 2 * elements(np.reshape(inputs[1], (1,))) * np.size(inputs[0]), 0


def _gather(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    shape = list(np.shape(inputs[0]))
    del shape[int(inputs[2])]
    return math.prod(shape) * np.size(inputs[1]), 0


def _split(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    parts = int(attributes["num_split"])
    if parts < 1:
        raise ValueError(f"a split into {parts} parts")
    return parts * _OVERHEAD, parts


def _multinomial(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return (elements(np.reshape(inputs[1], (1,))) + 3) * np.size(inputs[0]), 0


def _diagonals(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    shape = np.shape(inputs[0])
    if not shape:
        raise ValueError("a diagonal of one number")
    count = math.prod(shape) * shape[-1]
    return 2 * count, count


def _padded(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    sides = np.asarray(inputs[1])
    if sides.shape != (np.ndim(inputs[0]), 2):
        raise ValueError(f"paddings of shape {sides.shape} for an array of {np.ndim(inputs[0])} axes")
    lengths = tuple(
        length + int(pair[0]) + int(pair[1]) for length, pair in zip(np.shape(inputs[0]), sides, strict=True)
    )
    return elements(lengths), 0


def _ranged(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    start, limit, delta = (float(np.reshape(value, ())) for value in inputs)
    if not delta or not all(map(math.isfinite, (start, limit, delta))):
        raise ValueError(f"a range from {start} to {limit} by {delta}")
    return elements((max(math.ceil((limit - start) / delta), 0) + 1,)), 0


def _convolved(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    """Counts of a convolution, including the windows, which are copied for the matrix product."""
    if np.ndim(inputs[1]) != 4:
        raise ValueError(f"a kernel of shape {np.shape(inputs[1])}")
    high, wide, inner, outer = np.shape(inputs[1])
    shape = np.shape(inputs[0])
    n, rows, columns, pixels = output_shape(attributes, shape, (high, wide))
    channels = shape[1] if is_channels_first(attributes) else shape[3]
    windows = n * rows * columns * channels * high * wide
    outer = outer if inner == channels or outer > channels else outer * channels
    product = windows * max(outer, 1) // _FAST
    return windows + n * (rows * columns * outer * 2 + 2 * pixels * channels), product + _read(inputs)


def _pooled(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    shape = np.shape(inputs[0])
    first = is_channels_first(attributes)
    sizes = [int(n) for n in attributes["ksize"]]
    high, wide = sizes[2:4] if first else sizes[1:3]
    n, rows, columns, pixels = output_shape(attributes, shape, (high, wide))
    channels = shape[1] if first else shape[3]
    return n * channels * (3 * rows * columns + 2 * pixels), n * channels * rows * columns * high * wide


def _normalised(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return 2 * np.size(inputs[0]) + 4 * np.size(inputs[1]), _read(inputs)


def _batch_mat_mul(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    turned = {"transpose_a": attributes.get("adj_x"), "transpose_b": attributes.get("adj_y")}
    left, right = (list(np.shape(value)) for value in inputs)
    if min(len(left), len(right)) < 2:
        raise ValueError(f"a product of arrays of shapes {tuple(left)} and {tuple(right)}")
    if turned["transpose_a"]:
        left[-2:] = left[:-3:-1]
    if turned["transpose_b"]:
        right[-2:] = right[:-3:-1]
    count = math.prod(np.broadcast_shapes(left[:-2], right[:-2])) * left[-2] * right[-1]
    return count, count * left[-1] + _read(inputs)


def _taken(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Count:
    return math.prod(np.shape(inputs[0])[1:]) * np.size(inputs[1]), 0


_COUNTS: Mapping[str, _Counter] = {
    "MatMul": _mat_mul,
    **dict.fromkeys(("Squeeze", "ExpandDims", "Transpose", "StridedSlice", "Slice", "Shape", "Identity"), _views),
    **dict.fromkeys(("Reshape", "ConcatV2", "Concat", "Pack"), _copies),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "ArgMax"), _copies),
    **dict.fromkeys(("Fill", "RandomStandardNormal", "RandomUniform"), _shaped(0)),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _batch_mat_mul),
    **dict.fromkeys(("Diag", "MatrixDiag", "MatrixDiagV2", "MatrixDiagV3"), _diagonals),
    **dict.fromkeys(("Pad", "PadV2"), _padded),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative"), _convolved),
    **dict.fromkeys(("MaxPool", "AvgPool"), _pooled),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _normalised),
    **dict.fromkeys(("SplitV", "Unpack", "Cumsum", "Cumprod", "All", "Any", "ArgMin", "EuclideanNorm"), _copies),
    **dict.fromkeys(("L2Loss", "BroadcastArgs"), _copies),
    **dict.fromkeys(("Rank", "Size", "EnsureShape", "PreventGradient", "ReverseV2", "Unpack"), _views),
    "BroadcastTo": _shaped(1),
    "RandomUniformInt": _shaped(0),
    "TruncatedNormal": lambda attributes, inputs: (3 * elements(inputs[0]), elements(inputs[0]) * 3),
    "Range": _ranged,
    "Gather": _taken,
    "Tile": _tile,
    "OneHot": _one_hot,
    "GatherV2": _gather,
    "Split": _split,
    "Multinomial": _multinomial,
}
"""Operations whose result does not have the broadcast shape of the inputs."""
_WIDE = (
    "Cast",
    "RandomStandardNormal",
    "RandomUniform",
    "Multinomial",
    "OneHot",
    "ArgMax",
    "Range",
    "TruncatedNormal",
    "RandomUniformInt",
    "Erf",
)
"""Operations whose result may have eight bytes per element for any inputs."""

assert set(_COUNTS) <= set(SIGNATURES)
