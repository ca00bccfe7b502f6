"""Recognises header lines in a table and the columns that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from spindb.disk.cells import is_ambiguous, is_number, parse_cell
from spindb.disk.counters import COUNTERS, counter_of
from spindb.disk.metricnames import performance_in

# What a column name may look like: begins with a letter, at most 100 characters.
_IDENTIFIER = re.compile(r"[A-Za-z_][\w ./()%:+\-#&*|^\[\]{}=<>~$@!?']{0,99}\Z")
_WORDS = "none null nil nan na n/a true false yes no inf infinity error failed ok unknown missing"
_VALUES = frozenset(_WORDS.split())
# A word of prose: two letters or more, followed by nothing but word characters and punctuation, or by a space.
_WORD = re.compile(r"[^\W\d_]{2,}[\w.,:;!?'\-]*\Z|[^\W\d_]{2,}[^\W\d]* ")
# Spellings of metrics: LossPi, KLDiv, ep_len, eval/return, Q1.
_METRIC = re.compile(r"[a-z][A-Z]|[A-Za-z]{2}[A-Z]+[a-z]|\w[_/]\w|[A-Za-z]\d")
_COUNTING = "epochs iter iterations step steps timestep timesteps update updates episode"
_COUNTED = frozenset((*COUNTERS, *_COUNTING.split()))
_Report = Callable[..., None]


def are_data(fields: Sequence[str], below: Sequence[str] | None) -> bool:
    """Whether the first line of a table is a row, because the table has no header.

    True if all its cells are numbers, or if some are and each text is above a text in the line `below`. A text above a
    number is a column name.
    """
    filled = [field for field in fields if field]
    if not any(map(_is_number, filled)):
        return False
    if all(map(_is_number, filled)):
        return True
    if below is None or len(below) != len(fields):
        return False
    return all(_is_number(field) or not _is_number(under) for field, under in zip(fields, below, strict=True))


@dataclass(frozen=True, slots=True)
class Place:
    """The surroundings of a line within a table.

    Attributes:
        known: the names in all headers above.
        names: the names in the current header, one per field.
        first: the fields of the first row below the current header, as text, or None.
        above: the fields of the last row above, or None.
        below: the fields of the next readable lines, up to a limit.
        own: whether the row above belongs to the current header.
    """

    known: Collection[str]
    names: Sequence[str]
    first: Sequence[str] | None
    above: Sequence[str] | None
    below: Sequence[Sequence[str]]
    own: bool


def is_header(fields: Sequence[str], place: Place) -> bool:
    """Whether a line within a table is a header for the rows below it.

    One of the lines below must have as many fields as the header, unless there are no lines below. Names are compared
    ignoring case. In addition, one of these rules must hold:

    1. All fields are known names; one may be a number, but not all.
    2. No field is a number, there are two or more, and at least half are known names. Duplicate and empty names are
       allowed and made unique, as in the first header.
    3. No field is a known name, or one is the name of a counter (``Epoch``). There are two or more fields, all
       different, that look like names. At least half of the fields below are numbers, and so are half of those above
       if their count is the same. If there are as many fields as columns, the line may also be prose
       (``restored from disk``), and one of these must hold, too:

       - it names a counter in the place of the counter column, and at least half of the fields are spelled like
         metrics (``LossPi``, ``ep_len``, ``eval/return``, ``return``, ``steps``);
       - the counter restarts below: its number is not greater than its first one under the current header;
       - there is no counter that continues, and all fields are spelled like metrics or begin with a capital.

    So a line of words is a header if the rows below do not continue those above, and prose if they do.
    """
    named = without_empty_ends(fields)
    if not named or all(map(_is_number, named)):
        return False
    if place.below and not any(_fits(fields, named, below) for below in place.below):
        return False
    lowered = {name.lower() for name in place.known}
    # Rules 1 and 2 come first: known names are certain evidence, while rule 3 judges by spelling.
    shared = sum(bool(field) and (field in place.known or field.lower() in lowered) for field in named)
    if shared == len(named) and (len(set(named)) == len(named) or len(named) > 2):
        return True
    if any(map(_is_number, named)):
        return False
    if shared * 2 >= len(named) and len(named) > 1:
        return True
    counts = not {name.lower() for name in named}.isdisjoint(COUNTERS)
    return (counts or not shared) and _is_new(named, place)


def _fits(fields: Sequence[str], named: Sequence[str], below: Sequence[str]) -> bool:
    return len(without_empty_ends(below)) == len(named) or len(below) in (len(named), len(fields))


def _is_new(fields: Sequence[str], place: Place) -> bool:
    """Rule 3 of `is_header`."""
    if len(fields) < 2 or not place.below or len(set(fields)) < len(fields) or not all(map(_is_name, fields)):
        return False
    below = place.below[0]
    if not _mostly_numbers(below) or len(without_empty_ends(below)) != len(fields):
        return False
    if place.above is not None and len(place.above) == len(fields) and not _mostly_numbers(place.above):
        return False
    if len(fields) != len(place.names):
        return True
    metrics = sum(map(_spelled_as_metric, fields))
    counter = _counter(place)
    if counter is not None:
        if fields[counter].lower() in _COUNTED and metrics * 2 >= len(fields):
            return True
        goes_on = _goes_on(place, counter)
        if goes_on is not None:
            return not goes_on
    return all(_spelled_as_metric(field) or field[:1].isupper() for field in fields)


def _counter(place: Place) -> int | None:
    """The index of the counter column: by its name, else the first column if it has increasing integers."""
    found = counter_of(tuple(place.names))
    if found is not None or not place.own or place.first is None or place.above is None:
        return found
    first, last = parse_cell(place.first[0]), parse_cell(place.above[0])
    return 0 if isinstance(first, int) and isinstance(last, int) and first < last else None


def _goes_on(place: Place, counter: int) -> bool | None:
    """Whether the counter continues below a line; False if it restarts, None if unknown."""
    if not place.own or place.above is None or place.first is None:
        return None
    first, above, below = (parse_cell(fields[counter]) for fields in (place.first, place.above, place.below[0]))
    if not (isinstance(first, (int, float)) and isinstance(above, (int, float)) and isinstance(below, (int, float))):
        return None
    # Compared with the first row, not the last: rows may repeat or step back a little within one training.
    return below > first


def is_prose(fields: Sequence[str], place: Place) -> bool:
    """Whether a line with as many fields as columns is text among rows of numbers, not a row.

    True if it has words in the counter column, or no number at all. A single field, and cells such as ``None`` or
    ``1,5``, belong to a row.
    """
    beside = place.above if place.above is not None else place.below[0] if place.below else None
    if len(fields) < 2 or beside is None or len(beside) != len(fields) or not _mostly_numbers(beside):
        return False
    counter = counter_of(tuple(place.names))
    if counter is not None and _is_number(beside[counter]) and _is_word(fields[counter]):
        return True
    return not any(map(_is_value, fields))


def without_empty_ends(fields: Sequence[str]) -> list[str]:
    """The fields without trailing empty ones."""
    count = len(fields)
    while count and not fields[count - 1]:
        count -= 1
    return list(fields[:count])


def unique_names(fields: Sequence[str], line: int, report: _Report) -> list[str]:
    """The header's names, made unique and not empty; changes are reported."""
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


def _is_word(field: str) -> bool:
    return bool(_WORD.match(field)) and field.lower() not in _VALUES and not _is_number(field)


def _is_value(field: str) -> bool:
    """Whether a field can be a cell of a row: a number, an ambiguous number, a placeholder or empty."""
    return not field or _is_number(field) or field.lower() in _VALUES or is_ambiguous(field)


def _spelled_as_metric(field: str) -> bool:
    return bool(_METRIC.search(field)) or field.lower() in _COUNTED or performance_in((field,)) is not None


def _mostly_numbers(fields: Sequence[str]) -> bool:
    filled = [field for field in fields if field]
    return sum(map(_is_number, filled)) * 2 >= len(filled) > 0
