"""Numbers whose thousands are grouped: ``1.500,5`` and ``1,500.5``, and what ``2.000`` and ``5,000`` are beside them.

Alone, ``2.000`` is 2 and ``5,000`` may be 5 or 5000. A cell with both signs, or with two groups, shows which one groups
and which one is the decimal sign; the cells of its column are read alike, and those of other columns of the file that
show nothing themselves. Where the cells of a column, or of the file, contradict each other, what has two readings
stays text: no number is ever wrong by a factor of a thousand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from spindb.disk.cells import parse_cell
from spindb.records import Cell

_SHOWS_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})\Z")
_SHOWS_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})\Z")
_MAY_BE_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}\Z")
_MAY_BE_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}\Z")
_DECIMAL_POINT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?\Z")
_HINT = re.compile(r"\d,\d|\d\.\d{3}\.\d{3}")  # without one of these in a file no sign groups


class Grouping(Enum):
    """Which sign groups the thousands of a column."""

    POINT = "point"
    COMMA = "comma"
    UNCLEAR = "unclear"  # cells with two readings stay text

    def shows_in(self, text: str | None) -> bool:
        """Whether this sign is in a text."""
        return text is not None and {"point": ".", "comma": ","}.get(self.value, "") in text


class _Signs:
    """Which spellings stand in a column."""

    __slots__ = ("decimal_comma", "decimal_point", "may_commas", "may_points", "shows_commas", "shows_points")

    def __init__(self, texts: Sequence[str | None]) -> None:
        self.shows_points = self.shows_commas = self.may_points = self.may_commas = False
        self.decimal_point = self.decimal_comma = False
        for text in texts:
            if text is None or not ("." in text or "," in text):
                continue
            if _MAY_BE_POINTS.match(text):
                self.may_points = True
            elif _MAY_BE_COMMAS.match(text):
                self.may_commas = True
            elif _SHOWS_POINTS.match(text):
                self.shows_points = True
            elif _SHOWS_COMMAS.match(text):
                self.shows_commas = True
            elif _DECIMAL_POINT.match(text):
                self.decimal_point = True
            elif _DECIMAL_COMMA.match(text):
                self.decimal_comma = True


def may_group(text: str, separator: str | None) -> bool:
    """Whether a sign may group thousands in a file with that text; false for nearly every file."""
    found = _HINT.search(text)
    return found is not None and (separator != "," or '"' in text or "." in found[0])


def groupings(columns: Sequence[Sequence[str | None]], *, decimal_comma: bool) -> list[Grouping | None]:
    """For each column, given as its cells' texts, which sign groups its thousands; None where none does.

    `decimal_comma` says that a comma is the file's decimal sign.
    """
    signs = [_Signs(column) for column in columns]
    points = decimal_comma or any(sign.shows_points for sign in signs)
    commas = any(sign.shows_commas for sign in signs)
    decimal_points = commas or any(sign.decimal_point for sign in signs)
    decimal_commas = points or any(sign.decimal_comma for sign in signs)

    def grouping(sign: _Signs) -> Grouping | None:
        if sign.shows_points or sign.shows_commas:
            against_points = sign.decimal_point or sign.shows_commas or sign.may_commas
            against_commas = sign.decimal_comma or sign.shows_points or sign.may_points
            if sign.shows_points:
                return Grouping.UNCLEAR if against_points else Grouping.POINT
            return Grouping.UNCLEAR if against_commas else Grouping.COMMA
        if sign.may_points and not sign.decimal_point and (decimal_commas or sign.may_commas):
            return Grouping.POINT if points and not decimal_points and not sign.may_commas else Grouping.UNCLEAR
        if sign.may_commas and not sign.decimal_comma and commas and not decimal_commas:
            return Grouping.COMMA
        return None

    return [grouping(sign) for sign in signs]


def read_grouped(text: str, grouping: Grouping) -> Cell:
    """The number that a cell is in a column with that grouping; None where the text is none with such a sign.

    Where the grouping is unclear, a number with two readings is its text.
    """
    if grouping is Grouping.UNCLEAR:
        return text if _MAY_BE_POINTS.match(text) or _MAY_BE_COMMAS.match(text) else None
    if grouping is Grouping.POINT:
        fits = any(pattern.match(text) for pattern in (_MAY_BE_POINTS, _SHOWS_POINTS, _DECIMAL_COMMA))
        return parse_cell(text.replace(".", "").replace(",", ".")) if fits else None
    fits = any(pattern.match(text) for pattern in (_MAY_BE_COMMAS, _SHOWS_COMMAS))
    return parse_cell(text.replace(",", "")) if fits else None
