"""Which of several runs with the same content stands for it: the original, of which the others are copies.

It follows from what the database holds and from nothing else, so that the order of ingests makes no difference: the
original is the first of those that are there, else the first that is missing, else the first that was removed.

The content of a run is its metrics and its config; where it has no row, also its saved policies. Runs that have none of
these all look alike, and are never copies.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, exists, func, or_, select, text, update

from spindb.index.database.models import configs, runs, snapshots
from spindb.index.write.rows import RunRows

DIGEST_OF_NOTHING = blake2b(b"", digest_size=16).hexdigest()
"""What `spindb.disk` gives for an empty or absent file."""


_ANY = text(
    "SELECT EXISTS (SELECT 1 FROM runs GROUP BY fingerprint HAVING count(*) > 1)"
    " OR EXISTS (SELECT 1 FROM runs WHERE copy_of IS NOT NULL)"
)  # whether runs share their contents, or did


def copy_rank(run_id: int, *, missing: bool, removed: bool) -> tuple[bool, bool, int]:
    """The least of several runs with the same content is the original."""
    return removed, missing, run_id


def is_distinctive(rows: RunRows) -> bool:
    """Whether the content of a run that was read distinguishes it from others."""
    record = rows.record
    if record.rows:
        return True
    has_config = record.content.config not in ("", DIGEST_OF_NOTHING) and bool(rows.child_rows["configs"])
    return record.status != "broken" and (has_config or bool(rows.child_rows["snapshots"]))


def distinctive() -> ColumnElement[bool]:
    """The same of runs in the database; what a directory held before is no copy of anything."""
    has_policy = exists().where(snapshots.c.run_id == runs.c.id)
    has_values = exists().where(configs.c.run_id == runs.c.id)  # "{}" says nothing
    has_config = and_(runs.c.config_digest.not_in(("", DIGEST_OF_NOTHING)), has_values)
    without_rows = and_(runs.c.status != "broken", or_(has_config, has_policy))
    return and_(runs.c.status != "superseded", or_(runs.c.rows > 0, without_rows))


def link_copies(connection: Connection, *, dry_run: bool = False) -> int:
    """Let each copy name its original, and no other run any; returns how many runs did otherwise before."""
    c = runs.c
    # Most databases have no copies: the statements below take longer to compile than this one takes to answer.
    if not connection.execute(_ANY).scalar():
        return 0
    shared = select(c.fingerprint).group_by(c.fingerprint).having(func.count() > 1).scalar_subquery()
    wanted = select(c.id, c.fingerprint, c.status, c.removed_at, c.copy_of).where(
        c.fingerprint.in_(shared), distinctive()
    )
    alike: defaultdict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(wanted):
        alike[row.fingerprint].append(row)
    # All links that are there, not those of shared contents alone: a link may point to a run that changed since.
    are = {row.id: row.copy_of for row in connection.execute(select(c.id, c.copy_of).where(c.copy_of.is_not(None)))}
    should = {}
    for members in alike.values():
        first = min(members, key=_rank).id
        should.update({row.id: first for row in members if row.id != first})
    # Only what differs is written: an ingest that finds nothing new must change no row.
    changes = [
        {"run": run_id, "original": should.get(run_id)}
        for run_id in are.keys() | should.keys()
        if are.get(run_id) != should.get(run_id)
    ]
    if changes and not dry_run:
        connection.execute(update(runs).where(c.id == bindparam("run")).values(copy_of=bindparam("original")), changes)
    return len(changes)


def _rank(row: Row[Any]) -> tuple[bool, bool, int]:
    return copy_rank(row.id, missing=row.status == "missing", removed=row.removed_at is not None)
