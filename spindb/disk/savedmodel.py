"""Reads TensorFlow SavedModels as far as that goes without TensorFlow.

``saved_model.pb`` is a protocol buffer (``SavedModel`` → ``MetaGraphDef``); a few fields of it are
taken and the rest stepped over. ``variables.index`` is a LevelDB table of ``BundleEntryProto``
(tensorflow/core/util/tensor_bundle, tensorflow/core/lib/io/table); it says how long the data must be,
which tells an interrupted save.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48


class SavedModelError(Exception):
    """The save is incomplete or damaged; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Signature:
    """``serving_default`` of a SavedModel: names to tensor names, and the TensorFlow that wrote it."""

    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    tensorflow: str | None = None


def check_variables(directory: Path) -> None:
    """Raise `SavedModelError` where the variables of the SavedModel at `directory` are not whole."""
    index = directory / "variables" / "variables.index"
    if not index.is_file():
        raise SavedModelError("variables/variables.index is missing: the save was interrupted or not copied whole")
    for shard, needed in _shard_sizes(index.read_bytes()).items():
        data = list(index.parent.glob(f"variables.data-{shard:05d}-of-*"))
        if not data:
            raise SavedModelError(f"variables/variables.data-{shard:05d}-of-… is missing: no variables to load")
        size = data[0].stat().st_size
        if size < needed:
            raise SavedModelError(f"variables/{data[0].name} has {size} of {needed} bytes: the save was interrupted")


def read_signature(data: bytes) -> Signature:
    """Inputs, outputs and version from the bytes of ``saved_model.pb``.

    Raises:
        SavedModelError: the bytes are no SavedModel or are cut off.
    """
    try:
        for number, meta_graph in _fields(data):
            if number == 2 and isinstance(meta_graph, bytes):
                return _signature(meta_graph)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise SavedModelError(f"saved_model.pb is cut off or damaged: {error}") from error
    raise SavedModelError("saved_model.pb holds no graph: the save was interrupted")


def _signature(meta_graph: bytes) -> Signature:
    version = None
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for number, value in _fields(meta_graph):
        if number == 1:  # meta_info_def; its field 5 is tensorflow_version
            version = _text(dict(_fields(_message(value))).get(5))
        elif number == 5:  # an entry of the map signature_def
            entry = dict(_fields(_message(value)))
            if _text(entry.get(1)) == "serving_default":
                for kind, item in _fields(_message(entry.get(2, b""))):
                    if kind in (1, 2):
                        pair = dict(_fields(_message(item)))
                        tensor = dict(_fields(_message(pair.get(2, b""))))
                        target = inputs if kind == 1 else outputs
                        target[_text(pair.get(1)) or ""] = _text(tensor.get(1)) or ""
    return Signature(inputs, outputs, version)


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a message was expected")
    return value


def _text(value: int | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of one protocol buffer message, in file order."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if position + length > len(data):
            raise ValueError(f"{position + length - len(data)} bytes are missing")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError(f"a number too long at byte {position}")


def _shard_sizes(index: bytes) -> dict[int, int]:
    """Bytes that each data shard must hold at least, from the bytes of ``variables.index``."""
    if len(index) < _FOOTER or not index.endswith(_TABLE_MAGIC):
        raise SavedModelError("variables/variables.index is cut off: the save was interrupted")
    sizes: dict[int, int] = {}
    try:
        footer = index[-_FOOTER:]
        position = _varint(footer, _varint(footer, 0)[1])[1]  # past the handle of the meta index
        offset, position = _varint(footer, position)
        size, _ = _varint(footer, position)
        for _, handle in _block(index, offset, size):
            start, position = _varint(handle, 0)
            for key, value in _block(index, start, _varint(handle, position)[0]):
                if key:  # the empty key is the header
                    entry = dict(_fields(value))
                    shard, begin, length = (int(entry.get(n, 0)) for n in (3, 4, 5))
                    sizes[shard] = max(sizes.get(shard, 0), begin + length)
    except (IndexError, ValueError) as error:
        raise SavedModelError(f"variables/variables.index is damaged: {error}") from error
    return sizes


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block of a LevelDB table (keys share prefixes)."""
    block = table[offset : offset + size]
    if len(block) < size or table[offset + size] != 0:
        raise ValueError("a block that is compressed or cut off")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length
