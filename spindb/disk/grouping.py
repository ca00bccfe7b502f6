"""Numbers with grouped thousands: ``1.500,5`` and ``1,500.5``, and ``2.000`` or ``5,000`` in the same column.

Without context, ``2.000`` is 2 and ``5,000`` may be 5 or 5000. A cell with both signs, or with two groups, shows which
sign groups thousands and which one is the decimal sign. It applies to its column, and to other columns of the file
without such a cell. If cells of a column or of the file contradict each other, ambiguous cells remain text: no number
may be wrong by a factor of a thousand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from spindb.disk.cells import parse_cell
from spindb.records import Cell

# SHOWS: cells that have only one reading. MAY_BE: one group of three digits, which has two.
_SHOWS_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})\Z")
_SHOWS_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})\Z")
_MAY_BE_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}\Z")
_MAY_BE_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}\Z")
_DECIMAL_POINT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?\Z")
# quick test for the whole file: without a match, no sign groups thousands
_HINT = re.compile(r"\d,\d|\d\.\d{3}\.\d{3}")


class ThousandsSign(Enum):
    """The sign that groups the thousands of a column."""

    POINT = "point"
    COMMA = "comma"
    UNCLEAR = "unclear"  # ambiguous cells remain text

    def shows_in(self, text: str | None) -> bool:
        """Whether a text contains this sign."""
        return text is not None and {"point": ".", "comma": ","}.get(self.value, "") in text


class _Signs:
    """The notations that occur in a column."""

    __slots__ = ("decimal_comma", "decimal_point", "may_commas", "may_points", "shows_commas", "shows_points")

    def __init__(self, texts: Sequence[str | None]) -> None:
        self.shows_points = self.shows_commas = self.may_points = self.may_commas = False
        self.decimal_point = self.decimal_comma = False
        for text in texts:
            if text is None or not ("." in text or "," in text):
                continue
            # 1.500 also matches the decimal patterns below, so the ambiguous cases come first.
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
    """Whether a sign may group thousands in a file with that text; false for almost all files."""
    found = _HINT.search(text)
    return found is not None and (separator != "," or '"' in text or "." in found[0])


def groupings(columns: Sequence[Sequence[str | None]], *, decimal_comma: bool) -> list[ThousandsSign | None]:
    """For each column, given as the texts of its cells, the sign that groups its thousands, or None.

    `decimal_comma`: a comma is the file's decimal sign.
    """
    signs = [_Signs(column) for column in columns]
    # What the file as a whole shows. It applies to columns that show nothing themselves.
    points = decimal_comma or any(sign.shows_points for sign in signs)
    commas = any(sign.shows_commas for sign in signs)
    decimal_points = commas or any(sign.decimal_point for sign in signs)
    decimal_commas = points or any(sign.decimal_comma for sign in signs)

    def grouping(sign: _Signs) -> ThousandsSign | None:
        if sign.shows_points or sign.shows_commas:
            against_points = sign.decimal_point or sign.shows_commas or sign.may_commas
            against_commas = sign.decimal_comma or sign.shows_points or sign.may_points
            if sign.shows_points:
                return ThousandsSign.UNCLEAR if against_points else ThousandsSign.POINT
            return ThousandsSign.UNCLEAR if against_commas else ThousandsSign.COMMA
        if sign.may_points and not sign.decimal_point and (decimal_commas or sign.may_commas):
            return (
                ThousandsSign.POINT if points and not decimal_points and not sign.may_commas else ThousandsSign.UNCLEAR
            )
        if sign.may_commas and not sign.decimal_comma and commas and not decimal_commas:
            return ThousandsSign.COMMA
        return None

    return [grouping(sign) for sign in signs]


def read_grouped(text: str, grouping: ThousandsSign) -> Cell:
    """The number in a cell of a column with that grouping; None if the text is not a number with this sign.

    If the grouping is unclear, an ambiguous number is returned as text.
    """
    if grouping is ThousandsSign.UNCLEAR:
        return text if _MAY_BE_POINTS.match(text) or _MAY_BE_COMMAS.match(text) else None
    if grouping is ThousandsSign.POINT:
        fits = any(pattern.match(text) for pattern in (_MAY_BE_POINTS, _SHOWS_POINTS, _DECIMAL_COMMA))
        return parse_cell(text.replace(".", "").replace(",", ".")) if fits else None
    fits = any(pattern.match(text) for pattern in (_MAY_BE_COMMAS, _SHOWS_COMMAS))
    return parse_cell(text.replace(",", "")) if fits else None
