"""The counter column of a table (epoch, iteration), and irregularities in it.

It increases from row to row if one process wrote the whole file. If it goes back or repeats, a second run was
appended, two processes wrote the file, or several rows per epoch were logged. In the last case the steps still
increase within an epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from operator import lt
from typing import NamedTuple

from spindb.disk.metricnames import step_column_of
from spindb.records import Cell, MetricSeries, Problem, names_of

COUNTERS = ("epoch", "iteration", "itr", "totalenvinteracts")
_KEPT = "all rows are kept, in the order of the file"


class _Step(NamedTuple):
    """The counter in a row and in the row before it."""

    before: int | float
    after: int | float
    row: int


@lru_cache(maxsize=64)  # most runs have the header of the run before
def counter_of(names: tuple[str, ...]) -> int | None:
    """The index of the counter column."""
    lowered = [name.lower() for name in names]
    return next((lowered.index(name) for name in COUNTERS if name in lowered), None)


def counting_problems(columns: Sequence[MetricSeries], lines: Sequence[int], path: str) -> tuple[Problem, ...]:
    """Problems of a counter column that goes back or repeats; each is reported once, with its first line.

    `lines` is the line number of each row.
    """
    place = counter_of(names_of(columns))
    if place is None:
        return ()
    name, values, _ = columns[place]
    if _rises(values):
        return ()
    steps = _steps_between(values)
    back = [step for step in steps if step.after < step.before]
    same = [step for step in steps if step.after == step.before]
    found = []
    if back:
        before, after, index = back[0]
        message = (
            f"{name} goes back from {before} to {after}{_more(len(back))}: a second run was appended, or two processes "
            f"wrote here; {_KEPT}"
        )
        found.append(Problem("epoch-goes-back", message, path, lines[index]))
    if same:
        found.append(_repeated(columns, name, same, lines, path))
    return tuple(found)


def _repeated(
    columns: Sequence[MetricSeries], name: str, same: Sequence[_Step], lines: Sequence[int], path: str
) -> Problem:
    """The problem of a counter that repeats; harmless if the steps increase, as some loggers write several rows."""
    _, value, index = same[0]
    times = f"{name} {value} stands in the row before too{_more(len(same))}"
    told = step_column_of(columns)
    steps = next((column.values for column in columns if column.name == told), ()) if told != name else ()
    if steps and all(_less(steps[step.row - 1], steps[step.row]) for step in same):
        message = f"{times}: several rows an epoch, since {told} rises from row to row"
        return Problem("several-rows-an-epoch", message, path, lines[index])
    why = f"{told} does not rise there either" if steps else "no count of steps distinguishes the rows"
    message = f"{times}, and {why}: two processes may have written here, or several rows an epoch were logged; {_KEPT}"
    return Problem("epoch-repeats", message, path, lines[index])


def counts_by_one(values: Sequence[Cell]) -> bool:
    """Whether the cells are consecutive integers."""
    first = values[0] if values else None
    return type(first) is int and values == tuple(range(first, first + len(values)))


def _rises(values: Sequence[Cell]) -> bool:
    """Whether each value is greater than the one before; false for NaN and text."""
    if counts_by_one(values):  # true for most tables, and faster to check
        return True
    try:
        return all(map(lt, values, values[1:]))  # type: ignore[arg-type]
    except TypeError:
        return False


def _steps_between(values: Sequence[Cell]) -> list[_Step]:
    numbered = [(v, i) for i, v in enumerate(values) if isinstance(v, (int, float)) and v == v]
    return [_Step(before, after, index) for (before, _), (after, index) in pairwise(numbered)]


def _less(before: Cell, after: Cell) -> bool:
    return isinstance(before, (int, float)) and isinstance(after, (int, float)) and before < after


def _more(count: int) -> str:
    return f", and {count - 1} more times" if count > 1 else ""
