"""The layout of OpenAI Spinning Up's logger, and of the many that grew from it.

``progress.txt`` makes the run; ``config.json``, ``vars*.pkl`` and the save directories may be there. Without metrics a
save makes a published policy (`spindb.disk.formats.snapshots.holds_policy`), a run with the status ``policy``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import cast

from spindb.disk import configs, limits, tables
from spindb.disk.algorithms import in_config, judge, why_of_another_run
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.counters import counts_by_one
from spindb.disk.environments import classes_begun, environment_in_name, environment_in_state
from spindb.disk.extent import check_extent
from spindb.disk.formats.base import Previous, SnapshotFiles
from spindb.disk.formats.snapshots import (
    RunTimes,
    find_snapshots,
    holds_policy,
    is_save,
    is_state,
    latest_states,
    odd_modules,
    policy_files,
)
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.metricnames import performance_of, step_column_of
from spindb.disk.run_directory import RunDirectory, bounded, listed, why_failed
from spindb.disk.times import FileTimes, run_time, without_stamp
from spindb.disk.told import longer_than, size_of, told_text
from spindb.records import (
    Content,
    EnvironmentHint,
    MetricSeries,
    Problem,
    RunRecord,
    SnapshotRecord,
    Status,
    latest,
    names_of,
)

_PROGRESS = "progress.txt"
_CONFIG = "config.json"
_OTHER_CONFIGS = ("full-config.json", "config.yml", "config.yaml")
_TEXT_FILES = frozenset({_PROGRESS, _CONFIG, *_OTHER_CONFIGS})
# Our logger writes a run beside another of the same name as NAME.2, NAME.3 and so on.
_SEED_IN_NAME = re.compile(r"(.+)_s(\d{1,18})(?:\.(?:[2-9]|[1-9]\d{1,3}))?\Z")
_PROBLEM_FILE = re.compile(r"vars\d*\.pkl\.problem\Z")
_VERSIONED = re.compile(r"[\w./:\-]+-v\d{1,3}\Z", re.ASCII)
_EPOCH_CODES = ("epoch-goes-back", "epoch-repeats", "several-rows-an-epoch")
_UNKNOWN = EnvironmentHint(None, None)
_NO_TABLE = tables.Table((), 0)
_NO_CONFIG = configs.ConfigText(b"{}")


class SpinningUp:
    """See `spindb.disk.formats.base.Layout`."""

    name = "spinningup"

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        return _PROGRESS in names or (directory is not None and holds_policy(directory, names))

    def is_save(self, name: str) -> bool:
        return is_save(name)

    def watched(self, directory: str, names: Sequence[str]) -> list[str]:
        found = []
        for name in names:
            if name in _TEXT_FILES or is_state(name) or _PROBLEM_FILE.match(name):
                found.append(name)
            elif is_save(name):
                found.append(name)
                with suppress(OSError):
                    found += [f"{name}/{inside}" for inside in listed(f"{directory}/{name}")[0]]
        return found

    def snapshot_files(self, directory: str, snapshot: SnapshotRecord | None) -> SnapshotFiles:
        try:
            names, _ = listed(directory)
        except OSError:
            names = []
        own = snapshot.state_path if snapshot is not None else None
        states = (name for name in dict.fromkeys([own, *latest_states(names)]) if name is not None)
        config = _CONFIG if _CONFIG in names else None
        return SnapshotFiles(policy_files(directory, snapshot) if snapshot else (), tuple(states), config)

    def read(self, run: RunDirectory, previous: Previous) -> Iterator[RunRecord]:
        reader = _Reader(run)
        table, config, axis = reader.table, reader.config, reader.axis
        snapshots = reader.snapshots()
        exp_name = reader.text(config.values.get("exp_name"), "the experiment's name")
        experiment = reader.stem if exp_name is None else exp_name
        algo, algo_source = reader.algorithm(snapshots, experiment)
        when = run_time(run.directory.name, reader.files, table.columns, run.stamp_zone)
        env = reader.environment(snapshots)
        leaves = run.part(_CONFIG, "config-broken", (), config.leaves)
        if env.id is None and not env.unclear:
            env = _environment_by_name(env, f"{run.directory.name} {exp_name}")
        yield RunRecord(
            path=".",
            name=run.directory.name,
            format=self.name,
            status=reader.status,
            exp_name=experiment,
            seed=reader.seed(configs.seed(config.values, leaves)),
            algo=algo,
            algo_source=algo_source,
            env=env,
            rows=table.rows,
            axis=axis.name if axis else None,
            steps=step_column_of(table.columns),
            performance=performance_of(table.columns),
            started_at=when.started_at,
            started_source=when.started_source,
            updated_at=when.updated_at,
            content=reader.content(previous, snapshots),
            config=leaves,
            metrics=table.columns,
            snapshots=snapshots,
            problems=bounded((*run.problems, *table.problems, *config.problems, *_snapshot_problems(snapshots))),
        )


class _Reader:
    """What the files of a run directory say."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        for name in run.names:
            if _PROBLEM_FILE.match(name) and (text := run.data(name, limits.STATE_PROBLEM)):
                reason = text.decode("utf-8", "replace").strip()
                run.report("state-not-saved", f"the environment was not saved: {reason}", name)
        self.table = run.part(_PROGRESS, "unreadable-file", _NO_TABLE, self._table)
        self.config = run.part(_CONFIG, "config-broken", _NO_CONFIG, self._config)
        self.axis = _axis(self.table.columns)
        self.configured = in_config(self.config.values)
        self.files = FileTimes(run.mtime(_CONFIG), run.mtime(_PROGRESS))
        self.stem, self._named_seed = _name_and_seed(run.directory.name)

    def _table(self) -> tables.Table:
        """``progress.txt``; no table where there is none, and where it can't be read, which is a problem already."""
        if _PROGRESS not in self.run.names:
            return _NO_TABLE
        data = self.run.data(_PROGRESS)
        if _PROGRESS in self.run.unreadable:
            return _NO_TABLE
        check_extent(data)
        table = tables.read_table(data, _PROGRESS)
        left_out = _too_long(names_of(table.columns))
        for name in left_out:
            self.run.report(
                "column-name-too-long", f"{told_text(name, 50)} has {size_of(name):,} bytes: left out", _PROGRESS
            )
        if not left_out:
            return table
        return replace(table, columns=tuple(c for c in table.columns if c.name not in left_out))

    def text(self, value: object, what: str) -> str | None:
        """The value where it is text that can be a name, else None."""
        if not isinstance(value, str):
            return None
        if len(value) > limits.TEXT:
            self.run.report("config-text-too-long", f"{what} has {len(value):,} characters: left out", _CONFIG)
            return None
        return value

    def _config(self) -> configs.ConfigText:
        """``config.json``, and what only the files that some projects write beside or instead know."""
        named = [name for name in (_CONFIG, *_OTHER_CONFIGS) if name in self.run.names]
        contents = [(name, self.run.data(name)) for name in named]
        files = [(name, data) for name, data in contents if name not in self.run.unreadable]
        config = configs.ConfigText(files[0][1], files[0][0]) if files else configs.ConfigText(b"{}", _CONFIG)
        for name, data in files[1:]:
            config.add(configs.ConfigText(data, name))
        if not named:
            config.problems.append(Problem("config-missing", "no config.json: no hyperparameters are known", _CONFIG))
        return config

    def snapshots(self) -> tuple[SnapshotRecord, ...]:
        """The saved policies; those whose names tell no itr are problems."""
        run = self.run
        times = RunTimes(self.files.config, self.files.progress, _last_epoch(self.axis, self.table.rows))
        why_other = partial(why_of_another_run, configured=self.configured)
        found = run.part(
            "", "snapshots-unreadable", (), lambda: find_snapshots(run.directory, run.names, times, why_other)
        )
        for odd in run.part("", "snapshots-unreadable", (), lambda: odd_modules(run.directory, run.names)):
            run.report("snapshot-odd-name", "a saved module whose name tells no itr: not among the snapshots", odd)
        return found

    def algorithm(self, snapshots: tuple[SnapshotRecord, ...], experiment: str) -> tuple[str | None, str | None]:
        """The algorithm, and what says so."""
        run, names = self.run, (self.run.directory.name, experiment)
        verdict = judge(self.configured, latest(snapshots), run.directory, self.table.columns, names)
        if verdict.contradiction:
            run.report("algo-differs", verdict.contradiction, "")
        if message := _beyond(self.table, self.config.values.get("epochs")):
            run.report("rows-beyond-epochs", message, _PROGRESS)
        algo = self.text(verdict.algo, "the algorithm's name")
        return algo, verdict.source if algo is not None else None

    def environment(self, snapshots: tuple[SnapshotRecord, ...]) -> EnvironmentHint:
        """From the saved states, the one of the latest snapshot first, else from the config."""
        env = self.run.part("", "state-unreadable", _UNKNOWN, lambda: self._environment(self.config.values, snapshots))
        env_id = self.text(env.id, "the environment's id")
        return env if env_id == env.id else replace(env, id=env_id)

    def _environment(self, values: dict[str, object], snapshots: tuple[SnapshotRecord, ...]) -> EnvironmentHint:
        best = latest(snapshots)
        preferred = [best.state_path] if best and best.state_path else []
        states = [*preferred, *(n for n in self.run.names if is_state(n) and n not in preferred)]
        hint = _UNKNOWN
        for state in states:
            data = self.run.data(state)
            if state in self.run.unreadable:
                continue
            try:
                hint = environment_in_state(data)
            except PickleError as error:
                code = "lfs-pointer" if is_lfs_pointer(data) else "state-unreadable"
                self.run.report(code, f"the environment in it can't be read: {error}", state)
                hint = EnvironmentHint(None, None, hint.classes or classes_begun(error.classes))
                continue
            except Exception as error:  # a bad state is a problem of the state alone
                self.run.report("state-unreadable", why_failed(error), state)
                continue
            if hint.id or hint.classes:
                break
        if hint.unclear:
            self.run.report("environment-unclear", hint.unclear, state)
        named = configs.environment_id(values)
        if named and not hint.id:
            return EnvironmentHint(named, "config") if hint is _UNKNOWN else replace(hint, id=named, source="config")
        if named and hint.id and named != hint.id and _VERSIONED.match(named):
            message = f"the config says {named}, the saved environment is {hint.id}: the latter counts"
            self.run.report("environment-differs", message, _CONFIG)
        return hint

    def seed(self, configured: object) -> int | None:
        """The seed in the config, else the one in the name."""
        whole, named = configs.whole_number(configured), self._named_seed
        if whole is None:
            return named
        if named is not None and whole != named:
            self.run.report(
                "seed-differs", f"the name says seed {named}, the config {whole}: the config counts", _CONFIG
            )
        return whole

    def content(self, previous: Previous, snapshots: tuple[SnapshotRecord, ...]) -> Content:
        """Digests of metrics and config, and of the saves that tell a run without rows from others."""
        saves = () if self.table.rows else (snapshot.path for snapshot in snapshots)
        return self.run.content(self.run.data(_PROGRESS), self.run.data(_CONFIG), previous.get(None), saves)

    @property
    def status(self) -> Status:
        if _PROGRESS in self.run.unreadable or not self.table.readable or not self.config.readable:
            return "broken"
        if _PROGRESS not in self.run.names:
            return "policy"
        return "ok" if self.table.rows else "empty"


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _too_long(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if longer_than(name, limits.KEY))


def _environment_by_name(env: EnvironmentHint, names: str) -> EnvironmentHint:
    """The environment with the id that the names of directory and experiment give it, if they do."""
    named = environment_in_name(names, env.classes)
    return replace(env, id=named, source="name") if named else env


def _axis(columns: tuple[MetricSeries, ...]) -> MetricSeries | None:
    """The column that numbers the rows: Epoch, where it holds a different whole number in each row."""
    for column in columns:
        if column.name.lower() != "epoch":
            continue
        values = column.values
        if counts_by_one(values) or (set(map(type, values)) == {int} and len(set(values)) == len(values)):
            return column
    return None


def _beyond(table: tables.Table, configured: object) -> str | None:
    """What to say where rows are numbered by epochs and are more than twice as many as the config says."""
    epochs = configs.whole_number(configured)
    if epochs is None or epochs < 1 or table.rows <= 2 * epochs:
        return None
    numbered = any(column.name.lower() == "epoch" for column in table.columns)
    explained = any(problem.code in _EPOCH_CODES for problem in table.problems)
    if not numbered or explained:
        return None
    return f"{table.rows:,} rows where the config says epochs={epochs}: trained further, or by another config"


def _last_epoch(axis: MetricSeries | None, rows: int) -> int | None:
    if axis is None:
        return rows - 1 if rows else None
    return max(cast("Sequence[int]", axis.values))


def _name_and_seed(directory_name: str) -> tuple[str, int | None]:
    """Experiment and seed as the launcher spells them in the name: ``[DATE_TIME-]EXP_sSEED``."""
    match = _SEED_IN_NAME.match(directory_name)
    stem, seed = (match[1], int(match[2])) if match else (directory_name, None)
    return without_stamp(stem) or stem, seed


def _snapshot_problems(snapshots: tuple[SnapshotRecord, ...]) -> list[Problem]:
    broken = [
        Problem("lfs-pointer" if LFS_REASON in s.unloadable else "snapshot-unloadable", s.unloadable, s.path)
        for s in snapshots
        if s.unloadable
    ]
    stale = [Problem("snapshot-stale", s.stale, s.path) for s in snapshots if s.stale]
    odd = [Problem("snapshot-odd", s.odd, s.path) for s in snapshots if s.odd]
    return [*broken, *stale, *odd]
