"""Modules that PyTorch saved whole (``torch.save(module)``), read without PyTorch and executing nothing.

Two containers (torch/serialization.py): since 1.6 a zip with ``data.pkl`` and one file per storage; before, five
pickles in a row (a magic number, a version, facts about the machine, the object, the keys of the storages), then for
each key the number of elements and the raw values. In both a tensor is a call of ``torch._utils._rebuild_tensor_v2``
on a persistent id that names its storage. The pickle is followed symbolically (`spindb.disk.pickles`).
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spindb.disk import limits
from spindb.disk.described import Built, Global
from spindb.disk.pickles import PickleError, read_pickle, read_pickles
from spindb.disk.told import text_of, told, told_text

_MAGIC = 0x1950A86A20F9469CFC6C
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
_SIZES = {"f4": 4, "f8": 8, "f2": 2, "i8": 8, "i4": 4, "i2": 2, "i1": 1, "u1": 1, "?": 1}
_REBUILD_TENSOR = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_REBUILD_PARAMETER = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_DAMAGED = (zipfile.BadZipFile, struct.error, ValueError, EOFError, OSError, NotImplementedError, RuntimeError)
_MAX_DEPTH = 50
_MAX_EXPANDED = 1 << 24  # bytes that a tensor may have beyond its storage: strides of 0 repeat values


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: ``strides`` and ``offset`` count elements of ``storage``, which holds raw little-endian values."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: bytes


@dataclass(frozen=True, slots=True)
class Module:
    """A module: its class by path, its tensors, its children in order, and its other attributes that are plain."""

    class_path: str
    tensors: Mapping[str, Tensor]
    children: Mapping[str, Module]
    attributes: Mapping[str, Any]


def read_module(data: bytes) -> Module:
    """The module in a file of ``torch.save``.

    Raises:
        PickleError: the bytes are no such file, are cut off, or hold something else than a module; the message says
            what, and what the file would have called.
    """
    try:
        root, storages = _read_zip(data) if data.startswith(b"PK\x03\x04") else _read_legacy(data)
        if not isinstance(root, Built) or "_modules" not in root.attributes:
            raise PickleError(_what_else(root))
        return _Modules(storages).module(root, 0)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PickleError(f"holds no module that can be followed: {text_of(error)}") from error


def _what_else(root: Any) -> str:
    if isinstance(root, Built) and root.class_path == "collections.OrderedDict":
        names = ", ".join(_words(name) for name, _ in root.items[:4])
        return f"holds weights alone ({names}, …), not the network that they belong to"
    if isinstance(root, dict):
        return f"holds a dictionary ({', '.join(map(_words, list(root)[:6]))}), not a module"
    if isinstance(root, Built):
        return f"holds no module: it would call {root.call}"
    return f"holds a {type(root).__name__}, not a module"


def _words(name: Any) -> str:
    return told_text(name) if isinstance(name, str) else told(name)


def _name(name: Any) -> str:
    """The name of a tensor, module or storage.

    Raises:
        PickleError: it is neither text nor a number.
    """
    if isinstance(name, str):
        return name
    if isinstance(name, int):
        return told(name)
    raise PickleError(f"the name of a part of it is {told(name)}")


def _read_zip(data: bytes) -> tuple[Any, Mapping[str, bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        check_container(archive, len(data))
        (pickled,) = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        place = pickled.removesuffix("data.pkl")
        if f"{place}byteorder" in archive.namelist() and archive.read(f"{place}byteorder") != b"little":
            raise PickleError("written on a machine of the other byte order")
        folder = f"{place}data/"
        storages = {n.removeprefix(folder): archive.read(n) for n in archive.namelist() if n.startswith(folder)}
        return read_pickle(archive.read(pickled)), storages
    except _DAMAGED as error:
        raise PickleError(f"no whole file of torch.save: {text_of(error)}") from error


def check_container(archive: zipfile.ZipFile, size: int) -> None:
    """PyTorch compresses nothing, so what lies in the file can't be more than the file.

    Raises:
        PickleError: it would be.
    """
    entries = archive.infolist()
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > size:
        raise PickleError("compressed, or its parts overlap: not written by PyTorch")


def _read_legacy(data: bytes) -> tuple[Any, Mapping[str, bytes]]:
    (magic,), _ = read_pickles(data, 1)
    if magic != _MAGIC:
        raise PickleError(f"no file of torch.save: {_what_else(magic)}")
    (_, _, system, root, keys), end = read_pickles(data, 5)
    if not isinstance(keys, list):
        raise PickleError("no file of torch.save: the keys of its values are missing")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise PickleError("written on a machine of the other byte order")
    sizes = _storage_sizes(root)
    storages: dict[str, bytes] = {}
    position = end
    for key in keys:
        count = int.from_bytes(data[position : position + 8], "little")
        length = count * sizes.get(_name(key), 4)
        position += 8
        if position + length > len(data):
            raise PickleError("cut off inside its values")
        storages[_name(key)] = data[position : position + length]
        position += length
    return root, storages


def _storage_sizes(root: Any) -> dict[str, int]:
    """Bytes per element of each storage that the object mentions."""
    sizes: dict[str, int] = {}
    pending, seen = [root], set()
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Built):
            storage = _storage_id(item)
            if storage is not None:
                sizes[storage[1]] = _SIZES[storage[0]]
            pending += [item.callable, item.args, item.state, item.items]
        elif isinstance(item, dict):
            pending += list(item.values())
        elif isinstance(item, (list, tuple)):
            pending += list(item)
    return sizes


def _storage_id(item: Any) -> tuple[str, str] | None:
    """Type and key where the item is a persistent id of a storage."""
    if not isinstance(item, Built) or item.class_path != "persistent.id" or not isinstance(item.args[0], tuple):
        return None
    parts = item.args[0]
    if len(parts) < 3 or parts[0] != "storage" or not isinstance(parts[1], Global):
        return None
    if parts[1].name not in _DTYPES:
        raise PickleError(f"holds values of type {told_text(str(parts[1]))}, which can't be read")
    return _DTYPES[parts[1].name], _name(parts[2])


class _Modules:
    """Makes modules of descriptions. One that several others hold is made once: else they could be without number."""

    def __init__(self, storages: Mapping[str, bytes]) -> None:
        self.storages = storages
        self.made: dict[int, Module] = {}

    def module(self, built: Built, depth: int) -> Module:
        if depth > _MAX_DEPTH:
            raise PickleError(f"modules nested more than {_MAX_DEPTH} deep")
        if id(built) not in self.made:
            self.made[id(built)] = self.make(built, depth)
        return self.made[id(built)]

    def make(self, built: Built, depth: int) -> Module:
        state = built.attributes
        tensors = {}
        for group in ("_parameters", "_buffers"):
            for name, value in _items(state.get(group)):
                tensor = _tensor(value, self.storages)
                if tensor is not None:
                    tensors[_name(name)] = tensor
        children = {
            _name(name): self.module(child, depth + 1)
            for name, child in _items(state.get("_modules"))
            if isinstance(child, Built)
        }
        plain = {
            _name(name): value
            for name, value in state.items()
            if isinstance(value, (int, float, str, bool)) and not _name(name).startswith("_")
        }
        arrays = {_name(name): number for name, value in state.items() if (number := _scalar(value)) is not None}
        return Module(_class_of(built), tensors, children, {**plain, **arrays})


def _class_of(built: Built) -> str:
    target = built.callable
    if isinstance(target, Built) and target.class_path == "persistent.id":  # ('module', class, file, source)
        parts = target.args[0]
        if isinstance(parts, tuple) and len(parts) > 1 and isinstance(parts[1], Global):
            return str(parts[1])
    return built.class_path


def _items(value: Any) -> list[tuple[Any, Any]]:
    """Pairs of a dict or of what would be an OrderedDict."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, Built):
        pairs = value.args[0] if value.args and isinstance(value.args[0], list) else []
        return [tuple(pair) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2] + value.items
    return []


def _tensor(value: Any, storages: Mapping[str, bytes]) -> Tensor | None:
    if isinstance(value, Built) and value.class_path in _REBUILD_PARAMETER and value.args:
        return _tensor(value.args[0], storages)
    if not isinstance(value, Built) or value.class_path not in _REBUILD_TENSOR or len(value.args) < 4:
        return None
    storage = _storage_id(value.args[0])
    if storage is None or storage[1] not in storages:
        raise PickleError("a tensor's values are missing")
    offset, shape, strides = value.args[1:4]
    if not (isinstance(offset, int) and _is_extent(shape) and _is_extent(strides)):
        raise PickleError(f"a tensor of the shape {told(shape)} and the strides {told(strides)}")
    tensor = Tensor(storage[0], tuple(shape), tuple(strides), offset, storages[storage[1]])
    if math.prod(shape) * _SIZES[tensor.dtype] > max(len(tensor.storage), _MAX_EXPANDED):
        raise PickleError(f"a tensor of the shape {told(shape)} is made of {len(tensor.storage):,} bytes")
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min((*tensor.shape, *tensor.strides, tensor.offset), default=0) < 0 or (
        0 not in tensor.shape and (last + 1) * _SIZES[tensor.dtype] > len(tensor.storage)
    ):
        raise PickleError("a tensor reaches beyond its values")
    return tensor


def _is_extent(numbers: Any) -> bool:
    """Whether it can be a tensor's shape or strides."""
    if not isinstance(numbers, (tuple, list)) or len(numbers) > limits.DIMENSIONS:
        return False
    return all(isinstance(number, int) and 0 <= number <= limits.ELEMENTS for number in numbers)


def _scalar(value: Any) -> float | None:
    """A numpy scalar (how ``act_limit`` is kept): ``numpy.core.multiarray.scalar(dtype('f4', …), bytes)``."""
    if not isinstance(value, Built) or not value.class_path.endswith("multiarray.scalar") or len(value.args) != 2:
        return None
    dtype, raw = value.args
    code = dtype.args[0] if isinstance(dtype, Built) and dtype.args else ""
    if isinstance(raw, Built) and raw.class_path.endswith("_codecs.encode") and raw.args:
        raw = raw.args[0]
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    formats = {"f4": "<f", "f8": "<d", "i8": "<q", "i4": "<i"}
    if (
        not isinstance(code, str)
        or code not in formats
        or not isinstance(raw, bytes)
        or len(raw) != struct.calcsize(formats[code])
    ):
        return None
    return float(struct.unpack(formats[code], raw)[0])
