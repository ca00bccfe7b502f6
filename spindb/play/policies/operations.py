"""TensorFlow's operations in numpy, as far as feed-forward policies use them.

Each entry makes, from a node's attributes, the function of its inputs. What they mean is described at
tensorflow.org/api_docs/python/tf/raw_ops.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Attributes: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[..., Any]


def _whole(value: Any) -> int:
    """A tensor that is one whole number.

    Raises:
        TypeError, ValueError: it is none.
    """
    return operator.index(value.item() if hasattr(value, "item") else value)


def _type(attributes: Attributes, name: str, default: str | None = None) -> str:
    """A type among the attributes.

    Raises:
        NotImplementedError: numpy does not have it.
        KeyError: there is none, and no default.
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
    masks = {name: int(attributes.get(name) or 0) for name in ("begin_mask", "end_mask", "shrink_axis_mask")}
    if attributes.get("ellipsis_mask") or attributes.get("new_axis_mask"):
        raise NotImplementedError("a StridedSlice with an ellipsis or a new axis")

    def run(x: Any, begin: Any, end: Any, strides: Any) -> Any:
        parts: list[Any] = []
        for axis, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
            if masks["shrink_axis_mask"] >> axis & 1:
                parts.append(_whole(first))
                continue
            start = None if masks["begin_mask"] >> axis & 1 else _whole(first)
            stop = None if masks["end_mask"] >> axis & 1 else _whole(last)
            parts.append(slice(start, stop, _whole(step)))
        return x[tuple(parts)]

    return run


def _split(attributes: Attributes) -> Function:
    count = int(attributes["num_split"])
    return lambda axis, x: tuple(np.split(x, count, axis=_whole(axis)))


def _pack(attributes: Attributes) -> Function:
    axis = int(attributes.get("axis") or 0)
    return lambda *xs: np.stack(xs, axis=axis)


def _argmax(attributes: Attributes) -> Function:
    target = _type(attributes, "output_type", "i8")
    return lambda x, axis: np.argmax(x, axis=_whole(axis)).astype(target)


def _log_softmax(x: Any) -> Any:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _softmax(x: Any) -> Any:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


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
    "Reciprocal": _plain(lambda x: 1 / x),
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
    "StridedSlice": _strided_slice,
    "Slice": _plain(
        lambda x, begin, size: x[tuple(slice(b, None if s < 0 else b + s) for b, s in zip(begin, size, strict=True))]
    ),
    "Tile": _plain(np.tile),
    "Fill": _plain(lambda shape, x: np.full(tuple(shape), x, dtype=np.asarray(x).dtype)),
    "ZerosLike": _plain(np.zeros_like),
    "OnesLike": _plain(np.ones_like),
    "Cast": _cast,
    "ArgMax": _argmax,
    "OneHot": _one_hot,
    "GatherV2": _plain(lambda x, i, axis: np.take(x, i, axis=_whole(axis))),
    "Sum": _reduction(np.sum),
    "Mean": _reduction(np.mean),
    "Max": _reduction(np.max),
    "Min": _reduction(np.min),
    "Prod": _reduction(np.prod),
    **dict.fromkeys(("Select", "SelectV2"), _plain(np.where)),
    "Greater": _plain(np.greater),
    "GreaterEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LessEqual": _plain(np.less_equal),
    "Equal": _plain(np.equal),
    "LogicalNot": _plain(np.logical_not),
    "LogicalAnd": _plain(np.logical_and),
    "LogicalOr": _plain(np.logical_or),
}
"""What is computed from inputs alone, by the name of the operation."""


def draw_categories(rng: Any, logits: Any, count: int = 1) -> Any:
    """Categories drawn by their logits: shape (n, count) for logits of shape (n, categories)."""
    total = np.cumsum(_softmax(logits.astype(np.float64)), axis=-1)
    drawn = rng.random((len(logits), count)) * total[:, -1:]
    return (drawn[:, :, None] >= total[:, None, :-1]).sum(axis=-1)


def _multinomial(attributes: Attributes) -> tuple[Function, Function]:
    target = _type(attributes, "output_dtype", "i8")

    def likeliest(logits: Any, count: Any) -> Any:
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


RANDOM: Mapping[str, Callable[[Attributes], tuple[Function, Function]]] = {
    "Multinomial": _multinomial,
    "RandomStandardNormal": _normal,
    "RandomUniform": _uniform,
}
"""What is drawn: the likeliest value, and a draw with a generator."""
