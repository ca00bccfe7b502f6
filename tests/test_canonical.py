"""The one rule of equal values."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.canonical import canonical, equal_value


@pytest.mark.parametrize(
    "spellings",
    [
        (0.001, 1e-3, "1e-3", "0.001", ".001", "+0.001", "1E-3"),
        (1, 1.0, "1", "1.0", "1.", "+1", "01"),
        (0, 0.0, -0.0, "-0", "0e5"),
        ([64, 64], [64.0, "64"], "[64, 64]", "[64,64]", "[64.0, 6.4e1]"),
        ({"a": 1, "b": [2]}, '{"b": ["2"], "a": 1.0}'),
        (None, "null", "None"),
        (True, "true", "True"),
        (math.nan, "nan", "NaN"),
        (math.inf, "inf", "Infinity"),
        (2**60, float(2**60), str(2**60)),
        (10**22, 1e22, "1e22"),
    ],
)
def test_equal(spellings: tuple[Any, ...]) -> None:
    assert len({canonical(value) for value in spellings}) == 1


def test_different() -> None:
    values = [
        1,
        True,
        "yes",
        None,
        "",
        "none",
        0,
        False,
        [],
        {},
        [1],
        "1_000",
        "0x10",
        "1e999",
        "[1,",
        10**400,
        math.inf,
    ]
    assert len({canonical(value) for value in values}) == len(values)


def test_a_number_is_not_a_text_that_looks_like_two() -> None:
    assert canonical("1,5") == '"1,5"'
    assert canonical("1 ") == '"1 "'
    assert canonical("٣") == '"٣"'  # a digit, but of no JSON


def test_deep_and_long_texts_are_compared_as_they_are() -> None:
    long = ["[" * 50_000 + "]" * 50_000, "9" * 100_000, "9" * 100_001, "ü" * 1_000, [["x" * 1_000]], [["x" * 1_001]]]
    found = [canonical(value) for value in long]
    assert len(set(found)) == len(long)
    assert max(len(text.encode()) for text in found) <= 1_000  # what an index of PostgreSQL takes
    assert [canonical(json.loads(text)) for text in found] == found
    assert canonical([1.0, "y" * 1_000]) == canonical(["1", "y" * 1_000])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_and_its_text_are_one(value: Any) -> None:
    found = canonical(value)
    assert canonical(json.loads(found)) == found  # stable
    assert canonical(equal_value(value)) == found


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_equal_where_python_says_so(a: float, b: float) -> None:
    assert (canonical(a) == canonical(b)) == (a == b)
    assert canonical(repr(a)) == canonical(a)
    if a.is_integer():
        assert canonical(int(a)) == canonical(a)
