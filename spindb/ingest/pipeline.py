"""From disk to index: scan, skip what is unchanged, read the rest, write in batches.

Reading is pure and may run in several processes; one writer puts what they read into the database in
transactions of many runs, so that an ingest killed at any instant leaves every run as before or as
after. Run directories are only ever read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, tee
from pathlib import Path
from tempfile import SpooledTemporaryFile

from spindb.disk.scan import Foreign, check_root, scan
from spindb.disk.times import zone_named
from spindb.errors import UsageError
from spindb.files import escaped, is_utf8
from spindb.index.database.engine import database_errors
from spindb.index.write.batch import IndexedRun
from spindb.index.write.roots import RootPlace
from spindb.ingest.deadline import SECONDS, timed
from spindb.ingest.places import join, outermost, under
from spindb.ingest.reading import Reader, garbage_seldom_collected
from spindb.ingest.sinks import Sink, Unseen, sink_of
from spindb.ingest.summary import Outcome, RunProblem, Summary
from spindb.ingest.tasks import ReadRun, Tasks, shared_directories, task_of
from spindb.records import Problem

_BATCH = 100  # runs per transaction
_IN_MEMORY = 1 << 20  # bytes of tasks: some ten thousand

Progress = Callable[[int, int], None]
"""Called with the number of runs that were read and the number that are to be read."""

Wrote = Callable[[Path], None]
"""Called with the directory of a run that was written."""


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
    options = Options(jobs, prune, progress, wrote, time_limit, stamp_zone)
    with (
        database_errors(location),
        garbage_seldom_collected(),
        timed(),
        sink_of(location, summary, dry_run=dry_run) as sink,
    ):
        _Whole(sink, summary, options).run(directories)
    return summary


def _check_zone(stamp_zone: str | None) -> None:
    try:
        if stamp_zone is not None:
            zone_named(stamp_zone)
    except ValueError as error:
        raise UsageError(str(error), hint="Europe/Berlin, UTC or an offset such as +02:00") from None


@dataclass(frozen=True, slots=True)
class Options:
    """How an ingest goes about it; see `ingest`."""

    jobs: int = 1
    prune: bool = False
    progress: Progress | None = None
    wrote: Wrote | None = None
    time_limit: float | None = None
    stamp_zone: str | None = None


@dataclass
class _Whole:
    """An ingest of several directories, and of those that links in them lead to."""

    sink: Sink
    summary: Summary
    options: Options
    moved_ids: set[int] = field(default_factory=set)
    emptied_roots: set[int] = field(default_factory=set)
    stand_ins: set[int] = field(default_factory=set)  # for directories that could not be read, until their runs were

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
        if not is_utf8(os.fspath(target)):
            message = "a link leads here, and its path is not UTF-8: left out; rename it to index it"
            shown = Path(escaped(os.fspath(target)))
            self.summary.problems.append(RunProblem(shown, Problem("name-not-utf8", message)))
            return False
        if target.is_dir():
            return True
        return self.sink.is_root(target)

    def settle(self, done: Sequence[_Ingest]) -> None:
        """Count the runs that were not seen, and let the sink do what takes all runs."""
        gone = {run.id: run for one in done for run in one.gone.values() if run.id not in self.moved_ids}
        ingested = {one.root_id for one in done}
        unseen = Unseen(list(gone.values()), self.stand_ins, self.emptied_roots, ingested)
        settled = self.sink.settle(unseen, prune=self.options.prune)
        missing = sum(not run.removed and run.id not in settled.replaced for run in unseen.runs) - settled.pruned
        self.summary.pruned += settled.pruned
        self.summary.missing += missing
        if self.options.prune and settled.written:
            self.summary.spared += missing


@dataclass
class _Ingest:
    """One directory's ingest; ``before`` are those that were looked at already."""

    whole: _Whole
    directory: Path
    before: tuple[Path, ...] = ()
    root_id: int = 0
    root: Path | None = None
    leads: list[Path] = field(default_factory=list)
    gone: dict[str, IndexedRun] = field(default_factory=dict)
    done: int = 0  # directories

    def __post_init__(self) -> None:
        self.sink, self.summary, self.options = self.whole.sink, self.whole.summary, self.whole.options

    def run(self) -> None:
        place, known = self.sink.place(self.directory)
        self.root_id, self.root = place.root_id, place.root
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            tasks = Tasks(file)
            hidden = self.look(place, known, tasks)
            with self.sink.room_for(len(tasks)):
                self.write_all(place, tasks)
        prefix = "" if place.inside == "." else place.inside + "/"
        self.gone |= {
            path: run for path, run in known.items() if (path + "/").startswith(prefix) and not under(path, hidden)
        }

    def look(self, place: RootPlace, known: dict[str, IndexedRun], tasks: Tasks) -> list[str]:
        """Add what is to be read to `tasks` and take what was found out of `known`; returns what can't be looked at."""
        seen = [os.path.relpath(other, self.directory) for other in self.before if self.directory in other.parents]
        hidden = [join(place.inside, path) for path in seen]
        if not self.directory.is_dir():  # a link led there, and it is gone
            return hidden
        shared = shared_directories(known)
        usual = self.options.time_limit is None and self.options.stamp_zone is None
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
            alone = known.get(path)
            # The usual case, in which nothing else is asked: missing runs have no signature.
            if usual and alone is not None and alone.signature == found.signature and path not in shared:
                del known[path]
                if alone.removed:
                    self.summary.removed += 1
                else:
                    self.summary.unchanged += 1
                continue
            before = {at: known.pop(at) for at in (path, *shared.get(path, ())) if at in known}
            task = task_of(found, path, before, self.options.time_limit is not None, self.options.stamp_zone)
            if task is not None:
                tasks.add(task)
            else:
                self.leave(before)
        return hidden

    def leave(self, known: Mapping[str, IndexedRun]) -> None:
        """Count the runs of a directory that is as it was; those that are missing were missing before."""
        for path, run in known.items():
            if run.status == "missing":
                self.gone[path] = run
            elif run.removed:
                self.summary.removed += 1
            else:
                self.summary.unchanged += 1

    def write_all(self, place: RootPlace, tasks: Tasks) -> None:
        records = self.read_all(tasks)
        while batch := list(islice(records, _BATCH)):
            for outcome in self.sink.put(place, batch, self.reader):
                self.count(outcome)
            if self.options.progress:
                self.options.progress(self.done, len(tasks))

    def read_all(self, tasks: Tasks) -> Iterator[ReadRun]:
        """Read the runs of all directories; those that are no longer in theirs are gone."""
        one, other = tee(tasks)
        for task, found in zip(one, self.reader.read_each(task.run for task in other), strict=True):
            self.done += 1
            there = {rows.record.path for rows in found}
            self.gone.update((path, known) for path, known in task.all_known().items() if path not in there)
            if found and task.known is not None and not task.known.fingerprint and task.run.place not in there:
                self.whole.stand_ins.add(task.known.id)
            yield from (ReadRun(task, rows, len(found)) for rows in found)

    @cached_property
    def reader(self) -> Reader:
        limit = SECONDS if self.options.time_limit is None else self.options.time_limit
        return Reader(self.directory, self.sink.backend, self.options.jobs, limit, self.root)

    def count(self, outcome: Outcome) -> None:
        identity = outcome.identity
        if identity.moved_from is not None and identity.run_id is not None:
            self.whole.moved_ids.add(identity.run_id)
            self.whole.emptied_roots.add(identity.moved_from)
        directory = self.directory / outcome.directory / (outcome.record.part or "")
        if self.summary.count(outcome, directory) and self.options.wrote:
            self.options.wrote(directory)
