"""Translates ONNX operations that slice, join, reshape or create arrays to those of the engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spindb.disk.codecs.nodes import Constant
from spindb.play.policies.onnx_writer import Translation, Translator

MOST_AXES = 32
_HALVES = 2


def _shape(node: Translation) -> str:
    found = node.axes(1, node.typed("i8", node.add("Shape", node.input(0), out_type="i8")))
    start, end = node.whole("start", 0), node.whole("end")
    if start or end is not None:
        stop = node.wholes(0 if end is None else end)
        found = node.add("StridedSlice", found, node.wholes(start), stop, node.wholes(1), end_mask=int(end is None))
    return node.axes(1, found)


def _gather(node: Translation) -> str:
    x, indices = node.input(0), node.input(1)
    found = node.add("GatherV2", x, indices, node.writer.constant(np.int64(node.whole("axis", 0))))
    known = (node.writer.axes.get(x), node.writer.axes.get(indices))
    return node.axes(None if None in known else (known[0] or 0) + (known[1] or 0) - 1, found)


def _concat(node: Translation) -> str:
    axis = node.writer.constant(np.int64(node.whole("axis")))
    known = node.writer.axes.get(node.input(0))
    return node.axes(known, node.add("ConcatV2", *(node.input(n) for n in range(len(node.inputs))), axis))


def _split(node: Translation) -> list[str]:
    x, axis, count = node.input(0), node.whole("axis", 0), len(node.step.outputs)
    sizes = node.numbers("split", 1)
    at = node.writer.constant(np.int64(axis))
    if sizes is None:
        name = node.add("Split", at, x, num_split=count)
    else:
        name = node.add("SplitV", x, node.wholes(*sizes), at)
    parts = [f"{name}:{port}" for port in range(count)]
    for part in parts:
        node.typed(node.writer.kinds.get(x, "f4"), part)
        node.axes(node.writer.axes.get(x), part)
    return parts


def _slice(node: Translation) -> str:
    x = node.input(0)
    axes, steps = node.numbers("axes", 3), node.numbers("steps", 4)
    computed = node.get("starts") is None and any(node.writer.folded(node.input(n)) is None for n in (1, 2))
    if computed and axes is not None and len(axes) == 1 and steps in (None, [1]):
        return _slice_by_lengths(node, axes[0])
    starts, ends = node.numbers("starts", 1), node.numbers("ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise node.unknown("without ends")
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    known = node.writer.axes.get(x)
    if known is not None:
        axes = [axis + known if axis < 0 else axis for axis in axes]
    if not len(axes) == len(starts) == len(steps) or max(map(abs, axes)) > MOST_AXES or min(axes) < 0 <= max(axes):
        raise node.unknown("with such axes or steps")
    cut = {axis: part for axis, *part in zip(axes, starts, ends, steps, strict=True)}
    # Axes counted from the end: an ellipsis at the beginning covers the axes before them.
    first = min(axes) < 0
    places = list(range(min(axes), 0) if first else range(max(axes) + 1))
    parts = [cut.get(axis, [0, 0, 1]) for axis in places]
    open_ones = sum(1 << place for place, axis in enumerate(places) if axis not in cut) << int(first)
    if first:
        parts.insert(0, [0, 0, 1])
    begin, end, step = (node.wholes(*column) for column in zip(*parts, strict=True))
    masks = {"begin_mask": open_ones, "end_mask": open_ones, "ellipsis_mask": int(first)}
    return node.axes(known, node.add("StridedSlice", x, begin, end, step, **masks))


def _slice_by_lengths(node: Translation, axis: int) -> str:
    """Slice one axis, with limits that are computed from shapes."""
    x, known = node.input(0), node.writer.axes.get(node.input(0))
    if axis < 0 and known is not None:
        axis += known
    if not 0 <= axis <= MOST_AXES:
        raise node.unknown("of an axis that is counted from the last")
    before, zero = node.wholes(*[0] * axis), node.writer.constant(np.int64(0))
    begin, end = (node.add("ConcatV2", before, node.input(which), zero) for which in (1, 2))
    masks = {"begin_mask": (1 << axis) - 1, "end_mask": (1 << axis) - 1}
    return node.axes(known, node.add("StridedSlice", x, begin, end, node.wholes(*[1] * (axis + 1)), **masks))


def _squeeze(node: Translation) -> str:
    x, axes = node.input(0), node.numbers("axes", 1)
    known = node.writer.axes.get(x)
    found = node.add("Squeeze", x, squeeze_dims=axes or [])
    return node.axes(known - len(axes) if known is not None and axes else None, found)


def _unsqueeze(node: Translation) -> str:
    found, axes = node.input(0), node.numbers("axes", 1) or []
    known = node.writer.axes.get(found)
    if min(axes, default=0) < 0:
        if known is None and len(axes) > 1:
            raise node.unknown("at several axes from the end")
        axes = [axis if known is None else axis % (known + len(axes)) for axis in axes]
    # Axes refer to the result, so they are inserted in ascending order.
    for axis in sorted(axes):
        found = node.add("ExpandDims", found, node.writer.constant(np.int64(axis)))
    return node.axes(None if known is None else known + len(axes), found)


def _reshape(node: Translation) -> str:
    x, shape = node.input(0), node.input(1)
    given = node.writer.values.get(shape)
    if given is not None and not node.whole("allowzero", 0) and (np.ravel(given) == 0).any():
        own = node.add("Shape", x, out_type="i8")  # 0 means: keep the length
        count = np.size(given)
        lengths = node.add("Slice", own, node.wholes(0), node.wholes(count))
        shape = node.add("SelectV2", node.add("Equal", shape, node.wholes(0)), lengths, shape)
    return node.axes(None if given is None else int(np.size(given)), node.add("Reshape", x, shape))


def _flatten(node: Translation) -> str:
    if (axis := node.whole("axis", 1)) != 1:
        raise node.unknown(f"from axis {axis}")
    x = node.input(0)
    count = node.add("Slice", node.add("Shape", x, out_type="i8"), node.wholes(0), node.wholes(1))
    shape = node.add("ConcatV2", count, node.wholes(-1), node.writer.constant(np.int64(0)))
    return node.axes(2, node.add("Reshape", x, shape))


def _transpose(node: Translation) -> str:
    order, known = node.whole("perm"), node.writer.axes.get(node.input(0))
    if order is None and known is None:
        raise node.unknown("of an array of unknown axes")
    return node.axes(known, node.add("Transpose", node.input(0), node.wholes(*(order or range(known or 0)[::-1]))))


def _expand(node: Translation) -> str:
    x = node.input(0)
    shape = node.add("BroadcastArgs", node.add("Shape", x, out_type="i8"), node.input(1))
    return node.axes(None, node.add("BroadcastTo", x, shape))


def _constant(node: Translation) -> str:
    value = node.get("value")
    if isinstance(value, Constant):
        if not value.dtype:
            raise node.unknown("of a type that numpy does not have")
        return node.writer.constant(node.writer.array(value))
    for name, dtype in (("value_float", "f4"), ("value_floats", "f4"), ("value_int", "i8"), ("value_ints", "i8")):
        if node.get(name) is not None:
            return node.writer.constant(np.array(node.get(name), dtype=dtype))
    raise node.unknown("without numbers")


def _constant_of_shape(node: Translation) -> str:
    value = node.get("value")
    fill = np.zeros(1, "f4") if value is None else node.writer.array(value)
    number = node.writer.constant(fill.reshape(()))
    return node.axes(None, node.typed(fill.dtype.str[1:], node.add("Fill", node.input(0), number)))


def _one_hot(node: Translation) -> str:
    if node.whole("axis", -1) != -1:
        raise node.unknown("along another axis than the last")
    off, on = (node.writer.constant(value) for value in np.ravel(node.needed_value(2))[:_HALVES])
    depth = node.writer.constant(np.reshape(node.needed_value(1), ()))
    kind = node.writer.kinds[off]
    return node.axes(None, node.typed(kind, node.add("OneHot", node.input(0), depth, on, off, T=kind)))


def _pad(node: Translation) -> str:
    if node.get("mode", b"constant") != b"constant" or node.optional(3):
        raise node.unknown("of such a kind")
    sides = node.numbers("pads", 1) or []
    pairs = np.array(sides, dtype="i8").reshape(_HALVES, -1).T
    value = node.optional(2) or node.number(float(node.get("value", 0.0)), node.input(0))
    return node.add("PadV2", node.input(0), node.writer.constant(np.ascontiguousarray(pairs)), value)


SHAPES: Mapping[str, Translator] = {
    "Shape": _shape,
    "Gather": _gather,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Expand": _expand,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Size": lambda node: node.axes(0, node.typed("i8", node.add("Size", node.input(0), out_type="i8"))),
    "Tile": lambda node: node.add("Tile", node.input(0), node.input(1)),
    "Range": lambda node: node.axes(1, node.add("Range", *(node.input(n) for n in range(3)))),
}
"""Operations by name."""
