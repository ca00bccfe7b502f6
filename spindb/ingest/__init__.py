"""From disk to index: scan, skip what is unchanged, read the rest, write in batches.

Reading is pure and may run in several processes; one writer puts the records into the database in
transactions of many runs, so that an ingest killed at any instant leaves every run as before or as
after. Run directories are only ever read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError

from spindb.disk.formats import format_named
from spindb.disk.scan import Foreign, FoundRun, check_root, scan
from spindb.index import schema, store
from spindb.index.bulk import Belongings
from spindb.index.engine import database_errors, database_url, open_engine, shown, sqlite_path
from spindb.index.identity import DigestOfStart, Identity, drop_emptied_roots, identify, keep_superseded
from spindb.index.roots import Place, place_of, planned_place
from spindb.index.store import Known
from spindb.index.upkeep import refresh_statistics
from spindb.records import Problem, RunRecord

_BATCH = 100  # runs per transaction
_WORTH_A_POOL = 300  # below that, starting processes costs more than it gives
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


@dataclass(frozen=True, slots=True)
class _Task:
    directory: Path
    path: str
    format: str
    signature: str
    known: Known | None

    def start_of(self, record: RunRecord) -> DigestOfStart:
        """Digests of the first bytes of the metrics: the one that was asked for when the record was read is
        at hand, any other takes another look."""

        def digest(size: int) -> str | None:
            if self.known is not None and self.known.metrics_size == size:
                return record.content.begins
            return format_named(self.format).read(self.directory, self.path, size).content.begins

        return digest


_Read = tuple[_Task, RunRecord]


@dataclass(frozen=True, slots=True)
class _Outcome:
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
        for directory in directories:
            _Ingest(engine, directory, summary, jobs, prune, dry_run, progress, wrote).run()
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

    engine: Engine | None
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
        if self.engine is None:
            return Place(0, self.directory, "."), {}
        if self.dry_run:
            with self.engine.connect() as connection:
                place = planned_place(connection, self.directory)
                return place, store.known_runs(connection, place.root_id)
        with self.engine.begin() as connection:
            place = place_of(connection, self.directory)
            return place, store.known_runs(connection, place.root_id)

    def task(self, found: FoundRun, path: str, known: Known | None) -> _Task | None:
        """What is to be read, or None where the run is as it was."""
        if known is not None and known.status != "missing" and known.signature == found.signature:
            return None
        signature = found.signature if found.settled else _UNSETTLED + found.signature
        return _Task(self.directory / found.path, path, found.format.name, signature, known)

    def write_all(self, place: Place, tasks: list[_Task]) -> None:
        records = self.read(tasks)
        done = 0
        while batch := list(islice(records, _BATCH)):
            done += len(batch)
            for outcome in self.write(place, batch):
                self.count(outcome)
            if self.progress:
                self.progress(done, len(tasks))

    def write(self, place: Place, batch: list[_Read]) -> list[_Outcome]:
        """Put a batch in one transaction; a run that the database refuses is put as broken, the others as they are."""
        if self.engine is None:
            return [_Outcome(task, record, Identity()) for task, record in batch]
        if self.dry_run:
            with self.engine.connect() as connection:
                return [_Outcome(t, r, identify(connection, place.root_id, r, t.start_of(r))) for t, r in batch]
        try:
            return self.put_all(place, batch)
        except (ValueError, TypeError, OverflowError, DataError, IntegrityError) as error:
            if len(batch) > 1:
                return [outcome for item in batch for outcome in self.write(place, [item])]
            task, _ = batch[0]
            reason = f"can't be stored ({type(error).__name__}: {error}): please report this"
            return self.put_all(place, [(task, _broken(task, reason))])

    def put_all(self, place: Place, batch: list[_Read]) -> list[_Outcome]:
        assert self.engine is not None
        with self.engine.begin() as connection:
            belongings = Belongings(connection)
            outcomes = [self.put(connection, belongings, place, task, record) for task, record in batch]
            belongings.write()
            return outcomes

    def read(self, tasks: list[_Task]) -> Iterator[_Read]:
        if self.jobs <= 1 or len(tasks) < _WORTH_A_POOL:
            yield from map(_read, tasks)
            return
        with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
            yield from pool.map(_read, tasks, chunksize=16)

    def put(
        self, connection: Connection, belongings: Belongings, place: Place, task: _Task, record: RunRecord
    ) -> _Outcome:
        if task.known is not None and _settled_unchanged(task, record):
            store.set_signatures(connection, {task.known.id: task.signature})
            return _Outcome(task, record, Identity(task.known.id))
        identity = identify(connection, place.root_id, record, task.start_of(record))
        generation = None
        if identity.overwritten and identity.run_id is not None:
            generation = keep_superseded(connection, identity.run_id)
        store.put_run(
            connection,
            belongings,
            place.root_id,
            record,
            task.signature,
            run_id=identity.run_id,
            generation=generation,
            copy_of=identity.copy_of,
        )
        return _Outcome(task, record, identity)

    def count(self, outcome: _Outcome) -> None:
        task, record, identity, summary = outcome.task, outcome.record, outcome.identity, self.summary
        if identity.moved_from is not None and identity.run_id is not None:
            summary.moved += 1
            self.moved_ids.add(identity.run_id)
            self.emptied_roots.add(identity.moved_from)
        elif task.known is None:
            summary.new += 1
            summary.copies += identity.copy_of is not None
        elif task.known.status == "missing":
            summary.returned += 1
        elif _settled_unchanged(task, record):
            summary.unchanged += 1
            return
        else:
            summary.changed += 1
            summary.overwritten += identity.overwritten
        summary.problems += [RunProblem(task.directory, problem) for problem in record.problems]
        if self.wrote:
            self.wrote(task.directory)

    def settle(self, place: Place, gone: dict[str, Known]) -> None:
        """What can only be told when every run was seen: which are missing, what siblings know.

        Looked for even where nothing changed: an earlier ingest may have died before it came here.
        """
        fresh = [run.id for run in gone.values() if run.status != "missing"]
        if self.engine is None or self.dry_run or not (fresh or (gone and self.prune) or self.unsettled()):
            self.summary.missing += len(gone)
            return
        with self.engine.begin() as connection:
            store.mark_missing(connection, fresh)
            dropped = store.prunable(connection, [run.id for run in gone.values()]) if self.prune else []
            store.remove_runs(connection, dropped)
            store.environments_from_siblings(connection)
            drop_emptied_roots(connection, self.emptied_roots - {place.root_id})
        self.summary.pruned += len(dropped)
        self.summary.missing += len(gone) - len(dropped)

    def unsettled(self) -> bool:
        """Whether a move or what siblings know leaves something to do."""
        assert self.engine is not None
        with self.engine.connect() as connection:
            return bool(self.emptied_roots) or store.environments_from_siblings(connection, dry_run=True)


def _settled_unchanged(task: _Task, record: RunRecord) -> bool:
    """Whether a run that was read in the instant it was written proves to be the same."""
    known = task.known
    return (
        known is not None
        and known.status != "missing"
        and known.signature == _UNSETTLED + task.signature.removeprefix(_UNSETTLED)
        and known.fingerprint == record.content.whole
    )


def _join(inside: str, path: str) -> str:
    if inside == ".":
        return path
    joined = os.path.normpath(os.path.join(inside, path))
    return joined.replace(os.sep, "/")


def _under(path: str, directories: list[str]) -> bool:
    return any(path == d or path.startswith(d + "/") or d == "." for d in directories)


def _read(task: _Task) -> _Read:
    """Read one run; whatever goes wrong is said in its record and hides no other run."""
    try:
        previous_size = task.known.metrics_size if task.known else None
        return task, format_named(task.format).read(task.directory, task.path, previous_size)
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
    except Exception as error:  # a defect of a reader must not end the ingest of all other runs
        reason = f"spindb failed to read it ({type(error).__name__}: {error}): please report this"
    return task, _broken(task, reason)


def _broken(task: _Task, reason: str) -> RunRecord:
    """What is known of a run that could not be read or stored: that it is there, and why not more."""
    problem = Problem("unreadable-run", reason)
    return RunRecord(task.path, task.directory.name, task.format, "broken", problems=(problem,))
