"""Where an ingest puts what it reads: `DatabaseSink` writes it, `DryRun` only says what would become of it.

Which runs they are is decided alike by both. A database that is not there yet, in a dry run, is `Nowhere`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from spindb.disk.told import text_of
from spindb.index.database import migrate
from spindb.index.database.backend import backend_of
from spindb.index.database.deferred_indexes import complete_indexes, indexed_afterwards
from spindb.index.database.engine import database_url, open_engine, shown_location, sqlite_path
from spindb.index.database.places import roots_here
from spindb.index.database.planner import refresh_statistics, statistics_behind
from spindb.index.write.batch import Batch, IndexedRun, drop_runs, known_runs, mark_missing, prunable, set_signatures
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
from spindb.index.write.roots import RootPlace, place_of, planned_place
from spindb.index.write.rows import RunRows
from spindb.index.write.siblings import environments_from_siblings
from spindb.ingest.reading import Reader, ToRead
from spindb.ingest.summary import Kept, Outcome, Summary
from spindb.ingest.tasks import Task
from spindb.records import RunRecord

Read = tuple[Task, RunRows]
"""A run that was read."""

_REFUSALS = (ValueError, TypeError, OverflowError, DataError, IntegrityError, OperationalError)
"""What is raised where a value can't be stored."""


class Unseen(NamedTuple):
    """Runs of the index that an ingest did not find; ``emptied`` are roots that runs moved away from, ``ingested``
    those that were looked through."""

    runs: Sequence[IndexedRun]
    emptied: Collection[int]
    ingested: Collection[int]


class Sink(Protocol):
    """What an ingest needs of the index."""

    @property
    def backend(self) -> str:
        """The name of the database that rows are made for."""

    def place(self, directory: Path) -> tuple[RootPlace, dict[str, IndexedRun]]:
        """Where a directory lies in the index, and the runs of its root by their paths."""

    def is_root(self, directory: Path) -> bool:
        """Whether a directory is a root of the index."""

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        """Around the writing of so many runs."""

    def put(self, place: RootPlace, batch: Sequence[Read], reader: Reader) -> list[Outcome]:
        """Recognise runs and put them; `reader` reads again what that takes."""

    def settle(self, unseen: Unseen, *, prune: bool) -> int | None:
        """What can only be said when every run was seen: which are missing, which are copies, what siblings know.

        Returns how many runs were dropped; None where none ever are.
        """


class Nowhere:
    """No database: every run would be new."""

    backend = "sqlite"

    def place(self, directory: Path) -> tuple[RootPlace, dict[str, IndexedRun]]:
        return RootPlace(0, directory, "."), {}

    def is_root(self, directory: Path) -> bool:
        return False

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        return nullcontext()

    def put(self, place: RootPlace, batch: Sequence[Read], reader: Reader) -> list[Outcome]:
        return [Outcome(task, rows.record, Identity()) for task, rows in batch]

    def settle(self, unseen: Unseen, *, prune: bool) -> int | None:
        return None


class _Connected(ABC):
    """What both sinks with a database have in common."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.backend = backend_of(connection).name

    def is_root(self, directory: Path) -> bool:
        with self.connection.begin():
            return directory in roots_here(self.connection)

    def put(self, place: RootPlace, batch: Sequence[Read], reader: Reader) -> list[Outcome]:
        """Put a batch in one transaction; a run that the database refuses is put as broken, the others as they are."""
        try:
            return self._put(place, batch, reader)
        except _REFUSALS as error:
            if isinstance(error, OperationalError) and not backend_of(self.connection).refuses_value(error):
                raise
            if len(batch) > 1:
                return [outcome for one in batch for outcome in self.put(place, [one], reader)]
            task, _ = batch[0]
            reason = f"can't be stored ({type(error).__name__}: {text_of(error)}): please report this"
            return self._put(place, [(task, reader.broken(task.run, "unreadable-run", reason))], reader)

    @abstractmethod
    def _put(self, place: RootPlace, batch: Sequence[Read], reader: Reader) -> list[Outcome]:
        """Recognise runs and put them, in one transaction."""

    def recogniser(self, place: RootPlace, batch: Sequence[Read], same: Sequence[Outcome | None]) -> Recogniser:
        """What recognises the runs of a batch that are not the `same`, in the transaction that will write them."""
        fresh = [rows for (_, rows), outcome in zip(batch, same, strict=True) if outcome is None]
        return Recogniser(self.connection, place, fresh, self.removed)

    @cached_property
    def removed(self) -> RemovedRuns:
        """The runs that a person removed, as they were when the first was written."""
        return removed_by_config(self.connection)


class DryRun(_Connected):
    """Says what would become of the runs; nothing is written."""

    def place(self, directory: Path) -> tuple[RootPlace, dict[str, IndexedRun]]:
        with self.connection.begin():
            place = planned_place(self.connection, directory)
            return place, known_runs(self.connection, place.root_id)

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        return nullcontext()

    def _put(self, place: RootPlace, batch: Sequence[Read], reader: Reader) -> list[Outcome]:
        proven = [_same(task, rows) for task, rows in batch]
        with self.connection.begin():
            recogniser = self.recogniser(place, batch, proven)
            return [
                same or self._outcome(task, rows, recogniser, reader)
                for (task, rows), same in zip(batch, proven, strict=True)
            ]

    def _outcome(self, task: Task, rows: RunRows, recogniser: Recogniser, reader: Reader) -> Outcome:
        return Outcome(task, rows.record, recogniser.identify(rows, _digests(reader, task.run, rows.record)))

    def settle(self, unseen: Unseen, *, prune: bool) -> int | None:
        return None


class DatabaseSink(_Connected):
    """Writes runs into a database."""

    def place(self, directory: Path) -> tuple[RootPlace, dict[str, IndexedRun]]:
        with self.connection.begin():
            place = place_of(self.connection, directory)
            return place, known_runs(self.connection, place.root_id)

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        return indexed_afterwards(self.connection, runs)

    def _put(self, place: RootPlace, batch: Sequence[Read], reader: Reader) -> list[Outcome]:
        proven = [_same(task, rows) for task, rows in batch]
        with self.connection.begin():
            recogniser = self.recogniser(place, batch, proven)
            writing = Batch(self.connection, place.root_id, recogniser.unseen)
            outcomes = [
                same or self._written(writing, task, rows, recogniser, reader)
                for (task, rows), same in zip(batch, proven, strict=True)
            ]
            signatures = {one.identity.run_id: one.task.signature for one in outcomes if one.same}
            set_signatures(self.connection, {run: text for run, text in signatures.items() if run is not None})
            writing.write()
        return outcomes

    def _written(self, writing: Batch, task: Task, rows: RunRows, recogniser: Recogniser, reader: Reader) -> Outcome:
        identity = recogniser.identify(rows, _digests(reader, task.run, rows.record))
        run_id, kept_as = write_as(writing, identity, rows, task.signature)
        recogniser.put(run_id, rows, identity)
        return Outcome(task, rows.record, identity, kept=None if kept_as is None else Kept(run_id, kept_as))

    def settle(self, unseen: Unseen, *, prune: bool) -> int | None:
        """Looked for even where nothing changed: an earlier ingest may have died before it came here."""
        fresh = [run.id for run in unseen.runs if run.status != "missing"]
        if not (fresh or (unseen.runs and prune) or self._unsettled(unseen.emptied)):
            return 0
        with self.connection.begin():
            mark_missing(self.connection, fresh)
            dropped = prunable(self.connection, [run.id for run in unseen.runs]) if prune else []
            drop_runs(self.connection, dropped)
            link_copies(self.connection)
            environments_from_siblings(self.connection)
            drop_emptied_roots(self.connection, set(unseen.emptied) - set(unseen.ingested))
        return len(dropped)

    def _unsettled(self, emptied: Collection[int]) -> bool:
        """Whether moves, copies or what siblings know leave something to do."""
        with self.connection.begin():
            return (
                bool(emptied)
                or link_copies(self.connection, dry_run=True) > 0
                or environments_from_siblings(self.connection, dry_run=True)
            )


@contextmanager
def sink_of(location: str | Path, summary: Summary, *, dry_run: bool) -> Iterator[Sink]:
    """The sink of an ingest; a database that is absent is created. `summary` says at the end what was written.

    Raises:
        DatabaseError: the database can't be used; SchemaError: it has another schema.
    """
    if dry_run and not _exists(location):
        yield Nowhere()
        return
    engine = open_engine(location, write=not dry_run)
    with engine.connect() as connection:
        absent = migrate.state(connection) == "absent"
        if dry_run or not absent:
            migrate.check(connection, shown_location(location), write=not dry_run)
    if absent:
        migrate.upgrade(engine, shown_location(location))
    # One connection for all: opening costs, and SQLite tidies its log away when the last one closes.
    with engine.connect() as connection:
        if dry_run:
            yield DryRun(connection)
        else:
            complete_indexes(connection)
            yield DatabaseSink(connection)
        behind = not dry_run and _behind(connection, summary)
    if behind:
        refresh_statistics(engine)
    engine.dispose()


def _exists(location: str | Path) -> bool:
    path = sqlite_path(database_url(location))
    return path is None or path.exists()


def _behind(connection: Connection, summary: Summary) -> bool:
    with connection.begin():
        return statistics_behind(connection, summary.written)


def _same(task: Task, rows: RunRows) -> Outcome | None:
    """The outcome of a run that was read in the instant it was written before and proves to be the same."""
    same = task.proven_same(rows.record)
    return None if same is None else Outcome(task, rows.record, Identity(same), same=True)


def _digests(reader: Reader, run: ToRead, record: RunRecord) -> DigestOfStart:
    """Digests of the first bytes of the metrics: the one that was computed when the record was read is at hand, any
    other takes another look."""

    def digest(size: int) -> str | None:
        if run.previous_size == size:
            return record.content.begins
        return reader.begins(run, size)

    return digest
