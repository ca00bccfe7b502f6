"""From disk to index: scan, skip what is unchanged, read the rest, write in batches.

Reading is pure and may run in several processes; one writer puts what they read into the database in
transactions of many runs, so that an ingest killed at any instant leaves every run as before or as
after. Run directories are only ever read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, tee
from pathlib import Path
from tempfile import SpooledTemporaryFile

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from spindb.disk.scan import Foreign, FoundRun, check_root, scan
from spindb.disk.times import has_stamp, zone_named, zone_of_source
from spindb.disk.told import text_of
from spindb.errors import UsageError
from spindb.files import is_text, spelled
from spindb.index.database import migrate
from spindb.index.database.deferred_indexes import complete_indexes, indexed_afterwards
from spindb.index.database.engine import database_errors, database_url, open_engine, shown, sqlite_path
from spindb.index.database.places import roots_here
from spindb.index.database.planner import refresh_statistics, statistics_behind
from spindb.index.write.batch import Batch, Known, drop_runs, known_runs, mark_missing, prunable, set_signatures
from spindb.index.write.copies import link_copies
from spindb.index.write.identity import (
    DigestOfStart,
    Identity,
    Recogniser,
    RemovedRuns,
    drop_emptied_roots,
    removed_by_config,
)
from spindb.index.write.recognised import write_as
from spindb.index.write.roots import Place, place_of, planned_place
from spindb.index.write.rows import RunRows
from spindb.index.write.siblings import environments_from_siblings
from spindb.ingest.deadline import SECONDS, timed
from spindb.ingest.places import join, outermost, under
from spindb.ingest.reading import Reader, ToRead, garbage_seldom_collected
from spindb.ingest.summary import Kept, Outcome, RunProblem, Summary
from spindb.ingest.tasks import UNSETTLED, Task, Tasks
from spindb.records import Problem, RunRecord

_LIMIT_EXCEEDED = "54000"  # PostgreSQL's code for text that is too long for an index
_BATCH = 100  # runs per transaction
_IN_MEMORY = 1 << 20  # bytes of tasks: some ten thousand

Progress = Callable[[int, int], None]
"""Called with the number of runs that were read and the number that are to be read."""

Wrote = Callable[[Path], None]
"""Called with the directory of a run that was written."""

_Read = tuple[Task, RunRows]


def ingest(
    location: str | Path,
    paths: Sequence[Path],
    *,
    jobs: int = 1,
    prune: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    wrote: Wrote | None = None,
    time_limit: float | None = None,
    stamp_zone: str | None = None,
) -> Summary:
    """Index every run under `paths` in the database at `location`, which is created where it is absent.

    Args:
        location: a file or a SQLAlchemy URL.
        paths: directories; each becomes a root, by its real path, unless it lies inside one. Where links in them lead
            to other directories, those are ingested too.
        jobs: processes that read.
        prune: drop runs whose directories are gone, except those that people added something to, or removed, or that
            hold what was overwritten.
        dry_run: read and compare, write nothing.
        progress: called as runs are read.
        wrote: called with the directory of each run that was new or had changed.
        time_limit: seconds of CPU time that reading one run may take (default 30); a run that takes longer is
            broken. Where it is given, runs that were broken are read again.
        stamp_zone: time zone of the stamps in names (``Europe/Berlin``, ``+02:00``); None for this machine's, or the
            one that was given for a run before.

    Raises:
        NotFoundError, UsageError: a path is no directory that can be listed; there is no such zone.
        DatabaseError: the database can't be used; SchemaError: it has another schema.
    """
    _check_zone(stamp_zone)
    directories = outermost(check_root(path) for path in paths)
    summary = Summary()
    with database_errors(location), garbage_seldom_collected(), timed():
        engine = None if dry_run and not _exists(location) else open_engine(location, write=not dry_run)
        if engine is not None:
            _prepare(engine, shown(location), create=not dry_run)
        # One connection for all: opening costs, and SQLite tidies its log away when the last one closes.
        with engine.connect() if engine is not None else nullcontext() as connection:
            writing = None if dry_run else connection
            if writing is not None:
                complete_indexes(writing)
            asked = (jobs, prune, dry_run, progress, wrote, time_limit, stamp_zone)
            _Whole(connection, summary, *asked).run(directories)
            behind = writing is not None and _behind(writing, summary)
        if engine is not None:
            if behind:
                refresh_statistics(engine)
            engine.dispose()
    return summary


def _check_zone(stamp_zone: str | None) -> None:
    try:
        if stamp_zone is not None:
            zone_named(stamp_zone)
    except ValueError as error:
        raise UsageError(str(error), hint="Europe/Berlin, UTC or an offset such as +02:00") from None


def _exists(location: str | Path) -> bool:
    path = sqlite_path(database_url(location))
    return path is None or path.exists()


def _prepare(engine: Engine, name: str, *, create: bool) -> None:
    with engine.connect() as connection:
        absent = migrate.state(connection) == "absent"
        if not (absent and create):
            migrate.check(connection, name, write=create)
            return
    migrate.upgrade(engine, name)


def _behind(connection: Connection, summary: Summary) -> bool:
    with connection.begin():
        return statistics_behind(connection, summary.written)


@dataclass
class _Whole:
    """An ingest of several directories, and of those that links in them lead to."""

    connection: Connection | None
    summary: Summary
    jobs: int
    prune: bool
    dry_run: bool
    progress: Progress | None
    wrote: Wrote | None
    time_limit: float | None
    stamp_zone: str | None
    moved_ids: set[int] = field(default_factory=set)
    emptied_roots: set[int] = field(default_factory=set)
    removed: RemovedRuns | None = None  # as they were when this began

    def run(self, directories: Sequence[Path]) -> None:
        waiting, done = deque(directories), list[_Ingest]()
        while waiting:
            one = _Ingest(self, waiting.popleft(), tuple(other.directory for other in done))
            done.append(one)
            one.run()
            covered = [*waiting, *(other.directory for other in done)]
            for target in one.leads:
                if self.is_worth(target) and not any(c == target or c in target.parents for c in covered):
                    waiting.append(target)
                    covered.append(target)
        self.settle(done)

    def is_worth(self, target: Path) -> bool:
        """Whether there may be runs where a link leads: it is there, or it is gone and was a root.

        Where its path is no text that a database can hold, that is a problem.
        """
        if not is_text(os.fspath(target)):
            message = "a link leads here, and its path is not UTF-8: left out; rename it to index it"
            shown = Path(spelled(os.fspath(target)))
            self.summary.problems.append(RunProblem(shown, Problem("name-not-utf8", message)))
            return False
        if target.is_dir():
            return True
        if self.connection is None:
            return False
        with self.connection.begin():
            return target in roots_here(self.connection)

    def settle(self, done: Sequence[_Ingest]) -> None:
        """What can only be told when every run was seen: which are missing, which are copies, what siblings know.

        Looked for even where nothing changed: an earlier ingest may have died before it came here.
        """
        gone = {run.id: run for one in done for run in one.gone.values() if run.id not in self.moved_ids}
        seen = [run for run in gone.values() if not run.removed]
        fresh = [run.id for run in gone.values() if run.status != "missing"]
        if self.connection is None or self.dry_run or not (fresh or (gone and self.prune) or self.unsettled()):
            self.summary.missing += len(seen)
            return
        with self.connection.begin():
            connection = self.connection
            mark_missing(connection, fresh)
            dropped = prunable(connection, list(gone)) if self.prune else []
            drop_runs(connection, dropped)
            link_copies(connection)
            environments_from_siblings(connection)
            drop_emptied_roots(connection, self.emptied_roots - {one.root_id for one in done})
        self.summary.pruned += len(dropped)
        self.summary.missing += len(seen) - len(dropped)
        if self.prune:
            self.summary.spared += len(seen) - len(dropped)

    def unsettled(self) -> bool:
        """Whether moves, copies or what siblings know leave something to do."""
        assert self.connection is not None
        with self.connection.begin():
            return (
                bool(self.emptied_roots)
                or link_copies(self.connection, dry_run=True) > 0
                or environments_from_siblings(self.connection, dry_run=True)
            )


@dataclass
class _Ingest:
    """One directory's ingest; ``before`` are those that were looked at already."""

    whole: _Whole
    directory: Path
    before: tuple[Path, ...] = ()
    root_id: int = 0
    root: Path | None = None
    leads: list[Path] = field(default_factory=list)
    gone: dict[str, Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection, self.summary, self.dry_run = self.whole.connection, self.whole.summary, self.whole.dry_run

    def run(self) -> None:
        place, known = self.place()
        self.root_id, self.root = place.root_id, place.root
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            tasks = Tasks(file)
            hidden = self.look(place, known, tasks)
            with self.room_for(len(tasks)):
                self.write_all(place, tasks)
        prefix = "" if place.inside == "." else place.inside + "/"
        self.gone = {
            path: run for path, run in known.items() if (path + "/").startswith(prefix) and not under(path, hidden)
        }

    def look(self, place: Place, known: dict[str, Known], tasks: Tasks) -> list[str]:
        """Add what is to be read to `tasks` and take what was found out of `known`; returns what can't be looked at."""
        seen = [os.path.relpath(other, self.directory) for other in self.before if self.directory in other.parents]
        hidden = [join(place.inside, path) for path in seen]
        if not self.directory.is_dir():  # a link led there, and it is gone
            return hidden
        for found in scan(self.directory, self.leads):
            if isinstance(found, Foreign):
                self.summary.foreign[found.label] += 1
                continue
            path = join(place.inside, found.path)
            if hidden and under(path, hidden):
                continue
            if isinstance(found, Problem):
                hidden.append(path)
                self.summary.problems.append(RunProblem(self.directory / found.path, replace(found, path="")))
                continue
            before = known.pop(path, None)
            task = self.task(found, path, before)
            if task is not None:
                tasks.add(task)
            elif before is not None and before.removed:
                self.summary.removed += 1
            else:
                self.summary.unchanged += 1
        return hidden

    def place(self) -> tuple[Place, dict[str, Known]]:
        if self.connection is None:
            return Place(0, self.directory, "."), {}
        with self.connection.begin():
            find = planned_place if self.dry_run else place_of
            place = find(self.connection, self.directory)
            return place, known_runs(self.connection, place.root_id)

    def task(self, found: FoundRun, path: str, known: Known | None) -> Task | None:
        """What is to be read, or None where the run is as it was."""
        zone = self.whole.stamp_zone
        again = self.whole.time_limit is not None and known is not None and known.status == "broken"
        if zone is not None and known is not None and has_stamp(os.path.basename(path)):
            again = again or zone_of_source(known.started_source) != zone
        if known is not None and known.status != "missing" and known.signature == found.signature and not again:
            return None
        signature = found.signature if found.settled else UNSETTLED + found.signature
        size = known.metrics_size if known else None
        if zone is None and known is not None:
            zone = zone_of_source(known.started_source)
        return Task(ToRead(found.path, path, found.format.name, size, found.size, zone), signature, known)

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        if self.connection is None or self.dry_run:
            return nullcontext()
        return indexed_afterwards(self.connection, runs)

    def write_all(self, place: Place, tasks: Tasks) -> None:
        one, other = tee(tasks)
        records = zip(one, self.reader.read_all(task.run for task in other), strict=True)
        done = 0
        while batch := list(islice(records, _BATCH)):
            done += len(batch)
            for outcome in self.write(place, batch):
                self.count(outcome)
            if self.whole.progress:
                self.whole.progress(done, len(tasks))

    @cached_property
    def reader(self) -> Reader:
        dialect = "sqlite" if self.connection is None else self.connection.dialect.name
        limit = SECONDS if self.whole.time_limit is None else self.whole.time_limit
        return Reader(self.directory, dialect, self.whole.jobs, limit, self.root)

    def write(self, place: Place, batch: list[_Read]) -> list[Outcome]:
        """Put a batch in one transaction; a run that the database refuses is put as broken, the others as they are."""
        if self.connection is None:
            return [Outcome(task, rows.record, Identity()) for task, rows in batch]
        try:
            with self.connection.begin():
                return self.put(self.connection, place, batch)
        except (ValueError, TypeError, OverflowError, DataError, IntegrityError, OperationalError) as error:
            if isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) != _LIMIT_EXCEEDED:
                raise
            if len(batch) > 1:
                return [outcome for item in batch for outcome in self.write(place, [item])]
            task, _ = batch[0]
            reason = f"can't be stored ({type(error).__name__}: {text_of(error)}): please report this"
            with self.connection.begin():
                rows = self.reader.broken(task.run, "unreadable-run", reason)
                return self.put(self.connection, place, [(task, rows)])

    def put(self, connection: Connection, place: Place, batch: list[_Read]) -> list[Outcome]:
        """Tell which runs they are and, unless this is a dry run, write them."""
        proven = [task.proven_same(rows.record) for task, rows in batch]
        fresh = [rows for (_, rows), same in zip(batch, proven, strict=True) if same is None]
        if self.whole.removed is None:
            self.whole.removed = removed_by_config(connection)
        recogniser = Recogniser(connection, place, fresh, self.whole.removed)
        writing = Batch(connection, place.root_id, 0 if self.dry_run else recogniser.strange)
        outcomes, signatures = [], {}
        for (task, rows), same in zip(batch, proven, strict=True):
            record = rows.record
            if same is not None:
                signatures[same] = task.signature
                outcomes.append(Outcome(task, record, Identity(same), same=True))
                continue
            identity = recogniser.identify(rows, self.start_of(task.run, record))
            if self.dry_run:
                outcomes.append(Outcome(task, record, identity))
                continue
            run_id, kept = write_as(writing, identity, rows, task.signature)
            outcomes.append(Outcome(task, record, identity, kept=None if kept is None else Kept(run_id, kept)))
            recogniser.put(run_id, rows, identity)
        if not self.dry_run:
            set_signatures(connection, signatures)
            writing.write()
        return outcomes

    def start_of(self, run: ToRead, record: RunRecord) -> DigestOfStart:
        """Digests of the first bytes of the metrics: the one that was asked for when the record was read is
        at hand, any other takes another look."""

        def digest(size: int) -> str | None:
            if run.previous_size == size:
                return record.content.begins
            return self.reader.begins(run, size)

        return digest

    def count(self, outcome: Outcome) -> None:
        identity = outcome.identity
        if identity.moved_from is not None and identity.run_id is not None:
            self.whole.moved_ids.add(identity.run_id)
            self.whole.emptied_roots.add(identity.moved_from)
        directory = self.directory / outcome.task.run.path
        if self.summary.count(outcome, directory) and self.whole.wrote:
            self.whole.wrote(directory)
