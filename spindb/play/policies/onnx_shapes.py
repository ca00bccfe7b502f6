"""Translates ONNX operations that slice, join, reshape or create arrays to those of the engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spindb.disk.codecs.nodes import Constant
from spindb.play.policies.onnx_writer import Translation, Translator

MOST_AXES = 32
_HALVES = 2


def _shape(told: Translation) -> str:
    found = told.axes(1, told.typed("i8", told.add("Shape", told.input(0), out_type="i8")))
    start, end = told.whole("start", 0), told.whole("end")
    if start or end is not None:
        stop = told.wholes(0 if end is None else end)
        found = told.add("StridedSlice", found, told.wholes(start), stop, told.wholes(1), end_mask=int(end is None))
    return told.axes(1, found)


def _gather(told: Translation) -> str:
    x, indices = told.input(0), told.input(1)
    found = told.add("GatherV2", x, indices, told.writer.constant(np.int64(told.whole("axis", 0))))
    known = (told.writer.axes.get(x), told.writer.axes.get(indices))
    return told.axes(None if None in known else (known[0] or 0) + (known[1] or 0) - 1, found)


def _concat(told: Translation) -> str:
    axis = told.writer.constant(np.int64(told.whole("axis")))
    known = told.writer.axes.get(told.input(0))
    return told.axes(known, told.add("ConcatV2", *(told.input(n) for n in range(len(told.inputs))), axis))


def _split(told: Translation) -> list[str]:
    x, axis, count = told.input(0), told.whole("axis", 0), len(told.step.outputs)
    sizes = told.numbers("split", 1)
    at = told.writer.constant(np.int64(axis))
    if sizes is None:
        name = told.add("Split", at, x, num_split=count)
    else:
        name = told.add("SplitV", x, told.wholes(*sizes), at)
    parts = [f"{name}:{port}" for port in range(count)]
    for part in parts:
        told.typed(told.writer.kinds.get(x, "f4"), part)
        told.axes(told.writer.axes.get(x), part)
    return parts


def _slice(told: Translation) -> str:
    x = told.input(0)
    axes, steps = told.numbers("axes", 3), told.numbers("steps", 4)
    computed = told.get("starts") is None and any(told.writer.folded(told.input(n)) is None for n in (1, 2))
    if computed and axes is not None and len(axes) == 1 and steps in (None, [1]):
        return _slice_by_lengths(told, axes[0])
    starts, ends = told.numbers("starts", 1), told.numbers("ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise told.unknown("without ends")
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    known = told.writer.axes.get(x)
    if known is not None:
        axes = [axis + known if axis < 0 else axis for axis in axes]
    if not len(axes) == len(starts) == len(steps) or max(map(abs, axes)) > MOST_AXES or min(axes) < 0 <= max(axes):
        raise told.unknown("with such axes or steps")
    cut = {axis: part for axis, *part in zip(axes, starts, ends, steps, strict=True)}
    # Axes counted from the end: an ellipsis at the beginning covers the axes before them.
    first = min(axes) < 0
    places = list(range(min(axes), 0) if first else range(max(axes) + 1))
    parts = [cut.get(axis, [0, 0, 1]) for axis in places]
    open_ones = sum(1 << place for place, axis in enumerate(places) if axis not in cut) << int(first)
    if first:
        parts.insert(0, [0, 0, 1])
    begin, end, step = (told.wholes(*column) for column in zip(*parts, strict=True))
    masks = {"begin_mask": open_ones, "end_mask": open_ones, "ellipsis_mask": int(first)}
    return told.axes(known, told.add("StridedSlice", x, begin, end, step, **masks))


def _slice_by_lengths(told: Translation, axis: int) -> str:
    """Slice one axis, with limits that are computed from shapes."""
    x, known = told.input(0), told.writer.axes.get(told.input(0))
    if axis < 0 and known is not None:
        axis += known
    if not 0 <= axis <= MOST_AXES:
        raise told.unknown("of an axis that is counted from the last")
    before, zero = told.wholes(*[0] * axis), told.writer.constant(np.int64(0))
    begin, end = (told.add("ConcatV2", before, told.input(which), zero) for which in (1, 2))
    masks = {"begin_mask": (1 << axis) - 1, "end_mask": (1 << axis) - 1}
    return told.axes(known, told.add("StridedSlice", x, begin, end, told.wholes(*[1] * (axis + 1)), **masks))


def _squeeze(told: Translation) -> str:
    x, axes = told.input(0), told.numbers("axes", 1)
    known = told.writer.axes.get(x)
    found = told.add("Squeeze", x, squeeze_dims=axes or [])
    return told.axes(known - len(axes) if known is not None and axes else None, found)


def _unsqueeze(told: Translation) -> str:
    found, axes = told.input(0), told.numbers("axes", 1) or []
    known = told.writer.axes.get(found)
    if min(axes, default=0) < 0:
        if known is None and len(axes) > 1:
            raise told.unknown("at several axes from the end")
        axes = [axis if known is None else axis % (known + len(axes)) for axis in axes]
    # Axes refer to the result, so they are inserted in ascending order.
    for axis in sorted(axes):
        found = told.add("ExpandDims", found, told.writer.constant(np.int64(axis)))
    return told.axes(None if known is None else known + len(axes), found)


def _reshape(told: Translation) -> str:
    x, shape = told.input(0), told.input(1)
    given = told.writer.values.get(shape)
    if given is not None and not told.whole("allowzero", 0) and (np.ravel(given) == 0).any():
        own = told.add("Shape", x, out_type="i8")  # 0 means: keep the length
        count = np.size(given)
        lengths = told.add("Slice", own, told.wholes(0), told.wholes(count))
        shape = told.add("SelectV2", told.add("Equal", shape, told.wholes(0)), lengths, shape)
    return told.axes(None if given is None else int(np.size(given)), told.add("Reshape", x, shape))


def _flatten(told: Translation) -> str:
    if (axis := told.whole("axis", 1)) != 1:
        raise told.unknown(f"from axis {axis}")
    x = told.input(0)
    count = told.add("Slice", told.add("Shape", x, out_type="i8"), told.wholes(0), told.wholes(1))
    shape = told.add("ConcatV2", count, told.wholes(-1), told.writer.constant(np.int64(0)))
    return told.axes(2, told.add("Reshape", x, shape))


def _transpose(told: Translation) -> str:
    order, known = told.whole("perm"), told.writer.axes.get(told.input(0))
    if order is None and known is None:
        raise told.unknown("of an array of unknown axes")
    return told.axes(known, told.add("Transpose", told.input(0), told.wholes(*(order or range(known or 0)[::-1]))))


def _expand(told: Translation) -> str:
    x = told.input(0)
    shape = told.add("BroadcastArgs", told.add("Shape", x, out_type="i8"), told.input(1))
    return told.axes(None, told.add("BroadcastTo", x, shape))


def _constant(told: Translation) -> str:
    value = told.get("value")
    if isinstance(value, Constant):
        if not value.dtype:
            raise told.unknown("of a type that numpy does not have")
        return told.writer.constant(told.writer.array(value))
    for name, dtype in (("value_float", "f4"), ("value_floats", "f4"), ("value_int", "i8"), ("value_ints", "i8")):
        if told.get(name) is not None:
            return told.writer.constant(np.array(told.get(name), dtype=dtype))
    raise told.unknown("without numbers")


def _constant_of_shape(told: Translation) -> str:
    value = told.get("value")
    fill = np.zeros(1, "f4") if value is None else told.writer.array(value)
    number = told.writer.constant(fill.reshape(()))
    return told.axes(None, told.typed(fill.dtype.str[1:], told.add("Fill", told.input(0), number)))


def _one_hot(told: Translation) -> str:
    if told.whole("axis", -1) != -1:
        raise told.unknown("along another axis than the last")
    off, on = (told.writer.constant(value) for value in np.ravel(told.value(2))[:_HALVES])
    depth = told.writer.constant(np.reshape(told.value(1), ()))
    kind = told.writer.kinds[off]
    return told.axes(None, told.typed(kind, told.add("OneHot", told.input(0), depth, on, off, T=kind)))


def _pad(told: Translation) -> str:
    if told.get("mode", b"constant") != b"constant" or told.optional(3):
        raise told.unknown("of such a kind")
    sides = told.numbers("pads", 1) or []
    pairs = np.array(sides, dtype="i8").reshape(_HALVES, -1).T
    value = told.optional(2) or told.number(float(told.get("value", 0.0)), told.input(0))
    return told.add("PadV2", told.input(0), told.writer.constant(np.ascontiguousarray(pairs)), value)


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
    "Size": lambda told: told.axes(0, told.typed("i8", told.add("Size", told.input(0), out_type="i8"))),
    "Tile": lambda told: told.add("Tile", told.input(0), told.input(1)),
    "Range": lambda told: told.axes(1, told.add("Range", *(told.input(n) for n in range(3)))),
}
"""Operations by name."""
