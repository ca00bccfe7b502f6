"""Which line of a table is a header, and which columns it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from spindb.disk.cells import is_ambiguous, is_number, parse_cell
from spindb.disk.counters import COUNTERS, counter_of
from spindb.disk.metricnames import performance_in

_IDENTIFIER = re.compile(r"[A-Za-z_][\w ./()%:+\-#&*|^\[\]{}=<>~$@!?']{0,99}\Z")
_WORDS = "none null nil nan na n/a true false yes no inf infinity error failed ok unknown missing"
_VALUES = frozenset(_WORDS.split())
_WORD = re.compile(r"[^\W\d_]{2,}[\w.,:;!?'\-]*\Z|[^\W\d_]{2,}[^\W\d]* ")
_METRIC = re.compile(r"[a-z][A-Z]|[A-Za-z]{2}[A-Z]+[a-z]|\w[_/]\w|[A-Za-z]\d")
_COUNTING = "epochs iter iterations step steps timestep timesteps update updates episode"
_COUNTED = frozenset((*COUNTERS, *_COUNTING.split()))
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


@dataclass(frozen=True, slots=True)
class Place:
    """What stands around a line in the midst of a table, of rows that can be read.

    Attributes:
        known: the names of all headers above.
        names: those of the header in force, a field each.
        first: the fields of the first row below that header, as text; None where there is none.
        above: the fields of the last row above; None where there is none.
        below: the fields of the lines that follow, the next one first, as many as are looked at.
        own: whether the row above is read by the header in force.
    """

    known: Collection[str]
    names: Sequence[str]
    first: Sequence[str] | None
    above: Sequence[str] | None
    below: Sequence[Sequence[str]]
    own: bool


def is_header(fields: Sequence[str], place: Place) -> bool:
    """Whether a line in the midst of a table is a header, by which the rows below it are to be read.

    One of the lines below has as many fields as a header has, or there is none below. Names are known in any case of
    letters. Further, one of these holds:

    1. All fields are known names; then a name may be a number, as long as not all are.
    2. None is a number, and at least half of them are known names, of two or more. One name may stand twice, and a
       column may have no name: the names are made unique as those of the first header.
    3. None is a known name, or one is that of a counter (``Epoch``): there are two or more, all different, all
       look like names, and at least half of the fields below are numbers, and so are at least half of those
       above where these are as many. Where there are as many fields as columns, the line may be prose
       (``restored from disk``), and one of these holds, too:

       - it names a counter where the column that counts the rows stands, and at least half of the fields are spelled
         as metrics are (``LossPi``, ``ep_len``, ``eval/return``, ``return``, ``steps``);
       - that column begins anew below: its number is not greater than its first one under the header in force;
       - no column goes on counting there, and all fields are spelled as metrics are, or begin with a capital.

    So a line of words is a header where its rows are none of the header in force, and prose where they go on counting.
    """
    named = without_empty_ends(fields)
    if not named or all(map(_is_number, named)):
        return False
    if place.below and not any(_fits(fields, named, below) for below in place.below):
        return False
    lowered = {name.lower() for name in place.known}
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
    """The place of the column that counts: by its name, else the first where it holds rising whole numbers."""
    found = counter_of(tuple(place.names))
    if found is not None or not place.own or place.first is None or place.above is None:
        return found
    first, last = parse_cell(place.first[0]), parse_cell(place.above[0])
    return 0 if isinstance(first, int) and isinstance(last, int) and first < last else None


def _goes_on(place: Place, counter: int) -> bool | None:
    """Whether a column counts on below a line; False where it begins anew, None where neither is known."""
    if not place.own or place.above is None or place.first is None:
        return None
    first, above, below = (parse_cell(fields[counter]) for fields in (place.first, place.above, place.below[0]))
    if not (isinstance(first, (int, float)) and isinstance(above, (int, float)) and isinstance(below, (int, float))):
        return None
    return below > first


def is_prose(fields: Sequence[str], place: Place) -> bool:
    """Whether a line with as many fields as columns is text among rows of numbers, and no row.

    It is where words stand in the column that counts the rows, and where there is no number in it at all. A single
    field, and cells such as ``None`` or ``1,5``, are those of a row.
    """
    beside = place.above if place.above is not None else place.below[0] if place.below else None
    if len(fields) < 2 or beside is None or len(beside) != len(fields) or not _mostly_numbers(beside):
        return False
    counter = counter_of(tuple(place.names))
    if counter is not None and _is_number(beside[counter]) and _is_word(fields[counter]):
        return True
    return not any(map(_is_value, fields))


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


def _is_word(field: str) -> bool:
    return bool(_WORD.match(field)) and field.lower() not in _VALUES and not _is_number(field)


def _is_value(field: str) -> bool:
    """Whether a field can be a cell of a row: a number, nothing, or what stands for one of them."""
    return not field or _is_number(field) or field.lower() in _VALUES or is_ambiguous(field)


def _spelled_as_metric(field: str) -> bool:
    return bool(_METRIC.search(field)) or field.lower() in _COUNTED or performance_in((field,)) is not None


def _mostly_numbers(fields: Sequence[str]) -> bool:
    filled = [field for field in fields if field]
    return sum(map(_is_number, filled)) * 2 >= len(filled) > 0
