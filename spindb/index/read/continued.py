"""Which run goes on where another one ended: a training that was stopped and resumed in a directory of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, select

from spindb.index.database.batches import batches
from spindb.index.database.models import metrics, runs

_SLACK = 1.5  # steps between the last row of one run and the first row of the next, at most


class Span(NamedTuple):
    """The first and the last value of a metric, and how many rows it has."""

    first: float
    last: float
    rows: int

    @property
    def step(self) -> float | None:
        """From row to row; None where there is one row."""
        return (self.last - self.first) / (self.rows - 1) if self.rows > 1 else None


class Extent(NamedTuple):
    """What a run's rows cover: its epochs and its steps in the environment, None where it has not logged them;
    ``axis`` is the metric of its epochs."""

    epochs: Span | None
    steps: Span | None
    started_at: datetime | None
    axis: str | None = None


def extents_of(connection: Connection, ids: Sequence[int]) -> dict[int, Extent]:
    """What the rows of these runs cover."""
    epochs, steps = metrics.alias("epochs"), metrics.alias("steps")
    statement = (
        select(
            runs.c.id,
            runs.c.started_at,
            runs.c.axis,
            *(epochs.c.first, epochs.c.last, epochs.c.count),
            *(steps.c.first, steps.c.last, steps.c.count),
        )
        .outerjoin(epochs, and_(epochs.c.run_id == runs.c.id, epochs.c.name == runs.c.axis))
        .outerjoin(steps, and_(steps.c.run_id == runs.c.id, steps.c.name == runs.c.steps))
    )
    found: dict[int, Extent] = {}
    for batch in batches(ids):
        for run_id, started, axis, *values in connection.execute(statement.where(runs.c.id.in_(batch))):
            found[run_id] = Extent(_span(*values[:3]), _span(*values[3:]), started, axis)
    return found


def _span(first: float | None, last: float | None, rows: int | None) -> Span | None:
    return Span(first, last, rows) if first is not None and last is not None and rows else None


def chains(
    ids: Iterable[int],
    extents: Mapping[int, Extent],
    *,
    seed_known: bool,
    resumed: Collection[tuple[int, int]] = (),
) -> list[tuple[int, ...]]:
    """These runs of one setting and seed, those that go on in one another together, in the order of their rows.

    Where several runs end where one goes on, the one that started last before it is meant; where the seed is not known,
    none: nothing tells which. ``resumed`` are pairs of which the second was resumed from before the end of the first.
    """
    ordered = sorted(ids)
    following: dict[int, int] = {}
    # In the order in which they started: each run is followed by the first that takes it up, and by no other.
    for run_id in sorted(ordered, key=lambda r: (_time(extents[r]), r)):
        free = [b for b in ordered if b != run_id and b not in following]
        before = [b for b in free if (b, run_id) in resumed or goes_on(extents[b], extents[run_id])]
        if before and (seed_known or len(before) == 1):
            following[max(before, key=lambda b: (_time(extents[b]), b))] = run_id
    if not seed_known:  # two that go on after one: nothing tells which of them does
        ends = [a for a in following if sum(goes_on(extents[a], extents[b]) for b in ordered if b != a) > 1]
        for run_id in ends:
            del following[run_id]
    found = []
    for run_id in sorted(set(ordered) - set(following.values())):
        chain = [run_id]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        found.append(tuple(chain))
    return found


def goes_on(before: Extent, after: Extent) -> bool:
    """Whether a run's epochs, or else its steps, begin within a step after another's, and it did not start before."""
    if before.started_at and after.started_at and after.started_at < before.started_at:
        return False
    if _follows(before.epochs, after.epochs, 1.0):
        return True
    # Epochs may count from 0 again after a resume while steps go on.
    return _follows(before.steps, after.steps, None) and not _begins_anew(before, after)


def _begins_anew(before: Extent, after: Extent) -> bool:
    """Whether a run counts epochs as the other one did, and its first row counts no more steps than a first row does.

    Such is another training of the seed after one that ended within a row or two.
    """
    if before.epochs is None or after.epochs is None or after.epochs.first > before.epochs.first:
        return False
    step = after.steps.step if after.steps else None
    return step is not None and after.steps is not None and after.steps.first <= _SLACK * step


def _follows(before: Span | None, after: Span | None, usual: float | None) -> bool:
    if before is None or after is None:
        return False
    # A run of one row has no step of its own: the other's is taken, else one epoch, else the row's own count.
    step = before.step or after.step or usual or before.last
    return step > 0 and 0 < after.first - before.last <= _SLACK * step


def _time(extent: Extent) -> datetime:
    return extent.started_at or datetime.min
