"""From disk to index: scan, skip what is unchanged, read the rest, write in batches.

Reading is pure and may run in several processes; one writer puts what they read into the database in
transactions of many runs, so that an ingest killed at any instant leaves every run as before or as
after. Run directories are only ever read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError

from spindb.disk.formats import format_named
from spindb.disk.scan import Foreign, FoundRun, check_root, scan
from spindb.index import schema, store
from spindb.index.engine import database_errors, database_url, open_engine, shown, sqlite_path
from spindb.index.identity import DigestOfStart, Identity, Recogniser, drop_emptied_roots, keep_superseded
from spindb.index.roots import Place, place_of, planned_place
from spindb.index.rows import RunRows
from spindb.index.store import Batch, Known
from spindb.index.upkeep import refresh_statistics
from spindb.ingest.reading import Reader, ToRead, broken
from spindb.records import Problem, RunRecord

_BATCH = 100  # runs per transaction
_WORTH_STATISTICS = 100  # runs; few are found fast however they are looked for
_UNSETTLED = "?"

Progress = Callable[[int, int], None]
"""Called with the number of runs that were read and the number that are to be read."""

Wrote = Callable[[Path], None]
"""Called with the directory of a run that was written."""


@dataclass(frozen=True, slots=True)
class RunProblem:
    """A problem and the directory it was found in."""

    directory: Path
    problem: Problem


@dataclass(slots=True)
class Summary:
    """What an ingest did, counted in runs.

    ``overwritten`` are among the changed, ``copies`` among the new. ``foreign`` counts directories of other
    loggers by what lies in them. ``problems`` holds those of runs that were read.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    missing: int = 0
    returned: int = 0
    moved: int = 0
    overwritten: int = 0
    copies: int = 0
    pruned: int = 0
    foreign: Counter[str] = field(default_factory=Counter)
    problems: list[RunProblem] = field(default_factory=list)

    @property
    def written(self) -> int:
        """All runs that were written."""
        return self.new + self.changed + self.returned + self.moved

    @property
    def total(self) -> int:
        """All runs that were found on disk."""
        return self.new + self.changed + self.unchanged + self.returned + self.moved


class _Task(NamedTuple):
    """A run that is to be read: there may be very many of them at once."""

    run: ToRead
    signature: str
    known: Known | None

    def start_of(self, record: RunRecord) -> DigestOfStart:
        """Digests of the first bytes of the metrics: the one that was asked for when the record was read is
        at hand, any other takes another look."""

        def digest(size: int) -> str | None:
            if self.run.previous_size == size:
                return record.content.begins
            return format_named(self.run.format).read(self.run.directory, self.run.place, size).content.begins

        return digest


_Read = tuple[_Task, RunRows]


class _Outcome(NamedTuple):
    """What became of a run that was read."""

    task: _Task
    record: RunRecord
    identity: Identity


def ingest(
    location: str | Path,
    paths: Sequence[Path],
    *,
    jobs: int = 1,
    prune: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    wrote: Wrote | None = None,
) -> Summary:
    """Index every run under `paths` in the database at `location`, which is created where it is absent.

    Args:
        location: a file or a SQLAlchemy URL.
        paths: directories; each becomes a root unless it lies inside one.
        jobs: processes that read; a script that asks for more than one needs the usual
            ``if __name__ == "__main__"`` guard.
        prune: drop runs whose directories are gone, except those that people added something to.
        dry_run: read and compare, write nothing.
        progress: called as runs are read.
        wrote: called with the directory of each run that was new or had changed.

    Raises:
        NotFoundError, UsageError: a path is no directory that can be listed.
        DatabaseError: the database can't be used; SchemaError: it has another schema.
    """
    directories = [check_root(path) for path in paths]
    summary = Summary()
    with database_errors(location):
        engine = None if dry_run and not _exists(location) else open_engine(location, write=not dry_run)
        if engine is not None:
            _prepare(engine, shown(location), create=not dry_run)
        # One connection for all: opening costs, and SQLite tidies its log away when the last one closes.
        with engine.connect() if engine is not None else nullcontext() as connection:
            for directory in directories:
                _Ingest(connection, directory, summary, jobs, prune, dry_run, progress, wrote).run()
        if engine is not None:
            if not dry_run and summary.written >= max(_WORTH_STATISTICS, summary.total // 10):
                refresh_statistics(engine)
            engine.dispose()
    return summary


def _exists(location: str | Path) -> bool:
    path = sqlite_path(database_url(location))
    return path is None or path.exists()


def _prepare(engine: Engine, name: str, *, create: bool) -> None:
    with engine.connect() as connection:
        absent = schema.state(connection) == "absent"
        if not (absent and create):
            schema.check(connection, name)
            return
    schema.upgrade(engine, name)


@dataclass
class _Ingest:
    """One directory's ingest."""

    connection: Connection | None
    directory: Path
    summary: Summary
    jobs: int
    prune: bool
    dry_run: bool
    progress: Progress | None
    wrote: Wrote | None
    moved_ids: set[int] = field(default_factory=set)
    emptied_roots: set[int] = field(default_factory=set)

    def run(self) -> None:
        place, known = self.place()
        prefix = "" if place.inside == "." else place.inside + "/"
        tasks: list[_Task] = []
        seen: set[str] = set()
        hidden: list[str] = []
        for found in scan(self.directory):
            if isinstance(found, Foreign):
                self.summary.foreign[found.label] += 1
                continue
            path = _join(place.inside, found.path)
            if isinstance(found, Problem):
                hidden.append(path)
                self.summary.problems.append(RunProblem(self.directory / found.path, found))
                continue
            seen.add(path)
            task = self.task(found, path, known.get(path))
            if task is None:
                self.summary.unchanged += 1
            else:
                tasks.append(task)
        self.write_all(place, tasks)
        gone = {
            path: run
            for path, run in known.items()
            if path not in seen
            and (path + "/").startswith(prefix)
            and not _under(path, hidden)
            and run.id not in self.moved_ids
        }
        self.settle(place, gone)

    def place(self) -> tuple[Place, dict[str, Known]]:
        if self.connection is None:
            return Place(0, self.directory, "."), {}
        with self.connection.begin():
            find = planned_place if self.dry_run else place_of
            place = find(self.connection, self.directory)
            return place, store.known_runs(self.connection, place.root_id)

    def task(self, found: FoundRun, path: str, known: Known | None) -> _Task | None:
        """What is to be read, or None where the run is as it was."""
        if known is not None and known.status != "missing" and known.signature == found.signature:
            return None
        signature = found.signature if found.settled else _UNSETTLED + found.signature
        size = known.metrics_size if known else None
        return _Task(ToRead(str(self.directory), found.path, path, found.format.name, size), signature, known)

    def write_all(self, place: Place, tasks: list[_Task]) -> None:
        reader = Reader(self.dialect, self.jobs)
        records = zip(tasks, reader.read([task.run for task in tasks]), strict=True)
        done = 0
        while batch := list(islice(records, _BATCH)):
            done += len(batch)
            for outcome in self.write(place, batch):
                self.count(outcome)
            if self.progress:
                self.progress(done, len(tasks))

    @property
    def dialect(self) -> str:
        """The kind of database that rows are made for."""
        return "sqlite" if self.connection is None else self.connection.dialect.name

    def write(self, place: Place, batch: list[_Read]) -> list[_Outcome]:
        """Put a batch in one transaction; a run that the database refuses is put as broken, the others as they are."""
        if self.connection is None:
            return [_Outcome(task, rows.record, Identity()) for task, rows in batch]
        try:
            with self.connection.begin():
                return self.put(self.connection, place, batch)
        except (ValueError, TypeError, OverflowError, DataError, IntegrityError) as error:
            if len(batch) > 1:
                return [outcome for item in batch for outcome in self.write(place, [item])]
            task, _ = batch[0]
            reason = f"can't be stored ({type(error).__name__}: {error}): please report this"
            with self.connection.begin():
                return self.put(self.connection, place, [(task, broken(self.dialect, task.run, reason))])

    def put(self, connection: Connection, place: Place, batch: list[_Read]) -> list[_Outcome]:
        """Tell which runs they are and, unless this is a dry run, write them."""
        proven = [_proven_same(task, rows.record) for task, rows in batch]
        fresh = [rows.record for (_, rows), same in zip(batch, proven, strict=True) if same is None]
        recogniser = Recogniser(connection, place.root_id, fresh)
        writing = Batch(connection, place.root_id, 0 if self.dry_run else recogniser.strange)
        outcomes, signatures = [], {}
        for (task, rows), same in zip(batch, proven, strict=True):
            record = rows.record
            if same is not None:
                signatures[same] = task.signature
                outcomes.append(_Outcome(task, record, Identity(same)))
                continue
            identity = recogniser.identify(record, task.start_of(record))
            outcomes.append(_Outcome(task, record, identity))
            if not self.dry_run:
                run_id = _put(connection, writing, identity, rows, task.signature)
                recogniser.put(run_id, record, identity)
        if not self.dry_run:
            store.set_signatures(connection, signatures)
            writing.write()
        return outcomes

    def count(self, outcome: _Outcome) -> None:
        (task, record, identity), summary = outcome, self.summary
        directory = task.run.directory
        if identity.moved_from is not None and identity.run_id is not None:
            summary.moved += 1
            self.moved_ids.add(identity.run_id)
            self.emptied_roots.add(identity.moved_from)
        elif task.known is None:
            summary.new += 1
            summary.copies += identity.copy_of is not None
        elif task.known.status == "missing":
            summary.returned += 1
        elif _proven_same(task, record) is not None:
            summary.unchanged += 1
            return
        else:
            summary.changed += 1
            summary.overwritten += identity.overwritten
        summary.problems += [RunProblem(directory, problem) for problem in record.problems]
        if self.wrote:
            self.wrote(directory)

    def settle(self, place: Place, gone: dict[str, Known]) -> None:
        """What can only be told when every run was seen: which are missing, what siblings know.

        Looked for even where nothing changed: an earlier ingest may have died before it came here.
        """
        fresh = [run.id for run in gone.values() if run.status != "missing"]
        if self.connection is None or self.dry_run or not (fresh or (gone and self.prune) or self.unsettled()):
            self.summary.missing += len(gone)
            return
        with self.connection.begin():
            connection = self.connection
            store.mark_missing(connection, fresh)
            dropped = store.prunable(connection, [run.id for run in gone.values()]) if self.prune else []
            store.remove_runs(connection, dropped)
            store.environments_from_siblings(connection)
            drop_emptied_roots(connection, self.emptied_roots - {place.root_id})
        self.summary.pruned += len(dropped)
        self.summary.missing += len(gone) - len(dropped)

    def unsettled(self) -> bool:
        """Whether a move or what siblings know leaves something to do."""
        assert self.connection is not None
        with self.connection.begin():
            return bool(self.emptied_roots) or store.environments_from_siblings(self.connection, dry_run=True)


def _put(connection: Connection, writing: Batch, identity: Identity, rows: RunRows, signature: str) -> int:
    if identity.run_id is None:
        return writing.add(rows, signature, copy_of=identity.copy_of)
    if identity.overwritten:
        keep_superseded(connection, identity.run_id)
    writing.replace(identity.run_id, rows, signature)
    return identity.run_id


def _proven_same(task: _Task, record: RunRecord) -> int | None:
    """The run, where it was read in the instant it was written before and proves to be the same."""
    known = task.known
    if known is None or known.status == "missing" or known.fingerprint != record.content.whole:
        return None
    return known.id if known.signature == _UNSETTLED + task.signature.removeprefix(_UNSETTLED) else None


def _join(inside: str, path: str) -> str:
    if inside == ".":
        return path
    joined = os.path.normpath(os.path.join(inside, path))
    return joined.replace(os.sep, "/")


def _under(path: str, directories: list[str]) -> bool:
    return any(path == d or path.startswith(d + "/") or d == "." for d in directories)
