"""Translates ONNX operations (onnx.ai/onnx/operators), opsets 11 to 18, to those of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spindb.disk.codecs.onnx import DTYPES
from spindb.play.policies.onnx_shapes import MOST_AXES, SHAPES
from spindb.play.policies.onnx_writer import Translation, Translator

_PICTURE = 4
_HALVES = 2


def _same(op: str, count: int) -> Translator:
    return lambda node: node.add(op, *(node.input(which) for which in range(count)))


def _compared(op: str) -> Translator:
    return lambda node: node.typed("?", node.add(op, node.input(0), node.input(1)))


def _each(op: str) -> Translator:
    """An operation of any number of inputs, applied pairwise."""

    def translate(node: Translation) -> str:
        found = node.input(0)
        for which in range(1, len(node.inputs)):
            found = node.add(op, found, node.input(which))
        return found

    return translate


def _div(node: Translation) -> str:
    x, y = node.input(0), node.input(1)
    kind = node.writer.kinds.get(x, "")
    if kind.startswith("f"):
        return node.add("RealDiv", x, y)
    if not kind.startswith(("i", "u")):
        raise node.unknown("of unknown types")
    # ONNX truncates towards zero, the engine's FloorDiv rounds down
    size = node.add("FloorDiv", node.add("Abs", x), node.add("Abs", y))
    return node.add("Mul", size, node.add("Mul", node.add("Sign", x), node.add("Sign", y)))


def _gemm(node: Translation) -> str:
    alpha, beta = (float(node.get(name, 1.0)) for name in ("alpha", "beta"))
    left, right = (bool(node.get(name, 0)) for name in ("transA", "transB"))
    found = node.add("MatMul", node.input(0), node.input(1), transpose_a=left, transpose_b=right)
    if alpha != 1:
        found = node.add("Mul", found, node.number(alpha, found))
    if not (bias := node.optional(2)):
        return found
    if beta != 1:
        bias = node.add("Mul", bias, node.number(beta, bias))
    return node.axes(2, node.add("Add", found, bias))


def _elu(node: Translation) -> str:
    x, alpha = node.input(0), float(node.get("alpha", 1.0))
    if alpha == 1:
        return node.add("Elu", x)
    low = node.add("Mul", node.number(alpha, x), node.add("Expm1", node.add("Minimum", x, node.number(0, x))))
    return node.add("Add", node.add("Relu", x), low)


def _celu(node: Translation) -> str:
    x = node.input(0)
    alpha = node.number(float(node.get("alpha", 1.0)), x)
    low = node.add("Expm1", node.add("RealDiv", node.add("Minimum", x, node.number(0, x)), alpha))
    return node.add("Add", node.add("Relu", x), node.add("Mul", alpha, low))


def _selu(node: Translation) -> str:
    if node.get("alpha") is not None or node.get("gamma") is not None:
        raise node.unknown("with alpha or gamma")
    return node.add("Selu", node.input(0))


def _prelu(node: Translation) -> str:
    x = node.input(0)
    negative = node.add("Mul", node.input(1), node.add("Minimum", x, node.number(0, x)))
    return node.add("Add", node.add("Relu", x), negative)


def _hard_sigmoid(node: Translation) -> str:
    return _hard(node, float(node.get("alpha", 0.2)), float(node.get("beta", 0.5)))


def _hard(node: Translation, alpha: float, beta: float) -> str:
    x = node.input(0)
    line = node.add("Add", node.add("Mul", x, node.number(alpha, x)), node.number(beta, x))
    return node.add("ClipByValue", line, node.number(0, x), node.number(1, x))


def _clip(node: Translation) -> str:
    found = node.input(0)
    # The limits are attributes up to opset 10 and inputs since 11.
    for op, which, name in (("Maximum", 1, "min"), ("Minimum", 2, "max")):
        limit = node.optional(which)
        if not limit and node.get(name) is not None:
            limit = node.number(float(node.get(name)), found)
        if limit:
            found = node.add(op, found, limit)
    return found


def _softmax(logarithm: bool) -> Translator:
    def translate(node: Translation) -> str:
        x, axis = node.input(0), node.whole("axis", -1)
        if axis in (-1, node.writer.axes.get(x, 0) - 1):
            return node.add("LogSoftmax" if logarithm else "Softmax", x)
        along = node.wholes(axis)
        shifted = node.add("Sub", x, node.add("Max", x, along, keep_dims=True))
        raised = node.add("Exp", shifted)
        total = node.add("Sum", raised, along, keep_dims=True)
        return node.add("Sub", shifted, node.add("Log", total)) if logarithm else node.add("RealDiv", raised, total)

    return translate


def _reduced(op: str, before: str = "", after: str = "") -> Translator:
    def translate(node: Translation) -> str:
        x = node.input(0)
        axes, keep = node.numbers("axes", 1), bool(node.whole("keepdims", 1))
        if axes is None and node.whole("noop_with_empty_axes", 0):
            return x
        known = node.writer.axes.get(x)
        if not axes and known is None:
            raise node.unknown("over all axes of an array of which they are unknown")
        along = node.wholes(*(axes or range(known or 0)))
        found = node.add(op, node.add(before, x) if before else x, along, keep_dims=keep)
        node.typed(node.writer.kinds.get(x, "f4"), found)
        node.axes(None if known is None else known if keep else known - len(axes or range(known)), found)
        return node.add(after, found) if after else found

    return translate


def _log_sum_exp(node: Translation) -> str:
    x, axes = node.input(0), node.numbers("axes", 1)
    if not axes:
        raise node.unknown("over all axes")
    along = node.wholes(*axes)
    top = node.add("Max", x, along, keep_dims=True)
    found = node.add("Log", node.add("Sum", node.add("Exp", node.add("Sub", x, top)), along, keep_dims=True))
    found = node.add("Add", top, found)
    return found if node.whole("keepdims", 1) else node.axes(None, node.add("Squeeze", found, squeeze_dims=axes))


def _extreme(op: str) -> Translator:
    def translate(node: Translation) -> str:
        if node.whole("select_last_index", 0):
            raise node.unknown("that takes the last")
        axis, x = node.whole("axis", 0), node.input(0)
        found = node.typed("i8", node.add(op, x, node.writer.constant(np.int64(axis))))
        if node.whole("keepdims", 1):
            found = node.add("ExpandDims", found, node.writer.constant(np.int64(axis)))
            return node.axes(node.writer.axes.get(x), found)
        known = node.writer.axes.get(x)
        return node.axes(None if known is None else known - 1, found)

    return translate


def _cast(node: Translation) -> str:
    kind = DTYPES.get(node.whole("to"))
    if kind is None:
        raise node.unknown("to a type that numpy does not have")
    return node.typed(kind, node.add("Cast", node.input(0), DstT=kind))


def _cast_like(node: Translation) -> str:
    kind = node.writer.kinds.get(node.input(1))
    if kind is None:
        raise node.unknown("like a tensor of unknown type")
    return node.typed(kind, node.add("Cast", node.input(0), DstT=kind))


def _where(node: Translation) -> str:
    condition, x, y = (node.input(which) for which in range(3))
    return node.typed(node.writer.kinds.get(x, "f4"), node.add("SelectV2", condition, x, y))


def _random(op: str, shift: str, scale: str, usual: tuple[float, float]) -> Translator:
    """A random sample with the shape of the input, scaled and shifted."""

    def translate(node: Translation) -> str:
        x = node.input(0)
        first, second = (float(node.get(name, value)) for name, value in zip((shift, scale), usual, strict=True))
        factor = second - first if scale == "high" else second
        found = node.typed("f4", node.add(op, node.add("Shape", x, out_type="i8"), dtype="f4"))
        if factor != 1:
            found = node.add("Mul", found, node.number(factor))
        if first:
            found = node.add("Add", found, node.number(first))
        return node.axes(node.writer.axes.get(x), found)

    return translate


def _multinomial(node: Translation) -> str:
    count = node.writer.constant(np.int32(node.whole("sample_size", 1)))
    kind = DTYPES.get(node.whole("dtype", 6), "i4")
    return node.typed(kind, node.add("Multinomial", node.input(0), count, output_dtype=kind))


def _layer_norm(node: Translation) -> str:
    x, axis = node.input(0), node.whole("axis", -1)
    if axis >= 0:
        raise node.unknown("from an axis that is counted from the first")
    axes = node.wholes(*range(max(axis, -MOST_AXES), 0))
    deviation = node.add("Sub", x, node.add("Mean", x, axes, keep_dims=True))
    variance = node.add("Mean", node.add("Square", deviation), axes, keep_dims=True)
    spread = node.add("Sqrt", node.add("Add", variance, node.number(float(node.get("epsilon", 1e-5)), x)))
    found = node.add("Mul", node.add("RealDiv", deviation, spread), node.input(1))
    return node.add("Add", found, node.optional(2)) if node.optional(2) else found


def _batch_norm(node: Translation) -> str:
    x, known = node.input(0), node.writer.axes.get(node.input(0))
    if node.whole("training_mode", 0) or known is None or known < _HALVES:
        raise node.unknown("in training, or of an array of unknown axes")
    scale, shift, mean, variance = (node.input(which) for which in range(1, 5))
    spread = node.add("Sqrt", node.add("Add", variance, node.number(float(node.get("epsilon", 1e-5)), variance)))
    factor = node.add("RealDiv", scale, spread)
    shift = node.add("Sub", shift, node.add("Mul", mean, factor))
    if known > _HALVES:
        column = node.wholes(-1, *[1] * (known - _HALVES))
        factor, shift = (node.add("Reshape", name, column) for name in (factor, shift))
    return node.axes(known, node.add("Add", node.add("Mul", x, factor), shift))


def _window(node: Translation) -> dict[str, Any]:
    """Strides and paddings of a convolution or pooling, as attributes of the engine."""
    pads, strides = node.whole("pads", [0] * 4), node.whole("strides", [1, 1])
    odd = node.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or node.whole("ceil_mode", 0)
    if odd or len(pads) != 2 * _HALVES or len(strides) != _HALVES:
        raise node.unknown("with such axes, or padding that is not node")
    top, left, bottom, right = pads
    return {
        "strides": [1, 1, *strides],
        "dilations": [1, 1, *node.whole("dilations", [1, 1])],
        "padding": b"EXPLICIT",
        "explicit_paddings": [0, 0, 0, 0, top, bottom, left, right],
        "data_format": b"NCHW",
    }


def _conv(node: Translation) -> str:
    kernel, bias = node.input(1), node.optional(2)
    if node.writer.axes.get(kernel) != _PICTURE:
        raise node.unknown("of other than pictures")
    found = node.add("Conv2D", node.input(0), node.add("Transpose", kernel, node.wholes(2, 3, 1, 0)), **_window(node))
    node.axes(_PICTURE, found)
    return (
        node.axes(_PICTURE, node.add("Add", found, node.add("Reshape", bias, node.wholes(-1, 1, 1)))) if bias else found
    )


def _pooled(op: str) -> Translator:
    def translate(node: Translation) -> str:
        window, size = _window(node), node.whole("kernel_shape")
        if not isinstance(size, list) or len(size) != _HALVES or (op == "AvgPool" and any(window["explicit_paddings"])):
            raise node.unknown("of such windows")
        return node.axes(_PICTURE, node.add(op, node.input(0), ksize=[1, 1, *size], **window))

    return translate


def _over_pictures(op: str) -> Translator:
    return lambda node: node.axes(_PICTURE, node.add(op, node.input(0), node.wholes(-2, -1), keep_dims=True))


def _dropout(node: Translation) -> str:
    if node.optional(2) and node.value(2):
        raise node.unknown("in training")
    return node.input(0)


def _is_inf(node: Translation) -> str:
    if not (node.whole("detect_negative", 1) and node.whole("detect_positive", 1)):
        raise node.unknown("of one sign")
    return node.typed("?", node.add("IsInf", node.input(0)))


def _product(node: Translation) -> str:
    return node.add("MatMul", node.input(0), node.input(1))


_UNARY = ("Neg", "Abs", "Sign", "Exp", "Log", "Sqrt", "Reciprocal", "Tanh", "Relu", "Sigmoid", "Softplus", "Softsign")
_UNARY_TOO = ("Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Floor", "Ceil", "Round", "Identity")

OPERATIONS: Mapping[str, Translator] = {
    **SHAPES,
    **{op: _same(op, 1) for op in (*_UNARY, *_UNARY_TOO)},
    **{op: _same(op, 2) for op in ("Add", "Sub", "Mul", "Pow")},
    "Div": _div,
    "MatMul": _product,
    "Gemm": _gemm,
    "Sum": _each("Add"),
    "Max": _each("Maximum"),
    "Min": _each("Minimum"),
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "LeakyRelu": lambda node: node.add("LeakyRelu", node.input(0), alpha=float(node.get("alpha", 0.01))),
    "PRelu": _prelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda node: node.add("Mul", node.input(0), _hard(node, 1 / 6, 0.5)),
    "Mish": lambda node: node.add("Mul", node.input(0), node.add("Tanh", node.add("Softplus", node.input(0)))),
    "Clip": _clip,
    "Softmax": _softmax(False),
    "LogSoftmax": _softmax(True),
    **{f"Reduce{op}": _reduced(op) for op in ("Sum", "Mean", "Max", "Min", "Prod")},
    "ReduceL1": _reduced("Sum", before="Abs"),
    "ReduceL2": _reduced("Sum", before="Square", after="Sqrt"),
    "ReduceSumSquare": _reduced("Sum", before="Square"),
    "ReduceLogSumExp": _log_sum_exp,
    "ArgMax": _extreme("ArgMax"),
    "ArgMin": _extreme("ArgMin"),
    "Cast": _cast,
    "CastLike": _cast_like,
    "Where": _where,
    "Not": lambda node: node.add("LogicalNot", node.input(0)),
    "And": _compared("LogicalAnd"),
    "Or": _compared("LogicalOr"),
    "Xor": _compared("NotEqual"),
    "Equal": _compared("Equal"),
    "Greater": _compared("Greater"),
    "GreaterOrEqual": _compared("GreaterEqual"),
    "Less": _compared("Less"),
    "LessOrEqual": _compared("LessEqual"),
    "IsNaN": lambda node: node.typed("?", node.add("IsNan", node.input(0))),
    "IsInf": _is_inf,
    "RandomNormalLike": _random("RandomStandardNormal", "mean", "scale", (0.0, 1.0)),
    "RandomUniformLike": _random("RandomUniform", "low", "high", (0.0, 1.0)),
    "Multinomial": _multinomial,
    "LayerNormalization": _layer_norm,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "MaxPool": _pooled("MaxPool"),
    "AveragePool": _pooled("AvgPool"),
    "GlobalAveragePool": _over_pictures("Mean"),
    "GlobalMaxPool": _over_pictures("Max"),
    "Dropout": _dropout,
}
"""Operations by name; there are none that read files, loop or contain graphs."""
