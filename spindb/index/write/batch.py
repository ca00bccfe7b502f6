"""Puts runs into the database, and what playback measured, in transactions of the caller."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    exists,
    false,
    insert,
    not_,
    select,
    update,
)

from spindb.index.database import models
from spindb.index.database.backend import backend_of
from spindb.index.write.bulk import insert_rows
from spindb.index.write.contents import Contents, Past
from spindb.index.write.rows import COLUMNS, Row, RunRows, number
from spindb.machine import now
from spindb.records import Evaluation, Verdict


class IndexedRun(NamedTuple):
    """What the database knows of a run directory when an ingest begins; ``path`` is relative to its root."""

    path: str
    id: int
    signature: str | None
    status: str
    fingerprint: str
    metrics_size: int
    started_source: str | None = None
    removed: bool = False
    part: str | None = None


def known_runs(connection: Connection, root_id: int) -> dict[str, IndexedRun]:
    """Every run of a root by its relative path; not what directories held before."""
    runs = models.runs.c
    columns = select(
        *(runs.path, runs.id, runs.signature, runs.status, runs.fingerprint, runs.metrics_size, runs.started_source),
        *(runs.removed_at.is_not(None), runs.part),
    )
    found = connection.execute(columns.where(runs.root_id == root_id, runs.status != "superseded"))
    return {row[0]: IndexedRun._make(row) for row in found.all()}


class Batch:
    """Runs to write, gathered over a transaction: one statement per table and not per run.

    Tags, notes, evaluations and archive marks belong to a run's id and stay.
    """

    def __init__(self, connection: Connection, root_id: int, new: int) -> None:
        """Gather for a transaction on `connection`, at most `new` new runs among them.

        Args:
            connection: in a transaction that keeps other writers out.
            root_id: the root that the runs' paths are relative to.
            new: how many ids may be taken.
        """
        self._connection = connection
        self._common = {"root_id": root_id, "ingested_at": now()}
        # Ids for the new runs come in one piece; what is set aside on the way takes further ones, of a number nobody
        # knows yet.
        self._ids = itertools.chain(backend_of(connection).new_run_ids(connection, new), _further_ids(connection))
        self._contents = Contents(connection, self._ids)
        self._unread: list[dict[str, Any]] = []
        self._new: list[dict[str, Any]] = []
        self._changed: list[dict[str, Any]] = []
        self._child_rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}

    def add(
        self,
        rows: RunRows,
        signature: str | None,
        *,
        copy_of: int | None = None,
        removed_at: datetime | None = None,
        generation: int = 0,
    ) -> int:
        """A run that the index did not have, perhaps a copy of another; returns its id."""
        run_id = next(self._ids)
        facts = {"id": run_id, "copy_of": copy_of, "generation": generation}
        self._new.append(facts | self._run(rows, signature, removed_at))
        self._take(run_id, rows)
        return run_id

    def replace(
        self,
        run_id: int,
        rows: RunRows,
        signature: str | None,
        *,
        removed_at: datetime | None = None,
        moved: bool = False,
    ) -> None:
        """A run that the index has, as it is now; `moved` where it lay elsewhere."""
        self._changed.append({"run": run_id} | self._run(rows, signature, removed_at))
        self._take(run_id, rows)
        if moved:
            self._contents.moved(run_id)

    def keep(self, run_id: int, rows: RunRows, signature: str | None) -> None:
        """A run that can't be read now: what was read before stays; without a signature the next ingest tries again."""
        self._unread.append({"run": run_id, "now": signature})
        self._child_rows["problems"] += [(run_id, *row) for row in rows.child_rows["problems"]]

    def set_aside(self, past: Past) -> int | None:
        """Keep what a run's directory held before, as a run of its own; returns its id, None if it was empty."""
        return self._contents.set_aside(past)

    def part(self, past: Past, present: int) -> None:
        """Let a run become what its directory held before; `present` is the run of what it holds now."""
        self._contents.part(past, present)

    def make_room(self, run_id: int, past: Past) -> None:
        """Let a run be numbered behind what its new directory held before."""
        self._contents.make_room(run_id, past.following)

    def _run(self, rows: RunRows, signature: str | None, removed_at: datetime | None) -> dict[str, Any]:
        return {"signature": signature, "removed_at": removed_at, **rows.run, **self._common}

    def _take(self, run_id: int, rows: RunRows) -> None:
        for table, belonging in rows.child_rows.items():
            self._child_rows[table] += [(run_id, *row) for row in belonging]

    def write(self) -> None:
        """Write all that was gathered."""
        runs = models.runs
        # The order matters: what a directory held before moves to its new run first, or the rows below would replace
        # it; what must name runs that are new here comes last.
        self._contents.before()
        if self._new:
            insert_rows(self._connection, runs, tuple(self._new[0]), [tuple(row.values()) for row in self._new])
        if self._changed:
            self._connection.execute(update(runs).where(runs.c.id == bindparam("run")), self._changed)
        replaced = [row["run"] for row in self._changed]
        for name, columns in COLUMNS.items():
            table = models.metadata.tables[name]
            # A run that can't be read now keeps all that was read before, but for its problems: those say why it can't.
            out = [*replaced, *(row["run"] for row in self._unread)] if name == "problems" else replaced
            if out:
                self._connection.execute(delete(table).where(table.c.run_id.in_(out)))
            insert_rows(self._connection, table, ("run_id", *columns), self._child_rows[name])
        if self._unread:
            unread = update(runs).where(runs.c.id == bindparam("run"))
            self._connection.execute(unread.values(status="broken", signature=bindparam("now")), self._unread)
        self._contents.after()


def _further_ids(connection: Connection) -> Iterator[int]:
    """Ids one by one, for what is only known to be needed when it is."""
    while True:
        yield from backend_of(connection).new_run_ids(connection, 1)


def set_signatures(connection: Connection, signatures: Mapping[int, str | None]) -> None:
    """Store new signatures of runs whose content proved to be the same."""
    if signatures:
        runs = models.runs
        statement = update(runs).where(runs.c.id == bindparam("run")).values(signature=bindparam("new"))
        connection.execute(statement, [{"run": run, "new": new} for run, new in signatures.items()])


def mark_missing(connection: Connection, ids: Iterable[int]) -> None:
    """The directories of these runs are gone; a run that comes back is read again."""
    runs = models.runs
    for run_id in ids:
        connection.execute(update(runs).where(runs.c.id == run_id).values(status="missing", signature=None))


def drop_runs(connection: Connection, ids: Iterable[int]) -> None:
    """Drop runs from the index with all that belongs to them."""
    for run_id in ids:
        connection.execute(delete(models.runs).where(models.runs.c.id == run_id))


def prunable(connection: Connection, ids: Iterable[int]) -> list[int]:
    """Those of the runs that files could give again and to which people added nothing.

    The others have a tag, a note, an evaluation, an archive mark, or an earlier content; or a person removed them.
    """
    runs, other = models.runs, models.runs.alias("other")
    added = [
        table.c.run_id == runs.c.id for table in (models.tags, models.notes, models.evaluations, models.superseded)
    ]
    # A content that was overwritten counts as added: no file holds it any more, so a prune would lose it for good.
    bare = [not_(exists().where(condition)) for condition in (*added, other.c.superseded_by == runs.c.id)]
    statement = select(runs.c.id).where(runs.c.archived == false(), runs.c.removed_at.is_(None), *bare)
    # All that are free, and not only those asked about: the list of ids may be longer than a statement takes.
    free = set(connection.execute(statement).scalars())
    return [run_id for run_id in ids if run_id in free]


def add_evaluation(connection: Connection, run_id: int, evaluation: Evaluation) -> int:
    """Record a rollout of one of the run's snapshots; returns the evaluation's id."""
    result = evaluation
    # Within the INSERT, so that the content which the evaluation names is the one that is there as it is written.
    generation = select(models.runs.c.generation).where(models.runs.c.id == run_id).scalar_subquery()
    inserted = connection.execute(
        insert(models.evaluations).values(
            run_id=run_id,
            generation=generation,
            kind=result.kind,
            itr=result.itr,
            snapshot_path=result.snapshot_path,
            env_id=result.env_id,
            env_source=result.env_source,
            deterministic=result.deterministic,
            engine=result.engine,
            snapshot_digest=result.snapshot_digest,
            partial=result.partial,
            max_ep_len=result.max_ep_len,
            seed=result.seed,
            episodes=len(result.episodes),
            mean_return=number(result.mean_return),
            std_return=number(result.std_return),
            mean_length=number(result.mean_length),
            versions=json.dumps(dict(result.versions), sort_keys=True),
            created_at=now(),
            seconds=result.seconds,
            **({} if result.verdict is None else _verdict_values(result.verdict)),
        )
    )
    assert inserted.inserted_primary_key is not None
    evaluation_id = int(inserted.inserted_primary_key[0])
    columns = ("evaluation_id", "number", "ep_return", "length", "ending")
    rows = [
        (evaluation_id, place, number(episode.ep_return), episode.length, episode.ending)
        for place, episode in enumerate(result.episodes)
    ]
    insert_rows(connection, models.episodes, columns, rows)
    return evaluation_id


def _verdict_values(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.word,
        "verdict_reason": verdict.reason or None,
        "logged_metric": verdict.metric,
        "logged_epoch": verdict.epoch,
        "logged_mean": number(verdict.logged_mean),
        "logged_error": number(verdict.logged_error),
        "logged_episodes": verdict.logged_episodes,
        "logged_range": number(verdict.logged_range),
        "counted_mean": number(verdict.played),
        "difference": number(verdict.difference),
        "difference_error": number(verdict.error),
        "power": verdict.power,
    }
