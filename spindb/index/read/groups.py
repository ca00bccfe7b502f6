"""Groups: runs that differ in nothing but their seed, decided once for comparisons, plots, doctor and Python.

The seed is the unit of replication: ``n`` counts distinct seeds of distinct content. By default a run's group is all
that its configuration says (by `spindb.canonical`), its algorithm, its environment and its experiment's name, without
what belongs to the run itself (`spindb.index.read.run_specific`); or just the fields that are asked for. The group of a
run is a function of that run alone: further runs change neither the groups of others nor their numbers, only which
fields are shown to tell groups apart. There is one exception, which no selection changes: a seed that is marked in the
name of an experiment is cut off as long as no run of that name in the database has another seed
(`spindb.index.read.sample`).

Unknown is not equal to unknown: runs of unknown environment are of one environment within one experiment at most.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from spindb.canonical import visible
from spindb.index.database.unknown import json_value
from spindb.index.read.continued import Extent, chains, extents_of
from spindb.index.read.distinguishing import ALGORITHM, EXPERIMENT, distinguishing_fields
from spindb.index.read.equal_rows import equal_rows
from spindb.index.read.repeated import Repeats, repeats_of
from spindb.index.read.sample import RunFacts, Sample, Seed, sample_of, with_count
from spindb.index.read.settings import ENVIRONMENT, Arena, Settings, arena_of, settings_of

_MAX_NAMES = 2


@dataclass(frozen=True, slots=True)
class Replicate:
    """One seed of a group: the runs that were made with it.

    Each of ``chains`` is one training: a run, with the runs that go on in it after it. Several trainings of one seed
    are no several seeds. ``kept`` says of runs that were resumed from before their end how many of their rows count.
    ``seed`` is a text where the configuration states no whole number. It is None where it is unknown; such a run is
    taken for a seed of its own.
    """

    seed: Seed | None
    chains: tuple[tuple[int, ...], ...]
    arena: Arena
    kept: Mapping[int, int]

    @property
    def runs(self) -> tuple[int, ...]:
        """Its runs, ascending."""
        return tuple(sorted(run_id for chain in self.chains for run_id in chain))


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one setting, and what tells it from the other settings of the selection.

    ``values`` maps fields that tell settings apart to this one's values as Python has them; a field that it lacks is
    not there, and None is a null; ``texts`` holds all that makes the setting, canonical. ``seeds`` go with ``runs``,
    ids in ascending order; ``copies`` are runs that others stand for, ``earlier`` those whose rows others begin with,
    and ``equal_rows`` sets of runs of different seeds with equal rows. ``key`` is a digest of what makes the group:
    equal in every database.
    """

    key: str
    values: Mapping[str, Any]
    label: str
    replicates: tuple[Replicate, ...]
    runs: tuple[int, ...]
    seeds: tuple[Seed | None, ...]
    algos: tuple[str | None, ...]
    exp_names: tuple[str, ...]
    arenas: tuple[Arena, ...]
    copies: tuple[int, ...]
    texts: Mapping[str, str]
    earlier: tuple[int, ...] = ()
    equal_rows: tuple[tuple[int, ...], ...] = ()

    @property
    def name(self) -> str:
        """What its experiments are called, as they were called."""
        if len(self.exp_names) <= _MAX_NAMES:
            return ", ".join(self.exp_names)
        return f"{self.exp_names[0]}, …, {self.exp_names[-1]}"

    @property
    def environment(self) -> str:
        """What it was trained on; several environments with commas between."""
        return ", ".join(arena.name for arena in self.arenas)

    @property
    def reruns(self) -> tuple[int, ...]:
        """Runs whose seed was trained several times: they are averaged before anything else."""
        return tuple(sorted(r for one in self.replicates if len(one.chains) > 1 for r in one.runs))

    @property
    def continued(self) -> tuple[tuple[int, ...], ...]:
        """Runs that go on in one another: each is one training."""
        return tuple(chain for one in self.replicates for chain in one.chains if len(chain) > 1)

    @property
    def assumed_different(self) -> tuple[int, ...]:
        """Runs whose seed is unknown: taken for different seeds, which nothing proves, where there are several."""
        unknown = [one for one in self.replicates if one.seed is None]
        return tuple(sorted(r for one in unknown for r in one.runs)) if len(self.replicates) > 1 else ()


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of a selection in the order of their first runs, and the fields that tell them apart.

    ``sample`` says what was left out.
    """

    groups: tuple[Group, ...]
    keys: tuple[str, ...]
    sample: Sample

    @property
    def overwritten(self) -> tuple[int, ...]:
        """Runs that were left out since another training took their directory."""
        return self.sample.overwritten

    @property
    def notes(self) -> list[str]:
        """What was left out, averaged or assumed, a sentence each."""
        reruns = sum(len(group.reruns) for group in self.groups)
        twice = sum(len(one.chains) > 1 for group in self.groups for one in group.replicates)
        continued = sum(len(chain) for group in self.groups for chain in group.continued)
        assumed = sum(len(group.assumed_different) for group in self.groups)
        equal = sum(len(same) for group in self.groups for same in group.equal_rows)
        seeds = f"{twice} seed{' was' if twice == 1 else 's were'}"
        found = [
            (reruns, f"{seeds} trained several times ({with_count(reruns, 'run')}): averaged, and counted once"),
            (continued, f"{with_count(continued, 'run')} go on in one another: a training that was resumed is one run"),
            (assumed, f"{with_count(assumed, 'run')} of unknown seed: assumed to be of different seeds"),
            (equal, f"{with_count(equal, 'run')} of different seeds have equal rows: counted as different seeds"),
        ]
        return [*self.sample.notes, *(words for count, words in found if count)]


def groups_of(connection: Connection, ids: Sequence[int], group_by: Sequence[str] = ()) -> Grouping:
    """The groups of these runs.

    Args:
        connection: to read from.
        ids: the runs; copies count once, overwritten and removed runs never.
        group_by: fields by which runs are grouped; empty for everything but the seed.

    Raises:
        FilterError: a field that is unknown.
    """
    sample = sample_of(connection, ids)
    settings = settings_of(connection, sample, group_by)
    # With group_by a group holds several settings, and reruns are runs of one seed and one *setting*: both are needed.
    whole = settings_of(connection, sample) if group_by else None
    members: dict[tuple[object, ...], list[int]] = {}
    for run_id in sample.runs:
        members.setdefault(settings.identity(run_id), []).append(run_id)
    copies: dict[int, list[int]] = {}
    for run_id, original in sample.copies.items():
        copies.setdefault(original, []).append(run_id)
    found = [_group(runs, settings, copies) for runs in members.values()]
    found, sample = _with_replicates(connection, found, sample, whole)
    keys = list(group_by) or _keys(found)
    return Grouping(tuple(labelled(found, keys)), tuple(keys), sample)


def labelled(groups: Sequence[Group], keys: Sequence[str]) -> list[Group]:
    """The groups with values and labels of these fields alone; each label once, as far as the fields tell."""
    place = {key: position for position, key in enumerate(keys)}
    names = short_names(keys)
    found = []
    for group in groups:
        own = sorted(group.texts.keys() & place.keys(), key=place.__getitem__)
        values = {key: _value(group, key) for key in own}
        found.append((group, values, " ".join(f"{names[key]}={shown_field(value)}" for key, value in values.items())))
    times = Counter(label for _, _, label in found)
    return [_labelled(group, values, label, names if times[label] > 1 else {}) for group, values, label in found]


def _labelled(group: Group, values: Mapping[str, Any], label: str, names: Mapping[str, str]) -> Group:
    # Two groups of one label differ in a field that one of them lacks: only then is the absence said.
    lacking = [f"{name}=-" for key, name in names.items() if key not in values]
    whole = " ".join(filter(None, [label, *lacking])) or (group.name if len(group.exp_names) == 1 else "all runs")
    return replace(group, values=values, label=whole)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each hyperparameter's last part where no other of these ends so, else all of it."""
    ends = Counter(key.rpartition(".")[2] for key in keys)
    return {key: key.rpartition(".")[2] if ends[key.rpartition(".")[2]] == 1 else key for key in keys}


def shown_field(value: object) -> str:
    """A hyperparameter as it can be typed into a filter: numbers with all their digits."""
    if isinstance(value, float):
        near = f"{value:.5g}"
        return near if float(near) == value else repr(value)
    return visible(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def seed_order(seed: Seed | None) -> tuple[bool, bool, int, str]:
    """To sort seeds by: numbers, then texts, then what is unknown."""
    is_text = isinstance(seed, str)
    return seed is None, is_text, seed if isinstance(seed, int) else 0, seed if isinstance(seed, str) else ""


def field_value(group: Group, key: str) -> str:
    """A field of a setting as a table has it: ``-`` where the setting lacks it, ``null`` where it is null."""
    return shown_field(_value(group, key)) if key in group.texts else "-"


def _value(group: Group, key: str) -> object:
    return group.name if key == EXPERIMENT and "*" in group.texts[key] else json_value(group.texts[key])


def _keys(groups: Sequence[Group]) -> list[str]:
    """The fields that tell settings of one environment apart, and the environment where there are several.

    What merely goes with the environment (its algorithm, its number of epochs) need not be said of each setting.
    """
    arenas: dict[tuple[Arena, ...], list[Mapping[str, str]]] = {}
    for group in groups:
        arenas.setdefault(group.arenas, []).append(group.texts)
    # Per environment: an algorithm that is used in one environment only would tell nothing apart there.
    within = {key for settings in arenas.values() for key in distinguishing_fields(settings)}
    if sum(arena[0].env is None for arena in arenas) > 1:
        within.add(EXPERIMENT)
    own = [ENVIRONMENT] if len(arenas) > 1 else []
    return [*own, *sorted(within - {ENVIRONMENT}, key=lambda key: (key != ALGORITHM, key == EXPERIMENT, key))]


def _group(runs: Sequence[int], settings: Settings, copies: Mapping[int, Sequence[int]]) -> Group:
    facts = [settings.sample.runs[run_id] for run_id in runs]
    texts = settings.texts(runs[0])
    identity = repr((settings.apart[runs[0]], sorted(texts.items())))
    return Group(
        # Stable between databases and processes: what is equal in all else is ordered by it.
        key=blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        values={},
        label="",
        replicates=(),
        runs=tuple(runs),
        seeds=tuple(f.seed for f in facts),
        algos=tuple(sorted({f.algo for f in facts}, key=str)),
        exp_names=tuple(sorted({f.exp_name or "?" for f in facts})),
        arenas=tuple(sorted({arena_of(f) for f in facts}, key=lambda arena: [part or "" for part in arena])),
        copies=tuple(sorted(c for run_id in runs for c in copies.get(run_id, ()))),
        texts=texts,
    )


def _with_replicates(
    connection: Connection, groups: Sequence[Group], sample: Sample, whole: Settings | None
) -> tuple[list[Group], Sample]:
    """The groups with their runs by seed; what runs cover is read only where a seed has several."""
    seeds = [_by_seed(group, whole) for group in groups]
    several = [(seed, members) for found in seeds for seed, members in found if len(members) > 1]
    extents = extents_of(connection, [run_id for _, members in several for run_id in members])
    known = [members for seed, members in several if seed is not None]
    repeats = repeats_of(connection, known, [members for seed, members in several if seed is None], extents)
    found = []
    for group, members in zip(groups, seeds, strict=True):
        replicates = [one for seed, ids in members for one in _replicates(seed, ids, extents, sample.runs, repeats)]
        replicates.sort(key=lambda one: (*seed_order(one.seed), one.runs))
        found.append(replace(_without(group, repeats), replicates=tuple(replicates)))
    equal = equal_rows(connection, [list(zip(group.runs, group.seeds, strict=True)) for group in found])
    found = [replace(group, equal_rows=same) if same else group for group, same in zip(found, equal, strict=True)]
    return found, sample._replace(repeated=repeats.copies, earlier=repeats.earlier)


def _without(group: Group, repeats: Repeats) -> Group:
    """The group without the runs that others count for."""
    copies = {run_id for run_id in group.runs if run_id in repeats.copies}
    earlier = {run_id for run_id in group.runs if run_id in repeats.earlier}
    if not copies and not earlier:
        return group
    kept = [(r, seed) for r, seed in zip(group.runs, group.seeds, strict=True) if r not in copies | earlier]
    return replace(
        group,
        runs=tuple(run_id for run_id, _ in kept),
        seeds=tuple(seed for _, seed in kept),
        copies=tuple(sorted({*group.copies, *copies})),
        earlier=tuple(sorted(earlier)),
    )


def _by_seed(group: Group, whole: Settings | None) -> list[tuple[Seed | None, list[int]]]:
    """Runs of one seed and one whole setting: one seed of several settings, which fields may pool, is several."""
    found: dict[tuple[Seed | None, tuple[object, ...]], list[int]] = {}
    for run_id, seed in zip(group.runs, group.seeds, strict=True):
        found.setdefault((seed, whole.identity(run_id) if whole else ()), []).append(run_id)
    return [(seed, members) for (seed, _), members in found.items()]


def _replicates(
    seed: Seed | None,
    members: Sequence[int],
    extents: Mapping[int, Extent],
    facts: Mapping[int, RunFacts],
    repeats: Repeats,
) -> list[Replicate]:
    """The trainings of one seed; where it is unknown each is taken for a seed of its own."""
    arena = arena_of(facts[members[0]])
    counted = [run_id for run_id in members if run_id not in repeats.copies and run_id not in repeats.earlier]
    known = seed is not None
    linked = [tuple(counted)]
    if len(counted) > 1:
        linked = chains(counted, extents, seed_known=known, resumed=repeats.resumed)
    pairs = [pair for chain in linked for pair in pairwise(chain)]
    kept = {pair[0]: repeats.resumed[pair] for pair in pairs if pair in repeats.resumed}
    if seed is None:
        return [Replicate(None, (chain,), arena, kept) for chain in linked]
    return [Replicate(seed, tuple(linked), arena, kept)]
