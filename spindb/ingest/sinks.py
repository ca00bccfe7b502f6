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
    Identity,
    Recogniser,
    RemovedRuns,
    drop_emptied_roots,
    removed_by_config,
)
from spindb.index.write.recognised import write_as
from spindb.index.write.roots import RootPlace, place_of, planned_place
from spindb.index.write.siblings import environments_from_siblings
from spindb.ingest.reading import Reader
from spindb.ingest.summary import Kept, Outcome, Summary
from spindb.ingest.tasks import ReadRun

Proven = tuple[ReadRun, Outcome | None]
"""A run that was read, and its outcome where it proved to be the same as before."""

_REFUSALS = (ValueError, TypeError, OverflowError, DataError, IntegrityError, OperationalError)
"""What is raised where a value can't be stored."""


class Unseen(NamedTuple):
    """Runs of the index that an ingest did not find.

    ``stand_ins`` are ids of runs that stood for directories which could not be read, and now were; ``emptied`` are
    roots that runs moved away from, ``ingested`` those that were looked through.
    """

    runs: Sequence[IndexedRun]
    stand_ins: Collection[int]
    emptied: Collection[int]
    ingested: Collection[int]


class Settled(NamedTuple):
    """What became of the runs that were not found: ids of stand-ins that were dropped, how many others were pruned."""

    replaced: Collection[int] = ()
    pruned: int = 0
    written: bool = False


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

    def put(self, place: RootPlace, batch: Sequence[ReadRun], reader: Reader) -> list[Outcome]:
        """Recognise runs and put them; `reader` reads again what that takes."""

    def settle(self, unseen: Unseen, *, prune: bool) -> Settled:
        """What can only be said when every run was seen: which are missing, which are copies, what siblings know."""


class Nowhere:
    """No database: every run would be new."""

    backend = "sqlite"

    def place(self, directory: Path) -> tuple[RootPlace, dict[str, IndexedRun]]:
        return RootPlace(0, directory, "."), {}

    def is_root(self, directory: Path) -> bool:
        return False

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        return nullcontext()

    def put(self, place: RootPlace, batch: Sequence[ReadRun], reader: Reader) -> list[Outcome]:
        return [_outcome(read, Identity()) for read in batch]

    def settle(self, unseen: Unseen, *, prune: bool) -> Settled:
        return Settled()


class _Connected(ABC):
    """What both sinks with a database have in common."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.backend = backend_of(connection).name

    def place(self, directory: Path) -> tuple[RootPlace, dict[str, IndexedRun]]:
        with self.connection.begin():
            place = self._place(directory)
            return place, known_runs(self.connection, place.root_id)

    @abstractmethod
    def _place(self, directory: Path) -> RootPlace:
        """Where a directory lies, in a transaction."""

    def is_root(self, directory: Path) -> bool:
        with self.connection.begin():
            return directory in roots_here(self.connection)

    def put(self, place: RootPlace, batch: Sequence[ReadRun], reader: Reader) -> list[Outcome]:
        """Put a batch in one transaction; a run that the database refuses is put as broken, the others as they are."""
        try:
            return self._put(place, batch, reader)
        except _REFUSALS as error:
            if isinstance(error, OperationalError) and not backend_of(self.connection).refuses_value(error):
                raise
            if len(batch) > 1:
                return [outcome for one in batch for outcome in self.put(place, [one], reader)]
            (read,) = batch
            reason = f"can't be stored ({type(error).__name__}: {text_of(error)}): please report this"
            rows = reader.broken_run(read.task.run, read.rows.record.part, "unreadable-run", reason)
            return self._put(place, [read._replace(rows=rows)], reader)

    def _put(self, place: RootPlace, batch: Sequence[ReadRun], reader: Reader) -> list[Outcome]:
        """Recognise runs and put them, in one transaction."""
        proven = [(read, _same(read)) for read in batch]
        with self.connection.begin():
            fresh = [read.rows for read, same in proven if same is None]
            recogniser = Recogniser(self.connection, place, fresh, self.removed)
            return self._outcomes(place, proven, recogniser, reader)

    @abstractmethod
    def _outcomes(
        self, place: RootPlace, proven: Sequence[Proven], recogniser: Recogniser, reader: Reader
    ) -> list[Outcome]:
        """What becomes of runs that were read, each with its outcome where it is the same; in a transaction."""

    @cached_property
    def removed(self) -> RemovedRuns:
        """The runs that a person removed, as they were when the first was written."""
        return removed_by_config(self.connection)


class DryRun(_Connected):
    """Says what would become of the runs; nothing is written."""

    def _place(self, directory: Path) -> RootPlace:
        return planned_place(self.connection, directory)

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        return nullcontext()

    def _outcomes(
        self, place: RootPlace, proven: Sequence[Proven], recogniser: Recogniser, reader: Reader
    ) -> list[Outcome]:
        return [same or _outcome(read, recogniser.identify(read.rows, read.start_by(reader))) for read, same in proven]

    def settle(self, unseen: Unseen, *, prune: bool) -> Settled:
        return Settled()


class DatabaseSink(_Connected):
    """Writes runs into a database."""

    def _place(self, directory: Path) -> RootPlace:
        return place_of(self.connection, directory)

    def room_for(self, runs: int) -> AbstractContextManager[None]:
        return indexed_afterwards(self.connection, runs)

    def _outcomes(
        self, place: RootPlace, proven: Sequence[Proven], recogniser: Recogniser, reader: Reader
    ) -> list[Outcome]:
        writing = Batch(self.connection, place.root_id, recogniser.unseen)
        outcomes = [same or self._written(writing, read, recogniser, reader) for read, same in proven]
        signatures = {same.identity.run_id: read.signature for read, same in proven if same is not None}
        set_signatures(self.connection, {run: text for run, text in signatures.items() if run is not None})
        writing.write()
        return outcomes

    def _written(self, writing: Batch, read: ReadRun, recogniser: Recogniser, reader: Reader) -> Outcome:
        identity = recogniser.identify(read.rows, read.start_by(reader))
        run_id, kept_as = write_as(writing, identity, read.rows, read.signature)
        recogniser.put(run_id, read.rows, identity)
        return _outcome(read, identity, kept=None if kept_as is None else Kept(run_id, kept_as))

    def settle(self, unseen: Unseen, *, prune: bool) -> Settled:
        """Looked for even where nothing changed: an earlier ingest may have died before it came here."""
        fresh = [run.id for run in unseen.runs if run.status != "missing"]
        if not (fresh or (unseen.runs and prune) or self._unsettled(unseen.emptied)):
            return Settled()
        with self.connection.begin():
            mark_missing(self.connection, fresh)
            replaced = prunable(self.connection, unseen.stand_ins)
            drop_runs(self.connection, replaced)
            dropped = prunable(self.connection, [run.id for run in unseen.runs]) if prune else []
            drop_runs(self.connection, dropped)
            link_copies(self.connection)
            environments_from_siblings(self.connection)
            drop_emptied_roots(self.connection, set(unseen.emptied) - set(unseen.ingested))
        return Settled(replaced, len(dropped), written=True)

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


def _same(read: ReadRun) -> Outcome | None:
    """The outcome of a run that was read in the instant it was written before and proves to be the same."""
    same = read.task.proven_same(read.rows.record)
    return None if same is None else _outcome(read, Identity(same), same=True)


def _outcome(read: ReadRun, identity: Identity, *, same: bool = False, kept: Kept | None = None) -> Outcome:
    record = read.rows.record
    return Outcome(read.task.run.path, read.task.known_as(record.path), record, identity, same, kept)
