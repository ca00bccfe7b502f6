"""PyTorch's activations as TensorFlow operations; pytorch.org/docs (``torch.nn``) has the formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping

from spindb.disk.codecs.torchfiles import Module
from spindb.play.policies.torch_writer import PICTURE, Layer, TorchWriter


def _plain(op: str) -> Layer:
    return lambda writer, module, at, source: writer.add(at, op, source)


def _elu(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    alpha = float(module.attributes.get("alpha", 1.0))
    if alpha == 1:
        return writer.add(at, "Elu", source)
    zero = writer.number(0)
    negative = writer.new("Mul", writer.number(alpha), writer.new("Minimum", writer.new("Elu", source), zero))
    return writer.add(at, "Add", writer.new("Relu", source), negative)


def _celu(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    alpha = writer.number(float(module.attributes.get("alpha", 1.0)))
    raised = writer.new("Mul", alpha, writer.new("Expm1", writer.new("Div", source, alpha)))
    return writer.add(at, "Add", writer.new("Relu", source), writer.new("Minimum", raised, writer.number(0)))


def _selu(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "Selu", source)


def _leaky(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "LeakyRelu", source, alpha=float(module.attributes.get("negative_slope", 0.01)))


def _prelu(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    slope = writer.variable(f"{at}.weight")
    if writer.axes.get(source, 2) == PICTURE and module.tensors["weight"].shape[0] > 1:
        slope = writer.new("Reshape", slope, writer.whole(-1, 1, 1))
    negative = writer.new("Mul", slope, writer.new("Minimum", source, writer.number(0)))
    return writer.add(at, "Add", negative, writer.new("Relu", source))


def _softplus(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    beta = float(module.attributes.get("beta", 1))
    if beta == 1:
        return writer.add(at, "Softplus", source)
    scaled = writer.new("Softplus", writer.new("Mul", source, writer.number(beta)))
    return writer.add(at, "Div", scaled, writer.number(beta))


def _silu(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "Mul", source, writer.new("Sigmoid", source))


def _mish(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "Mul", source, writer.new("Tanh", writer.new("Softplus", source)))


def _gelu(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    if module.attributes.get("approximate", "none") == "tanh":
        cube = writer.new("Mul", writer.number(0.044715), writer.new("Mul", source, writer.new("Square", source)))
        inner = writer.new("Mul", writer.number(math.sqrt(2 / math.pi)), writer.new("Add", source, cube))
        raised = writer.new("Tanh", inner)
    else:
        raised = writer.new("Erf", writer.new("Mul", source, writer.number(math.sqrt(0.5))))
    half = writer.new("Mul", source, writer.number(0.5))
    return writer.add(at, "Mul", half, writer.new("Add", raised, writer.number(1)))


def _hard_tanh(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    low, high = (float(module.attributes.get(name, usual)) for name, usual in (("min_val", -1.0), ("max_val", 1.0)))
    return writer.add(at, "ClipByValue", source, writer.number(low), writer.number(high))


def _hard_sigmoid(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    raised = writer.new("Relu6", writer.new("Add", source, writer.number(3)))
    return writer.add(at, "Div", raised, writer.number(6))


def _hard_swish(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "Mul", source, _hard_sigmoid(writer, module, f"{at}.hardsigmoid", source))


def _log_sigmoid(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "Neg", writer.new("Softplus", writer.new("Neg", source)))


def _tanh_shrink(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    return writer.add(at, "Sub", source, writer.new("Tanh", source))


ACTIVATIONS: Mapping[str, Layer] = {
    **{kind: _plain(kind) for kind in ("Tanh", "Sigmoid", "Softsign")},
    "ReLU": _plain("Relu"),
    "ReLU6": _plain("Relu6"),
    "ELU": _elu,
    "CELU": _celu,
    "SELU": _selu,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "Softplus": _softplus,
    "SiLU": _silu,
    "Mish": _mish,
    "GELU": _gelu,
    "Hardtanh": _hard_tanh,
    "Hardsigmoid": _hard_sigmoid,
    "Hardswish": _hard_swish,
    "LogSigmoid": _log_sigmoid,
    "Tanhshrink": _tanh_shrink,
}
"""Activations by class name."""
