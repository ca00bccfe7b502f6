"""Which run a directory is: one that was known before, here or elsewhere, or a new one.

A run keeps its id, and with it what people added, as long as it can be recognised:

- by its place: unchanged, grown, or overwritten by another training. What the directory held before becomes a run of
  its own then (see `spindb.index.write.contents`): its curves stay, and evaluations of it say what they were of;
- by its content, where the place is new and the directory that the index knew is gone: renamed, or moved
  with its root; also where it grew on the way.

Equal content in two places that both exist is two runs, one of them linked as a copy of the other (see
`spindb.index.write.copies`). A place is a real path: a directory reached by a link is the one that it leads to.

What a person removed stays so wherever its content turns up: in a new place, in the directory of another run, or where
it lay before. Where the directory of another run holds it now, or a run that was not removed lies in the directory of
one that was, ids go with contents: the run that lay there becomes what the directory held before.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, exists, not_, or_, select

from spindb.index.database import series
from spindb.index.database.batches import batches
from spindb.index.database.models import metrics, problems, roots, runs
from spindb.index.write.contents import Past, next_generation
from spindb.index.write.copies import DIGEST_OF_NOTHING, copy_rank, distinctive, is_distinctive
from spindb.index.write.roots import RootPlace
from spindb.index.write.rows import COLUMNS, Row, RunRows
from spindb.machine import this_host
from spindb.records import Cell, RunRecord, directory_of, file_of

RemovedRuns = Mapping[str, Sequence[int]]
"""Ids of the runs that a person removed, by the digest of their config."""

DigestOfStart = Callable[[int], str | None]
"""Digest of the first so many bytes of the metrics on disk, None where they are shorter."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The run that a record belongs to; ``run_id`` is None for one that was never seen.

    ``moved_from`` is the root of the place that it was known at before, where that is another place. ``past`` is what
    the directory held before, where another training overwrote it. ``removed_at`` is when a person removed this
    content. ``unread`` says that the files can't be read now: what was read before stays.
    """

    run_id: int | None = None
    moved_from: int | None = None
    copy_of: int | None = None
    removed_at: datetime | None = None
    past: Past | None = None
    unread: bool = False


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: int
    root_id: int
    name: str
    directory: str
    exists: bool
    size: int
    metrics: str
    missing: bool
    removed_at: datetime | None
    past: bool = False
    """Whether its directory holds something else now."""


class Recogniser:
    """Decides which runs the records of a batch are; knows what the batch itself has put."""

    def __init__(
        self, connection: Connection, place: RootPlace, batch: Sequence[RunRows], removed: RemovedRuns
    ) -> None:
        """Look up what the index has at the places of `batch`, and like it.

        `removed` is what `removed_by_config` gives: all runs are looked through for it, so once an ingest.

        It is looked up here, in the transaction that will write: another ingest may have written since this
        one began.
        """
        self._connection = connection
        self._place = place
        places = {"root": place.root_id, "paths": [rows.record.path for rows in batch]}
        self._here = {row.path: row for row in connection.execute(_AT, places)}
        unseen = [rows for rows in batch if rows.record.path not in self._here]
        self.unseen = len(unseen)
        """How many of the records are at places where the index has no run."""
        distinctive_records = [rows.record for rows in batch if is_distinctive(rows)]
        self._equal = _equal(connection, distinctive_records)
        grown = [rows.record for rows in unseen if is_distinctive(rows) and rows.record.rows]
        self._shorter = _shorter(connection, grown)
        self._removed = _removed(connection, [record for record in distinctive_records if record.rows], removed)

    def identify(self, rows: RunRows, start: DigestOfStart) -> Identity:
        """The run that a directory is which was read as `rows`.

        The rules stand in the order of their evidence: the first that holds decides. A run of the same directory comes
        before runs elsewhere, so that copying or moving other directories never changes what this one is.
        """
        record = rows.record
        known = self._here.get(record.path)
        if known is None:  # a new place: its content alone can say what it is
            return self._elsewhere(rows, start)
        # Files that can't be read now are no evidence against what was read of them before.
        if record.status == "broken" and known.rows and not record.rows:
            return Identity(known.id, removed_at=known.removed_at, unread=True)
        if known.rows and self._grown(known, rows, start):
            return Identity(known.id, removed_at=known.removed_at)
        # It holds something else now. An earlier content of its own comes before that of another directory: a
        # training that is restored from a backup is no move.
        back = self._back(known, record, start) if record.rows and (known.rows or known.generation) else None
        arrived = self._arrived(known, rows, start) if back is None else None
        if arrived is not None:
            return arrived
        if known.rows == 0:
            return self._started(known, record, back)
        return self._overwritten(known, back)

    def _arrived(self, known: Any, rows: RunRows, start: DigestOfStart) -> Identity | None:
        """The run whose content came into the directory of another one, where a person removed one of both."""
        if rows.record.content.whole == known.fingerprint:
            return None
        other = self._elsewhere(rows, start, known.id)
        if other.removed_at is None and (known.removed_at is None or other.run_id is None):
            return None
        following = next_generation(self._connection, known.id)
        return replace(other, past=Past(known.id, known.generation, following, apart=True))

    def _started(self, known: Any, record: RunRecord, back: Any) -> Identity:
        """The directory held no row before: there is nothing to keep, but an earlier content may be back."""
        if not record.rows:
            return Identity(known.id, removed_at=known.removed_at)
        if back is None:  # what was removed was nothing; what is there now is not that
            return Identity(known.id)
        past = Past(known.id, known.generation, back.generation, back.id, back.removed_at is not None, nothing=True)
        return Identity(back.id if past.apart else known.id, removed_at=back.removed_at, past=past)

    def _grown(self, known: Any, rows: RunRows, start: DigestOfStart) -> bool:
        """Whether what is there begins with what was: its bytes, or else its rows under the names of their columns.

        A header may have been written anew, with a column that was added.
        """
        if rows.record.content.size >= known.metrics_size and start(known.metrics_size) == known.metrics_digest:
            return True
        if rows.record.rows < known.rows:
            return False
        fresh = {row[_NAME]: row for row in rows.child_rows["metrics"]}
        whole = known.rows - self._connection.execute(_CUT_OFF, {"run": known.id}).scalar_one()
        kept = self._connection.execute(_SERIES, {"run": known.id}).all()
        return bool(kept) and all(row.name in fresh and _goes_on(fresh[row.name], row, whole) for row in kept)

    def _overwritten(self, known: Any, back: Any) -> Identity:
        apart = known.removed_at is not None or (back is not None and back.removed_at is not None)
        if back is not None:
            past = Past(known.id, known.generation, back.generation, back.id, apart)
            return Identity(back.id if apart else known.id, removed_at=back.removed_at, past=past)
        past = Past(known.id, known.generation, next_generation(self._connection, known.id), None, apart)
        return Identity(None if apart else known.id, past=past)

    def _back(self, known: Any, record: RunRecord, start: DigestOfStart) -> Any:
        """The earlier content of the directory that is there again, perhaps grown; None where none is."""
        earlier = self._connection.execute(_EARLIER, {"run": known.id}).all()
        equal = [row for row in earlier if row.fingerprint == record.content.whole]
        grown = (row for row in earlier if start(row.metrics_size) == row.metrics_digest)
        return equal[0] if equal else next(grown, None)

    def _elsewhere(self, rows: RunRows, start: DigestOfStart, here: int | None = None) -> Identity:
        """The run by its content alone; `here` is one that it is not."""
        record = rows.record
        if not is_distinctive(rows):
            return Identity()
        alike = [candidate for candidate in self._equal.get(record.content.whole, {}).values() if candidate.id != here]
        equal = [candidate for candidate in alike if not candidate.past]
        gone = [candidate for candidate in equal if not candidate.exists or self._is_here(candidate, record)]
        # A directory that is gone explains where this one came from, so a move comes before a copy; and equal content
        # before content that only begins alike, which two reruns of one training may do.
        if gone:
            closest = min(gone, key=lambda c: (c.name != record.name, c.removed_at is not None, c.id))
            return Identity(closest.id, moved_from=closest.root_id, removed_at=closest.removed_at)
        if equal:
            original = min(equal, key=_rank)
            return Identity(copy_of=original.id, removed_at=original.removed_at)
        if alike:  # it was removed, and its directory holds something else since
            return Identity(removed_at=min(alike, key=_rank).removed_at)
        shorter = [self._shorter.get(_likeness(record), {}), self._removed.get(record.content.config, {})]
        for candidate in (candidate for group in shorter for candidate in group.values() if candidate.id != here):
            moved = candidate.past or not candidate.exists or self._is_here(candidate, record)
            if not moved or start(candidate.size) != candidate.metrics:
                continue
            if candidate.past:
                return Identity(removed_at=candidate.removed_at)
            return Identity(candidate.id, moved_from=candidate.root_id, removed_at=candidate.removed_at)
        return Identity()

    def _is_here(self, candidate: _Candidate, record: RunRecord) -> bool:
        """Whether the candidate's directory is the record's, which an older spindb stored under the path of a link."""
        here = os.path.join(self._place.root, record.path)
        try:
            same = os.path.samefile(candidate.directory, here)
        except OSError:
            return False
        return same and os.path.realpath(candidate.directory) == os.path.realpath(here)

    def put(self, run_id: int, rows: RunRows, identity: Identity) -> None:
        """The run has become this: those that follow in the batch are compared with it."""
        past = identity.past
        replaced = [run for run in (identity.run_id, past.run_id if past else None) if run is not None]
        groups = (*self._equal.values(), *self._shorter.values(), *self._removed.values()) if replaced else ()
        for group in groups:
            for other in replaced:
                before = group.pop(other, None)
                stays = past is not None and past.apart and other == past.run_id
                if stays and before is not None and before.removed_at is not None:
                    group[other] = replace(before, past=True)
        record = rows.record
        if is_distinctive(rows) and not identity.unread:
            content = record.content
            facts = (run_id, self._place.root_id, record.name, os.path.join(self._place.root, record.path), True)
            now = _Candidate(*facts, content.size, content.metrics, False, identity.removed_at)
            self._equal.setdefault(content.whole, {})[run_id] = now


# Made once: to build a statement takes longer than to run it.
_PRESENT = runs.c.status != "superseded"
_AT = (
    select(runs.c.path, runs.c.id, runs.c.rows, runs.c.metrics_size, runs.c.metrics_digest)
    .add_columns(runs.c.generation, runs.c.removed_at, runs.c.fingerprint)
    .where(runs.c.root_id == bindparam("root"), runs.c.path.in_(bindparam("paths", expanding=True)), _PRESENT)
)
_ANY = (
    select(runs.c.id, runs.c.root_id, runs.c.name, runs.c.path, runs.c.metrics_size, runs.c.metrics_digest)
    .add_columns(runs.c.status, runs.c.removed_at, runs.c.fingerprint, runs.c.config_digest, runs.c.part)
    .add_columns(roots.c.path.label("root"), roots.c.host)
    .join(roots, roots.c.id == runs.c.root_id, isouter=True)  # never led by roots, once for each of them
    .order_by(runs.c.id)
)
_REMOVED = runs.c.removed_at.is_not(None)
_EQUAL = _ANY.where(
    runs.c.fingerprint.in_(bindparam("sought", expanding=True)),
    or_(distinctive(), and_(runs.c.status == "superseded", _REMOVED)),
)
# Two lists, since SQLite takes no index for pairs in a list of pairs.
_SHORTER = _ANY.where(
    runs.c.name.in_(bindparam("names", expanding=True)),
    runs.c.config_digest.in_(bindparam("configs", expanding=True)),
    runs.c.rows > 0,
    _PRESENT,
)
_REMOVED_WITH_ROWS = _ANY.where(runs.c.id.in_(bindparam("ids", expanding=True)), runs.c.rows > 0, _REMOVED)
_EARLIER = (
    select(runs.c.id, runs.c.generation, runs.c.fingerprint, runs.c.metrics_size, runs.c.metrics_digest)
    .add_columns(runs.c.removed_at)
    .where(runs.c.superseded_by == bindparam("run"), runs.c.rows > 0)
    .order_by(runs.c.generation.desc())
)
_SERIES = select(metrics.c.name, metrics.c.series, metrics.c.odd_cells, metrics.c.steps).where(
    metrics.c.run_id == bindparam("run")
)
_CUT_OFF = select(
    exists().where(problems.c.run_id == bindparam("run"), problems.c.code == "no-final-newline").label("cut_off")
)
_Groups = dict[Any, dict[int, _Candidate]]


_NAME, _CELLS, _ODD, _STEPS = map(COLUMNS["metrics"].index, ("name", "series", "odd_cells", "steps"))


def _goes_on(fresh: Row, kept: Any, rows: int) -> bool:
    """Whether a metric that was read begins with the one that is kept: with all of it where that has its own steps.

    Of the cells of a run's rows `rows` are whole.
    """
    cells, before = series.unpacked(fresh[_CELLS], fresh[_ODD]), series.decode(kept.series, kept.odd_cells)
    own = series.steps_of(kept.steps)
    if own is None:
        return fresh[_STEPS] is None and _begins(cells, before, rows)
    steps = [] if fresh[_STEPS] is None else series.numbers(series.unpacked(fresh[_STEPS], None))
    return len(cells) >= len(before) and _begins(cells, before, len(before)) and steps[: len(own)] == own


def _begins(cells: Sequence[Cell], with_: Sequence[Cell], count: int) -> bool:
    """Whether the first `count` cells are equal, NaN to NaN."""
    return all(a == b or (a != a and b != b) for a, b in zip(cells[:count], with_[:count], strict=True))


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


def removed_by_config(connection: Connection) -> RemovedRuns:
    """The runs that a person removed and that have a config that distinguishes them from others."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for row in connection.execute(select(runs.c.config_digest, runs.c.id).where(_REMOVED, runs.c.rows > 0)):
        if row.config_digest not in ("", DIGEST_OF_NOTHING):
            found[row.config_digest].append(row.id)
    return found


def _removed(connection: Connection, records: Sequence[RunRecord], removed: RemovedRuns) -> _Groups:
    """Removed runs that one of the records may have grown from, whatever its name is now, by their config."""
    groups: _Groups = {}
    ids = [run_id for config in {record.content.config for record in records} for run_id in removed.get(config, ())]
    for batch in batches(ids):
        for row in connection.execute(_REMOVED_WITH_ROWS, {"ids": batch}):
            groups.setdefault(row.config_digest, {})[row.id] = _candidate(row)
    return groups


def _likeness(record: RunRecord) -> tuple[str, str]:
    """What a run that grew while it moved still has in common with what it was."""
    return record.name, record.content.config


def _candidate(row: Any) -> _Candidate:
    directory = os.path.join(row.root, row.path)
    if row.part is None:
        exists = os.path.isdir(directory)
    else:  # in its file, if that is there: which runs are in it only its layout knows
        exists = os.path.lexists(os.path.join(row.root, directory_of(row.path, row.part), file_of(row.part)))
    return _Candidate(
        id=row.id,
        root_id=row.root_id,
        name=row.name,
        directory=directory,
        exists=row.host != this_host() or exists,
        size=row.metrics_size,
        metrics=row.metrics_digest,
        missing=row.status == "missing",
        removed_at=row.removed_at,
        past=row.status == "superseded",
    )


def _rank(candidate: _Candidate) -> tuple[bool, bool, int]:
    return copy_rank(candidate.id, missing=candidate.missing, removed=candidate.removed_at is not None)


def drop_emptied_roots(connection: Connection, emptied: Iterable[int]) -> None:
    """Forget those roots out of which the last run was moved.

    Only they: a root that another ingest has just started with is empty too.
    """
    held = exists().where(runs.c.root_id == roots.c.id)
    connection.execute(delete(roots).where(roots.c.id.in_(list(emptied)), not_(held)))
