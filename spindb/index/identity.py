"""Which run a directory is: one that was known before, here or elsewhere, or a new one.

A run keeps its id, and with it what people added, as long as it can be recognised:

- by its place: unchanged, grown, or overwritten by another training. Then its *generation* counts up, and
  what it was before is kept as a line in ``superseded``, so that evaluations of the old content still say
  what they were of;
- by its content, where the place is new and the directory that the index knew is gone: renamed, or moved
  with its root; also where it grew on the way.

Equal content in two places that both exist is two runs, the later one linked as a copy of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, insert, not_, select

from spindb.index.clock import now
from spindb.index.models import metrics, roots, runs, superseded
from spindb.index.roots import this_host
from spindb.index.store import known_run
from spindb.records import RunRecord

DigestOfStart = Callable[[int], str | None]
"""Digest of the first so many bytes of the metrics on disk, None where they are shorter."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The run that a record belongs to; ``run_id`` is None for one that was never seen.

    ``moved_from`` is the root of the place that it was known at before, where that is another place.
    """

    run_id: int | None = None
    moved_from: int | None = None
    overwritten: bool = False
    copy_of: int | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: int
    root_id: int
    name: str
    exists: bool
    size: int
    metrics: str
    copy_of: int | None


def identify(connection: Connection, root_id: int, record: RunRecord, start: DigestOfStart) -> Identity:
    """The run that `record` belongs to.

    What the index has at its place is looked up here, in the transaction that will write: another ingest may
    have written since this one began.
    """
    known = known_run(connection, root_id, record.path)
    if known is not None:
        grown = record.content.size >= known.metrics_size and start(known.metrics_size) == known.metrics_digest
        return Identity(known.id, overwritten=not grown and record.status != "broken" and known.rows > 0)
    if not record.rows:  # all empty runs look alike
        return Identity()
    equal = _candidates(connection, _EQUAL, {"whole": record.content.whole})
    gone = [c for c in equal if not c.exists]
    if gone:
        likest = _likest(gone, record)
        return Identity(likest.id, moved_from=likest.root_id)
    if equal:
        first = min(equal, key=lambda candidate: candidate.id)
        return Identity(copy_of=first.copy_of or first.id)
    for candidate in _candidates(connection, _SHORTER, {"config": record.content.config, "called": record.name}):
        if not candidate.exists and start(candidate.size) == candidate.metrics:
            return Identity(candidate.id, moved_from=candidate.root_id)
    return Identity()


# Made once: to build a statement takes longer than to run it.
_ANY = (
    select(runs.c.id, runs.c.root_id, runs.c.name, runs.c.path, runs.c.metrics_size, runs.c.metrics_digest)
    .add_columns(runs.c.copy_of, roots.c.path.label("root"), roots.c.host)
    .join(roots, roots.c.id == runs.c.root_id)
    .order_by(runs.c.id)
)
_EQUAL = _ANY.where(runs.c.fingerprint == bindparam("whole"))
_SHORTER = _ANY.where(runs.c.config_digest == bindparam("config"), runs.c.name == bindparam("called"), runs.c.rows > 0)


def _candidates(connection: Connection, statement: Select[Any], values: dict[str, str]) -> list[_Candidate]:
    return [
        _Candidate(
            id=row.id,
            root_id=row.root_id,
            name=row.name,
            exists=row.host != this_host() or Path(row.root, row.path).is_dir(),
            size=row.metrics_size,
            metrics=row.metrics_digest,
            copy_of=row.copy_of,
        )
        for row in connection.execute(statement, values)
    ]


def _likest(candidates: list[_Candidate], record: RunRecord) -> _Candidate:
    """The one of the same name, else the first."""
    return next((c for c in candidates if c.name == record.name), candidates[0])


def keep_superseded(connection: Connection, run_id: int) -> int:
    """Keep a line of what the run was, before it is written over; returns the new generation."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).one()
    best = connection.execute(
        select(metrics.c.last, metrics.c.max).where(metrics.c.run_id == run_id, metrics.c.name == row.performance)
    ).first()
    connection.execute(
        insert(superseded).values(
            run_id=run_id,
            generation=row.generation,
            fingerprint=row.fingerprint,
            rows=row.rows,
            performance=row.performance,
            last=best.last if best else None,
            max=best.max if best else None,
            started_at=row.started_at,
            updated_at=row.updated_at,
            superseded_at=now(),
        )
    )
    return int(row.generation) + 1


def drop_emptied_roots(connection: Connection, emptied: Iterable[int]) -> None:
    """Forget those roots out of which the last run was moved.

    Only they: a root that another ingest has just begun with is empty too.
    """
    held = exists().where(runs.c.root_id == roots.c.id)
    connection.execute(delete(roots).where(roots.c.id.in_(list(emptied)), not_(held)))
