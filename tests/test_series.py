"""How series are kept, for SQLite as JSON and for PostgreSQL as an array beside its odd cells."""

from __future__ import annotations

import json
import math

import pytest

from spindb.index.database.series import curve, decode, encode, last_cell, numbers, packed, unpacked
from spindb.records import Cell

NAN, INF = math.nan, math.inf


def same(found: object, expected: object) -> bool:
    return repr(found) == repr(expected)  # NaN equals NaN, 1 is not 1.0


CELLS: list[tuple[list[Cell], str]] = [
    ([], "[]"),
    ([1, 2.5, -3], "[1,2.5,-3]"),
    ([None, "text", ""], '[null,"text",""]'),
    ([NAN, INF, -INF, 0.1], '["NaN","Infinity","-Infinity",0.1]'),
    ([2**63, -(2**70)], "[9223372036854775808, -1180591620717411303424]"),
]


@pytest.mark.parametrize(("cells", "text"), CELLS)
def test_json_keeps_every_cell(cells: list[Cell], text: str) -> None:
    assert json.loads(encode(cells)) == json.loads(text)
    assert packed(cells, "sqlite") == (encode(cells), None)
    assert same(decode(encode(cells)), cells)


@pytest.mark.parametrize(
    ("cells", "array", "odd"),
    [
        ([], "{}", None),
        ([1, 2.5], "{1.0,2.5}", None),
        ([None, "text", 3.0], "{NULL,NULL,3.0}", {"1": "text"}),
        ([NAN, INF, -INF], "{nan,inf,-inf}", None),
        ([2**53, -(2**53)], "{9007199254740992.0,-9007199254740992.0}", None),
        ([2**53 + 1], "{9007199254740992.0}", {"0": 2**53 + 1}),
        ([1.0, -(2**53) - 1], "{1.0,-9007199254740992.0}", {"1": -(2**53) - 1}),
        ([10**400, -(10**400)], "{inf,-inf}", {"0": 10**400, "1": -(10**400)}),
    ],
)
def test_an_array_and_its_odd_cells(cells: list[Cell], array: str, odd: dict[str, Cell] | None) -> None:
    found, beside = packed(cells, "postgresql")
    assert (found, None if beside is None else json.loads(beside)) == (array, odd)


def test_an_array_gives_its_cells_back() -> None:
    assert same(decode([1.0, None, NAN]), [1.0, None, NAN])
    assert same(decode([None, 1.0], '{"0": "text"}'), ["text", 1.0])
    assert same(decode([1.0, None, 2.0], '{"1": "a", "2": 9007199254740993}'), [1.0, "a", 9007199254740993])


@pytest.mark.parametrize("cells", [[], [1.5], [1.0, None, NAN, -INF], ["text", 2.0]])
def test_what_was_packed_is_unpacked_on_either_database(cells: list[Cell]) -> None:
    for dialect in ("sqlite", "postgresql"):
        assert same(unpacked(*packed(cells, dialect)), cells)


def test_what_is_known_to_be_finite_is_written_the_same() -> None:
    floats, mixed = [0.5, 1.0, -2.25], [1, 2, 3.5]
    for cells in (floats, mixed, [2**70]):
        for dialect in ("sqlite", "postgresql"):
            quick, plain = packed(cells, dialect, finite=True), packed(cells, dialect)
            assert json.loads(quick[0].replace("{", "[").replace("}", "]")) == json.loads(
                plain[0].replace("{", "[").replace("}", "]")
            )
            assert quick[1] == plain[1]


@pytest.mark.parametrize(
    ("last", "text", "expected"),
    [
        (3.5, None, 3.5),
        (0.0, None, 0.0),
        (None, "NaN", NAN),
        (None, "word", "word"),
        (None, "", None),
        (None, None, None),
    ],
)
def test_the_last_cell(last: float | None, text: str | None, expected: Cell) -> None:
    assert same(last_cell(last, text), expected)


def test_curves_are_numbers_alone() -> None:
    assert curve("[1,2.5]") == [1, 2.5]
    assert same(curve('[1,null,"text","NaN","-Infinity"]'), [1.0, NAN, NAN, NAN, -INF])
    assert same(curve([1.0, None]), [1.0, NAN])
    assert same(numbers([1, None, "x", 2.5]), [1.0, NAN, NAN, 2.5])
