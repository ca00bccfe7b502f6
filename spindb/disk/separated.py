"""Splits a table's bytes into text, lines and fields."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spindb.disk.cells import is_number, parse_cell

_BOM = b"\xef\xbb\xbf"
# the lookbehind keeps a long run of CR linear: it is scanned once, not from each CR
_LINE_END = re.compile(r"(?<!\r)\r*\n|\r")
_SAMPLE = 50  # lines that determine the separator
_COMMENTS = ("#", "//")
_NAMES = {None: "spaces", ",": "commas", ";": "semicolons"}
# A number with a decimal point: ``1.5``, ``0.125``, ``1,500.5``; not ``1.500`` or ``1.234,5``, where it may group.
_POINT = re.compile(r"(?<![\w.,])(?![+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?(?![\w.,]))[+-]?[\d,]*\.\d")
_COMMA_IN_NUMBER = re.compile(r"(?<![\w,.])[+-]?[\d.]*,(\d+)(?:[eE][+-]?\d+)?(?![\w,.])")
_GROUP = 3  # digits: 1,500 may be 1500, 1,50 may not


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a line is split into fields.

    ``separator`` None means any white space. ``quote`` is removed around fields. With ``decimal_comma`` a comma in a
    number is the decimal sign. ``width`` is the number of fields of most lines.
    """

    separator: str | None = "\t"
    quote: str | None = None
    decimal_comma: bool = False
    width: int = 1

    def fields(self, line: str) -> list[str]:
        """The fields of a line, without surrounding white space and quotes."""
        if self.quote and self.quote in line:
            source, delimiter = (line, self.separator) if self.separator else (" ".join(line.split()), " ")
            try:
                (parts,) = csv.reader([source], delimiter=delimiter, quotechar=self.quote, skipinitialspace=True)
                return [part.strip() for part in parts]
            except (csv.Error, ValueError):
                pass
        return [part.strip() for part in line.split(self.separator)]

    @property
    def oddity(self) -> str | None:
        """A description of an unusual dialect; None for tabs."""
        if self.separator == "\t":
            return None
        if self.separator is None:
            return "separated by spaces where tabs were expected: split at white space"
        comma = "; a comma within a number is its decimal sign" if self.decimal_comma else ""
        return f"separated by {_NAMES[self.separator]} where tabs were expected: split at them{comma}"


def decode_text(data: bytes) -> tuple[str, tuple[str, int] | None]:
    """The text, and the message and line of a problem with its encoding, or None."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), ("UTF-16, read as such", 1)
    # UTF-16 without a mark: for ASCII text every second byte is 0. A UTF-8 table contains no such pattern.
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        start = data[:64]
        if len(start) > 3 and not any(start[first::2]) and all(start[1 - first :: 2]):
            return data.decode(name, "replace"), ("UTF-16 without a byte order mark, read as such", 1)
    data = data.removeprefix(_BOM)
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return data.decode("utf-8", "replace"), ("not UTF-8: such characters are replaced", line)


def split_lines(text: str) -> list[str]:
    """The lines, ended by LF, CRLF or CR; the last one follows the last line end and is usually empty."""
    return _LINE_END.split(text) if "\r" in text else text.split("\n")


def is_comment(line: str) -> bool:
    """Whether a line is marked as a comment."""
    return line.lstrip().startswith(_COMMENTS)


def dialect_of(lines: Sequence[str]) -> Dialect:
    """The dialect of a table's lines.

    The separator is the one with which most lines have the same number of fields, at least two; in a tie, the first of
    tab, semicolon, comma, white space. The first line must have that many fields, or (except for white space) a line
    of text below it must have them, followed by a line of numbers. If most lines are a single field, there is one
    column. Quotes are removed if the first line has them, and always in files with commas or semicolons.
    """
    sample = [line for line in lines if line.strip() and "\0" not in line and not is_comment(line)][:_SAMPLE]
    if not sample:
        return Dialect()
    best, best_support = Dialect(quote=_quote_of(sample[0], "\t")), 0
    # Semicolons before commas: in such files commas are decimal signs. White space last: it is in most text.
    for separator in ("\t", ";", ",", None):
        dialect = Dialect(separator, _quote_of(sample[0], separator))
        counts = [_count(dialect.fields(line)) for line in sample]
        width, support = max(
            ((count, number) for count, number in Counter(counts).items() if count > 1),
            key=lambda pair: (pair[1], pair[0] == counts[0]),
            default=(1, 0),
        )
        if support <= best_support or not _begins(dialect, sample, counts, width):
            continue
        # Tabs are the format's own separator; any other must occur in more than half of the lines.
        if separator != "\t" and support <= counts.count(1):
            continue
        best, best_support = replace(dialect, width=width), support
    if best.separator == ";":
        return replace(best, decimal_comma=_has_decimal_commas(lines))
    return best


def _begins(dialect: Dialect, sample: Sequence[str], counts: Sequence[int], width: int) -> bool:
    """Whether the first line is part of the table, or a line of text below it is."""
    if counts[0] == width:
        return True
    if dialect.separator is None:
        return False
    numbers = [_numbers(dialect.fields(line)) for line, count in zip(sample, counts, strict=True) if count == width]
    return len(numbers) > 1 and numbers[0] == 0 and any(number * 2 >= width for number in numbers)


def _count(fields: Sequence[str]) -> int:
    """The number of fields, without trailing empty ones."""
    count = len(fields)
    while count > 1 and not fields[count - 1]:
        count -= 1
    return count


def _numbers(fields: Sequence[str]) -> int:
    return sum(is_number(parse_cell(field)) for field in fields)


def _quote_of(line: str, separator: str | None) -> str | None:
    """The quote character around fields, or None."""
    line = line.strip()
    for quote in ('"', "'"):
        if line.startswith(quote) and (line.endswith(quote) or f"{quote}{separator or ' '}" in line):
            return quote
    return '"' if separator in (",", ";") else None


def _has_decimal_commas(lines: Sequence[str]) -> bool:
    """Whether commas in numbers are decimal signs: no number has a decimal point, and not all can be thousands."""
    body = "\n".join(lines[1:])
    found = _COMMA_IN_NUMBER.finditer(body)
    return any(len(match[1]) != _GROUP for match in found) and not _POINT.search(body)
