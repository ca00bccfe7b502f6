"""Reads PyTorch modules (``torch.save(module)``) without PyTorch and without executing anything.

There are two containers (torch/serialization.py). Since PyTorch 1.6 it is a zip with ``data.pkl`` and one file per
storage. Before, it is five consecutive pickles (magic number, version, system, the object, keys of the storages), then
for each key the number of elements and the raw values. In both, a tensor is a call of
``torch._utils._rebuild_tensor_v2`` on a persistent id that names its storage. The pickle is interpreted symbolically
(`spindb.disk.codecs.pickles`).
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError, read_pickle, read_pickles
from spindb.disk.codecs.torchtensors import SIZES, Tensor, array_of, name_of, scalar_of, storage_of, tensor_of
from spindb.disk.described import Built, Global
from spindb.disk.told import text_of, told, told_text

_MAGIC = 0x1950A86A20F9469CFC6C
_DAMAGED = (zipfile.BadZipFile, struct.error, ValueError, EOFError, OSError, NotImplementedError, RuntimeError)
_MAX_DEPTH = 50  # nested modules
_SCRIPT = "code/"  # TorchScript archives contain source code in this directory


@dataclass(frozen=True, slots=True)
class Module:
    """A module: class path, parameters and buffers, children in order, and plain attributes.

    ``arrays`` are tensors and numpy arrays in other attributes. ``unread`` describes attributes that can't be read.
    """

    class_path: str
    tensors: Mapping[str, Tensor]
    children: Mapping[str, Module]
    attributes: Mapping[str, Any]
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of ``module.state_dict()`` by name, without the module."""

    tensors: Mapping[str, Tensor]


def read_module(data: bytes) -> Module:
    """The module in a ``torch.save`` file; raises as `read_saved`, and for a file of weights."""
    found = read_saved(data)
    if isinstance(found, Weights):
        names = ", ".join(list(found.tensors)[:4])
        raise PickleError(f"holds weights alone ({names}, …), not the network that they belong to")
    return found


def check_pickle(data: bytes) -> None:
    """Check that the ``data.pkl`` of a ``torch.save`` file can be interpreted.

    Raises:
        PickleError: it is damaged.
    """
    read_pickle(data)


def check_legacy(file: BinaryIO, size: int) -> None:
    """Check the pickles of a file of `size` bytes in the container before PyTorch 1.6, without reading the values.

    Raises:
        PickleError: it is damaged, or not a ``torch.save`` file.
    """
    file.seek(0)
    head = file.read(limits.MODULE_PICKLE)
    if len(head) == limits.MODULE_PICKLE < size:  # larger than any policy's: checked when it is played
        return

    def read(position: int, length: int) -> bytes:
        file.seek(position)
        return file.read(length)

    _legacy_places(head, read, size)


def read_saved(data: bytes) -> Module | Weights:
    """The module, or the weights of one, in a ``torch.save`` file.

    Raises:
        PickleError: the bytes are not such a file, are truncated, or contain something other than a module; the
            message says what, and what unpickling would have called.
    """
    try:
        root, storages = _read_zip(data) if data.startswith(b"PK\x03\x04") else _read_legacy(data)
        if isinstance(root, Built) and "_modules" in root.attributes:
            return _Modules(storages).module(root, 0)
        weights = _weights(root, storages)
        if not weights:
            raise PickleError(_what_else(root))
        return Weights(weights)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PickleError(f"holds no module that can be followed: {text_of(error)}") from error


def _weights(root: object, storages: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The tensors of a state dict; empty if it is something else."""
    is_mapping = isinstance(root, dict) or (isinstance(root, Built) and root.class_path == "collections.OrderedDict")
    pairs = _items(root) if is_mapping else []
    named = {name: value for name, value in pairs if isinstance(name, str)}
    if not pairs or not all(isinstance(name, str) for name, _ in pairs):
        return {}
    found = {name: tensor_of(value, storages) for name, value in named.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None} if None not in found.values() else {}


def _what_else(root: object) -> str:
    if isinstance(root, Built) and root.class_path == "collections.OrderedDict":
        names = ", ".join(_words(name) for name, _ in root.items[:4])
        return f"holds no module, but {names}, …"
    if isinstance(root, dict):
        return f"holds a dictionary ({', '.join(map(_words, list(root)[:6]))}), not a module"
    if isinstance(root, Built):
        return f"holds no module: it would call {root.call}"
    return f"holds a {type(root).__name__}, not a module"


def _words(name: object) -> str:
    return told_text(name) if isinstance(name, str) else told(name)


def _read_zip(data: bytes) -> tuple[Any, Mapping[str, bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        if is_script(archive.namelist()):
            raise PickleError(f"a TorchScript archive: its network is code in {_SCRIPT}, which only PyTorch runs")
        check_container(archive, len(data))
        (pickled,) = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        place = pickled.removesuffix("data.pkl")
        if f"{place}byteorder" in archive.namelist() and archive.read(f"{place}byteorder") != b"little":
            raise PickleError("written on a machine of the other byte order")
        folder = f"{place}data/"
        storages = {n.removeprefix(folder): archive.read(n) for n in archive.namelist() if n.startswith(folder)}
        return read_pickle(archive.read(pickled)), storages
    except _DAMAGED as error:
        raise PickleError(f"an incomplete file of torch.save: {text_of(error)}") from error


def holds_script(path: Path) -> bool:
    """Whether the file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return is_script(archive.namelist())
    except _DAMAGED:
        return False


def is_script(names: Sequence[str]) -> bool:
    """Whether an archive with these entries was written by ``torch.jit.save``."""
    return any(f"/{_SCRIPT}" in f"/{name}" for name in names) and any(n.endswith("constants.pkl") for n in names)


def check_container(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse zip bombs: PyTorch does not compress, so the content can't be larger than the file.

    Raises:
        PickleError: it is larger, or compressed.
    """
    entries = archive.infolist()
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > size:
        raise PickleError("compressed, or its parts overlap: not written by PyTorch")


def _read_legacy(data: bytes) -> tuple[Any, Mapping[str, bytes]]:
    root, places = _legacy_places(data, lambda position, length: data[position : position + length], len(data))
    return root, {key: data[start : start + length] for key, (start, length) in places.items()}


def _legacy_places(head: bytes, read: Callable[[int, int], bytes], size: int) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The object in a file of `size` bytes whose pickles are in `head`, and start and length of each storage."""
    (magic,), _ = read_pickles(head, 1)
    if magic != _MAGIC:
        raise PickleError(f"not a file of torch.save: {_what_else(magic)}")
    (_, _, system, root, keys), end = read_pickles(head, 5)
    if not isinstance(keys, list):
        raise PickleError("not a file of torch.save: the keys of its values are missing")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise PickleError("written on a machine of the other byte order")
    # The file has the number of elements; their size depends on the type of the storage.
    sizes = _storage_sizes(root)
    places: dict[str, tuple[int, int]] = {}
    position = end
    for key in keys:
        length = int.from_bytes(read(position, 8), "little") * sizes.get(name_of(key), 4)
        position += 8
        if position + length > size:
            raise PickleError("cut off inside its values")
        places[name_of(key)] = (position, length)
        position += length
    return root, places


def _storage_sizes(root: object) -> dict[str, int]:
    """Bytes per element of each storage that the object refers to."""
    sizes: dict[str, int] = {}
    # Not recursive, and each object only once: a damaged pickle may be deep, cyclic or share parts many times.
    pending, seen = [root], set()
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Built):
            storage = storage_of(item)
            if storage is not None:
                sizes[storage[1]] = SIZES[storage[0]]
            pending += [item.callable, item.args, item.state, item.items]
        elif isinstance(item, dict):
            pending += list(item.values())
        elif isinstance(item, (list, tuple)):
            pending += list(item)
    return sizes


class _Modules:
    """Converts descriptions to modules. A shared module is converted once; otherwise sharing could be exponential."""

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
                tensor = tensor_of(value, self.storages)
                if tensor is not None:
                    tensors[name_of(name)] = tensor
        children = {
            name_of(name): self.module(child, depth + 1)
            for name, child in _items(state.get("_modules"))
            if isinstance(child, Built)
        }
        plain: dict[str, Any] = {
            name_of(name): value
            for name, value in state.items()
            if _is_plain(value) and not name_of(name).startswith("_")
        }
        arrays: dict[str, Tensor] = {}
        unread: dict[str, str] = {}
        for key, value in state.items():
            name = name_of(key)
            if name.startswith("_") or name in plain or value is None:
                continue
            if (number := scalar_of(value)) is not None:
                plain[name] = number
            elif (array := _array_among(value, self.storages)) is not None:
                arrays[name] = array
            else:
                unread[name] = value.call if isinstance(value, Built) and value.called else told(value)
        return Module(_class_of(built), tensors, children, plain, arrays, unread)


def _is_plain(value: object) -> bool:
    """Whether it is a number, a text or a short sequence of numbers, as in the settings of layers."""
    if isinstance(value, (tuple, list)):
        return len(value) <= limits.DIMENSIONS and all(isinstance(item, (int, float)) for item in value)
    return isinstance(value, (int, float, str, bool))


def _array_among(value: object, storages: Mapping[str, bytes]) -> Tensor | None:
    """An attribute as a tensor, if it is a tensor or a numpy array that can be read, else None."""
    try:
        return tensor_of(value, storages) or array_of(value)
    except PickleError:
        return None


def _class_of(built: Built) -> str:
    target = built.callable
    # before PyTorch 1.6: ('module', class, file, source)
    if isinstance(target, Built) and target.class_path == "persistent.id":
        parts = target.args[0]
        if isinstance(parts, tuple) and len(parts) > 1 and isinstance(parts[1], Global):
            return str(parts[1])
    return built.class_path


def _items(value: object) -> list[tuple[object, object]]:
    """The pairs of a dict, or of the description of an OrderedDict."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, Built):
        pairs = value.args[0] if value.args and isinstance(value.args[0], list) else []
        return [tuple(pair) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2] + value.items
    return []
