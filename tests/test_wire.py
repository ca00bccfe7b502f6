"""Protocol buffers, against bytes written out by hand from protobuf.dev/programming-guides/encoding."""

from __future__ import annotations

import pytest

from spindb.disk import limits
from spindb.disk.codecs import protobuf as wire


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\x08\x96\x01", [(1, 150)]),
        (b"\x12\x07testing", [(2, b"testing")]),
        (b"\x12\x00", [(2, b"")]),
        (b"\x1a\x03\x08\x96\x01\x20\x01", [(3, b"\x08\x96\x01"), (4, 1)]),
        (b"\x09abcdefgh\x08\x01", [(1, b"abcdefgh"), (1, 1)]),
        (b"\x0dabcd\x08\x01", [(1, b"abcd"), (1, 1)]),
        (b"\x82\x01\x01x\x08\x05", [(16, b"x"), (1, 5)]),
    ],
    ids=["nothing", "number", "bytes", "no bytes", "message, then number", "64 bits", "32 bits", "number beyond 15"],
)
def test_fields(data: bytes, expected: list[tuple[int, object]]) -> None:
    assert list(wire.fields(data)) == expected


def test_a_repeated_field_comes_in_the_order_of_the_file() -> None:
    assert list(wire.fields(b"\x08\x02\x10\x09\x08\x01")) == [(1, 2), (2, 9), (1, 1)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x12\x07test", "3 bytes are missing"),
        (b"\x09abcd", "4 bytes are missing"),
        (b"\x0dab", "2 bytes are missing"),
        (b"\x0b", "wire type 3"),
        (b"\x08\x01\x0f", "wire type 7 at byte 3"),
        (b"\x08" + b"\xff" * 11, "too long"),
    ],
)
def test_damage_is_said(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(wire.fields(data))


@pytest.mark.parametrize(
    ("data", "position", "expected"),
    [
        (b"\x00", 0, (0, 1)),
        (b"\x7f", 0, (127, 1)),
        (b"\x80\x01", 0, (128, 2)),
        (b"zz\xac\x02z", 2, (300, 4)),
        (b"\xff" * 9 + b"\x01", 0, (2**64 - 1, 10)),
    ],
)
def test_numbers_of_variable_length(data: bytes, position: int, expected: tuple[int, int]) -> None:
    assert wire.varint(data, position) == expected


def test_the_number_of_fields_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIELDS", 3)
    assert list(wire.fields(b"\x08\x01" * 3)) == [(1, 1)] * 3
    with pytest.raises(ValueError, match=r"^more than 3 fields in a message$"):
        list(wire.fields(b"\x08\x01" * 4))


def test_signs_are_those_of_64_bits() -> None:
    assert wire.signed(5) == 5
    assert wire.signed(2**63 - 1) == 2**63 - 1
    assert wire.signed(2**63) == -(2**63)
    assert wire.signed(2**64 - 1) == -1
    assert wire.signed(None) == wire.signed(b"text") == 0


def test_repeated_numbers_packed_or_not() -> None:
    assert wire.integers(7) == [7]
    assert wire.integers(2**64 - 2) == [-2]
    assert wire.integers(b"") == []
    assert wire.integers(b"\x03\x8e\x02" + b"\xff" * 9 + b"\x01") == [3, 270, -1]


def test_values_as_messages_and_texts() -> None:
    assert wire.message(None) == b""
    assert wire.message(b"\x08\x01") == b"\x08\x01"
    with pytest.raises(ValueError, match="a number where a message was expected"):
        wire.message(3)
    assert wire.text("ä".encode()) == "ä"
    assert wire.text(None) is wire.text(3) is None
