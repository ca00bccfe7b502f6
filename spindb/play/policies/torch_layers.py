"""Converts PyTorch's layers to nodes of a graph for numpy, in TensorFlow operations.

Weights have their names in ``state_dict()``; a layer's output has the path of the layer: ``pi.mu_net.1``. The layers
are documented at pytorch.org/docs (``torch.nn``). They are in evaluation mode: Dropout does nothing, BatchNorm uses its
running statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spindb.disk.codecs.torchfiles import Module
from spindb.play.policies.torch_activations import ACTIVATIONS
from spindb.play.policies.torch_writer import PICTURE, Layer, TorchWriter


def kind_of(module: Module) -> str:
    """The class name of PyTorch's own layers; the full path of other classes."""
    return module.class_path.rpartition(".")[2] if module.class_path.startswith("torch.nn.") else module.class_path


def is_stack(module: Module) -> bool:
    """Whether a module applies its children in sequence, or is one of PyTorch's layers."""
    kind = kind_of(module)
    return kind in ("Sequential", "ModuleList") or kind in _LAYERS


def last_layer(module: Module) -> Module:
    """The last layer of a stack that has an effect in evaluation."""
    while kind_of(module) in ("Sequential", "ModuleList") and module.children:
        inner = [child for child in module.children.values() if kind_of(child) not in _NOTHING]
        if not inner:
            break
        module = inner[-1]
    return module


def apply(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    """Apply a layer, or a sequence of layers, to the tensor `source`; returns the name of the result.

    Raises:
        PolicyError: it is a custom module or an unsupported layer; the message names it.
    """
    kind = kind_of(module)
    # A Sequential with tensors of its own is a subclass whose forward may do more.
    if kind in ("Sequential", "ModuleList") and not module.tensors:
        for name, child in module.children.items():
            source = apply(writer, child, f"{at}.{name}" if at else name, source)
        return source
    layer = _LAYERS.get(kind)
    if layer is None:
        raise writer.unknown(f"it holds a {module.class_path}")
    return layer(writer, module, at, source)


def _weight(module: Module, at: str, name: str) -> str | None:
    """The full name of a tensor of the module, or None."""
    return f"{at}.{name}".lstrip(".") if name in module.tensors else None


def _linear(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    weight, bias = _weight(module, at, "weight"), _weight(module, at, "bias")
    if weight is None or len(module.tensors["weight"].shape) != 2:
        raise writer.unknown(f"it holds a {module.class_path}")
    # PyTorch's weights have the shape (outputs, inputs), hence the transposed product.
    if bias is None:
        return writer.add(at, "MatMul", source, writer.variable(weight), transpose_b=True)
    product = writer.new("MatMul", source, writer.variable(weight), transpose_b=True)
    return writer.add(at, "BiasAdd", product, writer.variable(bias))


def _left_out(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    if kind_of(module) != "Identity" and module.attributes.get("p", 0):
        writer.note("its Dropout is left out, as in evaluation")
    return writer.add(at, "Identity", source)


def _over_last(op: str) -> Layer:
    def write(writer: TorchWriter, module: Module, at: str, source: str) -> str:
        # TensorFlow's Softmax is always over the last axis.
        axis, axes = module.attributes.get("dim"), writer.axes.get(source, 2)
        if axis not in (None, -1, axes - 1):
            raise writer.unknown(f"its {op} is along axis {axis}")
        return writer.add(at, op, source)

    return write


def _layer_norm(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    shape = module.attributes.get("normalized_shape")
    weight, bias = _weight(module, at, "weight"), _weight(module, at, "bias")
    if weight is not None:
        shape = module.tensors["weight"].shape
    if not isinstance(shape, (tuple, list)) or not shape:
        raise writer.unknown(f"it holds a {module.class_path} that does not say what it normalises")
    axes = writer.whole(*range(-len(shape), 0))
    mean = writer.new("Mean", source, axes, keep_dims=True)
    deviation = writer.new("Sub", source, mean)
    return _normalised(writer, module, at, deviation, axes, weight, bias)


def _rms_norm(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    weight = _weight(module, at, "weight")
    if weight is None or module.attributes.get("eps") is None:
        raise writer.unknown(f"it holds a {module.class_path} without weight or eps")
    axes = writer.whole(*range(-len(module.tensors["weight"].shape), 0))
    return _normalised(writer, module, at, source, axes, weight, None)


def _normalised(
    writer: TorchWriter, module: Module, at: str, deviation: str, axes: str, weight: str | None, bias: str | None
) -> str:
    variance = writer.new("Mean", writer.new("Square", deviation), axes, keep_dims=True)
    eps = writer.number(float(module.attributes.get("eps", 1e-5)))
    found = writer.new("Mul", deviation, writer.new("Rsqrt", writer.new("Add", variance, eps)))
    if weight is not None:
        found = writer.new("Mul", found, writer.variable(weight))
    if bias is not None:
        found = writer.new("Add", found, writer.variable(bias))
    return writer.add(at, "Identity", found)


def _batch_norm(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    """BatchNorm as a scale and a shift, which are constants and computed once."""
    if not {"running_mean", "running_var"} <= set(module.tensors):
        raise writer.unknown(f"its {kind_of(module)} keeps no running statistics")
    writer.note("its BatchNorm uses its running statistics, as in evaluation")
    mean, variance = (writer.variable(f"{at}.{name}".lstrip(".")) for name in ("running_mean", "running_var"))
    eps = writer.number(float(module.attributes.get("eps", 1e-5)))
    scale = writer.new("Rsqrt", writer.new("Add", variance, eps))
    weight, bias = _weight(module, at, "weight"), _weight(module, at, "bias")
    if weight is not None:
        scale = writer.new("Mul", scale, writer.variable(weight))
    shift = writer.new("Neg", writer.new("Mul", mean, scale))
    if bias is not None:
        shift = writer.new("Add", shift, writer.variable(bias))
    if (axes := writer.axes.get(source, 2)) > 2:
        # Channels are the second axis: shape (channels, 1, 1) broadcasts over height and width.
        column = writer.whole(-1, *[1] * (axes - 2))
        scale, shift = (writer.new("Reshape", name, column) for name in (scale, shift))
    return writer.add(at, "Add", writer.new("Mul", source, scale), shift)


def _embedding(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    whole = writer.new("Cast", source, DstT="i8")
    axes = writer.axes.get(source, 2)
    found = writer.add(at, "GatherV2", writer.variable(f"{at}.weight".lstrip(".")), whole, writer.constant(np.int32(0)))
    writer.axes[found] = axes + 1
    return found


def _flatten(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    first, last = module.attributes.get("start_dim", 1), module.attributes.get("end_dim", -1)
    axes = writer.axes.get(source, 2)
    if first != 1 or last not in (-1, axes - 1):
        raise writer.unknown(f"its Flatten is of the axes {first} to {last}")
    if axes == 2:
        return writer.add(at, "Identity", source)
    zero, one = writer.whole(0), writer.whole(1)
    count = writer.new("StridedSlice", writer.new("Shape", source), zero, one, one, shrink_axis_mask=1)
    found = writer.add(at, "Reshape", source, writer.new("Pack", count, writer.constant(np.int32(-1))))
    writer.axes[found] = 2
    # add() gave these helper nodes the number of axes of the images, but they are a number and a vector.
    for name in (count, writer.nodes[found].inputs[1]):
        writer.axes.pop(name, None)
    return found


def _pair(value: Any, usual: int = 1) -> tuple[int, int]:
    if value is None:
        return usual, usual
    if isinstance(value, (tuple, list)):
        return (int(value[0]), int(value[-1])) if len(value) == 2 else (1, int(value[0]))
    return int(value), int(value)


def _convolution(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    settings = module.attributes
    if settings.get("padding_mode", "zeros") != "zeros" or settings.get("transposed"):
        raise writer.unknown(f"its {kind_of(module)} has padding_mode={settings.get('padding_mode')}")
    writer.note("pictures are taken as the environment gives them, channels first, and not divided by 255")
    weight, bias = _weight(module, at, "weight"), _weight(module, at, "bias")
    if weight is None or len(module.tensors["weight"].shape) != PICTURE:
        raise writer.unknown(f"it holds a {module.class_path}")
    # PyTorch's kernels are (outputs, inputs, height, width), TensorFlow's (height, width, inputs, outputs).
    kernel = writer.new("Transpose", writer.variable(weight), writer.whole(2, 3, 1, 0))
    padding = settings.get("padding", 0)
    attributes: dict[str, Any] = {
        "strides": [1, 1, *_pair(settings.get("stride"))],
        "dilations": [1, 1, *_pair(settings.get("dilation"))],
        "data_format": b"NCHW",
    }
    if isinstance(padding, str):
        attributes["padding"] = padding.upper().encode()
    else:
        high, wide = _pair(padding, 0)
        attributes |= {"padding": b"EXPLICIT", "explicit_paddings": [0, 0, 0, 0, high, high, wide, wide]}
    found = writer.new("Conv2D", source, kernel, **attributes)
    writer.axes[found] = PICTURE
    if bias is None:
        return writer.add(at, "Identity", found)
    return writer.add(at, "Add", found, writer.new("Reshape", writer.variable(bias), writer.whole(-1, 1, 1)))


def _pooling(op: str) -> Layer:
    def write(writer: TorchWriter, module: Module, at: str, source: str) -> str:
        settings = module.attributes
        size = _pair(settings.get("kernel_size"))
        high, wide = _pair(settings.get("padding", 0), 0)
        odd = (
            settings.get("ceil_mode")
            or _pair(settings.get("dilation")) != (1, 1)
            or (op == "AvgPool" and (high or wide))
        )
        if odd or settings.get("divisor_override"):
            raise writer.unknown(f"its {kind_of(module)} has ceil_mode, dilation or padding")
        stride = settings.get("stride")
        return writer.add(
            at,
            op,
            source,
            ksize=[1, 1, *size],
            strides=[1, 1, *(_pair(stride) if stride is not None else size)],
            padding=b"EXPLICIT",
            explicit_paddings=[0, 0, 0, 0, high, high, wide, wide],
            data_format=b"NCHW",
        )

    return write


def _global_pooling(op: str) -> Layer:
    def write(writer: TorchWriter, module: Module, at: str, source: str) -> str:
        if _pair(module.attributes.get("output_size")) != (1, 1):
            raise writer.unknown(f"its {kind_of(module)} gives more than one number a channel")
        return writer.add(at, op, source, writer.whole(-2, -1), keep_dims=True)

    return write


_NOTHING = {"Identity", *(f"{kind}Dropout" for kind in ("Alpha", "FeatureAlpha")), "Dropout", "Dropout1d", "Dropout2d"}
_LAYERS: Mapping[str, Layer] = {
    "Linear": _linear,
    "NonDynamicallyQuantizableLinear": _linear,
    **dict.fromkeys(_NOTHING, _left_out),
    **ACTIVATIONS,
    "Softmax": _over_last("Softmax"),
    "LogSoftmax": _over_last("LogSoftmax"),
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), _batch_norm),
    "Embedding": _embedding,
    "Flatten": _flatten,
    "Conv2d": _convolution,
    "MaxPool2d": _pooling("MaxPool"),
    "AvgPool2d": _pooling("AvgPool"),
    "AdaptiveAvgPool2d": _global_pooling("Mean"),
    "AdaptiveMaxPool2d": _global_pooling("Max"),
}
"""Layers by class name."""
