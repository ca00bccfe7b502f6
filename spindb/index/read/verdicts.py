"""The verdicts that were given on snapshots, as they are recorded with evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from spindb.index.database.batches import batches
from spindb.index.database.models import evaluations, runs
from spindb.records import Verdict


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict and the conditions under which it was given."""

    evaluation_id: int
    verdict: Verdict
    env_id: str | None
    env_source: str
    engine: str
    seed: int | None
    digest: str | None


def verdicts(connection: Connection, ids: Sequence[int]) -> dict[tuple[int, str], StoredVerdict]:
    """The last verdict on each snapshot of these runs' present content, by run and the snapshot's path.

    Evaluations that were interrupted are not among them.
    """
    e, r = evaluations.c, runs.c
    statement = select(evaluations).join(runs, (r.id == e.run_id) & (r.generation == e.generation))
    statement = statement.where(e.verdict.is_not(None), e.partial.is_(False)).order_by(e.id)
    found: dict[tuple[int, str], StoredVerdict] = {}
    for batch in batches(ids):
        for row in connection.execute(statement.where(e.run_id.in_(batch))):
            # The population's deviation is stored; the standard error of the mean needs the sample's.
            error = None
            if row.std_return is not None and row.episodes > 1:
                error = row.std_return / (row.episodes - 1) ** 0.5
            verdict = Verdict(
                word=row.verdict,
                reason=row.verdict_reason or "",
                metric=row.logged_metric,
                epoch=row.logged_epoch,
                logged_mean=row.logged_mean,
                logged_error=row.logged_error,
                logged_episodes=row.logged_episodes,
                logged_range=row.logged_range,
                played=row.counted_mean,
                played_error=error,
                episodes=row.episodes,
                difference=row.difference,
                error=row.difference_error,
                power=row.power,
            )
            # In the order of ids, so that a later verdict on a snapshot replaces an earlier one.
            found[row.run_id, row.snapshot_path] = StoredVerdict(
                row.id, verdict, row.env_id, row.env_source, row.engine, row.seed, row.snapshot_digest
            )
    return found
