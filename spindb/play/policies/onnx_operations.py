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
    return lambda told: told.add(op, *(told.input(which) for which in range(count)))


def _compared(op: str) -> Translator:
    return lambda told: told.typed("?", told.add(op, told.input(0), told.input(1)))


def _each(op: str) -> Translator:
    """An operation of any number of inputs, applied pairwise."""

    def tell(told: Translation) -> str:
        found = told.input(0)
        for which in range(1, len(told.inputs)):
            found = told.add(op, found, told.input(which))
        return found

    return tell


def _div(told: Translation) -> str:
    x, y = told.input(0), told.input(1)
    kind = told.writer.kinds.get(x, "")
    if kind.startswith("f"):
        return told.add("RealDiv", x, y)
    if not kind.startswith(("i", "u")):
        raise told.unknown("of unknown types")
    # ONNX truncates towards zero, the engine's FloorDiv rounds down
    size = told.add("FloorDiv", told.add("Abs", x), told.add("Abs", y))
    return told.add("Mul", size, told.add("Mul", told.add("Sign", x), told.add("Sign", y)))


def _gemm(told: Translation) -> str:
    alpha, beta = (float(told.get(name, 1.0)) for name in ("alpha", "beta"))
    left, right = (bool(told.get(name, 0)) for name in ("transA", "transB"))
    found = told.add("MatMul", told.input(0), told.input(1), transpose_a=left, transpose_b=right)
    if alpha != 1:
        found = told.add("Mul", found, told.number(alpha, found))
    if not (bias := told.optional(2)):
        return found
    if beta != 1:
        bias = told.add("Mul", bias, told.number(beta, bias))
    return told.axes(2, told.add("Add", found, bias))


def _elu(told: Translation) -> str:
    x, alpha = told.input(0), float(told.get("alpha", 1.0))
    if alpha == 1:
        return told.add("Elu", x)
    low = told.add("Mul", told.number(alpha, x), told.add("Expm1", told.add("Minimum", x, told.number(0, x))))
    return told.add("Add", told.add("Relu", x), low)


def _celu(told: Translation) -> str:
    x = told.input(0)
    alpha = told.number(float(told.get("alpha", 1.0)), x)
    low = told.add("Expm1", told.add("RealDiv", told.add("Minimum", x, told.number(0, x)), alpha))
    return told.add("Add", told.add("Relu", x), told.add("Mul", alpha, low))


def _selu(told: Translation) -> str:
    if told.get("alpha") is not None or told.get("gamma") is not None:
        raise told.unknown("with alpha or gamma")
    return told.add("Selu", told.input(0))


def _prelu(told: Translation) -> str:
    x = told.input(0)
    negative = told.add("Mul", told.input(1), told.add("Minimum", x, told.number(0, x)))
    return told.add("Add", told.add("Relu", x), negative)


def _hard_sigmoid(told: Translation) -> str:
    return _hard(told, float(told.get("alpha", 0.2)), float(told.get("beta", 0.5)))


def _hard(told: Translation, alpha: float, beta: float) -> str:
    x = told.input(0)
    line = told.add("Add", told.add("Mul", x, told.number(alpha, x)), told.number(beta, x))
    return told.add("ClipByValue", line, told.number(0, x), told.number(1, x))


def _clip(told: Translation) -> str:
    found = told.input(0)
    # The limits are attributes up to opset 10 and inputs since 11.
    for op, which, name in (("Maximum", 1, "min"), ("Minimum", 2, "max")):
        limit = told.optional(which)
        if not limit and told.get(name) is not None:
            limit = told.number(float(told.get(name)), found)
        if limit:
            found = told.add(op, found, limit)
    return found


def _softmax(logarithm: bool) -> Translator:
    def tell(told: Translation) -> str:
        x, axis = told.input(0), told.whole("axis", -1)
        if axis in (-1, told.writer.axes.get(x, 0) - 1):
            return told.add("LogSoftmax" if logarithm else "Softmax", x)
        # The engine's Softmax is over the last axis. For another one it is computed by its definition, shifted by
        # the maximum against overflow.
        along = told.wholes(axis)
        shifted = told.add("Sub", x, told.add("Max", x, along, keep_dims=True))
        raised = told.add("Exp", shifted)
        total = told.add("Sum", raised, along, keep_dims=True)
        return told.add("Sub", shifted, told.add("Log", total)) if logarithm else told.add("RealDiv", raised, total)

    return tell


def _reduced(op: str, before: str = "", after: str = "") -> Translator:
    def tell(told: Translation) -> str:
        x = told.input(0)
        axes, keep = told.numbers("axes", 1), bool(told.whole("keepdims", 1))
        if axes is None and told.whole("noop_with_empty_axes", 0):
            return x
        known = told.writer.axes.get(x)
        if not axes and known is None:
            raise told.unknown("over all axes of an array of which they are unknown")
        along = told.wholes(*(axes or range(known or 0)))
        found = told.add(op, told.add(before, x) if before else x, along, keep_dims=keep)
        told.typed(told.writer.kinds.get(x, "f4"), found)
        told.axes(None if known is None else known if keep else known - len(axes or range(known)), found)
        return told.add(after, found) if after else found

    return tell


def _log_sum_exp(told: Translation) -> str:
    x, axes = told.input(0), told.numbers("axes", 1)
    if not axes:
        raise told.unknown("over all axes")
    along = told.wholes(*axes)
    top = told.add("Max", x, along, keep_dims=True)
    found = told.add("Log", told.add("Sum", told.add("Exp", told.add("Sub", x, top)), along, keep_dims=True))
    found = told.add("Add", top, found)
    return found if told.whole("keepdims", 1) else told.axes(None, told.add("Squeeze", found, squeeze_dims=axes))


def _extreme(op: str) -> Translator:
    def tell(told: Translation) -> str:
        if told.whole("select_last_index", 0):
            raise told.unknown("that takes the last")
        axis, x = told.whole("axis", 0), told.input(0)
        found = told.typed("i8", told.add(op, x, told.writer.constant(np.int64(axis))))
        if told.whole("keepdims", 1):
            found = told.add("ExpandDims", found, told.writer.constant(np.int64(axis)))
            return told.axes(told.writer.axes.get(x), found)
        known = told.writer.axes.get(x)
        return told.axes(None if known is None else known - 1, found)

    return tell


def _cast(told: Translation) -> str:
    kind = DTYPES.get(told.whole("to"))
    if kind is None:
        raise told.unknown("to a type that numpy does not have")
    return told.typed(kind, told.add("Cast", told.input(0), DstT=kind))


def _cast_like(told: Translation) -> str:
    kind = told.writer.kinds.get(told.input(1))
    if kind is None:
        raise told.unknown("like a tensor of unknown type")
    return told.typed(kind, told.add("Cast", told.input(0), DstT=kind))


def _where(told: Translation) -> str:
    condition, x, y = (told.input(which) for which in range(3))
    return told.typed(told.writer.kinds.get(x, "f4"), told.add("SelectV2", condition, x, y))


def _random(op: str, shift: str, scale: str, usual: tuple[float, float]) -> Translator:
    """A random sample with the shape of the input, scaled and shifted."""

    def tell(told: Translation) -> str:
        x = told.input(0)
        first, second = (float(told.get(name, value)) for name, value in zip((shift, scale), usual, strict=True))
        factor = second - first if scale == "high" else second
        found = told.typed("f4", told.add(op, told.add("Shape", x, out_type="i8"), dtype="f4"))
        if factor != 1:
            found = told.add("Mul", found, told.number(factor))
        if first:
            found = told.add("Add", found, told.number(first))
        return told.axes(told.writer.axes.get(x), found)

    return tell


def _multinomial(told: Translation) -> str:
    count = told.writer.constant(np.int32(told.whole("sample_size", 1)))
    kind = DTYPES.get(told.whole("dtype", 6), "i4")
    return told.typed(kind, told.add("Multinomial", told.input(0), count, output_dtype=kind))


def _layer_norm(told: Translation) -> str:
    x, axis = told.input(0), told.whole("axis", -1)
    if axis >= 0:
        raise told.unknown("from an axis that is counted from the first")
    axes = told.wholes(*range(max(axis, -MOST_AXES), 0))
    deviation = told.add("Sub", x, told.add("Mean", x, axes, keep_dims=True))
    variance = told.add("Mean", told.add("Square", deviation), axes, keep_dims=True)
    spread = told.add("Sqrt", told.add("Add", variance, told.number(float(told.get("epsilon", 1e-5)), x)))
    found = told.add("Mul", told.add("RealDiv", deviation, spread), told.input(1))
    return told.add("Add", found, told.optional(2)) if told.optional(2) else found


def _batch_norm(told: Translation) -> str:
    x, known = told.input(0), told.writer.axes.get(told.input(0))
    if told.whole("training_mode", 0) or known is None or known < _HALVES:
        raise told.unknown("in training, or of an array of unknown axes")
    scale, shift, mean, variance = (told.input(which) for which in range(1, 5))
    spread = told.add("Sqrt", told.add("Add", variance, told.number(float(told.get("epsilon", 1e-5)), variance)))
    factor = told.add("RealDiv", scale, spread)
    shift = told.add("Sub", shift, told.add("Mul", mean, factor))
    if known > _HALVES:
        column = told.wholes(-1, *[1] * (known - _HALVES))
        factor, shift = (told.add("Reshape", name, column) for name in (factor, shift))
    return told.axes(known, told.add("Add", told.add("Mul", x, factor), shift))


def _window(told: Translation) -> dict[str, Any]:
    """Strides and paddings of a convolution or pooling, as attributes of the engine."""
    # ONNX has all paddings before the axes first, then those after them; TensorFlow has pairs per axis.
    pads, strides = told.whole("pads", [0] * 4), told.whole("strides", [1, 1])
    odd = told.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or told.whole("ceil_mode", 0)
    if odd or len(pads) != 2 * _HALVES or len(strides) != _HALVES:
        raise told.unknown("with such axes, or padding that is not told")
    top, left, bottom, right = pads
    return {
        "strides": [1, 1, *strides],
        "dilations": [1, 1, *told.whole("dilations", [1, 1])],
        "padding": b"EXPLICIT",
        "explicit_paddings": [0, 0, 0, 0, top, bottom, left, right],
        "data_format": b"NCHW",
    }


def _conv(told: Translation) -> str:
    kernel, bias = told.input(1), told.optional(2)
    if told.writer.axes.get(kernel) != _PICTURE:
        raise told.unknown("of other than pictures")
    found = told.add("Conv2D", told.input(0), told.add("Transpose", kernel, told.wholes(2, 3, 1, 0)), **_window(told))
    told.axes(_PICTURE, found)
    return (
        told.axes(_PICTURE, told.add("Add", found, told.add("Reshape", bias, told.wholes(-1, 1, 1)))) if bias else found
    )


def _pooled(op: str) -> Translator:
    def tell(told: Translation) -> str:
        window, size = _window(told), told.whole("kernel_shape")
        if not isinstance(size, list) or len(size) != _HALVES or (op == "AvgPool" and any(window["explicit_paddings"])):
            raise told.unknown("of such windows")
        return told.axes(_PICTURE, told.add(op, told.input(0), ksize=[1, 1, *size], **window))

    return tell


def _over_pictures(op: str) -> Translator:
    return lambda told: told.axes(_PICTURE, told.add(op, told.input(0), told.wholes(-2, -1), keep_dims=True))


def _dropout(told: Translation) -> str:
    if told.optional(2) and told.value(2):
        raise told.unknown("in training")
    return told.input(0)


def _is_inf(told: Translation) -> str:
    if not (told.whole("detect_negative", 1) and told.whole("detect_positive", 1)):
        raise told.unknown("of one sign")
    return told.typed("?", told.add("IsInf", told.input(0)))


def _product(told: Translation) -> str:
    return told.add("MatMul", told.input(0), told.input(1))


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
    "LeakyRelu": lambda told: told.add("LeakyRelu", told.input(0), alpha=float(told.get("alpha", 0.01))),
    "PRelu": _prelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda told: told.add("Mul", told.input(0), _hard(told, 1 / 6, 0.5)),
    "Mish": lambda told: told.add("Mul", told.input(0), told.add("Tanh", told.add("Softplus", told.input(0)))),
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
    "Not": lambda told: told.add("LogicalNot", told.input(0)),
    "And": _compared("LogicalAnd"),
    "Or": _compared("LogicalOr"),
    "Xor": _compared("NotEqual"),
    "Equal": _compared("Equal"),
    "Greater": _compared("Greater"),
    "GreaterOrEqual": _compared("GreaterEqual"),
    "Less": _compared("Less"),
    "LessOrEqual": _compared("LessEqual"),
    "IsNaN": lambda told: told.typed("?", told.add("IsNan", told.input(0))),
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
