"""The layout of OpenAI Spinning Up's logger, and of the many that grew from it.

``progress.txt`` makes the run; ``config.json``, ``vars*.pkl`` and the save directories may be there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import TypeGuard, cast

from spindb.canonical import equal_value
from spindb.disk import configs, tables
from spindb.disk.environments import classes_begun, environment_in_name, environment_in_state
from spindb.disk.formats.snapshots import RunTimes, find_snapshots, is_save, is_state, odd_modules, utc
from spindb.disk.pickles import PickleError
from spindb.records import Content, EnvironmentHint, MetricSeries, Problem, RunRecord, SnapshotRecord, Status, latest

_PROGRESS = "progress.txt"
_CONFIG = "config.json"
_OTHER_CONFIGS = ("full-config.json", "config.yml", "config.yaml")
_TEXT_FILES = frozenset({_PROGRESS, _CONFIG, *_OTHER_CONFIGS})
_SEED_IN_NAME = re.compile(r"(.+)_s(\d{1,18})\Z")
_MAX_SEED = 2**63
_STAMP_IN_NAME = re.compile(r"(\d{4}-\d\d-\d\d)_(?:(\d\d-\d\d-\d\d)[-_])?")
_PROBLEM_FILE = re.compile(r"vars\d*\.pkl\.problem\Z")
_PERFORMANCE = ("AverageTestEpRet", "AverageEpRet")
_STEPS = ("totalenvinteracts", "totalsteps", "total_steps", "total_timesteps", "timesteps", "envsteps", "steps")


class SpinningUp:
    """See `spindb.disk.formats.Format`."""

    name = "spinningup"

    def recognise(self, names: Collection[str]) -> bool:
        return _PROGRESS in names

    def matters(self, name: str) -> bool:
        return name in _TEXT_FILES or is_save(name) or is_state(name) or bool(_PROBLEM_FILE.match(name))

    def is_save(self, name: str) -> bool:
        return is_save(name)

    def read(self, directory: Path, path: str, previous_size: int | None = None) -> RunRecord:
        reader = _Reader(directory)
        table = tables.read_table(reader.bytes(_PROGRESS), _PROGRESS)
        config = reader.config()
        axis = _axis(table.columns)
        times = RunTimes(reader.mtime(_CONFIG), reader.mtime(_PROGRESS), _last_epoch(axis, table.rows))
        snapshots = find_snapshots(directory, reader.names, times)
        algo, algo_source = configs.algorithm(config.values)
        stem, seed = _name_and_seed(directory.name)
        stamp = _stamp(directory.name)
        exp_name = config.values.get("exp_name")
        begun = times.config if times.config is not None else times.progress
        config_seed = _seed(config.values.get("seed"))
        if _is_whole(config_seed) and seed is not None and config_seed != seed:
            reader.report(
                "seed-differs", f"the name says seed {seed}, the config {config_seed}: the config counts", _CONFIG
            )
        for name in odd_modules(directory, reader.names):
            reader.report("snapshot-odd-name", "a saved module whose name tells no itr: not among the snapshots", name)
        env = reader.environment(config.values, snapshots)
        if env.id is None and (named := environment_in_name(f"{directory.name} {exp_name}")):
            env = replace(env, id=named, source="name")
        return RunRecord(
            path=path,
            name=directory.name,
            format=self.name,
            status=_status(reader, table.rows),
            exp_name=exp_name if isinstance(exp_name, str) else stem,
            seed=config_seed if _is_whole(config_seed) else seed,
            algo=algo,
            algo_source=algo_source,
            env=env,
            rows=table.rows,
            axis=axis.name if axis else None,
            steps=next((c.name for c in table.columns if c.name.lower() in _STEPS), None),
            performance=next((n for n in _PERFORMANCE if any(c.name == n for c in table.columns)), None),
            started_at=stamp or (utc(begun) if begun is not None else None),
            started_source="name" if stamp else "file time" if begun is not None else None,
            updated_at=utc(times.progress) if times.progress is not None else None,
            content=reader.content(previous_size),
            config=config.leaves(),
            metrics=table.columns,
            snapshots=snapshots,
            problems=(*reader.problems, *table.problems, *config.problems, *_snapshot_problems(snapshots)),
        )


class _Reader:
    """The files of one run directory, each read once; what can't be read becomes a problem."""

    def __init__(self, directory: Path) -> None:
        self._base = os.fspath(directory)
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()
        self._contents: dict[str, bytes] = {}
        self.names = sorted(os.listdir(directory))
        for name in self.names:
            if _PROBLEM_FILE.match(name):
                reason = self.bytes(name).decode("utf-8", "replace").strip()
                self.report("state-not-saved", f"the environment was not saved: {reason}", name)

    def report(self, code: str, message: str, path: str) -> None:
        self.problems.append(Problem(code, message, path))

    def bytes(self, name: str) -> bytes:
        """Content of a file, empty where it is absent or can't be read."""
        if name not in self._contents:
            try:
                with open(f"{self._base}/{name}", "rb") as file:
                    self._contents[name] = file.read()
            except OSError as error:
                self._contents[name] = b""
                if name in self.names:
                    self.unreadable.add(name)
                    self.report("unreadable-file", f"can't be read: {error.strerror}", name)
        return self._contents[name]

    def mtime(self, name: str) -> float | None:
        try:
            return os.stat(f"{self._base}/{name}").st_mtime
        except OSError:
            return None

    def config(self) -> configs.ConfigText:
        """``config.json``, and what only the files that some projects write beside or instead know."""
        files = [name for name in (_CONFIG, *_OTHER_CONFIGS) if name in self.names]
        config = configs.ConfigText(self.bytes(files[0]) if files else b"{}", files[0] if files else _CONFIG)
        for name in files[1:]:
            config.add(configs.ConfigText(self.bytes(name), name))
        if not files:
            config.problems.append(Problem("config-missing", "no config.json: no hyperparameters are known", _CONFIG))
        return config

    def environment(self, values: dict[str, object], snapshots: tuple[SnapshotRecord, ...]) -> EnvironmentHint:
        """From the saved states, the one of the latest snapshot first, else from the config."""
        best = latest(snapshots)
        preferred = [best.state_path] if best and best.state_path else []
        states = [*preferred, *(n for n in self.names if is_state(n) and n not in preferred)]
        hint = EnvironmentHint(None, None)
        for state in states:
            try:
                hint = environment_in_state(self.bytes(state))
            except PickleError as error:
                self.report("state-unreadable", f"the environment in it can't be read: {error}", state)
                hint = EnvironmentHint(None, None, hint.classes or classes_begun(error.classes))
                continue
            if hint.id or hint.classes:
                break
        named = configs.environment_id(values)
        if named and not hint.id:
            return EnvironmentHint(named, "config", hint.classes, hint.max_episode_steps)
        return hint

    def content(self, previous_size: int | None) -> Content:
        """Digests of metrics and config."""
        table = self.bytes(_PROGRESS)
        metrics, config = digest_of(table), digest_of(self.bytes(_CONFIG))
        begins = None
        if previous_size is not None and len(table) >= previous_size:
            begins = digest_of(table[:previous_size])
        return Content(digest_of((metrics + config).encode()), len(table), metrics, config, begins)


def digest_of(data: bytes) -> str:
    """The digest that content is recognised by."""
    return blake2b(data, digest_size=16).hexdigest()


def _stamp(directory_name: str) -> datetime | None:
    """The start that the launcher wrote into the name, in the local time of that machine."""
    match = _STAMP_IN_NAME.match(directory_name)
    if not match or not match[2]:
        return None
    try:
        return datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H-%M-%S")
    except ValueError:
        return None


def _status(reader: _Reader, rows: int) -> Status:
    if _PROGRESS in reader.unreadable:
        return "broken"
    return "ok" if rows else "empty"


def _axis(columns: tuple[MetricSeries, ...]) -> MetricSeries | None:
    """The column that numbers the rows: Epoch, where it holds a different whole number in each row."""
    for column in columns:
        if column.name.lower() != "epoch":
            continue
        if set(map(type, column.values)) == {int} and len(set(column.values)) == len(column.values):
            return column
    return None


def _last_epoch(axis: MetricSeries | None, rows: int) -> int | None:
    if axis is None:
        return rows - 1 if rows else None
    return max(cast("Sequence[int]", axis.values))


def _name_and_seed(directory_name: str) -> tuple[str, int | None]:
    """Experiment and seed as the launcher spells them in the name: ``[DATE_TIME-]EXP_sSEED``."""
    match = _SEED_IN_NAME.match(directory_name)
    stem, seed = (match[1], int(match[2])) if match else (directory_name, None)
    return _STAMP_IN_NAME.sub("", stem) or stem, seed


def _seed(value: object) -> object:
    """A seed as a number: numpy's are written as text, some as 0.0."""
    found = equal_value(value)
    return int(found) if isinstance(found, float) and found.is_integer() else found


def _is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number that a database can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_SEED


def _snapshot_problems(snapshots: tuple[SnapshotRecord, ...]) -> list[Problem]:
    broken = [Problem("snapshot-unloadable", s.unloadable, s.path) for s in snapshots if s.unloadable]
    stale = [Problem("snapshot-stale", s.stale, s.path) for s in snapshots if s.stale]
    return [*broken, *stale]
