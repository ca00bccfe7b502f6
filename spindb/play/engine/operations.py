"""TensorFlow operations in numpy, as far as feed-forward policies use them.

Each entry takes a node's attributes and returns the function of its inputs. The operations are documented at
tensorflow.org/api_docs/python/tf/raw_ops.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from spindb.play.arrays import Array
from spindb.play.engine import convolution
from spindb.play.engine.convolution import pad

Attributes: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[..., Any]


def _whole(value: Any) -> int:
    """A tensor that is a single integer, as int.

    Raises:
        TypeError, ValueError: it is something else.
    """
    return operator.index(value.item() if hasattr(value, "item") else value)


def _type(attributes: Attributes, name: str, default: str | None = None) -> str:
    """An attribute that is a type.

    Raises:
        NotImplementedError: numpy lacks the type.
        KeyError: the attribute is missing, and there is no default.
    """
    if name not in attributes and default is not None:
        return default
    found = attributes[name]
    if not isinstance(found, str):
        raise NotImplementedError(f"a type that is not numpy's ({name})")
    return found


def _plain(function: Function) -> Callable[[Attributes], Function]:
    return lambda _: function


def _mat_mul(attributes: Attributes) -> Function:
    left, right = attributes.get("transpose_a"), attributes.get("transpose_b")
    if not left and not right:
        return lambda a, b: a @ b
    return lambda a, b: np.matmul(a.T if left else a, b.T if right else b)


def _squeeze(attributes: Attributes) -> Function:
    axes = tuple(attributes.get("squeeze_dims") or ())
    return (lambda x: np.squeeze(x, axis=axes)) if axes else np.squeeze


def _reduction(function: Function) -> Callable[[Attributes], Function]:
    def make(attributes: Attributes) -> Function:
        keep = bool(attributes.get("keep_dims"))
        return lambda x, axes: function(x, axis=tuple(np.atleast_1d(axes).tolist()), keepdims=keep)

    return make


def _cast(attributes: Attributes) -> Function:
    target = _type(attributes, "DstT")
    return lambda x: x.astype(target)


def _strided_slice(attributes: Attributes) -> Function:
    names = ("begin_mask", "end_mask", "shrink_axis_mask", "ellipsis_mask", "new_axis_mask")
    masks = {name: int(attributes.get(name) or 0) for name in names}

    def run(x: Array, begin: Array, end: Array, strides: Array) -> Any:
        parts: list[EllipsisType | slice | int | None] = []
        for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
            if masks["ellipsis_mask"] >> place & 1:
                parts.append(Ellipsis)
            elif masks["new_axis_mask"] >> place & 1:
                parts.append(None)
            elif masks["shrink_axis_mask"] >> place & 1:
                parts.append(_whole(first))
            else:
                start = None if masks["begin_mask"] >> place & 1 else _whole(first)
                stop = None if masks["end_mask"] >> place & 1 else _whole(last)
                parts.append(slice(start, stop, _whole(step)))
        return x[tuple(parts)]

    return run


def _split(attributes: Attributes) -> Function:
    count = int(attributes["num_split"])
    return lambda axis, x: tuple(np.split(x, count, axis=_whole(axis)))


def _pack(attributes: Attributes) -> Function:
    axis = int(attributes.get("axis") or 0)
    return lambda *xs: np.stack(xs, axis=axis)


def _unpack(attributes: Attributes) -> Function:
    axis, count = int(attributes.get("axis") or 0), int(attributes["num"])

    def run(x: Array) -> tuple[Array, ...]:
        parts = tuple(np.moveaxis(x, axis, 0))
        if len(parts) != count:
            raise ValueError(f"{len(parts)} parts of which {count} are expected")
        return parts

    return run


def _split_sizes(attributes: Attributes) -> Function:
    def run(x: Array, sizes: Array, axis: Array) -> tuple[Array, ...]:
        place, lengths = _whole(axis), [_whole(size) for size in sizes]
        if -1 in lengths:
            lengths[lengths.index(-1)] = x.shape[place] - sum(length for length in lengths if length >= 0)
        if min(lengths) < 0 or sum(lengths) != x.shape[place]:
            raise ValueError(f"parts of {lengths} of an axis of {x.shape[place]}")
        return tuple(np.split(x, np.cumsum(lengths)[:-1].tolist(), axis=place))

    return run


def _extreme(function: Function) -> Callable[[Attributes], Function]:
    def make(attributes: Attributes) -> Function:
        target = _type(attributes, "output_type", "i8")
        return lambda x, axis: function(x, axis=_whole(axis)).astype(target)

    return make


def _cumulated(function: Function) -> Callable[[Attributes], Function]:
    def make(attributes: Attributes) -> Function:
        if attributes.get("exclusive") or attributes.get("reverse"):
            raise NotImplementedError("a Cumsum or Cumprod that is exclusive or reverse")
        return lambda x, axis: function(x, axis=_whole(axis), dtype=np.asarray(x).dtype)

    return make


def _batch_mat_mul(attributes: Attributes) -> Function:
    left, right = attributes.get("adj_x"), attributes.get("adj_y")
    return lambda a, b: np.matmul(np.swapaxes(a, -1, -2) if left else a, np.swapaxes(b, -1, -2) if right else b)


def _erf(x: Array) -> Array:
    """The error function, accurate to 1.5e-7 (Abramowitz and Stegun 7.1.26), in double precision."""
    size = np.abs(np.asarray(x, dtype=np.float64))
    t = 1 / (1 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.copysign(1 - series * np.exp(-size * size), x).astype(np.asarray(x).dtype)


def _selu(x: Array) -> Array:
    found = 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    return found.astype(np.asarray(x).dtype)


def _divided(x: Array, y: Array) -> Array:
    """Division, with 0 where the divisor is 0."""
    return np.where(y == 0, np.zeros_like(x), x / np.where(y == 0, np.ones_like(y), y))


def _diagonal(x: Array) -> Array:
    if np.ndim(x) != 1:
        raise ValueError(f"a diagonal of an array of shape {np.shape(x)}")
    return np.diag(x)


def _batch_diagonal(x: Array, *more: Array) -> Array:
    if more and not (_whole(more[0]) == 0 and _whole(more[1]) in (-1, x.shape[-1])):
        raise ValueError("a diagonal that is not the main one")
    return np.asarray(x[..., None] * np.eye(x.shape[-1], dtype=x.dtype))


def _range(start: Array, limit: Array, delta: Array) -> Array:
    return np.arange(start, limit, delta, dtype=np.asarray(start).dtype)


def _broadcast_shape(first: Array, second: Array) -> Array:
    found = np.broadcast_shapes(tuple(map(_whole, first)), tuple(map(_whole, second)))
    return np.array(found, dtype=np.asarray(first).dtype)


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True)  # exp can't overflow then
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _shape(attributes: Attributes) -> Function:
    target = _type(attributes, "out_type", "i4")
    return lambda x: np.array(x.shape, dtype=target)


def _leaky(attributes: Attributes) -> Function:
    alpha = np.float32(attributes.get("alpha", 0.2))
    return lambda x: np.where(x > 0, x, alpha * x)


def _one_hot(attributes: Attributes) -> Function:
    target = _type(attributes, "T", "f4")
    return lambda i, depth, on, off: np.where(np.arange(_whole(depth)) == np.asarray(i)[..., None], on, off).astype(
        target
    )


OPERATIONS: Mapping[str, Callable[[Attributes], Function]] = {
    **dict.fromkeys(("Identity", "StopGradient", "Snapshot", "CheckNumerics"), _plain(lambda x: x)),
    "MatMul": _mat_mul,
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _batch_mat_mul),
    "PreventGradient": _plain(lambda x: x),
    **convolution.OPERATIONS,
    **dict.fromkeys(("BiasAdd", "Add", "AddV2"), _plain(np.add)),
    "AddN": _plain(lambda *xs: sum(xs[1:], xs[0])),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    **dict.fromkeys(("RealDiv", "Div"), _plain(np.divide)),
    "Pow": _plain(np.power),
    "Maximum": _plain(np.maximum),
    "Minimum": _plain(np.minimum),
    "ClipByValue": _plain(lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "SquaredDifference": _plain(lambda a, b: np.square(a - b)),
    "Neg": _plain(np.negative),
    "Abs": _plain(np.abs),
    "Sign": _plain(np.sign),
    "Exp": _plain(np.exp),
    "Log": _plain(np.log),
    "Log1p": _plain(np.log1p),
    "Sqrt": _plain(np.sqrt),
    "Rsqrt": _plain(lambda x: 1 / np.sqrt(x)),
    "Square": _plain(np.square),
    **dict.fromkeys(("Reciprocal", "Inv"), _plain(lambda x: 1 / x)),
    "Expm1": _plain(np.expm1),
    "Erf": _plain(_erf),
    **{name.capitalize(): _plain(getattr(np, name)) for name in ("sin", "cos", "tan", "sinh", "cosh", "floor", "ceil")},
    **{f"{name[0].upper()}{name[1:]}": _plain(getattr(np, f"arc{name[1:]}")) for name in ("asin", "acos", "atan")},
    "Atan2": _plain(np.arctan2),
    **dict.fromkeys(("Rint", "Round"), _plain(np.rint)),  # both round half to even
    "FloorDiv": _plain(np.floor_divide),
    "FloorMod": _plain(np.mod),  # the sign of the divisor
    **dict.fromkeys(("Mod", "TruncateMod"), _plain(np.fmod)),  # the sign of the dividend
    "DivNoNan": _plain(_divided),
    "Selu": _plain(_selu),
    "Tanh": _plain(np.tanh),
    "Relu": _plain(lambda x: np.maximum(x, 0)),
    "Relu6": _plain(lambda x: np.clip(x, 0, 6)),
    "Elu": _plain(lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "LeakyRelu": _leaky,
    "Sigmoid": _plain(lambda x: 1 / (1 + np.exp(-x))),
    "Softplus": _plain(lambda x: np.logaddexp(x, np.zeros_like(x))),
    "Softsign": _plain(lambda x: x / (1 + np.abs(x))),
    "Softmax": _plain(_softmax),
    "LogSoftmax": _plain(_log_softmax),
    "Squeeze": _squeeze,
    "ExpandDims": _plain(lambda x, axis: np.expand_dims(x, _whole(axis))),
    "Reshape": _plain(lambda x, shape: np.reshape(x, tuple(_whole(n) for n in shape))),
    "Shape": _shape,
    "Transpose": _plain(lambda x, axes: np.transpose(x, axes)),
    "ConcatV2": _plain(lambda *args: np.concatenate(args[:-1], axis=_whole(args[-1]))),
    "Concat": _plain(lambda axis, *xs: np.concatenate(xs, axis=_whole(axis))),
    "Pack": _pack,
    "Split": _split,
    "SplitV": _split_sizes,
    "Unpack": _unpack,
    "StridedSlice": _strided_slice,
    "Slice": _plain(
        lambda x, begin, size: x[tuple(slice(b, None if s < 0 else b + s) for b, s in zip(begin, size, strict=True))]
    ),
    "Tile": _plain(np.tile),
    "BroadcastTo": _plain(lambda x, shape: np.broadcast_to(x, tuple(_whole(n) for n in shape))),
    "BroadcastArgs": _plain(_broadcast_shape),
    "Diag": _plain(_diagonal),
    "MatrixDiag": _plain(_batch_diagonal),
    **dict.fromkeys(("MatrixDiagV2", "MatrixDiagV3"), _plain(_batch_diagonal)),
    "Range": _plain(_range),
    "Rank": _plain(lambda x: np.array(np.ndim(x), dtype="i4")),
    "Size": lambda attributes: lambda x: np.array(np.size(x), dtype=_type(attributes, "out_type", "i4")),
    **dict.fromkeys(("Pad", "PadV2"), _plain(pad)),
    "ReverseV2": _plain(lambda x, axes: np.flip(x, tuple(_whole(axis) for axis in np.atleast_1d(axes)))),
    "EnsureShape": _plain(lambda x: x),
    "Gather": _plain(lambda x, i: np.take(x, i, axis=0)),
    "Fill": _plain(lambda shape, x: np.full(tuple(shape), x, dtype=np.asarray(x).dtype)),
    "ZerosLike": _plain(np.zeros_like),
    "OnesLike": _plain(np.ones_like),
    "Cast": _cast,
    "ArgMax": _extreme(np.argmax),
    "ArgMin": _extreme(np.argmin),
    "OneHot": _one_hot,
    "GatherV2": _plain(lambda x, i, axis: np.take(x, i, axis=_whole(axis))),
    "Sum": _reduction(np.sum),
    "Mean": _reduction(np.mean),
    "Max": _reduction(np.max),
    "Min": _reduction(np.min),
    "Prod": _reduction(np.prod),
    "All": _reduction(np.all),
    "Any": _reduction(np.any),
    "Cumsum": _cumulated(np.cumsum),
    "Cumprod": _cumulated(np.cumprod),
    "L2Loss": _plain(lambda x: np.asarray(np.sum(np.square(x)) / 2, dtype=np.asarray(x).dtype)),
    "EuclideanNorm": _reduction(lambda x, axis, keepdims: np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))),
    **dict.fromkeys(("Select", "SelectV2"), _plain(np.where)),
    "Greater": _plain(np.greater),
    "GreaterEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LessEqual": _plain(np.less_equal),
    "Equal": _plain(np.equal),
    "NotEqual": _plain(np.not_equal),
    "IsNan": _plain(np.isnan),
    "IsInf": _plain(np.isinf),
    "IsFinite": _plain(np.isfinite),
    "LogicalNot": _plain(np.logical_not),
    "LogicalAnd": _plain(np.logical_and),
    "LogicalOr": _plain(np.logical_or),
}
"""Deterministic operations, by name."""

MANY = ("Split", "SplitV", "Unpack", *convolution.MANY)
"""Operations with several outputs."""


def draw_categories(rng: np.random.Generator, logits: Array, count: int = 1) -> Array:
    """Samples of categories, shape (n, count), for logits of shape (n, categories)."""
    total = np.cumsum(_softmax(logits.astype(np.float64)), axis=-1)
    drawn = rng.random((len(logits), count)) * total[:, -1:]
    return np.asarray((drawn[:, :, None] >= total[:, None, :-1]).sum(axis=-1))


def _multinomial(attributes: Attributes) -> tuple[Function, Function]:
    target = _type(attributes, "output_dtype", "i8")

    def likeliest(logits: Array, count: Array) -> Array:
        return np.repeat(np.argmax(logits, axis=-1)[:, None], _whole(count), axis=1).astype(target)

    return likeliest, lambda rng, logits, count: draw_categories(rng, logits, _whole(count)).astype(target)


def _normal(attributes: Attributes) -> tuple[Function, Function]:
    target = _type(attributes, "dtype", "f4")
    return (
        lambda shape: np.zeros(tuple(shape), dtype=target),
        lambda rng, shape: rng.standard_normal(tuple(shape)).astype(target),
    )


def _uniform(attributes: Attributes) -> tuple[Function, Function]:
    target = _type(attributes, "dtype", "f4")
    return (
        lambda shape: np.full(tuple(shape), 0.5, dtype=target),
        lambda rng, shape: rng.random(tuple(shape)).astype(target),
    )


def _truncated(attributes: Attributes) -> tuple[Function, Function]:
    """A normal distribution truncated to two standard deviations, by rejection."""
    target = _type(attributes, "dtype", "f4")

    def draw(rng: np.random.Generator, shape: Array) -> Array:
        found = rng.standard_normal(tuple(shape))
        for _ in range(100):  # 5 % remain each time, so all end long before
            far = np.abs(found) > 2
            if not far.any():
                break
            found[far] = rng.standard_normal(int(far.sum()))
        return np.clip(found, -2, 2).astype(target)

    return lambda shape: np.zeros(tuple(shape), dtype=target), draw


def _integers(attributes: Attributes) -> tuple[Function, Function]:
    target = _type(attributes, "Tout", "i8")

    def middle(shape: Array, low: Array, high: Array) -> Array:
        return np.full(tuple(shape), (_whole(low) + _whole(high) - 1) // 2, dtype=target)

    return middle, lambda rng, shape, low, high: rng.integers(low, high, tuple(shape), dtype=target)


RANDOM: Mapping[str, Callable[[Attributes], tuple[Function, Function]]] = {
    "Multinomial": _multinomial,
    "RandomStandardNormal": _normal,
    "RandomUniform": _uniform,
    "TruncatedNormal": _truncated,
    "RandomUniformInt": _integers,
}
"""Random operations, by name: the most probable value, and sampling with a generator."""
