"""Reads what the index has of one run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, exists, or_, select

from spindb.index.database import series
from spindb.index.database.models import configs, evaluations, metrics, notes, problems, runs, superseded, tags
from spindb.records import ConfigLeaf, Problem


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of a run with its summary (see `spindb.records.MetricSummary`)."""

    name: str
    count: int
    first: float | None
    last: float | None
    last_text: str | None
    min: float | None
    max: float | None
    mean: float | None
    argmin: int | None
    argmax: int | None


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """A recorded rollout, without its episodes."""

    id: int
    generation: int
    itr: int | None
    snapshot_path: str
    env_id: str | None
    deterministic: bool
    seed: int | None
    episodes: int
    mean_return: float | None
    std_return: float | None
    mean_length: float | None
    created_at: datetime
    engine: str
    partial: bool
    verdict: str | None = None
    verdict_reason: str | None = None
    logged_metric: str | None = None
    logged_epoch: int | None = None
    logged_mean: float | None = None
    logged_error: float | None = None
    logged_episodes: int | None = None
    logged_range: float | None = None
    counted_mean: float | None = None
    difference: float | None = None
    difference_error: float | None = None
    power: float | None = None

    @property
    def standard_error(self) -> float | None:
        """Of the mean over episodes (the deviation kept is the population's); None for one episode."""
        known = self.std_return is not None and self.episodes > 1
        return self.std_return / math.sqrt(self.episodes - 1) if known and self.std_return is not None else None


def config_of(connection: Connection, run_id: int, *, internal: bool = False) -> list[ConfigLeaf]:
    """The hyperparameters of a run by key; with `internal` also what the logger wrote about itself."""
    statement = select(configs).where(configs.c.run_id == run_id).order_by(configs.c.key)
    leaves = [
        ConfigLeaf(row.key, row.type, row.value, row.number, row.raw, row.internal, row.canonical)
        for row in connection.execute(statement)
    ]
    return [leaf for leaf in leaves if internal or not leaf.internal]


def metrics_of(connection: Connection, run_id: int) -> list[MetricRow]:
    """The metrics of a run in the order of its columns."""
    c = metrics.c
    wanted = (c.name, c.count, c.first, c.last, c.last_text, c.min, c.max, c.mean, c.argmin, c.argmax)
    statement = select(*wanted).where(c.run_id == run_id).order_by(c.position)
    return [MetricRow(*tuple(row)) for row in connection.execute(statement)]


def problems_of(connection: Connection, run_id: int) -> list[Problem]:
    """What was odd about a run's files."""
    c = problems.c
    statement = select(c.code, c.message, c.path, c.line).where(c.run_id == run_id).order_by(c.id)
    return [Problem(*row) for row in connection.execute(statement)]


def tags_of(connection: Connection, run_id: int) -> list[str]:
    """The run's tags, sorted."""
    return list(connection.execute(select(tags.c.tag).where(tags.c.run_id == run_id).order_by(tags.c.tag)).scalars())


def notes_of(connection: Connection, run_id: int) -> list[tuple[datetime, str]]:
    """The run's notes with their times, oldest first."""
    c = notes.c
    statement = select(c.created_at, c.text).where(c.run_id == run_id).order_by(c.id)
    return [(row[0], row[1]) for row in connection.execute(statement)]


def evaluations_of(connection: Connection, run_id: int) -> list[EvaluationRow]:
    """The run's recorded rollouts, oldest first; of a superseded run those too that were made when it was there."""
    c = evaluations.c
    # Evaluations stay with the run of the directory. By the generation that they name, those of a content that was
    # overwritten are found again from the run which keeps it.
    then = and_(runs.c.id == run_id, runs.c.superseded_by == c.run_id, runs.c.generation == c.generation)
    wanted = (c.id, c.generation, c.itr, c.snapshot_path, c.env_id, c.deterministic, c.seed, c.episodes)
    results = (c.mean_return, c.std_return, c.mean_length, c.created_at, c.engine, c.partial)
    verdict = (c.verdict, c.verdict_reason, c.logged_metric, c.logged_epoch, c.logged_mean, c.logged_error)
    numbers = (c.logged_episodes, c.logged_range, c.counted_mean, c.difference, c.difference_error, c.power)
    statement = (
        select(*wanted, *results, *verdict, *numbers)
        .where(or_(c.run_id == run_id, exists().where(then)))
        .order_by(c.id)
    )
    return [EvaluationRow(*tuple(row)) for row in connection.execute(statement)]


def verdicts_of(connection: Connection, run_id: int) -> dict[str, EvaluationRow]:
    """The last verdict on each of the run's present snapshots, by its path."""
    generation = connection.execute(select(runs.c.generation).where(runs.c.id == run_id)).scalar()
    # A verdict is on weights: one on a content that was overwritten says nothing of the snapshots that are there now.
    found = [e for e in evaluations_of(connection, run_id) if e.verdict is not None and e.generation == generation]
    # Oldest first, so that the last one of each path is the one that stays.
    return {e.snapshot_path: e for e in found}


@dataclass(frozen=True, slots=True)
class SupersededRow:
    """What a run's directory held before another training overwrote it.

    ``id`` is that of the run which keeps it, None where an older spindb kept this line alone.
    """

    generation: int
    rows: int
    performance: str | None
    last: float | None
    max: float | None
    superseded_at: datetime
    id: int | None = None


def superseded_of(connection: Connection, run_id: int) -> list[SupersededRow]:
    """What the run's directory held before, oldest first."""
    c, r, best = superseded.c, runs.c, metrics.alias("best")
    wanted = (c.generation, c.rows, c.performance, c.last, c.max, c.superseded_at)
    lines = connection.execute(select(*wanted).where(c.run_id == run_id))
    kept = (
        select(r.generation, r.rows, r.performance, best.c.last, best.c.max, r.ingested_at, r.id)
        .join(best, and_(best.c.run_id == r.id, best.c.name == r.performance), isouter=True)
        .where(r.superseded_by == run_id, r.removed_at.is_(None))
    )
    # Two sources: lines from a database that kept only these, and whole runs since then.
    found = [SupersededRow(*row) for row in (*lines, *connection.execute(kept))]
    return sorted(found, key=lambda row: row.generation)


@dataclass(frozen=True, slots=True)
class RunWhole:
    """All that the index holds of one run beside the run itself and its snapshots."""

    config: list[ConfigLeaf]
    metrics: list[MetricRow]
    curves: dict[str, list[float]]
    evaluations: list[EvaluationRow]
    problems: list[Problem]
    tags: list[str]
    notes: list[tuple[datetime, str]]
    earlier: list[SupersededRow]


def whole(connection: Connection, run_id: int, *, internal: bool = False) -> RunWhole:
    """Everything about a run; with `internal` also what the logger wrote about itself."""
    # In no order: curves are looked up by name, in the order of `metrics`.
    packed = select(metrics.c.name, metrics.c.series).where(metrics.c.run_id == run_id)
    return RunWhole(
        config=config_of(connection, run_id, internal=internal),
        metrics=metrics_of(connection, run_id),
        curves={name: series.curve(text) for name, text in connection.execute(packed)},
        evaluations=evaluations_of(connection, run_id),
        problems=problems_of(connection, run_id),
        tags=tags_of(connection, run_id),
        notes=notes_of(connection, run_id),
        earlier=superseded_of(connection, run_id),
    )


def siblings_of(connection: Connection, run_id: int) -> list[int]:
    """Ids of the other runs of the same algorithm and environment under the same root.

    Copies are left out, and what was overwritten or removed.
    """
    own, other = runs.alias("own"), runs.c
    statement = select(other.id).join(
        own,
        (own.c.root_id == other.root_id) & (own.c.algo == other.algo) & (own.c.env_id == other.env_id),
    )
    statement = statement.where(
        *(own.c.id == run_id, other.id != run_id, other.copy_of.is_(None)),
        *(other.status != "superseded", other.removed_at.is_(None)),
    )
    return list(connection.execute(statement.order_by(other.id)).scalars())


def last_value(metric: MetricRow) -> float | str | None:
    """The last cell as it was: a number, NaN, text, or None for an empty cell."""
    return series.last_cell(metric.last, metric.last_text)
