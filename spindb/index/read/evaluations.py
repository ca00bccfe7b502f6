"""Which snapshots were evaluated, and how well they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, select

from spindb.index.database.batches import batches
from spindb.index.database.models import evaluations, runs
from spindb.index.read.evaluation_options import EvaluationOptions, options_of
from spindb.index.read.sample import sample_of


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
    """How the environment was known, and after ``; `` each of the terms that its returns depend on beside its id."""
    engine: str

    @property
    def options(self) -> EvaluationOptions:
        """What was asked for when it was made."""
        return options_of(self.env_id, self.env_source, self.engine)

    @property
    def terms(self) -> tuple[str, ...]:
        """Arguments of the environment, wrappers left out or of rewards, contact forces or a rule that were chosen."""
        rule = self.options.action
        return (*self.env_source.split("; ")[1:], *((f"--action {rule}",) if rule else ()))

    @property
    def command(self) -> str:
        """What plays the snapshot as it was played then; a module that was imported for it is not kept."""
        itr = () if self.itr is None else (f"--itr {self.itr}",)
        length = () if self.max_ep_len is None else (f"--len {self.max_ep_len}",)
        drawn = ("-d",) if self.deterministic else ()
        return " ".join(("spindb test-policy", str(self.run_id), *itr, *length, *drawn, *self.options.flags))

    @property
    def standard_error(self) -> float | None:
        """Of the mean over episodes (the deviation kept is the population's); None for one episode."""
        return self.std_return / math.sqrt(self.episodes - 1) if self.episodes > 1 else None


class Conditions(NamedTuple):
    """What returns must have in common to be ranked together.

    ``env`` is the environment's id; where none is known, ``source`` says which one it was as far as anything does.
    """

    env: str | None
    source: str | None
    deterministic: bool
    max_ep_len: int | None
    terms: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The conditions in a few words."""
        place = "; ".join((self.env or f"environment unknown ({self.source})", *self.terms))
        limit = "" if self.max_ep_len is None else f", at most {self.max_ep_len} steps"
        return f"{place}, actions {'deterministic' if self.deterministic else 'drawn'}{limit}"


def conditions_of(found: Evaluated) -> Conditions:
    """Under which conditions a snapshot was evaluated."""
    source = None
    if found.env_id is None:  # an environment that nothing names is the same in one run alone
        known = found.env_source.split("; ")[0]
        source = known if known.startswith("--") else f"{known}, run {found.run_id}"
    return Conditions(found.env_id, source, found.deterministic, found.max_ep_len, found.terms)


def ranked(connection: Connection, ids: Sequence[int], least: int = 1) -> dict[Conditions, list[Evaluated]]:
    """Evaluations by the conditions that they were made under, the highest mean return first.

    Copies count once: what was evaluated in one of them is an evaluation of the run that stands for it.
    """
    sample = sample_of(connection, ids)
    found: dict[Conditions, list[Evaluated]] = {}
    known: set[tuple[object, ...]] = set()
    for one in evaluated(connection, [*sample.runs, *sample.copies]):
        run_id = sample.copies.get(one.run_id, one.run_id)
        same = (run_id, one.snapshot_path, one.digest, one.seed, one.episodes, one.mean_return, conditions_of(one))
        # An evaluation that was copied with its run is one measurement. Two of the run itself that agree in all of this
        # are two, since equal draws are no proof of a copy.
        if one.episodes < least or (run_id != one.run_id and same in known):
            continue
        known.add(same)
        found.setdefault(conditions_of(one), []).append(one)
    for members in found.values():
        # Further keys only so that equal returns are listed in the same order on every database.
        members.sort(key=lambda e: (-e.mean_return, e.name, e.itr if e.itr is not None else -1, e.run_id))
    return dict(sorted(found.items(), key=lambda item: (item[0].words, item[0].source or "")))


def evaluated(connection: Connection, ids: Sequence[int]) -> list[Evaluated]:
    """All evaluations of these runs' present content with a mean, by run, itr and time."""
    e, r = evaluations.c, runs.c
    wanted = (
        *(e.run_id, r.name, e.snapshot_path, e.itr, e.episodes, e.mean_return, e.std_return),
        *(e.deterministic, e.seed, e.max_ep_len, e.snapshot_digest, e.partial, e.env_id, e.env_source, e.engine),
    )
    statement = select(*wanted).join(runs, (r.id == e.run_id) & (r.generation == e.generation))
    # A mean that is no number is stored as none: it can't be ranked.
    statement = statement.where(e.mean_return.is_not(None)).order_by(e.run_id, e.itr.nulls_last(), e.id)
    found: list[Evaluated] = []
    for batch in batches(ids):
        found += [Evaluated(*tuple(row)) for row in connection.execute(statement.where(e.run_id.in_(batch)))]
    return found
