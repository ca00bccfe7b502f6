"""Puts runs into the database, and what playback measured; one transaction per call of the caller."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from spindb.index import bulk, models
from spindb.index.bulk import Belongings
from spindb.index.clock import now
from spindb.index.rows import number, run_values, storable
from spindb.records import RunRecord

_GUESSES = ("siblings", "name")


class Known(NamedTuple):
    """What the database knows of a run directory when an ingest begins."""

    id: int
    signature: str | None
    status: str
    fingerprint: str
    rows: int
    metrics_size: int
    metrics_digest: str


_KNOWN = select(
    models.runs.c.path,
    models.runs.c.id,
    models.runs.c.signature,
    models.runs.c.status,
    models.runs.c.fingerprint,
    models.runs.c.rows,
    models.runs.c.metrics_size,
    models.runs.c.metrics_digest,
)
_KNOWN_HERE = _KNOWN.where(models.runs.c.root_id == bindparam("root"), models.runs.c.path == bindparam("place"))


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """One episode: undiscounted return, length in steps, how it ended."""

    ep_return: float
    length: int
    ending: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A rollout's result and all that it depended on."""

    kind: str
    itr: int | None
    snapshot_path: str
    env_id: str | None
    env_source: str
    deterministic: bool
    max_ep_len: int | None
    seed: int | None
    episodes: Sequence[EpisodeResult]
    mean_return: float | None
    std_return: float | None
    mean_length: float | None
    versions: Mapping[str, str]
    seconds: float
    engine: str = "numpy"
    snapshot_digest: str | None = None
    partial: bool = False


def known_runs(connection: Connection, root_id: int) -> dict[str, Known]:
    """Every run of a root by its relative path."""
    found = connection.execute(_KNOWN.where(models.runs.c.root_id == root_id))
    return {row[0]: Known(*tuple(row)[1:]) for row in found}


def known_run(connection: Connection, root_id: int, path: str) -> Known | None:
    """The run of a root at a relative path, None where there is none."""
    row = connection.execute(_KNOWN_HERE, {"root": root_id, "place": path}).first()
    return Known(*tuple(row)[1:]) if row else None


def put_run(
    connection: Connection,
    belongings: Belongings,
    root_id: int,
    record: RunRecord,
    signature: str | None,
    *,
    run_id: int | None = None,
    generation: int | None = None,
    copy_of: int | None = None,
) -> int:
    """Write a run as it was read, over what the index had of it; returns its id.

    Tags, notes, evaluations and the archive mark belong to the id and stay.

    Args:
        connection: in a transaction.
        belongings: takes its hyperparameters, metrics, snapshots and problems; its `write` ends the work.
        root_id: the root that the record's path is relative to.
        record: the run.
        signature: by which it is known to be unchanged.
        run_id: the run that it is; None for a new one.
        generation: how often its content was replaced, where that changed.
        copy_of: the run whose copy it is.
    """
    runs = models.runs
    values = storable(run_values(record)) | {"signature": signature, "ingested_at": now(), "root_id": root_id}
    if generation is not None:
        values["generation"] = generation
    if run_id is None:
        inserted = connection.execute(insert(runs), {"copy_of": copy_of, **values})
        assert inserted.inserted_primary_key is not None
        run_id = int(inserted.inserted_primary_key[0])
    else:
        connection.execute(update(runs).where(runs.c.id == run_id).values(values))
        belongings.replace(run_id)
    belongings.add(run_id, record)
    return run_id


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


def remove_runs(connection: Connection, ids: Iterable[int]) -> None:
    """Drop runs from the index with all that belongs to them."""
    for run_id in ids:
        connection.execute(delete(models.runs).where(models.runs.c.id == run_id))


def prunable(connection: Connection, ids: Iterable[int]) -> list[int]:
    """Those of the runs to which people added nothing: no tag, note, evaluation or archive mark."""
    added = [table.c.run_id == models.runs.c.id for table in (models.tags, models.notes, models.evaluations)]
    bare = [not_(exists().where(condition)) for condition in added]
    statement = select(models.runs.c.id).where(models.runs.c.archived == false(), *bare)
    free = set(connection.execute(statement).scalars())
    return [run_id for run_id in ids if run_id in free]


def environments_from_siblings(connection: Connection, *, dry_run: bool = False) -> bool:
    """Runs of whose environment nothing is known take that of their experiment, where it has but one.

    Returns whether there is any such run; with `dry_run` that is all.
    """
    runs, sibling = models.runs, models.runs.alias("sibling")
    known = select(func.min(sibling.c.env_id)).where(
        sibling.c.root_id == runs.c.root_id,
        sibling.c.exp_name == runs.c.exp_name,
        sibling.c.env_source.not_in(_GUESSES),
    )
    one = known.with_only_columns(func.count(sibling.c.env_id.distinct())).scalar_subquery() == 1
    unknown = or_(runs.c.env_id.is_(None), runs.c.env_source == "name")
    condition = and_(unknown, runs.c.exp_name.is_not(None), one)
    found = connection.execute(select(runs.c.id).where(condition).limit(1)).first() is not None
    if found and not dry_run:
        values = {"env_id": known.scalar_subquery(), "env_source": "siblings"}
        connection.execute(update(runs).where(condition).values(values))
    return found


def add_evaluation(connection: Connection, run_id: int, evaluation: Evaluation) -> int:
    """Record a rollout of one of the run's snapshots; returns the evaluation's id."""
    result = evaluation
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
        )
    )
    assert inserted.inserted_primary_key is not None
    evaluation_id = int(inserted.inserted_primary_key[0])
    rows = [
        {
            "evaluation_id": evaluation_id,
            "number": place,
            "ep_return": number(episode.ep_return),
            "length": episode.length,
            "ending": episode.ending,
        }
        for place, episode in enumerate(result.episodes)
    ]
    bulk.insert_rows(connection, models.episodes, rows)
    return evaluation_id
