"""Which runs of a selection count: each content once, nothing that was overwritten or removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from spindb.index.database.batches import batches
from spindb.index.database.models import configs, runs
from spindb.index.read.run_specific import stem
from spindb.seedkeys import seed_key

Seed = int | str
"""A whole number, or the canonical text of what a configuration has for one."""


class RunFacts(NamedTuple):
    """What a run is grouped by beside its configuration.

    ``named_seed`` is the seed to cut off its names: None where it is unknown, or where another run of the database has
    the same experiment's name and another seed. There the mark in the name is not the seed's: ``finetune_s0`` was
    trained with seeds 0 to 3.
    """

    id: int
    exp_name: str | None
    seed: Seed | None
    algo: str | None
    env: str | None
    env_classes: str | None
    name: str
    named_seed: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the run is called."""
        return (self.name,) if self.exp_name is None else (self.exp_name, self.name)


class Sample(NamedTuple):
    """The runs that count, and what was left out of the selection.

    ``copies`` maps each run that was left out for its content to the run that stands for it; ``overwritten`` holds runs
    whose directory another training took since. Of runs of one setting and seed, which `groups_of` finds, ``repeated``
    maps those with equal rows, ``earlier`` those whose rows another one begins with, to the run that counts. Removed
    runs are nowhere.
    """

    runs: Mapping[int, RunFacts]
    copies: Mapping[int, int]
    overwritten: tuple[int, ...]
    repeated: Mapping[int, int] = {}
    earlier: Mapping[int, int] = {}

    @property
    def notes(self) -> list[str]:
        """What was left out, a sentence each."""
        found = [
            (len(self.copies) + len(self.repeated), "copies of runs that count"),
            (len(self.earlier), "earlier states of runs that count"),
            (len(self.overwritten), "overwritten by later trainings"),
        ]
        return [f"{with_count(count, 'run')} left out: {why}" for count, why in found if count]


def with_count(count: int, word: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def sample_of(connection: Connection, ids: Sequence[int]) -> Sample:
    """The runs of a selection that count.

    Runs of equal content (metrics and configuration) are one, for which the lowest id of the selection stands; so are
    runs without a row whose configuration, experiment and seed are equal. What could not be read equals nothing.
    """
    c = runs.c
    wanted = (c.id, c.exp_name, c.seed, c.algo, c.env_id, c.env_classes, c.name)
    statement = select(*wanted, c.status, c.rows, c.fingerprint, c.copy_of).where(c.removed_at.is_(None))
    found: dict[int, RunFacts] = {}
    contents: dict[int, tuple[tuple[object, ...], int | None]] = {}
    overwritten: list[int] = []
    for batch in batches(sorted(set(ids))):
        for *facts, status, rows, fingerprint, copy_of in connection.execute(
            statement.where(c.id.in_(batch)).order_by(c.id)
        ):
            # Its rows stay in the database, but its directory was given to another training: it counts no more.
            if status == "superseded":
                overwritten.append(facts[0])
                continue
            found[facts[0]] = RunFacts(*facts)
            # Where no row tells one from the other, what it is called has to.
            content = (fingerprint,) if rows else (fingerprint, *facts[1:3])
            # Of a broken run nothing is known that could equal another one: its id stands for its content.
            contents[facts[0]] = ((facts[0],) if status == "broken" else content, copy_of)
    copies = _copies(contents)
    counted = {run_id: facts for run_id, facts in found.items() if run_id not in copies}
    counted = _with_named_seeds(connection, _with_stated_seeds(connection, counted))
    return Sample(counted, copies, tuple(overwritten))


def _with_stated_seeds(connection: Connection, found: Mapping[int, RunFacts]) -> dict[int, RunFacts]:
    """The runs with what their configurations state for a seed that is no whole number of 63 bits."""
    c = configs.c
    stated: dict[int, dict[str, str]] = {}
    for batch in batches([run_id for run_id, facts in found.items() if facts.seed is None]):
        wanted = c.run_id.in_(batch), c.internal.is_(False), c.type.not_in(("bool", "null")), c.key.ilike("%seed")
        for run_id, key, text in connection.execute(select(c.run_id, c.key, c.canonical).where(*wanted)):
            if text not in ("true", "false", "null"):
                stated.setdefault(run_id, {})[key] = text
    seeds = {run_id: texts[key] for run_id, texts in stated.items() if (key := seed_key(texts)) is not None}
    return {run_id: facts._replace(seed=seeds.get(run_id, facts.seed)) for run_id, facts in found.items()}


def _with_named_seeds(connection: Connection, found: Mapping[int, RunFacts]) -> dict[int, RunFacts]:
    """The runs with the seeds that are marked in their experiments' names."""
    c = runs.c
    # In the whole database, not in the selection: a run's setting must not depend on what is selected with it.
    marked = {f.exp_name for f in found.values() if f.exp_name is not None and _is_marked(f.exp_name, f.seed)}
    other: set[str] = set()
    for batch in batches(sorted(marked)):
        wanted = c.exp_name.in_(batch), c.seed.is_not(None), c.removed_at.is_(None)
        rows = connection.execute(select(c.exp_name, c.seed).where(*wanted).distinct())
        other.update(name for name, seed in rows if not _is_marked(name, seed))
    return {
        run_id: facts
        if facts.exp_name in other or isinstance(facts.seed, str)
        else facts._replace(named_seed=facts.seed)
        for run_id, facts in found.items()
    }


def _is_marked(name: str, seed: Seed | None) -> bool:
    return isinstance(seed, int) and stem(name, seed) != stem(name, None)


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
        # Equal content in directories that were never linked as copies: ingested from two machines, for instance.
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
