"""Reads signatures and variable indexes of TensorFlow SavedModels without TensorFlow.

``saved_model.pb`` is a protocol buffer (``SavedModel`` → ``MetaGraphDef``), of which a few fields are read.
``variables.index`` is a LevelDB table of ``BundleEntryProto`` (tensorflow/core/util/tensor_bundle,
tensorflow/core/lib/io/table). It has the sizes of the data files, which reveal an interrupted save.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from spindb.disk import limits
from spindb.disk.codecs import protobuf as wire
from spindb.disk.lfs import LFS_LARGEST, LFS_REASON, is_lfs_pointer
from spindb.disk.regular import read_regular

_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")  # the last 8 bytes of any LevelDB table
_FOOTER = 48  # bytes: handles of the meta index and the index, padding, magic
_MAX_DIMENSIONS = 254  # TensorFlow's own limit
_SHARD = re.compile(r"variables\.data-(\d{5,9})-of-\d+\Z", re.ASCII)


class SavedModelError(Exception):
    """The save is incomplete or damaged; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature ``serving_default``: tensor names by name, TensorFlow's version, shapes by tensor name."""

    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    tensorflow: str | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def check_variables(directory: Path) -> None:
    """Raise `SavedModelError` if the variables of the SavedModel at `directory` are incomplete."""
    files = _shard_files(directory)
    for shard, needed in _shard_sizes(
        read_part(directory, "variables/variables.index", limits.VARIABLES_INDEX)
    ).items():
        data = _shard(files, shard)
        status = data.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SavedModelError(f"variables/{data.name} is not a regular file: no variables to load")
        if status.st_size < needed:
            # A file this small may be a git-LFS pointer; read_part then raises with that reason.
            if status.st_size <= LFS_LARGEST:
                read_part(directory, f"variables/{data.name}", LFS_LARGEST)
            raise SavedModelError(
                f"variables/{data.name} has {status.st_size:,} of {needed:,} bytes: the save was interrupted"
            )


def read_part(directory: Path, name: str, limit: int) -> bytes:
    """The bytes of a file of the SavedModel at `directory`.

    Raises:
        SavedModelError: it is missing, not a regular file, a git-LFS pointer, or has more than `limit` bytes.
    """
    try:
        data = read_regular(directory / name, limit)
    except (FileNotFoundError, NotADirectoryError):
        raise SavedModelError(f"{name} is missing: the save was interrupted or not copied whole") from None
    except OSError as error:
        raise SavedModelError(f"{name} can't be read: {error.strerror or error}") from error
    if is_lfs_pointer(data):
        raise SavedModelError(f"{name} is {LFS_REASON}")
    return data


def read_signature(data: bytes) -> Signature:
    """Inputs, outputs and version from the bytes of ``saved_model.pb``.

    Raises:
        SavedModelError: the bytes are not a SavedModel, or are truncated.
    """
    try:
        for number, meta_graph in wire.fields(data):
            if number == 2 and isinstance(meta_graph, bytes):  # SavedModel.meta_graphs
                return _signature(meta_graph)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise SavedModelError(f"saved_model.pb is cut off or damaged: {error}") from error
    raise SavedModelError("saved_model.pb holds no graph: the save was interrupted")


def _signature(meta_graph: bytes) -> Signature:
    # MetaGraphDef: 1 meta_info_def, 5 signature_def (a map of SignatureDef: 1 inputs, 2 outputs, maps of TensorInfo:
    # 1 name, 3 tensor_shape).
    version = None
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for number, value in wire.fields(meta_graph):
        if number == 1:  # meta_info_def; its field 5 is tensorflow_version
            version = wire.text(dict(wire.fields(wire.message(value))).get(5))
        elif number == 5:  # an entry of the map signature_def
            entry = dict(wire.fields(wire.message(value)))
            if wire.text(entry.get(1)) == "serving_default":
                for kind, item in wire.fields(wire.message(entry.get(2, b""))):
                    if kind in (1, 2):
                        pair = dict(wire.fields(wire.message(item)))
                        tensor = dict(wire.fields(wire.message(pair.get(2, b""))))
                        target = inputs if kind == 1 else outputs
                        name = target[wire.text(pair.get(1)) or ""] = wire.text(tensor.get(1)) or ""
                        shapes[name] = shape_of(wire.message(tensor.get(3)))
    return Signature(inputs, outputs, version, shapes)


@dataclass(frozen=True, slots=True)
class Entry:
    """The location of a variable's data: TensorFlow's type number; offset and size in the shard, in bytes."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_index(index: bytes) -> dict[str, Entry]:
    """The variables of a bundle by name, from the bytes of ``variables.index``.

    Raises:
        SavedModelError: the bytes are not an index, or are truncated.
    """
    if len(index) < _FOOTER or not index.endswith(_TABLE_MAGIC):
        raise SavedModelError("variables/variables.index is cut off: the save was interrupted")
    entries: dict[str, Entry] = {}
    try:
        footer = index[-_FOOTER:]
        position = wire.varint(footer, wire.varint(footer, 0)[1])[1]  # skip the handle of the meta index: two varints
        offset, position = wire.varint(footer, position)
        size, _ = wire.varint(footer, position)
        end = 0
        for _, handle in _block(index, offset, size):
            start, position = wire.varint(handle, 0)
            if start < end:  # blocks follow each other; overlapping ones could multiply a small file
                raise ValueError("a block inside another")
            length = wire.varint(handle, position)[0]
            end = start + length
            for key, value in _block(index, start, length):
                if key:  # the empty key is the BundleHeaderProto
                    entries[key.decode("utf-8", "replace")] = _entry(dict(wire.fields(value)))
            if len(entries) > limits.VARIABLES:
                raise ValueError(f"more than {limits.VARIABLES:,} variables")
    except (IndexError, ValueError) as error:
        raise SavedModelError(f"variables/variables.index is damaged: {error}") from error
    return entries


def _entry(fields: dict[int, int | bytes]) -> Entry:
    # BundleEntryProto: 1 dtype, 2 shape, 3 shard_id, 4 offset, 5 size.
    dtype, shard, offset, size = (wire.integer(fields.get(number)) for number in (1, 3, 4, 5))
    return Entry(dtype, shape_of(wire.message(fields.get(2))), shard, offset, size)


def shape_of(message: bytes) -> tuple[int, ...]:
    """The lengths in a TensorShapeProto; -1 for an unknown one.

    Raises:
        ValueError: there are more than TensorFlow allows.
    """
    # TensorShapeProto: 2 dim, whose 1 is size.
    lengths = tuple(
        wire.signed(dict(wire.fields(wire.message(dim))).get(1)) for number, dim in wire.fields(message) if number == 2
    )
    if len(lengths) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor of {len(lengths):,} dimensions")
    return lengths


def _shard_sizes(index: bytes) -> dict[int, int]:
    """The minimum size of each data shard in bytes."""
    sizes: dict[int, int] = {}
    for entry in read_index(index).values():
        sizes[entry.shard] = max(sizes.get(entry.shard, 0), entry.offset + entry.size)
    return sizes


def shard_file(directory: Path, shard: int) -> Path:
    """The file of a data shard of the SavedModel at `directory`.

    Raises:
        SavedModelError: it is missing.
    """
    return _shard(_shard_files(directory), shard)


def _shard_files(directory: Path) -> dict[int, Path]:
    """The files of data shards by number; if several have the same number, the first by name."""
    files: dict[int, Path] = {}
    try:
        with os.scandir(directory / "variables") as entries:
            names = sorted(entry.name for entry in islice(entries, limits.ENTRIES))
    except OSError:
        return files
    for name in names:
        match = _SHARD.match(name)
        if match:
            files.setdefault(int(match[1]), directory / "variables" / name)
    return files


def _shard(files: Mapping[int, Path], shard: int) -> Path:
    if shard not in files:
        raise SavedModelError(f"variables/variables.data-{shard:05d}-of-… is missing: no variables to load")
    return files[shard]


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block of a LevelDB table.

    An entry is: length of the prefix shared with the key before, length of the rest of the key, length of the value,
    rest of the key, value. After the entries follow restart points (32 bits each) and their number.
    """
    block = table[offset : offset + size]
    # The byte after a block is its compression: 0 is none, the only kind that TensorFlow writes here.
    if len(block) < size or table[offset + size] != 0:
        raise ValueError("a block that is compressed or cut off")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    position, key = 0, b""
    while position < end:
        shared, position = wire.varint(block, position)
        fresh, position = wire.varint(block, position)
        length, position = wire.varint(block, position)
        if shared > len(key) or shared + fresh > limits.NAME:
            raise ValueError(f"a name of {shared + fresh:,} bytes")
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length
