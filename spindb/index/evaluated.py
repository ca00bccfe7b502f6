"""Which snapshots were evaluated, and how well they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from spindb.index.models import evaluations, runs
from spindb.index.portions import batches


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A recorded evaluation of a snapshot that the run still has in that generation; returns are undiscounted."""

    run_id: int
    name: str
    snapshot_path: str
    itr: int | None
    episodes: int
    mean_return: float
    std_return: float
    deterministic: bool
    seed: int | None
    max_ep_len: int | None
    digest: str | None
    partial: bool
    env_id: str | None
    env_source: str

    @property
    def standard_error(self) -> float | None:
        """Of the mean over episodes (the deviation kept is the population's); None for one episode."""
        return self.std_return / math.sqrt(self.episodes - 1) if self.episodes > 1 else None


def evaluated(connection: Connection, ids: Sequence[int]) -> list[Evaluated]:
    """All evaluations of these runs' present content with a mean, by run, itr and time."""
    e, r = evaluations.c, runs.c
    wanted = (
        *(e.run_id, r.name, e.snapshot_path, e.itr, e.episodes, e.mean_return, e.std_return),
        *(e.deterministic, e.seed, e.max_ep_len, e.snapshot_digest, e.partial, e.env_id, e.env_source),
    )
    statement = select(*wanted).join(runs, (r.id == e.run_id) & (r.generation == e.generation))
    statement = statement.where(e.mean_return.is_not(None)).order_by(e.run_id, e.itr.nulls_last(), e.id)
    found: list[Evaluated] = []
    for batch in batches(ids):
        found += [Evaluated(*tuple(row)) for row in connection.execute(statement.where(e.run_id.in_(batch)))]
    return found
