"""Which line of a table is a header, and which columns it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from spindb.disk.cells import is_number, parse_cell

_IDENTIFIER = re.compile(r"[A-Za-z_][\w ./()%:+\-#&*|^\[\]{}=<>~$@!?']{0,99}\Z")
_WORDS = "none null nil nan na n/a true false yes no inf infinity error failed ok unknown missing"
_VALUES = frozenset(_WORDS.split())
_Report = Callable[..., None]


def are_data(fields: Sequence[str], below: Sequence[str] | None) -> bool:
    """Whether the first line of a table is a row already, since there is no header.

    It is where all its cells are numbers; and where some are, and each text stands above a text in the line
    `below`. A name above a number makes it a header.
    """
    filled = [field for field in fields if field]
    if not any(map(_is_number, filled)):
        return False
    if all(map(_is_number, filled)):
        return True
    if below is None or len(below) != len(fields):
        return False
    return all(_is_number(field) or not _is_number(under) for field, under in zip(fields, below, strict=True))


def is_header(
    fields: Sequence[str],
    known: Collection[str],
    below: Sequence[str] | None,
    above: Sequence[str] | None,
) -> bool:
    """Whether a line in the midst of a table is a header, by which the rows below it are to be read.

    Args:
        fields: the line's fields.
        known: the names of all headers above.
        below: the fields of the next line, None at the end.
        above: the fields of the last row above, None where there is none.

    A header's fields are text, each of them different, none empty, none a number; the line below it has as many
    fields (or is a header too). Further, one of these holds:

    1. All fields are known names; then a name may be a number, as long as not all are.
    2. At least half of the fields are known names.
    3. None need be known: there are two or more, all look like names, at least half of the fields below are numbers,
       and so are at least half of those above where these are as many. A row of words among rows of numbers is a
       header therefore, and in a table of words it is a row.
    """
    fields = without_empty_ends(fields)
    if not fields or len(set(fields)) < len(fields) or all(map(_is_number, fields)):
        return False
    fits = below is None or len(without_empty_ends(below)) == len(fields) or len(below) == len(fields)
    if not fits and not (below and below[0] in known):
        return False
    if all(field in known for field in fields):
        return True
    if any(not field or _is_number(field) for field in fields):
        return False
    if sum(field in known for field in fields) * 2 >= len(fields) and len(fields) > 1:
        return True
    if len(fields) < 2 or below is None or not all(map(_is_name, fields)) or not _mostly_numbers(below):
        return False
    return above is None or len(above) != len(fields) or _mostly_numbers(above)


def without_empty_ends(fields: Sequence[str]) -> list[str]:
    """The fields without empty ones behind the last that is not."""
    count = len(fields)
    while count and not fields[count - 1]:
        count -= 1
    return list(fields[:count])


def unique_names(fields: Sequence[str], line: int, report: _Report) -> list[str]:
    """The header's names, made unique and never empty."""
    seen: dict[str, int] = {}
    taken = set(fields)
    unique = []
    for position, name in enumerate(fields, start=1):
        if not name:
            name = f"column{position}"
            report("unnamed-column", f"column {position} has no name: called {name}", line)
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            number = seen[name]
            while f"{name}.{number}" in taken:
                number += 1
            report("duplicate-column", f"column {name} stands twice: called {name}.{number} here", line)
            name = f"{name}.{number}"
        taken.add(name)
        unique.append(name)
    return unique


def _is_number(field: str) -> bool:
    return is_number(parse_cell(field))


def _is_name(field: str) -> bool:
    return bool(_IDENTIFIER.match(field)) and field.lower() not in _VALUES


def _mostly_numbers(fields: Sequence[str]) -> bool:
    filled = [field for field in fields if field]
    return sum(map(_is_number, filled)) * 2 >= len(filled) > 0
