"""TensorFlow's image operations in numpy: convolution, pooling, batch normalisation, padding.

A batch of images has shape (n, height, width, channels), or with ``data_format=NCHW`` (n, channels, height, width).
Windows are views of the padded images, so that a convolution is one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from spindb.play.arrays import Array

Attributes: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[..., Any]
Sides: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


def is_channels_first(attributes: Attributes) -> bool:
    """Whether images have the shape (n, channels, height, width).

    Raises:
        NotImplementedError: another layout than this or (n, height, width, channels).
    """
    found = attributes.get("data_format") or b"NHWC"
    if found not in (b"NHWC", b"NCHW"):
        raise NotImplementedError("pictures of other axes than NHWC and NCHW")
    return bool(found == b"NCHW")


def _spatial(attributes: Attributes, name: str, usual: int = 1) -> tuple[int, int]:
    """Height and width of an attribute with one number per axis."""
    values = attributes.get(name) or [usual] * 4
    if len(values) != 4:
        raise ValueError(f"{name} has {len(values)} numbers")
    high, wide = values[2:] if is_channels_first(attributes) else values[1:3]
    if min(high, wide) < 1:
        raise ValueError(f"{name} is {values}")
    return int(high), int(wide)


def paddings(attributes: Attributes, lengths: tuple[int, int], window: tuple[int, int]) -> Sides:
    """The padding before and after height and width, for a window of this size."""
    kind = attributes.get("padding") or b"VALID"
    if kind == b"EXPLICIT":
        given = [int(n) for n in attributes["explicit_paddings"]]
        first = 4 if is_channels_first(attributes) else 2
        found = given[first : first + 4]
        if len(given) != 8 or min(given) < 0:
            raise ValueError(f"explicit_paddings is {given}")
        return (found[0], found[1]), (found[2], found[3])
    if kind == b"VALID":
        return (0, 0), (0, 0)
    if kind != b"SAME":
        raise NotImplementedError("a padding that is neither SAME, VALID nor EXPLICIT")
    sides = []
    for length, size, step in zip(lengths, window, _spatial(attributes, "strides"), strict=True):
        # SAME: the result has ceil(length / step) elements. An odd padding has the extra element at the end.
        missing = max((-(-length // step) - 1) * step + size - length, 0)
        sides.append((missing // 2, missing - missing // 2))
    return sides[0], sides[1]


def output_shape(attributes: Attributes, shape: tuple[int, ...], kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """Number, height and width of the resulting images, and pixels of a padded image.

    Raises:
        ValueError: the image is smaller than the window, or the array is not a batch of images.
    """
    if len(shape) != 4:
        raise ValueError(f"it takes pictures, not arrays of shape {tuple(shape)}")
    lengths = (shape[2], shape[3]) if is_channels_first(attributes) else (shape[1], shape[2])
    dilation, strides = _spatial(attributes, "dilations"), _spatial(attributes, "strides")
    window = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    sides = paddings(attributes, lengths, window)
    padded = [length + sum(side) for length, side in zip(lengths, sides, strict=True)]
    if any(length < size for length, size in zip(padded, window, strict=True)):
        raise ValueError(f"pictures of {lengths[0]} x {lengths[1]} are smaller than its window")
    high, wide = ((p - w) // s + 1 for p, w, s in zip(padded, window, strides, strict=True))
    return shape[0], high, wide, padded[0] * padded[1]


_sliding: Callable[..., Array] = np.lib.stride_tricks.sliding_window_view  # numpy 1 declares one axis alone


def _windows(x: Array, attributes: Attributes, kernel: tuple[int, int], fill: float) -> Array:
    """A view of all windows, shape (n, height, width, channels, kernel height, kernel width)."""
    dilation, strides = _spatial(attributes, "dilations"), _spatial(attributes, "strides")
    if is_channels_first(attributes):
        x = np.transpose(x, (0, 2, 3, 1))
    window = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    sides = paddings(attributes, (x.shape[1], x.shape[2]), window)
    if any(map(any, sides)):
        x = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=fill)
    found = _sliding(x, window, axis=(1, 2))
    return found[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]


def _back(found: Array, attributes: Attributes) -> Array:
    return np.transpose(found, (0, 3, 1, 2)) if is_channels_first(attributes) else found


def _conv(attributes: Attributes) -> Function:
    is_channels_first(attributes)

    def run(x: Array, kernel: Array) -> Array:
        high, wide, inner, outer = kernel.shape
        windows = _windows(x, attributes, (high, wide), 0)
        n, rows, columns, channels = windows.shape[:4]
        if inner == 0 or channels % inner or outer % (channels // inner):
            raise ValueError(f"pictures of {channels} channels, it takes {inner}")
        # Grouped convolution: the kernel has fewer input channels than the image. Each group has its own share of
        # outputs.
        groups = channels // inner
        parts = []
        for group in range(groups):
            mine = windows[:, :, :, group * inner : (group + 1) * inner]
            flat = mine.reshape(n * rows * columns, inner * high * wide)
            share = kernel[:, :, :, group * (outer // groups) : (group + 1) * (outer // groups)]
            parts.append(flat @ share.transpose(2, 0, 1, 3).reshape(inner * high * wide, -1))
        found = parts[0] if groups == 1 else np.concatenate(parts, axis=-1)
        return _back(found.reshape(n, rows, columns, outer), attributes)

    return run


def _depthwise(attributes: Attributes) -> Function:
    is_channels_first(attributes)

    def run(x: Array, kernel: Array) -> Array:
        high, wide, inner, factor = kernel.shape
        windows = _windows(x, attributes, (high, wide), 0)
        found = np.einsum("nrcihw,hwif->nrcif", windows, kernel)
        return _back(found.reshape(*found.shape[:3], inner * factor), attributes)

    return run


def _pooled(function: Function, fill: float) -> Callable[[Attributes], Function]:
    def make(attributes: Attributes) -> Function:
        size = _spatial(attributes, "ksize")
        if function is np.mean and attributes.get("padding") == b"EXPLICIT" and any(attributes["explicit_paddings"]):
            raise NotImplementedError("an AvgPool with explicit paddings")

        def run(x: Array) -> Array:
            windows = _windows(x, attributes, size, fill)
            if function is np.mean and attributes.get("padding") == b"SAME":  # padding is excluded from the mean
                counts = _windows(np.ones_like(x), attributes, size, 0).sum(axis=(-1, -2))
                return _back(windows.sum(axis=(-1, -2)) / counts, attributes)
            return _back(function(windows, axis=(-1, -2)), attributes)

        return run

    return make


def _batch_norm(attributes: Attributes) -> Function:
    """Batch normalisation in inference: the normalised images and the given statistics."""
    if attributes.get("is_training", True):
        raise NotImplementedError("a FusedBatchNorm in training")
    epsilon = float(attributes.get("epsilon", 1e-4))
    first = is_channels_first(attributes)

    def run(x: Array, scale: Array, offset: Array, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
        factor = scale / np.sqrt(variance + np.asarray(epsilon, dtype=variance.dtype))
        shift = offset - mean * factor
        if first:
            factor, shift = factor[:, None, None], shift[:, None, None]
        return x * factor + shift, mean, variance

    return run


def pad(x: Array, sides: Array, value: float = 0) -> Array:
    """Pad an array with a value before and after each axis.

    Raises:
        ValueError: a padding is negative, or there are not two per axis.
    """
    sides = np.asarray(sides)
    if sides.shape != (np.ndim(x), 2) or (sides < 0).any():
        raise ValueError(f"paddings of shape {sides.shape} for an array of {np.ndim(x)} axes")
    return np.pad(x, sides.tolist(), constant_values=value)


OPERATIONS: Mapping[str, Callable[[Attributes], Function]] = {
    "Conv2D": _conv,
    "DepthwiseConv2dNative": _depthwise,
    "MaxPool": _pooled(np.max, -np.inf),
    "AvgPool": _pooled(np.mean, 0),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _batch_norm),
}
MANY = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
