"""Tables of metrics: the fast path and the careful one give the same, and nothing shifts."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.disk import headers, limits, tables
from spindb.disk.cells import is_number, parse_cell
from spindb.disk.counters import COUNTERS
from spindb.disk.extent import check_extent
from spindb.disk.regular import TooLargeError
from spindb.disk.tables import read_table
from spindb.records import Cell

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).filter(
    lambda name: (
        not name.startswith(("#", "//", '"', "'")) and not is_number(parse_cell(name)) and name.lower() not in COUNTERS
    )
)
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
    assert [problem.code for problem in table.problems] == ["text-cells"] * isinstance(value, str)


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
    (HEAD + b"1\t3\t4\t2\t5\t6\n", 3, ["glued-row"], [3]),
    (HEAD + b"1\t3\t4", 2, ["no-final-newline"], [3]),
    (HEAD + b"1\t3", 1, ["no-final-newline", "ragged-row"], [3, 3]),
    (HEAD + b"\0\0\0\0\n1\t3\t4\n", 2, ["nul-bytes"], [3]),
    (HEAD + b"1\t3\t4\n\0\0\0", 2, ["nul-bytes"], [4]),
    (HEAD + b"Epoch\tA\tB\n1\t3\t4\n", 2, ["repeated-header"], [3]),
    (b"Epoch\tA\tA\n0\t1\t2\n", 1, ["duplicate-column"], [1]),
    (b"Epoch\t\tB\n0\t1\t2\n", 1, ["unnamed-column"], [1]),
    (b"Epoch A B\n0 1 2\n", 1, ["separator"], [1]),
    (b"Epoch\tA\tB\r\n0\t1\t2\r\n", 1, [], []),
    (b"\xef\xbb\xbfEpoch\tA\tB\n0\t1\t2\n", 1, [], []),
    (HEAD + b"1\t\xff\t4\n", 2, ["encoding"], [3]),
    (HEAD + b"EPOCH\tb\tA\n1\t4\t3\n", 2, ["second-header"] * 2, [3, 3]),
]


def test_b1_a_header_in_other_letters_names_the_same_columns() -> None:
    table = read_table(HEAD + b"EPOCH\tb\tA\n1\t4\t3\n")
    assert {column.name: column.values for column in table.columns} == {"Epoch": (0, 1), "A": (1, 3), "B": (2, 4)}
    both = read_table(b"loss\tLoss\n1\t2\nLoss\tloss\n3\t4\nLOSS\tother\n5\t6\n")
    assert [column.name for column in both.columns] == ["loss", "Loss", "LOSS", "other"]
    assert [column.values for column in both.columns[:2]] == [(1, 4, None), (2, 3, None)]


@pytest.mark.parametrize(("data", "rows", "codes", "lines"), ODD)
def test_odd_files_keep_what_is_certain_and_say_the_rest(
    data: bytes, rows: int, codes: list[str], lines: list[int | None]
) -> None:
    table = read_table(data)
    assert table.rows == rows
    assert [p.code for p in table.problems if p.code != "text-cells"] == codes
    assert [p.line for p in table.problems if p.code != "text-cells"] == lines
    if rows:
        assert [c.values[0] for c in table.columns] == [0, 1, 2]  # nothing shifted


def test_many_odd_rows_are_counted_not_listed() -> None:
    table = read_table(HEAD + b"1\n" * 1000)
    assert table.rows == 1
    assert len(table.problems) == 21
    assert "980 more" in table.problems[-1].message


def columns(data: bytes) -> dict[str, list[Cell]]:
    return {column.name: list(column.values) for column in read_table(data).columns}


def problems(data: bytes) -> list[tuple[str, int | None]]:
    """But for columns of text, which have a test of their own."""
    return [(problem.code, problem.line) for problem in read_table(data).problems if problem.code != "text-cells"]


HEADERS_IN_FORCE: list[tuple[bytes, dict[str, list[Cell]], list[tuple[str, int]]]] = [
    (
        b"Epoch\tAverageEpRet\tSteps\n0\t10\t1000\nEpoch\tSteps\tAverageEpRet\n1\t2000\t20\n",
        {"Epoch": [0, 1], "AverageEpRet": [10, 20], "Steps": [1000, 2000]},
        [("second-header", 3)],
    ),
    (
        b"Epoch\tA\n0\t10\nEpoch\tA\tKL\n1\t20\t.5\n",
        {"Epoch": [0, 1], "A": [10, 20], "KL": [None, 0.5]},
        [("second-header", 3)],
    ),
    (
        b"Epoch\tA\tKL\n0\t10\t1\nEpoch\tKL\n1\t.5\n",
        {"Epoch": [0, 1], "A": [10, None], "KL": [1, 0.5]},
        [("second-header", 3)],
    ),
    (
        b"Epoch\tA\n0\t10\nIteration\tReturn\n1\t20\n",
        {"Epoch": [0, None], "A": [10, None], "Iteration": [None, 1], "Return": [None, 20]},
        [("second-header", 3)],
    ),
    (
        b"Epoch\tA\n0\t10\nEpoch\tB\n1\t20\nEpoch\tA\n2\t30\n",
        {"Epoch": [0, 1, 2], "A": [10, None, 30], "B": [None, 20, None]},
        [("second-header", 3), ("second-header", 5)],
    ),
    (
        b"Epoch\tA\n0\t1\nEpoch\tA\n1\t2\nEpoch\tA\n2\t3\n",
        {"Epoch": [0, 1, 2], "A": [1, 2, 3]},
        [("repeated-header", 3)],
    ),
    (b"Epoch\tA\nEpoch\tA\tB\n0\t1\t2\n", {"Epoch": [0], "A": [1], "B": [2]}, [("second-header", 2)]),
    (b"25\tEpoch\n1\t0\nEpoch\t25\n1\t2\n", {"25": [1, 2], "Epoch": [0, 1]}, [("second-header", 3)]),
    (b'"Epoch"\t"A"\n0\t1\n"A"\t"Epoch"\n2\t1\n', {"Epoch": [0, 1], "A": [1, 2]}, [("second-header", 3)]),
    (b"Epoch,A\n0,1\nA,Epoch\n2,1\n", {"Epoch": [0, 1], "A": [1, 2]}, [("separator", 1), ("second-header", 3)]),
    (b"Epoch\tA\n0\t1\n1\t2Epoch\tA\n2\t3\n", {"Epoch": [0, 1, 2], "A": [1, 2, 3]}, [("glued-row", 3)]),
    (
        b"Epoch\tA\t\n0\t1\n1\t2\t3\t4\n5\t6\t7\n",
        {"Epoch": [0, 5], "A": [1, 6], "column3": [None, 7]},
        [("unnamed-column", 4), ("ragged-row", 3)],
    ),
]


@pytest.mark.parametrize(("data", "series", "codes"), HEADERS_IN_FORCE)
def test_b1_each_row_is_read_by_the_header_in_force(
    data: bytes, series: dict[str, list[Cell]], codes: list[tuple[str, int]]
) -> None:
    assert columns(data) == series
    assert problems(data) == codes


ROWS_OF_TEXT = [
    (b"Name\tStatus\nfoo\tbar\nbaz\tqux\n", {"Name": ["foo", "baz"], "Status": ["bar", "qux"]}, [("no-numbers", 2)]),
    (b"Epoch\tA\n0\t1\nNone\tNone\n2\t3\n", {"Epoch": [0, "None", 2], "A": [1, "None", 3]}, []),
    (b"Epoch\tNote\n0\tok\n1\tfine\n", {"Epoch": [0, 1], "Note": ["ok", "fine"]}, []),
    (b"Return\n1\ncrashed\n3\n", {"Return": [1, "crashed", 3]}, []),
    (b"Epoch\tA\tB\n0\t1\t2\nEpoch\n1\t3\t4\n", {"Epoch": [0, 1], "A": [1, 3], "B": [2, 4]}, [("ragged-row", 3)]),
    (
        b"Epoch\tA\tB\n0\t1\t2\nhello\tworld\n1\t3\t4\n",
        {"Epoch": [0, 1], "A": [1, 3], "B": [2, 4]},
        [("ragged-row", 3)],
    ),
]


@pytest.mark.parametrize(("data", "series", "codes"), ROWS_OF_TEXT)
def test_b1_a_row_of_text_is_no_header(
    data: bytes, series: dict[str, list[Cell]], codes: list[tuple[str, int]]
) -> None:
    assert columns(data) == series
    assert problems(data) == codes


def test_b1_a_second_header_says_what_follows() -> None:
    (problem,) = read_table(HEADERS_IN_FORCE[1][0]).problems
    assert problem.message == "another header: the rows below it are read by it, 3 columns; new columns: KL"


TWO = {"Epoch": [0, 1], "A": [1.5, 2.5]}
SEPARATED: list[tuple[bytes, dict[str, list[Cell]], list[tuple[str, int | None]]]] = [
    (b"Epoch,A\n0,1.5\n1,2.5\n", TWO, [("separator", 1)]),
    (b"Epoch;A\n0;1.5\n1;2.5\n", TWO, [("separator", 1)]),
    (b"Epoch;A\n0;1,5\n1;2,5\n", TWO, [("separator", 1)]),
    (b"Epoch A\n0 1.5\n1 2.5\n", TWO, [("separator", 1)]),
    (b"Epoch, A\n0, 1.5\n1, 2.5\n", TWO, [("separator", 1)]),
    (b'"Epoch","A"\n0,1.5\n1,2.5\n', TWO, [("separator", 1)]),
    (b'"Epoch"\t"A"\n0\t1.5\n1\t2.5\n', TWO, []),
    (b"'Epoch'\t'A'\n0\t1.5\n1\t2.5\n", TWO, []),
    (b'"Epoch" "A"\n0 1.5\n1 2.5\n', TWO, [("separator", 1)]),
    (b'Epoch,"A, mean"\n0,"1,500.5"\n', {"Epoch": [0], "A, mean": [1500.5]}, [("separator", 1), ("text-numbers", 2)]),
    (
        b"Epoch;A\n0;1,500\n1;2,500\n",
        {"Epoch": [0, 1], "A": ["1,500", "2,500"]},
        [("separator", 1), ("ambiguous-number", 2)],
    ),
    (b"0\t1.5\n1\t2.5\n", {"column1": [0, 1], "column2": [1.5, 2.5]}, [("no-header", 1)]),
    (b"0,1.5\n1,2.5\n", {"column1": [0, 1], "column2": [1.5, 2.5]}, [("separator", 1), ("no-header", 1)]),
    (b"1.5\n2.5\n", {"column1": [1.5, 2.5]}, [("no-header", 1)]),
    (b"0\tok\n1\tno\n", {"column1": [0, 1], "column2": ["ok", "no"]}, [("no-header", 1)]),
    (b"Epoch\t25\t75\n0\t1\t2\n", {"Epoch": [0], "25": [1], "75": [2]}, []),
    (
        b"0\t1.5\nEpoch\tA\n1\t2.5\n",
        {"column1": [0, None], "column2": [1.5, None], "Epoch": [None, 1], "A": [None, 2.5]},
        [("no-header", 1), ("second-header", 2)],
    ),
    (b"# of yesterday\nEpoch\tA\n0\t1.5\n1\t2.5\n", TWO, [("comment-line", 1)]),
    (b"# a\n# b\n\nEpoch\tA\n0\t1.5\n# c\n1\t2.5\n", TWO, [("comment-line", 1)]),
    (b"# Epoch\tA\n0\t1.5\n1\t2.5\n", TWO, [("comment-line", 1)]),
    (b"A run of yesterday\nEpoch\tA\n0\t1.5\n1\t2.5\n", TWO, [("comment-line", 1)]),
    (b"sep=;\nEpoch;A\n0;1.5\n1;2.5\n", TWO, [("separator", 2), ("comment-line", 1)]),
    (b"\n\nEpoch\tA\n0\t1.5\n1\t2.5\n", TWO, []),
    (b"Epoch\tA\n0\t1.5\t\n1\t2.5\t\n", TWO, [("trailing-separator", 2)]),
    (b"Epoch,A\n0,1.5,,\n1,2.5,,\n", TWO, [("separator", 1), ("trailing-separator", 2)]),
    (b"Epoch\tA\t\n0\t1.5\n1\t2.5\n", TWO, []),
    (b"Epoch\tA\t\n0\t1.5\t\n1\t2.5\t\n", TWO, [("trailing-separator", 2)]),
    (
        b"Epoch\tA\t\n0\t1.5\t\n1\t2.5\t7\n",
        {**TWO, "column3": [None, 7]},
        [("unnamed-column", 3), ("trailing-separator", 2)],
    ),
    (b"Epoch\tA\r\n0\t1.5\r\n1\t2.5\r\n", TWO, []),
    (b"Epoch\tA\r0\t1.5\r1\t2.5\r", TWO, []),
    (b"Epoch\tA\r\n0\t1.5\n1\t2.5\r", TWO, []),
    (b'\xef\xbb\xbf"Epoch"\t"A"\n0\t1.5\n1\t2.5\n', TWO, []),
    ("Epoch\tA\n0\t1.5\n1\t2.5\n".encode("utf-16-le"), TWO, [("encoding", 1)]),
    (b"Average Return\n1\n2\n", {"Average Return": [1, 2]}, []),
]


@pytest.mark.parametrize(("data", "series", "codes"), SEPARATED)
def test_b2_every_row_that_can_be_read_is_read(
    data: bytes, series: dict[str, list[Cell]], codes: list[tuple[str, int | None]]
) -> None:
    assert columns(data) == series
    assert problems(data) == codes


def test_b2_lost_rows_behind_nul_bytes_are_said_with_line_and_count() -> None:
    data = b"Epoch\tA\n0\t1\n" + b"\0" * 50 + b"5\t3\n6\t4\n" + b"\0" * 7
    table = read_table(data)
    assert columns(data) == {"Epoch": [0, 6], "A": [1, 4]}
    assert [(p.line, p.message) for p in table.problems] == [
        (3, "50 NUL bytes in the row: left out"),
        (5, "7 NUL bytes where rows may have stood: what stood there is lost"),
    ]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_b2_a_pointer_of_git_lfs_is_no_table(start: bytes) -> None:
    table = read_table(start + b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    assert (table.columns, table.readable) == ((), False)
    assert [(p.code, "git lfs pull" in p.message) for p in table.problems] == [("lfs-pointer", True)]


NUMBERS_IN_TEXT = [
    *("tensor(2.5)", "tensor(2.5, device='cuda:0')", "tensor(2.5000, grad_fn=<MeanBackward0>)", "tensor([2.5])"),
    *("tensor([[2.5]], dtype=torch.float64)", "torch.tensor(2.5)", "array([2.5])", "array(2.5, dtype=float32)"),
    *(
        "np.float64(2.5)",
        "numpy.float32(2.5)",
        "float16(2.5)",
        "[2.5]",
        "[[2.5]]",
        "(2.5,)",
        "(2.5)",
        "'2.5'",
        "b'2.5'",
    ),
    *("tf.Tensor(2.5, shape=(), dtype=float32)", "tf.Tensor([2.5], shape=(1,), dtype=float32)"),
    *("<tf.Tensor: shape=(), dtype=float32, numpy=2.5>", "<tf.Tensor: id=7, shape=(), dtype=float32, numpy=2.5>"),
    *("<tf.Tensor: shape=(1,), dtype=float32, numpy=array([2.5], dtype=float32)>", "\N{MINUS SIGN}2.5"),
    *(
        "<tf.Variable 'x:0' shape=() dtype=float32, numpy=2.5>",
        "Array(2.5, dtype=float32)",
        "Array([2.5], dtype=float32)",
    ),
    *("Array(2.5, dtype=float32, weak_type=True)", "DeviceArray(2.5, dtype=float32)", "Decimal('2.5')"),
]


@pytest.mark.parametrize("text", NUMBERS_IN_TEXT)
def test_b3_text_that_stands_for_one_number_is_that_number(text: str) -> None:
    data = f"Epoch\tX\n0\t{text}\n1\t1.5\n".encode()
    (x,) = [column for column in read_table(data).columns if column.name == "X"]
    assert x.values == (-2.5 if text.startswith("\N{MINUS SIGN}") else 2.5, 1.5)
    (problem,) = read_table(data).problems
    assert (problem.code, problem.line) == ("text-numbers", 2)
    assert "column X: 1 text such as" in problem.message


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,500.5", 1500.5),
        ("-12,345,678", -12345678),
        ("1.500,5", 1500.5),
        ("1.#INF", math.inf),
        ("-1.#INF", -math.inf),
        ("np.int64(3)", 3),
        ("array([3])", 3),
        ("tensor(inf)", math.inf),
    ],
)
def test_b3_other_spellings_of_one_number(text: str, number: float) -> None:
    assert columns(f"X\tY\n{text}\t1\n".encode())["X"] == [number]


@pytest.mark.parametrize(
    "text",
    [
        *("1,5", "1,500", "50%", "[1, 2]", "tensor([1., 2.])", "array([1., 2.])", "(1, 2)", "True", "tensor(True)"),
        *("2 min 55 sec", "1_000", "2.5j", "np.datetime64('2020')", "array(1, dtype='timedelta64[s]')", "None", "[]"),
        *("tensor(1,500.5)", "tensor(2.5", "1.2.3", "2020-01-01", "[" * 500),
    ],
)
def test_b3_text_with_several_readings_or_none_stays_text(text: str) -> None:
    assert columns(f"Epoch\tX\n0\t{text}\n".encode())["X"] == [text]


def test_b3_it_is_said_once_a_column_with_count_and_example() -> None:
    rows = "".join(f"{epoch}\ttensor({epoch}.5)\t1,5\t[{epoch}]\n" for epoch in range(30))
    table = read_table(f"Epoch\tA\tB\tC\n{rows}".encode())
    assert [(p.code, p.line, p.message.partition(":")[0]) for p in table.problems] == [
        ("text-numbers", 2, "column A"),
        ("ambiguous-number", 2, "column B"),
        ("text-numbers", 2, "column C"),
    ]
    assert "30 texts such as tensor(0.5)" in table.problems[0].message


def test_b3_a_list_of_one_among_longer_lists_stays_a_list() -> None:
    assert columns(b"Epoch\tX\n0\t[1]\n1\t[1, 2]\n")["X"] == ["[1]", "[1, 2]"]


GLUED: list[tuple[bytes, list[Cell], list[tuple[str, int]]]] = [
    (b"1\t3\t4\t2\t5\t6\n3\t7\t8\n", [0, 1, 2, 3], [("glued-row", 3)]),
    (b"1\t3\t4\t2\t5\t6\t3\t7\t8\n", [0, 1, 2, 3], [("glued-row", 3)]),
    (b"1\t3\t4.52\t5\t6\n3\t7\t8\n", [0, 3], [("ragged-row", 3)]),
    (b"1\tx\t4\t2\t5\t6\n3\t7\t8\n", [0, 3], [("ragged-row", 3)]),  # text where numbers stand
    (b"1.5\t3\t4\t2\t5\t6\n3\t7\t8\n", [0, 3], [("ragged-row", 3)]),  # no epoch
]


@pytest.mark.parametrize(("rows", "epochs", "codes"), GLUED)
def test_i6_whole_rows_without_a_line_break_between_them_are_read(
    rows: bytes, epochs: list[Cell], codes: list[tuple[str, int]]
) -> None:
    assert columns(HEAD + rows)["Epoch"] == epochs
    assert problems(HEAD + rows) == codes


def test_i6_where_most_rows_have_twice_the_fields_none_is_two_rows() -> None:
    data = b"Epoch\tA\n0\t1\n1\t2\t3\t4\n2\t3\t4\t5\n"
    assert columns(data)["Epoch"] == [0]
    assert [code for code, _ in problems(data)] == ["ragged-row"] * 2


@pytest.mark.parametrize("last", [b"1\t5\n", b"1\tnan\n"])  # the fast way and the careful one
def test_a12_epochs_that_go_back_are_said_once(last: bytes) -> None:
    data = b"Epoch\tA\n0\t1\n1\t2\n0\t3\n1\t4\n0\t5\n" + last
    assert columns(data)["Epoch"] == [0, 1, 0, 1, 0, 1]
    (problem,) = read_table(data).problems
    assert (problem.code, problem.line) == ("epoch-goes-back", 4)
    assert "from 1 to 0, and 1 more times" in problem.message


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"Epoch\tA\n0\t1\n0\t100\n1\t2\n1\t200\n", "epoch-repeats", "Epoch 0 stands in the row before too, and 1"),
        (b"Epoch\tA\n0\t1\n0\tnan\n1\t2\n", "epoch-repeats", "no count of steps"),
        (b"TotalEnvInteracts\tA\n9\t1\n9\t5\n18\t2\n", "epoch-repeats", "two processes"),
        (b"Epoch\tSteps\n0\t10\n0\t10\n1\t20\n1\t20\n", "epoch-repeats", "Steps does not rise"),
        (b"Epoch\tSteps\n0\t10\n0\t20\n1\t30\n1\t40\n", "several-rows-an-epoch", "several rows an epoch"),
    ],
)
def test_n11_epochs_that_repeat_are_said(data: bytes, code: str, words: str) -> None:
    (problem,) = read_table(data).problems
    assert (problem.code, problem.line) == (code, 3)
    assert words in problem.message


START = b"Epoch\tAverageEpRet\tStdEpRet\n0\t10\t1\n1\t11\t2\n"
NO_SHIFT = [
    (b"Epoch\tStdEpRet\tStdEpRet\n2\t3\t12\n", [10, 11, None], [1, 2, 3], ["duplicate-column", "second-header"]),
    (b"Epoch\tStdEpRet\t\n2\t3\t12\n", [10, 11, None], [1, 2, 3], ["unnamed-column", "second-header"]),
    (b"Epoch\t\tStdEpRet\n2\t3\t12\n", [10, 11, None], [1, 2, 12], ["unnamed-column", "second-header"]),
    (b"Epoch\tStdEpRet\tAverageEpRet\n2\t3\n3\t4\t13\n", [10, 11, 13], [1, 2, 4], ["ragged-row", "second-header"]),
    (b"epoch\tstdepret\taverageepret\n2\t3\t12\n", [10, 11, 12], [1, 2, 3], ["second-header"]),
    (b"Epoch\tStdEpRet\tAverageEpRet\tAverageEpRet\n2\t3\t12\t5\n", [10, 11, 12], [1, 2, 3], ["duplicate-column"]),
]


@pytest.mark.parametrize(("below", "means", "deviations", "codes"), NO_SHIFT)
def test_n7_no_second_header_shifts_a_column(
    below: bytes, means: list[Cell], deviations: list[Cell], codes: list[str]
) -> None:
    found = columns(START + below)
    assert found["AverageEpRet"] == means
    assert found["StdEpRet"] == deviations
    assert set(codes) <= {code for code, _ in problems(START + below)}


PROSE = [
    b"Epoch AverageEpRet Steps\n0 10 1000\n1 11 2000\nResuming from checkpoint\n2 12 3000\n3 13 4000\n",
    b"Epoch\tAverageEpRet\tSteps\n0\t10\t1000\n1\t11\t2000\nrestored\tfrom\tdisk\n2\t12\t3000\n3\t13\t4000\n",
    b"Epoch,AverageEpRet\n0,10\n1,11\nWarning, slow\n2,12\n3,13\n",
    b"Epoch,AverageEpRet\n0,10\n1,11\n2,12\nCheckpointManager, restored\n3,13\n",
    b"Epoch,AverageEpRet\n0,10\n1,11\n2,12\n3,13\nall, done\n",
    b"Epoch,AverageEpRet\nhere, begins\n0,10\n1,11\n2,12\n3,13\n",
    b"Epoch,AverageEpRet\n0,10\n1,11\nResuming at,2\n2,12\n3,13\n",
    b"Epoch\tAverageEpRet\n-\treward\n0\t10\n1\t11\n2\t12\n3\t13\n",
    b"Epoch,AverageEpRet\n0,10\n1,11\nfirst, line\nsecond, line\n2,12\n3,13\n",
]


@pytest.mark.parametrize("data", PROSE)
def test_n9_prose_with_as_many_words_as_columns_is_no_header(data: bytes) -> None:
    found = columns(data)
    assert (found["Epoch"], found["AverageEpRet"]) == ([0, 1, 2, 3], [10, 11, 12, 13])
    assert {code for code, _ in problems(data)} - {"separator"} == {"text-line"}


@pytest.mark.parametrize(
    "below",
    [
        b"Foo\tBar\tBaz\n0\t5\t6\n",  # the counter begins anew
        b"Foo\tBar\n2\t5\n",  # another number of columns
        b"Iteration\tReturn\tLength\n2\t5\t6\n",  # a counter of its own
        b"foo\tbar\tbaz\tqux\n2\t5\t6\t7\n",
    ],
)
def test_n9_a_header_of_new_names_is_one_where_its_rows_say_so(below: bytes) -> None:
    found = columns(START + below)
    assert found["AverageEpRet"] == [10, 11, None]
    assert len(found) > 4
    assert [code for code, _ in problems(START + below)] == ["second-header"]


GROUPED: list[tuple[str, list[Cell], set[str]]] = [
    ("1.500,5 1.750,25 2.000", [1500.5, 1750.25, 2000], {"text-numbers"}),
    ("2.000 12,5 1.750,25 900", [2000, 12.5, 1750.25, 900], {"text-numbers"}),
    ("1.234.567 2.000", [1234567, 2000], {"text-numbers"}),
    ("-1.234,5 -2.000", [-1234.5, -2000], {"text-numbers"}),
    ("1,500.5 900 5,000", [1500.5, 900, 5000], {"text-numbers"}),
    ("5,000 1,234,567", [5000, 1234567], {"text-numbers"}),
    ("1,500.5 1,5 5,000", [1500.5, "1,5", "5,000"], {"text-numbers", "ambiguous-number"}),
    ("1.500,5 0.125 2.000", [1500.5, 0.125, "2.000"], {"text-numbers", "ambiguous-number"}),
    ("12,5 2.000", ["12,5", "2.000"], {"ambiguous-number"}),
    ("1.500 2.000 3.125", [1.5, 2.0, 3.125], set()),
]


@pytest.mark.parametrize(("cells", "values", "codes"), GROUPED)
def test_n8_a_column_shows_which_sign_groups_thousands(cells: str, values: list[Cell], codes: set[str]) -> None:
    data = "Epoch\tX\n" + "".join(f"{epoch}\t{cell}\n" for epoch, cell in enumerate(cells.split()))
    assert columns(data.encode())["X"] == values
    assert {code for code, _ in problems(data.encode())} == codes


@pytest.mark.parametrize(
    ("data", "series"),
    [
        (b"Epoch;A;Steps\n0;1.234,5;1.000\n1;1.300,5;2.000\n", {"A": [1234.5, 1300.5], "Steps": [1000, 2000]}),
        (b"Epoch;A;Steps\n0;12,5;1.000\n1;13,5;2.000\n", {"A": [12.5, 13.5], "Steps": [1000, 2000]}),
        (b"Epoch;A;W\n0;1.500;0,1\n1;2.000;0,2\n", {"A": [1500, 2000], "W": [0.1, 0.2]}),
        (b"Epoch\tA\tSteps\n0\t1.234,5\t1.000\n", {"A": [1234.5], "Steps": [1000]}),
        (b"Epoch\tA\tSteps\tT\n0\t1.234,5\t1.000\t2.5\n", {"A": [1234.5], "Steps": ["1.000"], "T": [2.5]}),
        (b"Epoch\tA\tSteps\n0\t1,234.5\t1,000\n", {"A": [1234.5], "Steps": [1000]}),
        (b'Epoch,A,Steps\n0,"1.234,5",1.000\n', {"A": [1234.5], "Steps": [1000]}),
        (b"Epoch;A;W\n0;1.5;1,25\n1;2.5;3,75\n", {"A": [1.5, 2.5], "W": ["1,25", "3,75"]}),
    ],
)
def test_n8_a_file_shows_which_sign_groups_thousands(data: bytes, series: dict[str, list[Cell]]) -> None:
    found = columns(data)
    assert {name: found[name] for name in series} == series


@pytest.mark.parametrize("text", ["10.5 ± 1.2", "10 000", "[10.5 11.5]", "2D3", "Traced<ShapedArray>"])
def test_n15_a_column_of_text_is_said(text: str) -> None:
    data = f"Epoch\tAverageEpRet\tX\n0\t{text}\t1\n1\t{text}\t{text}\n"
    assert columns(data.encode()) == {"Epoch": [0, 1], "AverageEpRet": [text] * 2, "X": [1, text]}
    said = read_table(data.encode()).problems
    assert [(p.code, p.line) for p in said] == [("text-cells", 2), ("text-cells", 3)]
    assert f"2 texts such as {text} and no number" in said[0].message
    assert "1 text such as" in said[1].message


def test_b1_headers_without_end_are_refused() -> None:
    rows = "".join(f"a{i}\tb{i}\n{i}\t{i}\n" for i in range(500))
    with pytest.raises(OSError, match="more than 100 headers"):
        read_table(f"Epoch\tA\n0\t1\n{rows}".encode())


@pytest.mark.parametrize(
    ("own", "first", "above", "place"),
    [
        (True, ("1", "5"), ("2", "4"), 0),
        (False, ("1", "5"), ("2", "4"), None),
        (True, None, ("2", "4"), None),
        (True, ("1", "5"), None, None),
        (True, ("2", "5"), ("2", "4"), None),
        (True, ("1.5", "5"), ("2", "4"), None),
    ],
)
def test_a_column_without_a_name_counts_where_it_rises(own: bool, first: Any, above: Any, place: int | None) -> None:
    stands = headers.Place(known=(), names=("a", "b"), first=first, above=above, below=[("3", "9")], own=own)
    assert headers._counter(stands) == place


@pytest.mark.parametrize("first", [0, 2])
def test_b1_a_second_header_that_shares_little_but_the_counter(first: int) -> None:
    head = "Epoch\tAverageEpRet\tLossPi\n0\t10\t.1\n1\t11\t.2\n"
    text = head + f"Epoch\tAverageTestEpRet\tLossQ\n{first}\t500\t7\n{first + 1}\t600\t8\n"
    columns = {column.name: list(column.values) for column in read_table(text.encode()).columns}
    assert columns["AverageEpRet"] == [10, 11, None, None]
    assert columns["AverageTestEpRet"] == [None, None, 500, 600]
    assert columns["LossQ"] == [None, None, 7, 8]
    wider = head + "Epoch\tAverageTestEpRet\tLossQ\tQVals\n2\t500\t7\t1\n3\t600\t8\t1\n"
    assert {c.name: list(c.values) for c in read_table(wider.encode()).columns}["QVals"] == [None, None, 1, 1]
    prose = head + "Epoch\tdone\tsaved\n2\t12\t.3\n"
    assert {c.name: list(c.values) for c in read_table(prose.encode()).columns}["AverageEpRet"] == [10, 11, 12]


@pytest.mark.parametrize(
    "word", ["epoch", "epochs", "iter", "iterations", "step", "steps", "timestep", "timesteps", "update", "updates"]
)
def test_words_that_count_are_spelled_as_metrics(word: str) -> None:
    assert headers._spelled_as_metric(word)
    assert headers._spelled_as_metric(word.upper())


@pytest.mark.parametrize("name", ["Epoch", "iteration", "Itr", "TotalEnvInteracts"])
def test_columns_that_number_the_rows(name: str) -> None:
    text = f"Loss\t{name}\n1\t5\n2\t4\n"
    assert [problem.code for problem in read_table(text.encode()).problems] == ["epoch-goes-back"]


def test_j4_many_rows_below_a_short_header_are_no_long_header() -> None:
    check_extent(b"Epoch\tA\n" + b"1\t2\n" * (limits.HEADER // 4))
    with pytest.raises(TooLargeError, match="bytes in its first line"):
        check_extent(b"E" * (limits.HEADER + 1) + b"\n1\n")
