"""What a directory held before: moved to a run of its own where another training overwrote it.

The run of the directory keeps its id for what the directory holds now. What it held before becomes a run of the status
``superseded``, with ``superseded_by``, at the same root and path. A *generation* numbers the contents of one directory
in the order in which they were first seen, so that evaluations say which of them they were of; a content that comes
back has its old number again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, delete, func, insert, literal, select, update

from spindb.index.database.models import (
    configs,
    evaluations,
    metrics,
    notes,
    problems,
    runs,
    snapshots,
    superseded,
    tags,
)
from spindb.machine import now

OVERWRITTEN = "overwritten: its files are gone, or those of another training"
"""Why a snapshot of a superseded run can't be loaded."""

_CONTENT = (configs, metrics, snapshots, problems)
_OF_THE_ROW = ("id", "status", "generation", "copy_of", "signature", "superseded_by", "ingested_at")
_LIKE = tuple(str(column.name) for column in runs.c if column.name not in _OF_THE_ROW)


@dataclass(frozen=True, slots=True)
class Past:
    """What a directory held, where it holds something else now.

    ``generation`` is that of what it held, ``following`` that of what it holds now. ``back`` is the superseded run
    whose content is there again, if it is. ``apart`` says that ids stay with contents, as they do where a person
    removed one of both: the run becomes a superseded one, and what the directory holds now is another. ``nothing`` says
    that the directory held no row, so that nothing has to be kept.
    """

    run_id: int
    generation: int
    following: int
    back: int | None = None
    apart: bool = False
    nothing: bool = False


def next_generation(connection: Connection, run_id: int) -> int:
    """The number that the next content of a run's directory gets: none that one of them ever had."""
    own = (runs.c.id == run_id) | (runs.c.superseded_by == run_id)
    numbers = (
        select(func.max(runs.c.generation)).where(own),
        select(func.max(superseded.c.generation)).where(superseded.c.run_id == run_id),
        select(func.max(evaluations.c.generation)).where(evaluations.c.run_id == run_id),
    )
    return 1 + max(connection.execute(number).scalar() or 0 for number in numbers)


class Contents:
    """Contents that give way, gathered over a transaction: one statement per table and not per run."""

    def __init__(self, connection: Connection, ids: Iterator[int]) -> None:
        """New runs take their ids off `ids`."""
        self._connection = connection
        self._ids = ids
        self._aside: list[dict[str, int]] = []
        self._apart: list[dict[str, int]] = []
        self._moved: list[int] = []

    def set_aside(self, past: Past) -> int | None:
        """Let a run's content become a run of its own, before it is written over; returns that run's id."""
        if past.back is not None:
            give_back(self._connection, past.back, past.run_id)
        # A directory without rows held nothing that is worth a run; only its generation moves on, so that the next
        # content has a number of its own.
        if past.nothing:
            becomes = update(runs).where(runs.c.id == past.run_id).values(generation=past.following)
            self._connection.execute(becomes)
            return None
        run_id = next(self._ids)
        self._aside.append({"new": run_id, "old": past.run_id, "was": past.generation, "becomes": past.following})
        return run_id

    def part(self, past: Past, present: int) -> None:
        """Let a run become what the directory held before `present`."""
        self._apart.append({"old": past.run_id, "present": present})

    def make_room(self, run_id: int, first: int) -> None:
        """Number the contents of a run from `first` on: it comes where the numbers below are those of others."""
        execute = self._connection.execute
        own = select(runs.c.id).where((runs.c.id == run_id) | (runs.c.superseded_by == run_id))
        for row in execute(own.order_by(runs.c.generation.desc())).all():  # one by one: a number is never there twice
            shifted = update(runs).where(runs.c.id == row.id).values(generation=runs.c.generation + first)
            execute(shifted)
        for table in (superseded, evaluations):
            of_it = update(table).where(table.c.run_id.in_(own))
            execute(of_it.values(generation=table.c.generation + first))

    def moved(self, run_id: int) -> None:
        """What the directory held before lies where the run lies now."""
        self._moved.append(run_id)

    def before(self) -> None:
        """What must be done before other runs are written."""
        if not self._aside:
            return
        execute = self._connection.execute
        execute(update(runs).where(runs.c.id == bindparam("old")).values(generation=bindparam("becomes")), self._aside)
        was = {
            "id": bindparam("new", type_=Integer),
            "status": literal("superseded"),
            "generation": bindparam("was", type_=Integer),
            "superseded_by": runs.c.id,
            "ingested_at": literal(now()),
        }
        wanted: list[Any] = [*was.values(), *(runs.c[name] for name in _LIKE)]
        # The row is copied within the database: its values, damaged ones too, stay as they are, and none is decoded
        # here.
        row = select(*wanted).where(runs.c.id == bindparam("old"))
        execute(insert(runs).from_select([*was, *_LIKE], row), self._aside)
        # Moved, not copied: what the directory holds now is inserted anew after this, under the old id.
        for table in _CONTENT:
            moved = update(table).where(table.c.run_id == bindparam("old")).values(run_id=bindparam("new"))
            execute(moved, self._aside)
        _unload(self._connection, [pair["new"] for pair in self._aside])

    def after(self) -> None:
        """What must be done when they are."""
        for pair in self._apart:
            _displace(self._connection, pair["old"], pair["present"])
        for run_id in self._moved:
            # Read after the runs were written: only now the row says where the run lies.
            place = select(runs.c.root_id, runs.c.path, runs.c.part, runs.c.name).where(runs.c.id == run_id)
            row = self._connection.execute(place).one()
            self._connection.execute(update(runs).where(runs.c.superseded_by == run_id).values(**row._mapping))


def _unload(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(update(snapshots).where(snapshots.c.run_id.in_(ids)).values(unloadable=OVERWRITTEN))


def _displace(connection: Connection, old: int, present: int) -> None:
    """Let `present` be the run of the directory that was `old`'s."""
    connection.execute(update(runs).where(runs.c.id == present).values(superseded_by=None, copy_of=None))
    connection.execute(update(runs).where(runs.c.superseded_by == old).values(superseded_by=present))
    # Without a signature: this content is not on disk now, and no scan may take it for unchanged.
    values = {"superseded_by": present, "copy_of": None, "signature": None, "status": "superseded"}
    connection.execute(update(runs).where(runs.c.id == old).values(**values, ingested_at=now()))
    _unload(connection, [old])


def give_back(connection: Connection, run_id: int, to: int) -> None:
    """Let a superseded run be dropped whose content is that of `to` again, which gets what people added to it."""
    hand_over(connection, run_id, to)
    connection.execute(delete(runs).where(runs.c.id == run_id))


def hand_over(connection: Connection, run_id: int, to: int) -> None:
    """Give another run what people added to a run."""
    # A tag that both have would break the uniqueness of run and tag: the one of the run that goes is deleted with it.
    has = select(tags.c.tag).where(tags.c.run_id == to)
    mine = (tags.c.run_id == run_id) & tags.c.tag.not_in(has.scalar_subquery())
    connection.execute(update(tags).where(mine).values(run_id=to))
    for table in (notes, evaluations):
        connection.execute(update(table).where(table.c.run_id == run_id).values(run_id=to))


def merge(connection: Connection, run_id: int, into: int) -> None:
    """Let two runs of one directory be one: `into`, which keeps its content.

    What the other held before comes along. Where the other holds another content than `into`, it is kept beside that.
    """
    facts = select(runs.c.fingerprint, runs.c.rows, runs.c.root_id, runs.c.path)
    other = connection.execute(facts.where(runs.c.id == run_id)).one()
    kept = connection.execute(facts.where(runs.c.id == into)).one()
    place = {"root_id": kept.root_id, "path": kept.path}
    earlier = select(runs.c.id).where(runs.c.superseded_by == run_id).order_by(runs.c.generation)
    # One by one: each takes the number behind the one before, in the order in which they were first seen.
    for past in connection.execute(earlier).scalars().all():
        values = {"superseded_by": into, "generation": next_generation(connection, into), **place}
        connection.execute(update(runs).where(runs.c.id == past).values(**values))
    # Equal contents are one, and an empty one is none: only what people added has to be kept.
    if other.fingerprint == kept.fingerprint or not other.rows:
        give_back(connection, run_id, into)
        return
    number = next_generation(connection, into)
    connection.execute(update(runs).where(runs.c.id == run_id).values(generation=number, **place))
    _displace(connection, run_id, into)
