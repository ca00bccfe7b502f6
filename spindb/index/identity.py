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

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, not_, select, update

from spindb.index.clock import now
from spindb.index.models import metrics, roots, runs, superseded
from spindb.index.roots import this_host
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


class Recogniser:
    """Tells which runs the records of a batch are; knows what the batch itself has put."""

    def __init__(self, connection: Connection, root_id: int, records: Sequence[RunRecord]) -> None:
        """Look up what the index has at the places of `records`, and like them.

        It is looked up here, in the transaction that will write: another ingest may have written since this
        one began.
        """
        self._root_id = root_id
        places = {"root": root_id, "paths": [record.path for record in records]}
        self._here = {row.path: row for row in connection.execute(_AT, places)}
        strange = [record for record in records if record.path not in self._here]
        self.strange = len(strange)
        """How many of the records are at places where the index has no run."""
        told = [record for record in strange if record.rows]  # all empty runs look alike
        self._equal = _equal(connection, told)
        self._shorter = _shorter(connection, told)

    def identify(self, record: RunRecord, start: DigestOfStart) -> Identity:
        """The run that `record` belongs to."""
        known = self._here.get(record.path)
        if known is not None:
            grown = record.content.size >= known.metrics_size and start(known.metrics_size) == known.metrics_digest
            return Identity(known.id, overwritten=not grown and record.status != "broken" and known.rows > 0)
        if not record.rows:
            return Identity()
        equal = self._equal.get(record.content.whole, {}).values()
        gone = [candidate for candidate in equal if not candidate.exists]
        if gone:
            likest = next((c for c in gone if c.name == record.name), gone[0])
            return Identity(likest.id, moved_from=likest.root_id)
        if equal:
            first = min(equal, key=lambda candidate: candidate.id)
            return Identity(copy_of=first.copy_of or first.id)
        for candidate in self._shorter.get(_likeness(record), {}).values():
            if not candidate.exists and start(candidate.size) == candidate.metrics:
                return Identity(candidate.id, moved_from=candidate.root_id)
        return Identity()

    def put(self, run_id: int, record: RunRecord, identity: Identity) -> None:
        """The run has become this: those that follow in the batch are compared with it."""
        copy_of = identity.copy_of
        if identity.run_id is not None:
            for group in (*self._equal.values(), *self._shorter.values()):
                before = group.pop(run_id, None)
                copy_of = before.copy_of if before else copy_of
        if record.rows:
            content = record.content
            now = _Candidate(run_id, self._root_id, record.name, True, content.size, content.metrics, copy_of)
            self._equal.setdefault(content.whole, {})[run_id] = now


# Made once: to build a statement takes longer than to run it.
_AT = select(runs.c.path, runs.c.id, runs.c.rows, runs.c.metrics_size, runs.c.metrics_digest).where(
    runs.c.root_id == bindparam("root"), runs.c.path.in_(bindparam("paths", expanding=True))
)
_ANY = (
    select(runs.c.id, runs.c.root_id, runs.c.name, runs.c.path, runs.c.metrics_size, runs.c.metrics_digest)
    .add_columns(runs.c.copy_of, roots.c.path.label("root"), roots.c.host, runs.c.fingerprint, runs.c.config_digest)
    .join(roots, roots.c.id == runs.c.root_id, isouter=True)  # never led by roots, once for each of them
    .order_by(runs.c.id)
)
_EQUAL = _ANY.where(runs.c.fingerprint.in_(bindparam("sought", expanding=True)))
# Two lists, since SQLite takes no index for pairs in a list of pairs.
_SHORTER = _ANY.where(
    runs.c.name.in_(bindparam("names", expanding=True)),
    runs.c.config_digest.in_(bindparam("configs", expanding=True)),
    runs.c.rows > 0,
)
_Groups = dict[Any, dict[int, _Candidate]]


def _equal(connection: Connection, records: Sequence[RunRecord]) -> _Groups:
    """Runs with the content of one of the records, by that."""
    groups: _Groups = {}
    for row in connection.execute(_EQUAL, {"sought": sorted({record.content.whole for record in records})}):
        groups.setdefault(row.fingerprint, {})[row.id] = _candidate(row)
    return groups


def _shorter(connection: Connection, records: Sequence[RunRecord]) -> _Groups:
    """Runs that one of the records may have grown from, by what both have in common."""
    groups: _Groups = {likeness: {} for likeness in map(_likeness, records)}
    names, configs = (sorted(set(words)) for words in zip(*groups, strict=True)) if groups else ([], [])
    for row in connection.execute(_SHORTER, {"names": names, "configs": configs}):
        likeness = row.name, row.config_digest
        if likeness in groups:
            groups[likeness][row.id] = _candidate(row)
    return groups


def _likeness(record: RunRecord) -> tuple[str, str]:
    """What a run that grew while it moved still has in common with what it was."""
    return record.name, record.content.config


def _candidate(row: Any) -> _Candidate:
    return _Candidate(
        id=row.id,
        root_id=row.root_id,
        name=row.name,
        exists=row.host != this_host() or Path(row.root, row.path).is_dir(),
        size=row.metrics_size,
        metrics=row.metrics_digest,
        copy_of=row.copy_of,
    )


def keep_superseded(connection: Connection, run_id: int) -> None:
    """Keep a line of what the run was, before it is written over; its next generation begins."""
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
    connection.execute(update(runs).where(runs.c.id == run_id).values(generation=row.generation + 1))


def drop_emptied_roots(connection: Connection, emptied: Iterable[int]) -> None:
    """Forget those roots out of which the last run was moved.

    Only they: a root that another ingest has just begun with is empty too.
    """
    held = exists().where(runs.c.root_id == roots.c.id)
    connection.execute(delete(roots).where(roots.c.id.in_(list(emptied)), not_(held)))
