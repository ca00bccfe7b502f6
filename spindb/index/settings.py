"""Settings: runs that differ in nothing but their seed.

The seed is the unit of replication, a setting is what is compared. By default a run's setting is everything that its
config says, its algorithm and its environment, but for the seed and what follows from it; or just the fields that are
asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from spindb.index.database.unknown import json_value
from spindb.index.models import configs, runs
from spindb.index.portions import batches
from spindb.index.search import fields_of

_SEED_KEYS = ("seed", "random_seed")
_OWN = ("algo", "env", "exp_name")
_ENV_KEYS = ("env_name", "env_id")  # `env` says it
_SEED_IN_NAME = r"[_-]?(?:seed|s)?[_-]?{seed}\Z"


@dataclass(frozen=True, slots=True)
class Setting:
    """Runs that share a setting, and what tells it from the other settings of the selection.

    ``values`` maps the fields that differ between settings to this one's values as Python has them; ``None`` where a
    run has no such field. ``runs`` holds ids, ascending; ``seeds``, ``envs`` and ``algos`` go with them.
    """

    values: Mapping[str, Any]
    runs: tuple[int, ...]
    seeds: tuple[int | None, ...]
    envs: tuple[str | None, ...]
    algos: tuple[str | None, ...]
    exp_names: tuple[str, ...]

    @property
    def label(self) -> str:
        """The setting in a few words: what differs, else its experiment's name, else "all"."""
        if not self.values:
            return self.exp_names[0] if len(self.exp_names) == 1 else "all runs"
        return " ".join(f"{short(key, self.values)}={_shown(value)}" for key, value in self.values.items())

    @property
    def name(self) -> str:
        """What its experiments are called."""
        return ", ".join(self.exp_names)

    @property
    def environment(self) -> str:
        """What it was trained on; several environments with commas between."""
        return ", ".join(sorted({env or "?" for env in self.envs}))


def telling_keys(settings: Sequence[Setting]) -> list[str]:
    """The fields that tell settings of one environment apart, and ``env`` where there are several environments.

    What merely goes with the environment (its algorithm, its number of epochs) need not be said of each setting.
    """
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(setting.environment, []).append(setting)
    keys = list(settings[0].values) if settings else []
    return [
        key
        for key in keys
        if (key == "env" and len(groups) > 1)
        or any(len({repr(setting.values[key]) for setting in group}) > 1 for group in groups.values())
    ]


def short(key: str, others: Mapping[str, Any]) -> str:
    """A hyperparameter's last part where no other of these ends so."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in others) == 1 else key


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def settings_of(connection: Connection, ids: Sequence[int], group_by: Sequence[str] = ()) -> list[Setting]:
    """The settings of these runs, in the order of their first runs.

    Args:
        connection: to read from.
        ids: the runs.
        group_by: fields by which runs are grouped; empty for everything but the seed.

    Raises:
        FilterError: a field that is unknown.
    """
    if not ids:
        return []
    facts = _facts(connection, ids)
    if group_by:
        found = fields_of(connection, ids, group_by)
        values = {run_id: dict(zip(group_by, row, strict=True)) for run_id, row in found.items()}
        keys = list(group_by)
    else:
        values = _everything_but_seed(connection, facts)
        keys = _telling(values)
    groups: dict[str, list[int]] = {}
    for run_id in sorted(ids):
        identity = json.dumps([(key, _comparable(value)) for key, value in sorted(values[run_id].items())])
        groups.setdefault(identity, []).append(run_id)
    return [
        Setting(
            values={key: values[members[0]].get(key) for key in keys},
            runs=tuple(members),
            seeds=tuple(facts[m].seed for m in members),
            envs=tuple(facts[m].env for m in members),
            algos=tuple(facts[m].algo for m in members),
            exp_names=tuple(sorted({facts[m].exp_name or "?" for m in members})),
        )
        for members in groups.values()
    ]


@dataclass(frozen=True, slots=True)
class _Facts:
    exp_name: str | None
    seed: int | None
    algo: str | None
    env: str | None


def _facts(connection: Connection, ids: Sequence[int]) -> dict[int, _Facts]:
    c = runs.c
    found: dict[int, _Facts] = {}
    for batch in batches(ids):
        statement = select(c.id, c.exp_name, c.seed, c.algo, c.env_id).where(c.id.in_(batch))
        found |= {row[0]: _Facts(*row[1:]) for row in connection.execute(statement)}
    return found


def _everything_but_seed(connection: Connection, facts: Mapping[int, _Facts]) -> dict[int, dict[str, Any]]:
    c = configs.c
    values: dict[int, dict[str, Any]] = {
        run_id: {"algo": f.algo, "env": f.env, "exp_name": _without_seed(f.exp_name, f.seed)}
        for run_id, f in facts.items()
    }
    parsed: dict[str, Any] = {}
    for batch in batches(list(facts)):
        statement = select(c.run_id, c.key, c.value).where(c.run_id.in_(batch), c.internal.is_(False))
        for run_id, key, value in connection.execute(statement):
            if key not in values[run_id] and key not in _SEED_KEYS and key not in _ENV_KEYS:
                if value not in parsed:
                    parsed[value] = json_value(value)
                values[run_id][key] = parsed[value]
    for key in _own_paths(values):
        for known in values.values():
            known.pop(key, None)
    return values


def _without_seed(name: str | None, seed: int | None) -> str | None:
    """The experiment's name without a seed at its end."""
    if name is None or seed is None:
        return name
    return re.sub(_SEED_IN_NAME.format(seed=re.escape(str(seed))), "", name) or name


def _own_paths(values: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Keys whose text is a path, another one in every run, such as an output directory: they belong to the run."""
    texts: dict[str, list[Any]] = {}
    for known in values.values():
        for key, value in known.items():
            texts.setdefault(key, []).append(value)
    return [
        key
        for key, found in texts.items()
        if key not in _OWN and all(isinstance(text, str) and "/" in text for text in found)
        if len(set(found)) == len(found) > 1
    ]


def _telling(values: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """The keys that tell settings apart: all that take several values, since any of them may be the cause.

    A key that some runs merely lack (an algorithm's own), the experiment's name, and what Python says of objects, only
    where they tell more than those before them.
    """
    known = list(values.values())
    keys = sorted({key for each in known for key in each}, key=lambda key: (key not in _OWN, key))
    texts = {key: {_text(each, key) for each in known} - {""} for key in keys}
    opaque = {key for key in keys if any(text.startswith('"<') for text in texts[key])}
    telling = [key for key in keys if key != "exp_name" and key not in opaque and len(texts[key]) > 1]
    for key in sorted(set(keys) - set(telling), key=lambda k: (k in opaque, k == "exp_name", _lacking(k, values), k)):
        if len({_texts(each, (*telling, key)) for each in known}) > len({_texts(each, telling) for each in known}):
            telling.append(key)
    return telling


def _texts(known: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(_text(known, key) for key in keys)


def _lacking(key: str, values: Mapping[int, Mapping[str, Any]]) -> int:
    return sum(key not in known for known in values.values())


def _text(known: Mapping[str, Any], key: str) -> str:
    return json.dumps(_comparable(known[key])) if key in known else ""


def _comparable(value: Any) -> Any:
    """1 and 1.0 are one value."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value
