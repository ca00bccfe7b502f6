"""Runs that a person removed: hidden everywhere until they are brought back, with all that people wrote.

The mark belongs to a content. It goes with a run that is moved or renamed, into the directory of another run too, and
to a copy of it that is found where no other run has that content. A training that overwrites the directory of a removed
run is a run of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, and_, or_, select, update

from spindb.errors import NotFoundError
from spindb.index.database.batches import batches
from spindb.index.database.models import roots, runs
from spindb.index.write.copies import distinctive, link_copies
from spindb.machine import now, this_host


@dataclass(frozen=True, slots=True)
class Removed:
    """A run that was removed, and when, in UTC."""

    id: int
    name: str
    directory: Path
    host: str
    removed_at: datetime
    fingerprint: str


def remove_runs(connection: Connection, ids: Sequence[int]) -> int:
    """Remove runs, and what their directories held before; returns how many were not removed before."""
    # One time for all that a call removes: by it `bring_back` knows what went along with a run.
    at, count = now(), 0
    for batch in batches(ids):
        there = runs.c.removed_at.is_(None)
        count += connection.execute(update(runs).where(runs.c.id.in_(batch), there).values(removed_at=at)).rowcount
        connection.execute(update(runs).where(runs.c.superseded_by.in_(batch), there).values(removed_at=at))
    # A copy of a run that was removed is the original now: it must be shown in its place.
    link_copies(connection)
    return count


def removed_runs(connection: Connection) -> list[Removed]:
    """All runs that were removed, by id; those that went with another, as its earlier content, are left out."""
    c, other = runs.c, runs.alias("other")
    columns = (c.id, c.name, c.path, roots.c.path.label("root"), roots.c.host, c.removed_at, c.fingerprint)
    statement = (
        select(*columns)
        .join(roots, roots.c.id == c.root_id)
        .join(other, and_(other.c.id == c.superseded_by, other.c.removed_at == c.removed_at), isouter=True)
        .where(c.removed_at.is_not(None), other.c.id.is_(None))
        .order_by(c.id)
    )
    return [
        Removed(r.id, r.name, Path(r.root) / r.path, r.host, r.removed_at, r.fingerprint)
        for r in connection.execute(statement)
    ]


def when_removed(connection: Connection, ids: Sequence[int]) -> dict[int, datetime]:
    """Those of the runs that were removed, and when."""
    found: dict[int, datetime] = {}
    for batch in batches(ids):
        statement = select(runs.c.id, runs.c.removed_at).where(runs.c.id.in_(batch), runs.c.removed_at.is_not(None))
        found.update({row.id: row.removed_at for row in connection.execute(statement)})
    return found


def bring_back(connection: Connection, words: Sequence[str]) -> list[Removed]:
    """Bring removed runs back, each given by its id, its directory or its name, with what went with them.

    Raises:
        NotFoundError: no removed run has that id, directory or name.
    """
    there = removed_runs(connection)
    found: dict[int, Removed] = {}
    for word in words:
        matching = [run for run in there if _is(run, word)]
        if not matching:
            raise NotFoundError(f"no removed run has the id, directory or name {word!r}", hint=_listed(there))
        found.update({run.id: run for run in matching})
    for run in found.values():
        # With the run comes back what was marked in the same instant: its earlier contents, and the copies of its
        # content. What was removed at another time was removed for itself, and stays.
        alike = and_(runs.c.fingerprint == run.fingerprint, or_(distinctive(), runs.c.status == "superseded"))
        went_along = and_(or_(runs.c.superseded_by == run.id, alike), runs.c.removed_at == run.removed_at)
        connection.execute(update(runs).where(or_(runs.c.id == run.id, went_along)).values(removed_at=None))
    link_copies(connection)
    return list(found.values())


def _is(run: Removed, word: str) -> bool:
    if word.isascii() and word.isdigit():
        return run.id == int(word)
    # A path means something on its own machine only: the same path elsewhere is another directory.
    here = run.host == this_host()
    return run.name == word or (here and os.path.realpath(run.directory) == os.path.realpath(word))


def _listed(there: Sequence[Removed]) -> str:
    if not there:
        return "no run is removed"
    return "spindb rm --list shows those that are: " + ", ".join(str(run.id) for run in there[:10])
