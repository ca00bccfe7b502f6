"""What makes the setting of each run: its configuration without what belongs to the run itself, or some fields."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, exists, select

from spindb.canonical import canonical
from spindb.index.database.batches import batches
from spindb.index.database.models import configs
from spindb.index.database.models import runs as runs_table
from spindb.index.query.fields import Names
from spindb.index.query.question import about_ids
from spindb.index.query.search import fields_of, run_ids
from spindb.index.read.distinguishing import ALGORITHM, EXPERIMENT
from spindb.index.read.run_specific import depends_on_run, setting_text, stem
from spindb.index.read.sample import RunFacts, Sample

ENVIRONMENT = "env"
_SAID_BY_COLUMNS = {
    EXPERIMENT: EXPERIMENT,
    **dict.fromkeys((ENVIRONMENT, "env_name", "env_id"), ENVIRONMENT),
    **dict.fromkeys((ALGORITHM, "algorithm", "alg"), ALGORITHM),
}


class Arena(NamedTuple):
    """Where runs can be ranked against each other: an environment; where it is unknown, one of one experiment."""

    env: str | None
    experiment: str | None = None
    classes: str | None = None

    @property
    def name(self) -> str:
        """The environment's id, or that it is unknown and of which experiment."""
        if self.env is not None:
            return self.env
        return f"environment unknown ({self.experiment or 'no experiment'})"


class Settings:
    """The setting of each run of a sample: numbers that stand for pairs of a field and its canonical text.

    ``apart`` keeps runs apart of which something is unknown that groups are made by.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.codes: dict[int, list[int]] = {run_id: [] for run_id in sample.runs}
        self.apart = {run_id: _experiment(facts) if facts.env is None else () for run_id, facts in sample.runs.items()}
        self._pairs: list[tuple[str, str]] = []
        self._known: dict[tuple[str, str], int] = {}

    def code(self, name: str, text: str) -> int:
        """The number of a pair."""
        found = self._known.setdefault((name, text), len(self._pairs))
        if found == len(self._pairs):
            self._pairs.append((name, text))
        return found

    def identity(self, run_id: int) -> tuple[object, ...]:
        """What is equal where the settings of two runs are one."""
        return (self.apart[run_id], *sorted(self.codes[run_id]))

    def texts(self, run_id: int) -> dict[str, str]:
        """The setting of a run: field -> canonical text."""
        return dict(self._pairs[code] for code in self.codes[run_id])


def settings_of(connection: Connection, sample: Sample, group_by: Sequence[str] = ()) -> Settings:
    """The settings of these runs: by `group_by`, or by everything.

    Raises:
        FilterError: a field that is unknown.
    """
    found = Settings(sample)
    if group_by:
        _asked(connection, found, group_by)
    else:
        _everything(connection, found)
    return found


def arena_of(facts: RunFacts) -> Arena:
    """Where a run can be ranked."""
    if facts.env is not None:
        return Arena(facts.env)
    return Arena(None, stem(facts.exp_name, facts.named_seed) if facts.exp_name else None, facts.env_classes)


def _experiment(facts: RunFacts) -> tuple[str, ...]:
    """What runs have in common that are called alike."""
    arena = arena_of(facts)
    return (stem(facts.exp_name, facts.named_seed) if facts.exp_name else f"run {facts.id}", arena.classes or "")


def _everything(connection: Connection, settings: Settings) -> None:
    """All that makes the setting of each run."""
    runs = settings.sample.runs
    for run_id, facts in runs.items():
        name = None if facts.exp_name is None else stem(facts.exp_name, facts.named_seed)
        for field, value in ((ALGORITHM, facts.algo), (ENVIRONMENT, facts.env), (EXPERIMENT, name)):
            if value is not None:
                settings.codes[run_id].append(settings.code(field, json.dumps(value, ensure_ascii=False)))
    c = configs.c
    names = frozenset(canonical(name) for facts in runs.values() for name in facts.names)
    known: dict[tuple[str, str], int | None] = {}
    unseen = -1
    for batch in batches(list(runs)):
        statement = select(c.run_id, c.key, c.canonical).where(c.run_id.in_(batch), c.internal.is_(False))
        for run_id, key, text in connection.execute(statement):
            # Most pairs of key and value occur in many runs: what they mean is found once, unless it depends on the
            # run.
            code = known.get((key, text), unseen)
            if code == unseen:
                if key in _SAID_BY_COLUMNS or depends_on_run(text, names):
                    code = _code(settings, key, _not_said(key, text, runs[run_id]))
                else:
                    code = known[key, text] = _code(settings, key, setting_text(key, text, None))
            if code is not None:
                settings.codes[run_id].append(code)


def _code(settings: Settings, key: str, text: str | None) -> int | None:
    return None if text is None else settings.code(key, text)


def _not_said(key: str, text: str, facts: RunFacts) -> str | None:
    """What of a value belongs to the setting and is not said by a column of runs."""
    column = _SAID_BY_COLUMNS.get(key)
    if column is not None:
        said = {ALGORITHM: facts.algo, ENVIRONMENT: facts.env, EXPERIMENT: facts.exp_name}[column]
        # A key such as env_name that says something else than the column stays: it may be what the runs differ in.
        if said is not None and (key == column or text.strip('"').lower() == said.lower()):
            return None
    return setting_text(key, text, facts.named_seed, facts.names)


def _asked(connection: Connection, settings: Settings, group_by: Sequence[str]) -> None:
    """The fields that are asked for; a field that a run lacks is not there."""
    runs = settings.sample.runs
    rows = fields_of(connection, list(runs), group_by)
    nulls = {
        name: _null(connection, [run_id for run_id, row in rows.items() if row[position] is None], name)
        for position, name in enumerate(group_by)
    }
    unconfigured = _unconfigured(connection, list(runs))
    for run_id, row in rows.items():
        for name, value in zip(group_by, row, strict=True):
            if value is not None or run_id in nulls[name]:
                settings.codes[run_id].append(settings.code(name, canonical(_plain(value))))
            elif name == ALGORITHM or run_id in unconfigured:  # unknown, which is not equal to unknown
                settings.apart[run_id] = _experiment(runs[run_id])


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float, list, tuple, dict, type(None))) else str(value)


def _null(connection: Connection, ids: Sequence[int], name: str) -> set[int]:
    """The runs of which a field is null, not absent."""
    found: set[int] = set()
    names = Names(connection)
    for batch in batches(ids):
        found.update(run_ids(connection, about_ids(names, batch, having=name)))
    return found


def _unconfigured(connection: Connection, ids: Sequence[int]) -> set[int]:
    """The runs of which no hyperparameters are known."""
    found: set[int] = set()
    for batch in batches(ids):
        has = exists().where(configs.c.run_id == runs_table.c.id)
        found.update(connection.execute(select(runs_table.c.id).where(runs_table.c.id.in_(batch), ~has)).scalars())
    return found
