"""Tables of metrics: the fast path and the careful one give the same, and nothing shifts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.disk import tables
from spindb.disk.tables import read_table
from spindb.records import Cell

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
)


@st.composite
def clean_tables(draw: st.DrawFn) -> tuple[list[str], list[list[float]]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    rows = draw(st.lists(st.lists(NUMBERS, min_size=len(names), max_size=len(names)), min_size=1, max_size=8))
    return names, rows


def write(names: list[str], rows: list[list[float]]) -> bytes:
    return "".join("\t".join(map(str, line)) + "\n" for line in [names, *rows]).encode()


@given(clean_tables())
def test_both_ways_give_what_was_written(table: tuple[list[str], list[list[float]]]) -> None:
    names, rows = table
    data = write(names, rows)
    header, _, body = data.partition(b"\n")
    careful = tables._read_carefully(data, "progress.txt")
    fast = tables._read_fast(header, body)
    expected = [list(column) for column in zip(*rows, strict=True)]
    assert [c.name for c in careful.columns] == names
    assert [list(c.values) for c in careful.columns] == expected
    assert careful.problems == ()
    assert fast is not None
    assert [c.name for c in fast.columns] == names
    assert [list(c.values) for c in fast.columns] == expected
    assert [[type(v) for v in c.values] for c in fast.columns] == [[type(v) for v in c] for c in expected]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_error(data: bytes) -> None:
    table = read_table(data)
    assert all(len(column.values) == table.rows for column in table.columns)
    assert len({column.name for column in table.columns}) == len(table.columns)


def test_a_single_column_may_have_a_name_of_several_words() -> None:
    for data in (b"Average Return\n1\n2\n", b"Average Return\n1\nnan\n"):
        table = read_table(data)
        assert [(column.name, column.values[0]) for column in table.columns] == [("Average Return", 1)]
        assert (table.rows, table.problems) == (2, ())


@given(st.text(alphabet="0123456789.eE+-\t\nnaif ", max_size=200))
def test_whatever_the_fast_way_takes_the_careful_one_takes_alike(text: str) -> None:
    data = text.encode()
    header, _, body = data.partition(b"\n")
    fast = tables._read_fast(header, body)
    if fast is not None:
        careful = tables._read_carefully(data, "")
        assert [(c.name, list(c.values)) for c in careful.columns] == [(c.name, list(c.values)) for c in fast.columns]


CELLS: list[tuple[str, Cell]] = [
    ("1", 1),
    ("-0.0", -0.0),
    ("1e-05", 1e-05),
    ("inf", math.inf),
    ("-inf", -math.inf),
    ("1099511627776", 1099511627776),
    ("100000000000000000000", 1e20),
    ("True", "True"),
    ("two words", "two words"),
    ("tensor(25223)", "tensor(25223)"),
    ("[1 2]", "[1 2]"),
    ("1_000", "1_000"),
    ("9" * 400, math.inf),
    ("9" * 5000, "9" * 5000),
    ("", None),
]


@pytest.mark.parametrize(("text", "value"), CELLS)
def test_cells(text: str, value: Cell) -> None:
    table = read_table(f"Epoch\tX\n0\t{text}\n1\t2.5\n".encode())
    assert table.columns[1].values == (value, 2.5)
    assert table.problems == ()


def test_nan_is_kept_as_nan() -> None:
    (column,) = read_table(b"X\nnan\n").columns
    (value,) = column.values
    assert isinstance(value, float)
    assert math.isnan(value)


HEAD = b"Epoch\tA\tB\n0\t1\t2\n"
ODD = [
    (b"", 0, ["progress-empty"], [None]),
    (b"\n\n", 0, ["progress-empty"], [None]),
    (b"Epoch\tA\tB\n", 0, ["no-rows"], [None]),
    (HEAD + b"1\t3\n2\t5\t6\n", 2, ["ragged-row"], [3]),
    (HEAD + b"1\t3\t4\t2\t5\t6\n", 1, ["ragged-row"], [3]),
    (HEAD + b"1\t3\t4", 2, ["no-final-newline"], [3]),
    (HEAD + b"1\t3", 1, ["no-final-newline", "ragged-row"], [3, 3]),
    (HEAD + b"\0\0\0\0\n1\t3\t4\n", 2, ["nul-bytes"], [3]),
    (HEAD + b"1\t3\t4\n\0\0\0", 2, [], []),
    (HEAD + b"Epoch\tA\tB\n1\t3\t4\n", 2, ["repeated-header"], [3]),
    (b"Epoch\tA\tA\n0\t1\t2\n", 1, ["duplicate-column"], [1]),
    (b"Epoch\t\tB\n0\t1\t2\n", 1, ["unnamed-column"], [1]),
    (b"Epoch A B\n0 1 2\n", 1, ["separator"], [1]),
    (b"Epoch\tA\tB\r\n0\t1\t2\r\n", 1, [], []),
    (b"\xef\xbb\xbfEpoch\tA\tB\n0\t1\t2\n", 1, [], []),
    (HEAD + b"1\t\xff\t4\n", 2, ["encoding"], [3]),
]


@pytest.mark.parametrize(("data", "rows", "codes", "lines"), ODD)
def test_odd_files_keep_what_is_certain_and_say_the_rest(
    data: bytes, rows: int, codes: list[str], lines: list[int | None]
) -> None:
    table = read_table(data)
    assert table.rows == rows
    assert [p.code for p in table.problems] == codes
    assert [p.line for p in table.problems] == lines
    if rows:
        assert [c.values[0] for c in table.columns] == [0, 1, 2]  # nothing shifted


def test_many_odd_rows_are_counted_not_listed() -> None:
    table = read_table(HEAD + b"1\n" * 1000)
    assert table.rows == 1
    assert len(table.problems) == 21
    assert "980 more" in table.problems[-1].message
