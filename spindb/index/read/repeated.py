"""Runs of one setting and seed whose rows repeat each other's: copies, earlier states, and resumed trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from spindb.index.database import series
from spindb.index.database.batches import batches
from spindb.index.database.models import metrics
from spindb.index.read.continued import Extent
from spindb.seedkeys import words_of_key

_OF_THE_CLOCK = frozenset({"duration", "elapsed", "fps", "hours", "minutes", "seconds", "sps", "time", "walltime"})
Rows = Mapping[str, Sequence[Any]]
"""Metric -> its cells."""
Begin = Mapping[str, float | None]
"""Metric -> its first number; None where it has none."""


class Repeats(NamedTuple):
    """Which runs repeat others.

    ``copies`` and ``earlier`` map a run to the one that counts for it: with equal rows, or with more rows that begin
    with its own. ``resumed`` maps pairs to how many rows of the first count: the second was resumed from before its
    end, and has the rows behind that again, equal or trained anew.
    """

    copies: Mapping[int, int]
    earlier: Mapping[int, int]
    resumed: Mapping[tuple[int, int], int]


def repeats_of(
    connection: Connection,
    known: Sequence[Sequence[int]],
    unknown: Sequence[Sequence[int]],
    extents: Mapping[int, Extent],
) -> Repeats:
    """What is repeated among these runs.

    Args:
        connection: to read from.
        known: the runs of each setting and seed.
        unknown: the runs of each setting whose seed is not known; just copies are sought among them.
        extents: what their rows cover.
    """
    begins = _begins(connection, [run_id for runs in (*known, *unknown) for run_id in runs])
    alike = [_alike(runs, begins) for runs in (*known, *unknown)]
    overlaps = [pair for runs in known for pair in _overlapping(runs, extents)]
    rows = stored_rows(connection, {run_id for pairs in (*alike, overlaps) for pair in pairs for run_id in pair})
    copies: dict[int, int] = {}
    earlier: dict[int, int] = {}
    for number, pairs in enumerate(alike):
        for one, other in pairs:
            # The longer run counts, and of equal ones the older: its id is what people may have noted.
            short, long = sorted((one, other), key=lambda run_id: (_length(rows[run_id]), -run_id))
            if short in copies or not _length(rows[short]) or not _begins_with(rows[long], rows[short]):
                continue
            if _length(rows[short]) == _length(rows[long]):
                copies[short] = long
            # Runs of unknown seed may begin alike by chance of a short beginning: only whole copies are left out there.
            elif number < len(known):
                earlier[short] = long
    # A run that is left out for its rows can't be part of a resumed training, too: it would count again.
    gone = copies.keys() | earlier.keys()
    kept = {(a, b): _kept(rows[a], rows[b], extents[a], extents[b]) for a, b in overlaps if not gone & {a, b}}
    resumed = {pair: count for pair, count in kept.items() if count is not None}
    return Repeats(copies, {a: b for a, b in earlier.items() if a not in copies}, resumed)


def _alike(runs: Sequence[int], begins: Mapping[int, Begin]) -> list[tuple[int, int]]:
    """The pairs of runs that may begin alike: a metric of which only one has a number rules nothing out."""
    named: dict[frozenset[str], list[int]] = {}
    for run_id in sorted(runs):
        named.setdefault(frozenset(begins[run_id]), []).append(run_id)
    found: dict[object, list[int]] = {}
    for names, members in named.items():
        # Whatever all of them have a number of parts them, so that few pairs are left.
        sure = sorted(name for name in names if all(begins[run_id][name] is not None for run_id in members))
        for run_id in members:
            found.setdefault((names, *(begins[run_id][name] for name in sure)), []).append(run_id)
    pairs = (pair for members in found.values() for pair in combinations(members, 2))
    return [(one, other) for one, other in pairs if _may_begin_alike(begins[one], begins[other])]


def _may_begin_alike(one: Begin, other: Begin) -> bool:
    return all(first is None or other[name] is None or first == other[name] for name, first in one.items())


def _overlapping(runs: Sequence[int], extents: Mapping[int, Extent]) -> list[tuple[int, int]]:
    """The pairs of which the second may have been resumed from before the end of the first."""
    begins = {run_id: span.first for run_id in sorted(runs) if (span := extents[run_id].epochs) is not None}
    earliest = min(begins.values(), default=0.0)
    later = [run_id for run_id, first in begins.items() if first > earliest]
    return [(before, after) for after in later for before in begins if _overlap(extents, before, after)]


def _begins(connection: Connection, ids: Sequence[int]) -> dict[int, Begin]:
    """The names and first values of metrics: different ones rule out most pairs before any series is read."""
    found: dict[int, dict[str, float | None]] = {run_id: {} for run_id in ids}
    c = metrics.c
    for batch in batches(ids):
        for run_id, name, first in connection.execute(select(c.run_id, c.name, c.first).where(c.run_id.in_(batch))):
            found[run_id][name] = first if first == first else None
    return dict(found)


def stored_rows(connection: Connection, ids: Iterable[int]) -> dict[int, dict[str, list[Any]]]:
    """All cells of these runs, each with its step where a metric has its own; NaN is a text that equals itself."""
    found: dict[int, dict[str, list[Any]]] = {run_id: {} for run_id in ids}
    c = metrics.c
    for batch in batches(sorted(found)):
        wanted = select(c.run_id, c.name, c.series, c.odd_cells, c.steps).where(c.run_id.in_(batch))
        for run_id, name, packed, odd, steps in connection.execute(wanted):
            # NaN is unequal to itself, and would make equal runs differ.
            cells = [cell if cell == cell else "NaN" for cell in series.decode(packed, odd)]
            found[run_id][name] = cells if steps is None else list(zip(series.curve(steps), cells, strict=False))
    return found


def _length(rows: Rows) -> int:
    return max(map(len, rows.values()), default=0)


def _begins_with(long: Rows, short: Rows) -> bool:
    return long.keys() == short.keys() and all(list(long[name][: len(short[name])]) == short[name] for name in short)


def _overlap(extents: Mapping[int, Extent], before: int, after: int) -> bool:
    """Whether a run begins within the rows of another, ends behind them, and did not start before it."""
    one, other = extents[before], extents[after]
    if one.started_at and other.started_at and other.started_at < one.started_at:
        return False
    if one.epochs is None or other.epochs is None:
        return False
    return one.epochs.first < other.epochs.first <= one.epochs.last < other.epochs.last


def _kept(before: Rows, after: Rows, one: Extent, other: Extent) -> int | None:
    """How many rows of a run lie before another one that was resumed from it; None where it was not.

    No training begins in the midst of another one's epochs. The second row may be where runs count from 1 instead of
    from 0: then the steps have to go on, or the rows that both have are equal, but for what a clock says.
    """
    if other.epochs is None or one.axis is None or one.axis not in before:
        return None
    first = other.epochs.first
    earlier = [i for i, cell in enumerate(before[one.axis]) if isinstance(cell, (int, float)) and cell < first]
    place = earlier[-1] + 1 if earlier else 0
    if place > 1 or (place == 1 and (_steps_go_on(one, other) or _are_equal(before, after, place))):
        return place
    return None


def _steps_go_on(before: Extent, after: Extent) -> bool:
    return before.steps is not None and after.steps is not None and after.steps.first > before.steps.first


def _are_equal(before: Rows, after: Rows, place: int) -> bool:
    return before.keys() == after.keys() and all(
        list(before[name][place:]) == list(after[name][: len(before[name]) - place]) for name in without_clock(before)
    )


def without_clock(rows: Rows) -> list[str]:
    """The metrics that are not measured by a clock: it never shows the same twice."""
    return [name for name in rows if _OF_THE_CLOCK.isdisjoint(words_of_key(name))]
