"""Reads an irregular table line by line and reports everything that is left out.

A header in mid-file (`spindb.disk.headers.is_header`) applies to the rows below it and may add columns; rows above
have empty cells there. A problem of many lines is reported once, with the first line and a count. Rows that are left
out are listed one by one, up to a limit.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from spindb.disk.cells import is_number, parse_cell, with_decimal_comma
from spindb.disk.counters import counter_of
from spindb.disk.grouping import ThousandsSign, groupings, may_group, read_grouped
from spindb.disk.headers import Place, are_data, is_header, is_prose, unique_names, without_empty_ends
from spindb.disk.notes import Notes as _Notes
from spindb.disk.notes import many as _many
from spindb.disk.notes import short as _short
from spindb.disk.regular import TooLargeError
from spindb.disk.separated import Dialect, decode_text, dialect_of, is_comment, split_lines
from spindb.disk.textcells import read_text_numbers
from spindb.records import Cell, MetricSeries, Problem

_MAX_HEADERS = 100  # that add columns: each one adds a column of empty cells for all rows above
_LOOKED_AT = 20  # lines examined below a possible header: bounds the time for files of many such lines


class Rows(NamedTuple):
    """Columns of equal length, the line number of each row, and the problems."""

    columns: tuple[MetricSeries, ...]
    lines: list[int]
    problems: list[Problem]


class _Header(NamedTuple):
    """A header: its fields and text as in the file, and for each field the index of its column."""

    fields: list[str]
    text: str
    places: list[int]
    counter: int | None  # which field counts the rows


class _Row(NamedTuple):
    header: _Header
    cells: list[Cell]
    line: int
    texts: Sequence[str] = ()  # the cells as in the file; kept only if a sign may group thousands


def read_rows(data: bytes, path: str) -> Rows:
    """Read the bytes of a table that the fast reader refused and that is not empty."""
    notes = _Notes(path)
    text, odd = decode_text(data)
    if odd is not None:
        notes.report("encoding", *odd)
    lines = split_lines(text)
    dialect = dialect_of(lines)
    reader = _Reader(lines, dialect, notes, keeps_texts=may_group(text, dialect.separator))
    reader.read()
    return reader.result()


class _Reader:
    """The state of reading one table."""

    def __init__(self, lines: list[str], dialect: Dialect, notes: _Notes, *, keeps_texts: bool) -> None:
        self.keeps_texts = keeps_texts
        self.lines = lines
        self.dialect = dialect
        self.notes = notes
        self.names: list[str] = []
        self.places: dict[str, int] = {}  # index of each name, as spelled in headers
        self.spelled: dict[str, str | None] = {}  # those names by lower case; None if several differ only in case
        self.header: _Header | None = None
        self.headers = 0  # headers in mid-file that added columns
        self.rows: list[_Row] = []
        self.first: _Row | None = None  # below the current header
        # Possible rows without a line break. They are decided at the end, when the kinds of cells of all columns
        # are known.
        self.glued: list[_Row] = []

    def read(self) -> None:
        last = len(self.lines) - 1
        for index, line in enumerate(self.lines):
            if "\0" in line:
                self.lose_nul_bytes(line, index + 1)
            elif line.strip():
                if index == last and self.header is not None:
                    message = "the last line has no newline: its last cell may be cut off"
                    self.notes.report("no-final-newline", message, index + 1)
                self.take(line, index)

    def lose_nul_bytes(self, line: str, number: int) -> None:
        count = line.count("\0")
        if line.strip("\0 \t"):
            self.notes.lose("nul-bytes", f"{_many(count, 'NUL byte')} in the row: left out", number)
        else:
            what = f"{_many(count, 'NUL byte')} where rows may have stood: what stood there is lost"
            self.notes.lose("nul-bytes", what, number)

    def take(self, line: str, index: int) -> None:
        """Process a line that is not blank."""
        fields = self.dialect.fields(line)
        if self.header is None:
            self.begin(line, fields, index)
        elif not self.is_another_header(line, fields, index):
            self.take_row(self.header, line, fields, index + 1)

    def begin(self, line: str, fields: list[str], index: int) -> None:
        """Process a line before the first row: a comment, the header, or a row if there is no header."""
        number = index + 1
        if is_comment(line):
            fields = self.dialect.fields(line.lstrip()[2 if line.lstrip().startswith("//") else 1 :])
            if not _names_what_is_below(fields, self.below(index)):
                self.notes.count("comment-line", "a comment{n}: stepped over", number)
                return
            self.notes.report("comment-line", "the header stands in a comment: taken as header", number)
        # Text such as a title or a warning above the header of a table with several columns.
        elif self.dialect.width > 1 and len(without_empty_ends(fields)) == 1:
            self.notes.count("comment-line", "a line of text before the header{n}: stepped over", number)
            return
        if self.dialect.oddity:
            self.notes.report("separator", self.dialect.oddity, number)
        if are_data(fields, self.below(index)):
            count = len(without_empty_ends(fields))
            names = [f"column{place}" for place in range(1, count + 1)]
            self.notes.report("no-header", f"no header: the columns are called column1 to column{count}", number)
            self.header = self.put_in_force(names, "", number)
            self.take_row(self.header, line, fields, number)
        else:
            self.header = self.put_in_force(fields, line, number)

    def put_in_force(self, fields: list[str], text: str, line: int) -> _Header:
        """Make a header of those fields and add its new columns.

        A name that differs from a known one only in case is the same column, unless the header has both.
        """
        named = unique_names(without_empty_ends(fields), line, self.notes.report)
        lowered = Counter(map(str.lower, named))
        renamed = []
        for name in named:
            known = self.spelled.get(name.lower())
            if name not in self.places and known is not None and lowered[name.lower()] == 1:
                renamed.append(f"{name} is {known}")
                self.places[name] = self.places[known]
            elif name not in self.places:
                self.places[name] = len(self.names)
                self.names.append(name)
                self.spelled[name.lower()] = None if name.lower() in self.spelled else name
        if renamed:
            self.notes.count("second-header", f"names in other letters: {', '.join(renamed)}", line)
        places = [self.places[name] for name in named]
        return _Header(fields, text, places, counter_of(tuple(self.names[place] for place in places)))

    def is_another_header(self, line: str, fields: list[str], index: int) -> bool:
        """Whether the line is a header; if so it becomes the current one."""
        header = self.header
        assert header is not None
        number = index + 1
        if fields == header.fields and not all(map(_spells_number, fields)):
            self.notes.count("repeated-header", "the header again in mid-file{n}: left out", number)
            return True
        # Quick exits for ordinary rows, which begin with a number; the full test is expensive.
        if _spells_number(fields[0]) and fields[0] not in self.places:
            return False
        if any(map(_spells_number, fields)) and fields[0].lower() not in self.spelled:  # no header
            counter = header.counter if header.counter is not None and header.counter < len(fields) else None
            if counter is None or _spells_number(fields[counter]):
                return False
        place = self.place(header, index, len(fields))
        if not is_header(fields, place):
            return self.lose_prose(header, fields, place, number)
        before = len(self.names)
        self.header = self.put_in_force(fields, line, number)
        new = self.names[before:]
        self.headers += bool(new)
        if self.headers > _MAX_HEADERS:
            raise TooLargeError(errno.EFBIG, f"more than {_MAX_HEADERS} headers that name new columns")
        added = f"; new columns: {', '.join(new)}" if new else ""
        message = f"another header{{n}}: the rows below it are read by it, {_many(len(self.header.places), 'column')}"
        self.notes.count("second-header", message + added, number)
        return True

    def place(self, header: _Header, index: int, count: int) -> Place:
        """The surroundings of a line of `count` fields, for `spindb.disk.headers`."""
        own = bool(self.rows) and self.rows[-1].header is header
        first = _as_text(self.first) if own and self.first is not None else None
        above = _as_text(self.rows[-1]) if self.rows else None
        names = [self.names[place] for place in header.places]
        return Place(self.places, names, first, above, self.lines_below(index, count), own)

    def lines_below(self, index: int, count: int) -> list[list[str]]:
        """The fields of the next readable lines, up to one with `count` fields or one that begins like a header."""
        below: list[list[str]] = []
        following = self.following[index]
        while following is not None and len(below) < _LOOKED_AT:
            fields = self.dialect.fields(self.lines[following])
            below.append(fields)
            if len(fields) == count or fields[0] in self.places:
                break
            following = self.following[following]
        return below

    def lose_prose(self, header: _Header, fields: list[str], place: Place, number: int) -> bool:
        """Whether the line is text among rows of numbers; if so it is left out."""
        if len(fields) != len(header.places) or not is_prose(fields, place):
            return False
        shown = _short(" ".join(fields))
        message = f"text among the rows: {shown}: left out, the rows below are read by the header above"
        self.notes.lose("text-line", message, number)
        return True

    def below(self, index: int) -> list[str] | None:
        """The fields of the next readable line, or None."""
        following = self.following[index]
        return None if following is None else self.dialect.fields(self.lines[following])

    @cached_property
    def following(self) -> list[int | None]:
        """For each line, the index of the next readable one."""
        # Computed once, from the end: searching forward from each line would be quadratic in files of many blank
        # lines.
        found: int | None = None
        following: list[int | None] = []
        for index in range(len(self.lines) - 1, -1, -1):
            following.append(found)
            line = self.lines[index]
            if line.strip() and "\0" not in line and not is_comment(line):
                found = index
        return following[::-1]

    def take_row(self, header: _Header, line: str, fields: list[str], number: int) -> None:
        width, count = len(header.places), len(fields)
        beyond = fields[width:]
        if count > width and not any(beyond):
            self.notes.count("trailing-separator", "a separator behind the last cell{n}: no cell follows", number)
            fields = fields[:width]
        elif count > width and count == len(header.fields):
            self.name_unnamed(header, number)
            width = count
        if len(fields) == width:
            row = self.row(header, fields, number)
            if self.first is None or self.first.header is not header:
                self.first = row
            self.rows.append(row)
        elif is_comment(line) and line.lstrip().startswith("#"):
            self.notes.count("comment-line", "a comment{n}: stepped over", number)
        # Two processes wrote into one file: the second one's header follows an unfinished row.
        elif header.text and line.endswith(header.text):
            self.notes.report("glued-row", "a header stands behind the row without a line break: both are read", number)
            self.take_row(header, "", self.dialect.fields(line.removesuffix(header.text)), number)
        elif width > 1 and len(fields) % width == 0:
            self.glued.append(self.row(header, fields, number))
        else:
            self.lose_ragged(header, len(fields), number)

    def name_unnamed(self, header: _Header, line: int) -> None:
        """Name unnamed columns at the end of a header, because a row has cells in them."""
        for position in range(len(header.places) + 1, len(header.fields) + 1):
            name = f"column{position}"
            while name in self.places:
                name += "'"
            self.notes.report("unnamed-column", f"column {position} has no name: called {name}", line)
            self.places[name] = len(self.names)
            header.places.append(len(self.names))
            self.names.append(name)
        for row in self.rows:
            if row.header is header:
                row.cells.extend([None] * (len(header.places) - len(row.cells)))

    def lose_ragged(self, header: _Header, count: int, number: int) -> None:
        width = len(header.places)
        glued = (
            " (two rows without a line break; where the first ends is not certain)"
            if width > 1 and count == 2 * width - 1
            else ""
        )
        message = f"{_many(count, 'field')} for {_many(width, 'column')}{glued}: row left out, nothing shifted"
        self.notes.lose("ragged-row", message, number)

    def row(self, header: _Header, fields: Sequence[str], number: int) -> _Row:
        return _Row(header, self.cells(fields), number, fields if self.keeps_texts else ())

    def cells(self, fields: Sequence[str]) -> list[Cell]:
        if self.dialect.decimal_comma:
            return [parse_cell(with_decimal_comma(text)) for text in fields]
        return [parse_cell(text) for text in fields]

    def result(self) -> Rows:
        self.separate_glued()
        count = len(self.rows)
        columns: list[list[Cell]] = [[None] * count for _ in self.names]
        for index, row in enumerate(self.rows):
            for place, cell in zip(row.header.places, row.cells, strict=True):
                columns[place][index] = cell
        lines = [row.line for row in self.rows]
        unclear = self.read_groups(columns, lines) if self.keeps_texts else {}
        for place, (name, values) in enumerate(zip(self.names, columns, strict=True)):
            read_text_numbers(name, values, lines, unclear.get(place, set()), self.notes)
        if not count:
            self.notes.report("no-rows", "a header and no row that can be read")
        elif not any(is_number(cell) for values in columns for cell in values):
            self.notes.report("no-numbers", "no cell is a number: is this a table of metrics?", lines[0])
        series = tuple(MetricSeries(n, tuple(c)) for n, c in zip(self.names, columns, strict=True))
        return Rows(series, lines, self.notes.all())

    def separate_glued(self) -> None:
        """Split lines of several rows without a line break, if each part looks like the complete rows."""
        if not self.glued:
            return
        kinds = _kinds_of(self.rows)
        counts = Counter(id(row.header) for row in self.rows)
        glued = Counter(id(row.header) for row in self.glued)
        for row in self.glued:
            header, width = id(row.header), len(row.header.places)  # a column may have been named in the meantime
            parts = list(_parts(row)) if len(row.cells) % width == 0 else []
            # There must be at least as many complete rows as glued ones: otherwise the header may simply be wrong.
            if parts and counts[header] >= glued[header] and all(_alike(part, kinds[header]) for part in parts):
                message = f"{len(parts)} rows without a line break between them: all are read"
                self.notes.report("glued-row", message, row.line)
                self.rows += parts
            else:
                self.lose_ragged(row.header, len(row.cells), row.line)
        self.rows.sort(key=lambda row: row.line)  # the sort is stable: parts of a line stay in order

    def read_groups(self, columns: list[list[Cell]], lines: Sequence[int]) -> dict[int, set[int]]:
        """Read the numbers of columns with grouped thousands; returns the ambiguous rows of each column."""
        texts: list[list[str | None]] = [[None] * len(self.rows) for _ in columns]
        for index, row in enumerate(self.rows):
            for place, text in zip(row.header.places, row.texts, strict=False):
                texts[place][index] = text
        unclear: dict[int, set[int]] = {}
        for place, grouping in enumerate(groupings(texts, decimal_comma=self.dialect.decimal_comma)):
            if grouping is None:
                continue
            read = {i: v for i, t in enumerate(texts[place]) if t and (v := read_grouped(t, grouping)) is not None}
            for index, value in read.items():
                columns[place][index] = value
            if grouping is ThousandsSign.UNCLEAR:
                unclear[place] = set(read)
                continue
            first = next(i for i in read if grouping.shows_in(texts[place][i]))
            example = f"{_short(str(texts[place][first]))} is {columns[place][first]}"
            message = f"column {self.names[place]}: the {grouping.value} groups thousands, {example}"
            self.notes.report("text-numbers", message, lines[first])
        return unclear


def _as_text(row: _Row) -> list[str]:
    return ["" if cell is None else str(cell) for cell in row.cells]


def _parts(row: _Row) -> Iterator[_Row]:
    width = len(row.header.places)
    for start in range(0, len(row.cells), width):
        yield _Row(row.header, row.cells[start : start + width], row.line, row.texts[start : start + width])


def _kinds_of(rows: Sequence[_Row]) -> dict[int, list[set[str]]]:
    """For each header (by its id), the kinds of cells below each of its fields."""
    kinds: dict[int, list[set[str]]] = {}
    for row in rows:
        known = kinds.setdefault(id(row.header), [set() for _ in row.header.places])
        for seen, cell in zip(known, row.cells, strict=True):
            if cell is not None:
                seen.add(_kind(cell))
    return kinds


def _alike(part: _Row, kinds: Sequence[set[str]]) -> bool:
    """Whether the part has numbers where all complete rows have them, and integers where those have integers."""
    return all(
        cell is None or len(seen) != 1 or _kind(cell) in seen or (seen == {"float"} and isinstance(cell, int))
        for cell, seen in zip(part.cells, kinds, strict=True)
    )


def _names_what_is_below(fields: Sequence[str], below: Sequence[str] | None) -> bool:
    """Whether a comment is the header: as many names as there are cells below, of which some are numbers."""
    if below is None or len(below) != len(fields) or any(map(_spells_number, fields)):
        return False
    numbers = sum(map(_spells_number, below))
    return numbers == len(below) if len(below) == 1 else numbers > 0


def _kind(cell: Cell) -> str:
    return "text" if isinstance(cell, str) else type(cell).__name__


def _spells_number(field: str) -> bool:
    return is_number(parse_cell(field))
