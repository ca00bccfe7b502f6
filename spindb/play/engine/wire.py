"""Messages between this process and the one that evaluates an untrusted graph: JSON, and arrays as bytes.

The data from that process is as untrusted as the graph, so pickles are not used, and sizes and types are checked before
arrays are allocated.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from spindb.play.engine.budget import TOTAL, elements

# A message is: length of the JSON (32 bits), the JSON with types and shapes of the arrays, the bytes of the arrays.
_PREFIX = struct.Struct("<I")
_MAX_WORDS = 16 << 20  # bytes of JSON: names of a graph's tensors
_MAX_ARRAYS = 10_000
_KINDS = "biufc"


class WireError(Exception):
    """The received bytes are not a valid message."""


class Message(NamedTuple):
    """A JSON object, and arrays of numbers."""

    words: dict[str, Any]
    arrays: list[Any]


def sendable(array: Any) -> bool:
    """Whether an array can be sent: only numbers and booleans."""
    return array.dtype.kind in _KINDS


def send(connection: socket.socket, words: dict[str, Any], arrays: Sequence[Any] = ()) -> None:
    """Send a message. Raises `OSError` if the connection is closed, or its timeout expires."""
    described = json.dumps([words, [[array.dtype.str, array.shape] for array in arrays]]).encode()
    parts = [_PREFIX.pack(len(described)), described, *(np.ascontiguousarray(array).tobytes() for array in arrays)]
    connection.sendall(b"".join(parts))


def receive(connection: socket.socket, seconds: float | None = None) -> Message:
    """The next message.

    Raises:
        EOFError: the connection was closed.
        TimeoutError: it did not arrive within `seconds`.
        WireError: the received bytes are not a valid message.
        OSError: the connection broke.
    """
    # A deadline for the whole message: a timeout per call would let a sender keep it open byte by byte.
    until = None if seconds is None else time.monotonic() + seconds
    (size,) = _PREFIX.unpack(_bytes(connection, _PREFIX.size, until))
    if size > _MAX_WORDS:
        raise WireError(f"a message of {size:,} bytes")
    described = _bytes(connection, size, until)
    try:
        words, shapes = json.loads(described)
        arrays = _empty(shapes)
        if not isinstance(words, dict):
            raise TypeError("no words")
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"a message that can't be read: {error}") from error
    for array in arrays:
        if array.nbytes:
            _fill(connection, memoryview(array.reshape(-1).view(np.uint8)), until)
    return Message(words, arrays)


def _empty(shapes: Any) -> list[Any]:
    types = [np.dtype(dtype) for dtype, _ in shapes]
    if any(dtype.kind not in _KINDS for dtype in types) or len(types) > _MAX_ARRAYS:
        raise ValueError("arrays of something else than numbers, or too many")
    lengths = [tuple(shape) for _, shape in shapes]
    sizes = (elements(shape) * dtype.itemsize for shape, dtype in zip(lengths, types, strict=True))
    if sum(sizes) > TOTAL:
        raise ValueError("arrays that are too large")
    return [np.empty(shape, dtype) for shape, dtype in zip(lengths, types, strict=True)]


def _bytes(connection: socket.socket, size: int, until: float | None) -> bytearray:
    found = bytearray(size)
    _fill(connection, memoryview(found), until)
    return found


def _fill(connection: socket.socket, view: memoryview, until: float | None) -> None:
    while len(view):
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
