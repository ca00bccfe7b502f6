"""PyTorch tensors and numpy arrays in symbolically interpreted pickles (`spindb.disk.codecs.pickles`).

PyTorch rebuilds a tensor from a persistent id that names its storage. numpy rebuilds a scalar from its bytes
(``numpy.core.multiarray.scalar(dtype, bytes)``), and an array by ``_reconstruct`` with a state
``(version, shape, dtype, is_fortran, bytes)``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.described import Built, Global
from spindb.disk.told import told, told_text

_DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
SIZES = {"f4": 4, "f8": 8, "f2": 2, "i8": 8, "i4": 4, "i2": 2, "i1": 1, "u1": 1, "?": 1}
"""Bytes per element."""
_FORMATS = {"f4": "f", "f8": "d", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "?": "?", "b1": "?"}
_NUMPY = {**{code: code for code in SIZES}, "b1": "?"}
_REBUILD_TENSOR = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_REBUILD_PARAMETER = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_MAX_EXPANDED = 1 << 24  # bytes a tensor may have if its storage is smaller: strides of 0 repeat values


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: ``strides`` and ``offset`` are in elements of ``storage``, which has raw little-endian values."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: bytes


def name_of(name: object) -> str:
    """The name of a tensor, module or storage.

    Raises:
        PickleError: it is neither text nor an integer.
    """
    if isinstance(name, str):
        return name
    if isinstance(name, int):
        return told(name)
    raise PickleError(f"the name of a part of it is {told(name)}")


def storage_of(item: object) -> tuple[str, str] | None:
    """Type and key if the item is a persistent id of a storage, else None."""
    if not isinstance(item, Built) or item.class_path != "persistent.id" or not isinstance(item.args[0], tuple):
        return None
    # ('storage', storage class, key, device, number of elements)
    parts = item.args[0]
    if len(parts) < 3 or parts[0] != "storage" or not isinstance(parts[1], Global):
        return None
    if parts[1].name not in _DTYPES:
        raise PickleError(f"holds values of type {told_text(str(parts[1]))}, which can't be read")
    return _DTYPES[parts[1].name], name_of(parts[2])


def tensor_of(value: object, storages: Mapping[str, bytes]) -> Tensor | None:
    if isinstance(value, Built) and value.class_path in _REBUILD_PARAMETER and value.args:
        return tensor_of(value.args[0], storages)
    if not isinstance(value, Built) or value.class_path not in _REBUILD_TENSOR or len(value.args) < 4:
        return None
    storage = storage_of(value.args[0])
    if storage is None or storage[1] not in storages:
        raise PickleError("a tensor's values are missing")
    offset, shape, strides = value.args[1:4]
    if not (isinstance(offset, int) and _is_extent(shape) and _is_extent(strides)):
        raise PickleError(f"a tensor of the shape {told(shape)} and the strides {told(strides)}")
    tensor = Tensor(storage[0], tuple(shape), tuple(strides), offset, storages[storage[1]])
    if math.prod(shape) * SIZES[tensor.dtype] > max(len(tensor.storage), _MAX_EXPANDED):
        raise PickleError(f"a tensor of the shape {told(shape)} is made of {len(tensor.storage):,} bytes")
    # The largest index must be within the storage: strides come from the file and could point anywhere.
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min((*tensor.shape, *tensor.strides, tensor.offset), default=0) < 0 or (
        0 not in tensor.shape and (last + 1) * SIZES[tensor.dtype] > len(tensor.storage)
    ):
        raise PickleError("a tensor reaches beyond its values")
    return tensor


def _is_extent(numbers: object) -> bool:
    """Whether `numbers` can be a tensor's shape or strides."""
    if not isinstance(numbers, (tuple, list)) or len(numbers) > limits.DIMENSIONS:
        return False
    return all(isinstance(number, int) and 0 <= number <= limits.ELEMENTS for number in numbers)


def scalar_of(value: object) -> float | None:
    """The value of a numpy scalar, or None for anything else."""
    if not isinstance(value, Built) or not isinstance(value.args, tuple):
        return None
    if value.class_path.endswith("multiarray.scalar") and len(value.args) == 2:
        code, raw = _code_of(value.args[0]), _raw_of(value.args[1])
        if code is not None and raw is not None and len(raw) == SIZES[code]:
            return float(struct.unpack(f"<{_FORMATS[code]}", raw)[0])
    return None


def array_of(value: object) -> Tensor | None:
    """A numpy array that was pickled with its values; None for anything else, or another type of elements.

    Raises:
        PickleError: the number of values does not match the shape.
    """
    if not isinstance(value, Built) or not value.class_path.endswith("multiarray._reconstruct"):
        return None
    if not isinstance(value.state, tuple) or len(value.state) != 5:
        return None
    _, shape, dtype, fortran, raw = value.state
    code, data = _code_of(dtype), _raw_of(raw)
    if code is None or data is None or not _is_extent(shape):
        return None
    if math.prod(shape) * SIZES[code] != len(data):
        raise PickleError(f"an array of the shape {told(shape)} is made of {len(data):,} bytes")
    strides, step = [], 1
    # Strides of a contiguous array: in Fortran order the first index is the fastest, else the last.
    for length in shape if fortran else reversed(shape):
        strides.append(step)
        step *= length
    return Tensor(code, tuple(shape), tuple(strides if fortran else reversed(strides)), 0, data)


def _code_of(dtype: object) -> str | None:
    """The code of a pickled ``dtype('f4', 0, 1)``; None for other types and for big-endian order."""
    code = dtype.args[0] if isinstance(dtype, Built) and isinstance(dtype.args, tuple) and dtype.args else None
    state = dtype.state if isinstance(dtype, Built) else None
    if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
        return None
    return _NUMPY.get(code) if isinstance(code, str) else None


def _raw_of(raw: object) -> bytes | None:
    """Pickled bytes; protocols before 3 store them as text in Latin-1."""
    if isinstance(raw, Built) and raw.class_path.endswith("_codecs.encode") and raw.args:
        raw = raw.args[0]
    if isinstance(raw, str):
        try:
            raw = raw.encode("latin1")
        except UnicodeEncodeError:
            return None
    return bytes(raw) if isinstance(raw, (bytes, bytearray)) else None
