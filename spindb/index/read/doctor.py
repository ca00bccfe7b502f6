"""Looks for what is wrong with runs: findings with the ids of the runs that they are about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, not_, or_, select

from spindb.index.database.batches import batches
from spindb.index.database.models import configs, metrics, problems, runs, snapshots
from spindb.index.read.finding_codes import CODES
from spindb.index.read.groups import Group, Grouping, groups_of, seed_order
from spindb.index.read.sample import Seed, sample_of
from spindb.machine import now

_TRUNCATED = ("ragged-row", "nul-bytes", "no-final-newline", "more-odd-rows", "glued-row")
_RESTARTED = ("epoch-goes-back", "epoch-repeats")
_SILENCE_OF_A_DAY = timedelta(days=1)
_LEAST_SILENCE = timedelta(minutes=10)
_ROWS_OF_SILENCE = 10
_AT_ONCE = timedelta(minutes=1)
_RECENT = ("running", "stalled")
_MAX_NAMED = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with these runs; ``ids`` ascend."""

    code: str
    message: str
    ids: tuple[int, ...]


def examine(connection: Connection, ids: Sequence[int]) -> list[Finding]:
    """All findings about these runs, in the order of `CODES`."""
    found: list[Finding] = []
    grouping = groups_of(connection, _where(connection, ids, and_(runs.c.copy_of.is_(None), runs.c.status == "ok")))
    found += _unfinished(connection, ids, _followed(connection, grouping))
    found += _by_status(connection, ids)
    found += _with_problems(connection, ids)
    found += _not_finite(connection, ids)
    found += _copies(connection, ids)
    found += _settings(grouping)
    found += _policies(connection, ids)
    order = list(CODES)
    return sorted(found, key=lambda finding: (order.index(finding.code), finding.ids))


def _followed(connection: Connection, grouping: Grouping) -> dict[int, int | None]:
    """The runs of trainings that were resumed: the last of each with the rows of all of them, None for the others."""
    trainings = [
        (chain, one.kept)
        for group in grouping.groups
        for one in group.replicates
        for chain in one.chains
        if len(chain) > 1
    ]
    rows: dict[int, int] = {}
    for batch in batches([run_id for chain, _ in trainings for run_id in chain]):
        counted = connection.execute(select(runs.c.id, runs.c.rows).where(runs.c.id.in_(batch)))
        rows.update({row.id: row.rows for row in counted})
    found: dict[int, int | None] = {}
    for chain, kept in trainings:
        found.update(dict.fromkeys(chain[:-1]))
        found[chain[-1]] = sum(kept.get(run_id, rows[run_id]) for run_id in chain)
    return found


def _unfinished(connection: Connection, ids: Sequence[int], followed: Mapping[int, int | None]) -> list[Finding]:
    """Runs with fewer rows than their config's `epochs`, by how long nothing was written.

    A training that was resumed in a directory of its own has the rows of all its runs, and its last one speaks for it.
    """
    # Early off-policy runs have one row less than epochs.
    epochs, clock = configs.alias("epochs"), metrics.alias("clock")
    found: dict[str, list[int]] = {}
    for batch in batches(ids):
        statement = (
            select(runs.c.id, runs.c.rows, runs.c.updated_at, clock.c.last, epochs.c.number)
            .join(epochs, and_(epochs.c.run_id == runs.c.id, epochs.c.key == "epochs"))
            .outerjoin(clock, and_(clock.c.run_id == runs.c.id, clock.c.name == "Time"))
            .where(runs.c.id.in_(batch), runs.c.status == "ok", runs.c.rows < epochs.c.number - 1)
            .where(not_(exists().where(metrics.c.run_id == runs.c.id, metrics.c.steps.is_not(None))))  # no epochs
        )
        for run_id, own, updated, seconds, wanted in connection.execute(statement):
            rows = followed.get(run_id, own)
            if rows is None or rows >= wanted - 1:
                continue
            code = _liveness(own, updated, seconds)
            # After a clone all files are new, and a run that ended years ago would be taken for a running one.
            if code in _RECENT and updated is not None and _copied_together(connection, run_id, updated):
                code = "unfinished"
            found.setdefault(code, []).append(run_id)
    return [Finding(code, f"{_runs(members)} with {CODES[code]}", tuple(members)) for code, members in found.items()]


def _liveness(rows: int, updated: datetime | None, seconds: float | None) -> str:
    """``running``, ``stalled`` or ``crashed``: silence against the time that a row takes."""
    if updated is None:
        return "unfinished"
    silence = now() - updated
    # `Time` counts seconds since the start. A row takes a day at most: an absurd cell must not revive a dead run.
    row = timedelta(seconds=min(seconds / rows, 86400)) if seconds and rows and seconds > 0 else timedelta()
    if silence < max(_LEAST_SILENCE, _ROWS_OF_SILENCE * row):
        return "running"
    return "stalled" if silence < _SILENCE_OF_A_DAY else "crashed"


def _copied_together(connection: Connection, run_id: int, updated: datetime) -> bool:
    """Whether the files of this run and of another of its root were all written within a minute.

    So they are after a clone or an unpacked archive; training that goes on writes its config long before its rows.
    """
    own, other = runs.alias("own"), runs.alias("other")

    def at_once(run: Any) -> ColumnElement[bool]:
        moments = (run.c.started_at, run.c.updated_at)
        near = [moment.between(updated - _AT_ONCE, updated + _AT_ONCE) for moment in moments]
        return and_(run.c.started_source == "file time", *near)

    statement = (
        select(other.c.id)
        .join(own, and_(own.c.root_id == other.c.root_id, own.c.id != other.c.id))
        .where(own.c.id == run_id, at_once(own), at_once(other), other.c.copy_of.is_(None))
    )
    return connection.execute(statement.limit(1)).first() is not None


def _by_status(connection: Connection, ids: Sequence[int]) -> list[Finding]:
    found = []
    for status in ("empty", "broken", "missing"):
        members = _where(connection, ids, runs.c.status == status)
        if members:
            found.append(Finding(status, f"{_runs(members)} with {CODES[status]}", members))
    return found


def _with_problems(connection: Connection, ids: Sequence[int]) -> list[Finding]:
    found = []
    for finding, codes in (("truncated", _TRUNCATED), ("restarted", _RESTARTED)):
        has_one = exists().where(problems.c.run_id == runs.c.id, problems.c.code.in_(codes))
        if members := _where(connection, ids, has_one):
            found.append(Finding(finding, f"{_runs(members)} with {CODES[finding]}", members))
    return found


def _not_finite(connection: Connection, ids: Sequence[int]) -> list[Finding]:
    """Metrics that end in no finite number."""
    last = metrics.c.last
    infinite = or_(last == math.inf, last == -math.inf)
    return [
        *_ending(connection, ids, "nan", "NaN", metrics.c.last_text == "NaN"),
        *_ending(connection, ids, "inf", "an infinity", infinite),
    ]


def _ending(
    connection: Connection, ids: Sequence[int], code: str, what: str, condition: ColumnElement[bool]
) -> list[Finding]:
    members: dict[str, list[int]] = {}
    for batch in batches(ids):
        statement = select(metrics.c.name, metrics.c.run_id).where(metrics.c.run_id.in_(batch), condition)
        for name, run_id in connection.execute(statement.order_by(metrics.c.position, metrics.c.name)):
            members.setdefault(name, []).append(run_id)
    if not members:
        return []
    every = tuple(sorted({run_id for found in members.values() for run_id in found}))
    shown = [*list(members)[:_MAX_NAMED], *(["…"] if len(members) > _MAX_NAMED else [])]
    return [Finding(code, f"{_runs(every)} whose last row holds {what}: {', '.join(shown)}", every)]


def _copies(connection: Connection, ids: Sequence[int]) -> list[Finding]:
    found = set(sample_of(connection, ids).copies)
    found.update(_where(connection, ids, runs.c.copy_of.is_not(None)))
    for batch in batches(ids):  # copies stay behind their originals
        statement = select(runs.c.id).where(runs.c.copy_of.in_(batch), runs.c.removed_at.is_(None))
        found.update(connection.execute(statement).scalars())
    members = tuple(sorted(found))
    return [Finding("copy", f"{_runs(members)} with {CODES['copy']}", members)] if members else []


def _settings(grouping: Grouping) -> list[Finding]:
    """What only shows beside others: a seed that was trained several times, seeds that a setting lacks."""
    groups = grouping.groups
    found = []
    for kind, members in (("copy", grouping.sample.repeated), ("earlier", grouping.sample.earlier)):
        if members:
            found.append(Finding(kind, f"{_runs(tuple(members))} with {CODES[kind]}", tuple(sorted(members))))
    for group in groups:
        twice = group.reruns
        if twice:
            found.append(Finding("twice", f"{_runs(twice)} of {group.name} with {CODES['twice']}", twice))
        for same in group.equal_rows:
            found.append(Finding("equal-rows", f"{_runs(same)} of {group.name} with {CODES['equal-rows']}", same))
    return found + _lacking_seeds(groups)


def _lacking_seeds(groups: Sequence[Group]) -> list[Finding]:
    """Settings without a seed that most settings of their algorithm and environment have."""
    alike: dict[tuple[str | None, str], list[Group]] = {}
    for group in groups:
        alike.setdefault((group.algos[0], group.environment), []).append(group)
    found = []
    for (algo, env), members in alike.items():
        had = Counter(seed for group in members for seed in set(group.seeds) if seed is not None)
        # Half of the settings, and two at least: with fewer, the seed may be the exception and not the rule.
        usual = {seed for seed, count in had.items() if count > 1 and count * 2 >= len(members)}
        lacking: dict[tuple[Seed, ...], list[Group]] = {}
        for group in members:
            missing = tuple(sorted(usual - set(group.seeds), key=seed_order))
            if missing and None not in group.seeds:  # an unknown seed may be the one that lacks
                lacking.setdefault(missing, []).append(group)
        for missing, without in lacking.items():
            names = sorted(dict.fromkeys(group.name for group in without))
            shown = ", ".join([*names[:_MAX_NAMED], *(["…"] if len(names) > _MAX_NAMED else [])])
            seeds = f"seed{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
            what = f"{algo or 'unknown algorithm'} in {env} without {seeds}: {shown}"
            found.append(Finding("seeds", what, tuple(sorted(r for group in without for r in group.runs))))
    return found


def _policies(connection: Connection, ids: Sequence[int]) -> list[Finding]:
    of_run = snapshots.c.run_id == runs.c.id
    unfit = exists().where(of_run, or_(snapshots.c.unloadable.is_not(None), snapshots.c.stale.is_not(None)))
    without = and_(runs.c.rows > 0, not_(exists().where(of_run)))
    found = []
    for code, condition in (("unloadable", unfit), ("policyless", without)):
        members = _where(connection, ids, condition)
        if members:
            found.append(Finding(code, f"{_runs(members)} with {CODES[code]}", members))
    return found


def _where(connection: Connection, ids: Sequence[int], condition: ColumnElement[bool]) -> tuple[int, ...]:
    found: list[int] = []
    for batch in batches(ids):
        found += connection.execute(select(runs.c.id).where(runs.c.id.in_(batch), condition)).scalars()
    return tuple(sorted(found))


def _runs(members: Sequence[int]) -> str:
    return f"{len(members)} run{'' if len(members) == 1 else 's'}"
