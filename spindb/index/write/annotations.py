"""What people add to runs: tags, notes, the archive mark.

Everything here belongs to a run's id and survives every ingest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from spindb.errors import NotFoundError, UsageError
from spindb.index.database.batches import batches
from spindb.index.database.models import evaluations, notes, runs, tags
from spindb.machine import now

_TAG = re.compile(r"[^\s=!<>~(),'\"@+-][^\s=!<>~(),'\"]*\Z")


def check_tag(tag: str) -> str:
    """The tag, if a filter can name it.

    Raises:
        UsageError: it is empty, or holds blanks or the signs of a filter.
    """
    if not _TAG.match(tag):
        raise UsageError(
            f"{tag!r} can't be a tag: blanks, quotes, commas and = ! < > ~ ( ) are not allowed, nor + - @ at its start"
        )
    return tag


def tag_runs(connection: Connection, ids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> tuple[int, int]:
    """Add and remove tags; returns how many were added and removed, those left out that were so already."""
    added = removed = 0
    for batch in batches(ids):
        for tag in add:
            # Read before it is written: SQLAlchemy has no INSERT for both databases that skips the rows that are there.
            there = set(
                connection.execute(select(tags.c.run_id).where(tags.c.tag == tag, tags.c.run_id.in_(batch))).scalars()
            )
            rows = [{"run_id": run_id, "tag": tag} for run_id in batch if run_id not in there]
            if rows:
                connection.execute(insert(tags), rows)
            added += len(rows)
        for tag in remove:
            removed += connection.execute(delete(tags).where(tags.c.tag == tag, tags.c.run_id.in_(batch))).rowcount
    return added, removed


def tag_counts(connection: Connection, ids: Sequence[int] | None = None) -> dict[str, int]:
    """Every tag with the number of runs that have it, of these or of all that are not removed; most frequent first."""
    counts: dict[str, int] = {}
    # Counted a batch at a time and summed here: a run stands in one batch only, so no tag of a run is counted twice.
    for batch in [None] if ids is None else batches(ids):
        statement = select(tags.c.tag, func.count()).join(runs).where(runs.c.removed_at.is_(None)).group_by(tags.c.tag)
        if batch is not None:
            statement = statement.where(tags.c.run_id.in_(batch))
        for tag, count in connection.execute(statement):
            counts[tag] = counts.get(tag, 0) + count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Note:
    """A note, its time in UTC."""

    id: int
    run_id: int
    text: str
    created_at: datetime


def add_note(connection: Connection, ids: Sequence[int], text: str) -> None:
    """Write the same note to every one of these runs.

    Raises:
        UsageError: the text is empty.
    """
    text = text.strip()
    if not text:
        raise UsageError("the note is empty")
    at = now()
    if ids:
        connection.execute(insert(notes), [{"run_id": run_id, "text": text, "created_at": at} for run_id in ids])


def notes_on(connection: Connection, ids: Sequence[int]) -> list[Note]:
    """The notes of these runs, by run and time."""
    found: list[Note] = []
    for batch in batches(ids):
        c = notes.c
        statement = select(c.id, c.run_id, c.text, c.created_at).where(c.run_id.in_(batch)).order_by(c.run_id, c.id)
        found += [Note(*tuple(row)) for row in connection.execute(statement)]
    return found


def remove_note(connection: Connection, note_id: int) -> Note:
    """Delete a note and return it.

    Raises:
        NotFoundError: no note has that id.
    """
    c = notes.c
    row = connection.execute(select(c.id, c.run_id, c.text, c.created_at).where(c.id == note_id)).first()
    if row is None:
        # Read before it is deleted: the command prints the text, so that a note removed by mistake can be typed again.
        raise NotFoundError(f"no note has the id {note_id}", hint="spindb note RUN lists a run's notes with their ids")
    connection.execute(delete(notes).where(c.id == note_id))
    return Note(*tuple(row))


def archive_runs(connection: Connection, ids: Sequence[int], archived: bool) -> int:
    """Set or take off the archive mark; returns how many runs that changed."""
    changed = 0
    for batch in batches(ids):
        # Only those that are not so already: the row count is what the command says that it changed.
        statement = update(runs).where(runs.c.id.in_(batch), runs.c.archived.is_(not archived))
        changed += connection.execute(statement.values(archived=archived)).rowcount
    return changed


def hidden_copies(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Copies of these runs that have no archive mark themselves: they stay behind their originals all the same."""
    found: list[int] = []
    for batch in batches(ids):
        hidden = runs.c.copy_of.in_(batch), runs.c.archived.is_(False), runs.c.removed_at.is_(None)
        found += connection.execute(select(runs.c.id).where(*hidden)).scalars()
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Added:
    """How much people added to some runs."""

    tags: int
    notes: int
    evaluations: int


def added_to(connection: Connection, ids: Sequence[int]) -> Added:
    """What people added to these runs."""
    counts = [0, 0, 0]
    for batch in batches(ids):
        for position, table in enumerate((tags, notes, evaluations)):
            counts[position] += connection.execute(select(func.count()).where(table.c.run_id.in_(batch))).scalar_one()
    return Added(*counts)
