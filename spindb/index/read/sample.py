"""Which runs of a selection count: each content once, nothing that was overwritten or removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from spindb.index.models import runs
from spindb.index.portions import batches


class RunFacts(NamedTuple):
    """What a run is grouped by beside its configuration."""

    id: int
    exp_name: str | None
    seed: int | None
    algo: str | None
    env: str | None
    env_classes: str | None


class Sample(NamedTuple):
    """The runs that count, and what was left out of the selection.

    ``copies`` maps each run that was left out for its content to the run that stands for it; ``overwritten`` holds runs
    whose directory another training took since. Removed runs are nowhere.
    """

    runs: Mapping[int, RunFacts]
    copies: Mapping[int, int]
    overwritten: tuple[int, ...]

    @property
    def notes(self) -> list[str]:
        """What was left out, a sentence each."""
        found = [
            (len(self.copies), "copies of runs that count"),
            (len(self.overwritten), "overwritten by later trainings"),
        ]
        return [f"{plural(count, 'run')} left out: {why}" for count, why in found if count]


def plural(count: int, word: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def sample_of(connection: Connection, ids: Sequence[int]) -> Sample:
    """The runs of a selection that count.

    Runs of equal content (metrics and configuration) are one, for which the lowest id of the selection stands; so are
    runs without a row whose configuration, experiment and seed are equal.
    """
    c = runs.c
    wanted = (c.id, c.exp_name, c.seed, c.algo, c.env_id, c.env_classes)
    statement = select(*wanted, c.status, c.rows, c.fingerprint, c.copy_of).where(c.removed_at.is_(None))
    found: dict[int, RunFacts] = {}
    contents: dict[int, tuple[tuple[object, ...], int | None]] = {}
    overwritten: list[int] = []
    for batch in batches(sorted(set(ids))):
        for *facts, status, rows, fingerprint, copy_of in connection.execute(
            statement.where(c.id.in_(batch)).order_by(c.id)
        ):
            if status == "superseded":
                overwritten.append(facts[0])
                continue
            found[facts[0]] = RunFacts(*facts)
            # Where no row tells one from the other, what it is called has to.
            contents[facts[0]] = ((fingerprint,) if rows else (fingerprint, *facts[1:3]), copy_of)
    copies = _copies(contents)
    counted = {run_id: facts for run_id, facts in found.items() if run_id not in copies}
    return Sample(counted, copies, tuple(overwritten))


def once(connection: Connection, ids: Iterable[int]) -> list[int]:
    """The ids of the runs that count, ascending."""
    return list(sample_of(connection, list(ids)).runs)


def _copies(contents: Mapping[int, tuple[tuple[object, ...], int | None]]) -> dict[int, int]:
    """Runs that another one stands for, with that one."""
    first: dict[tuple[object, ...], int] = {}
    found: dict[int, int] = {}
    for run_id, (content, copy_of) in contents.items():
        if copy_of is not None and copy_of in contents:
            found[run_id] = copy_of
        elif first.setdefault(content, run_id) != run_id:
            found[run_id] = first[content]
    return {run_id: _end(run_id, found) for run_id in found if _end(run_id, found) != run_id}


def _end(run_id: int, found: Mapping[int, int]) -> int:
    """The run at the end of copies of copies; the lowest where they go round."""
    passed = [run_id]
    while passed[-1] in found:
        following = found[passed[-1]]
        if following in passed:
            return min(passed[passed.index(following) :])
        passed.append(following)
    return passed[-1]
