"""Reads the wire format of protocol buffers: field numbers and raw values, without a schema.

Encoding: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

from spindb.disk import limits

_64_BITS = 2**64 - 1


def message(value: int | bytes | None) -> bytes:
    """The value as a message; None is an empty message.

    Raises:
        ValueError: it is a number.
    """
    if value is None:
        return b""
    if not isinstance(value, bytes):
        raise ValueError("a number where a message was expected")
    return value


def text(value: int | bytes | None) -> str | None:
    """The value as text, or None for a number or None."""
    return value.decode() if isinstance(value, bytes) else None


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of a message, in file order.

    Raises:
        ValueError, IndexError: the message is damaged or has more fields than `limits.FIELDS`.
    """
    position = count = 0
    while position < len(data):
        count += 1
        if count > limits.FIELDS:
            raise ValueError(f"more than {limits.FIELDS:,} fields in a message")
        key, position = varint(data, position)
        # Wire types: 0 a varint, 1 64 bits, 2 bytes with a length, 5 32 bits; 3 and 4 are groups, which are
        # obsolete.
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if position + length > len(data):
            raise ValueError(f"{position + length - len(data)} bytes are missing")
        yield number, data[position : position + length]
        position += length


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    while True:
        # Seven bits per byte, the lowest first; the high bit says that another byte follows.
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _64_BITS, position
        shift += 7
        if shift > 63:
            raise ValueError(f"a number too long at byte {position}")


def integer(value: int | bytes | None) -> int:
    """The value as a number; None is 0, the default of proto3.

    Raises:
        ValueError: it is a message or text.
    """
    if isinstance(value, bytes):
        raise ValueError("a message where a number was expected")
    return value or 0


def signed(value: int | bytes | None) -> int:
    """A number as int64 or int32: negative ones are written as 64 bits."""
    number = value if isinstance(value, int) else 0
    return number - 2**64 if number >= 2**63 else number


def integers(value: int | bytes) -> list[int]:
    """A repeated number, packed or not."""
    if isinstance(value, int):
        return [signed(value)]
    found, position = [], 0
    while position < len(value):
        number, position = varint(value, position)
        found.append(signed(number))
    return found
