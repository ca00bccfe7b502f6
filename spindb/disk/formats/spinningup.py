"""The layout of OpenAI Spinning Up's logger, and of the many that grew from it.

``progress.txt`` makes the run; ``config.json``, ``vars*.pkl`` and the save directories may be there. Without metrics a
save makes a published policy (`spindb.disk.formats.snapshots.holds_policy`), a run with the status ``policy``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

from spindb.disk import configs, limits, tables
from spindb.disk.algorithms import in_config, judge, why_of_another_run
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.content import content_of, digest_of_saves
from spindb.disk.counters import counts_by_one
from spindb.disk.environments import classes_begun, environment_in_name, environment_in_state
from spindb.disk.extent import check_extent
from spindb.disk.formats.snapshots import RunTimes, find_snapshots, holds_policy, is_save, is_state, odd_modules
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.metricnames import performance_of, steps_of
from spindb.disk.run_directory import RunDirectory, bounded, why_failed
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
    """See `spindb.disk.formats.Format`."""

    name = "spinningup"

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        return _PROGRESS in names or (directory is not None and holds_policy(directory, names))

    def matters(self, name: str) -> bool:
        return name in _TEXT_FILES or is_save(name) or is_state(name) or bool(_PROBLEM_FILE.match(name))

    def is_save(self, name: str) -> bool:
        return is_save(name)

    def read(
        self, directory: Path, path: str, previous_size: int | None = None, stamp_zone: str | None = None
    ) -> RunRecord:
        reader = _Reader(directory)
        table = reader.part(_PROGRESS, "unreadable-file", _NO_TABLE, reader.table)
        config = reader.part(_CONFIG, "config-broken", _NO_CONFIG, reader.config)
        axis = _axis(table.columns)
        configured = in_config(config.values)
        times = RunTimes(reader.mtime(_CONFIG), reader.mtime(_PROGRESS), _last_epoch(axis, table.rows))
        why_other = partial(why_of_another_run, configured=configured)
        snapshots = reader.part(
            "", "snapshots-unreadable", (), lambda: find_snapshots(directory, reader.names, times, why_other)
        )
        for odd in reader.part("", "snapshots-unreadable", (), lambda: odd_modules(directory, reader.names)):
            reader.report("snapshot-odd-name", "a saved module whose name has no itr: not among the snapshots", odd)
        name = directory.name
        stem, seed = _name_and_seed(name)
        exp_name = reader.text(config.values.get("exp_name"), "the experiment's name")
        experiment = stem if exp_name is None else exp_name
        verdict = judge(configured, latest(snapshots), directory, table.columns, (name, experiment))
        if verdict.contradiction:
            reader.report("algo-differs", verdict.contradiction, "")
        if message := _beyond(table, config.values.get("epochs")):
            reader.report("rows-beyond-epochs", message, _PROGRESS)
        algo = reader.text(verdict.algo, "the algorithm's name")
        when = run_time(name, FileTimes(times.config, times.progress), table.columns, stamp_zone)
        env = reader.part("", "state-unreadable", _UNKNOWN, lambda: reader.environment(config.values, snapshots))
        if (env_id := reader.text(env.id, "the environment's id")) != env.id:
            env = replace(env, id=env_id)
        leaves = reader.part(_CONFIG, "config-broken", (), config.leaves)
        if env.id is None and not env.unclear and (named := environment_in_name(f"{name} {exp_name}", env.classes)):
            env = replace(env, id=named, source="name")
        return RunRecord(
            path=path,
            name=name,
            format=self.name,
            status=_status(reader, table, config),
            exp_name=experiment,
            seed=reader.seed(configs.seed(config.values, leaves), seed),
            algo=algo,
            algo_source=verdict.source if algo is not None else None,
            env=env,
            rows=table.rows,
            axis=axis.name if axis else None,
            steps=steps_of(table.columns),
            performance=performance_of(table.columns),
            started_at=when.started_at,
            started_source=when.started_source,
            updated_at=when.updated_at,
            content=reader.content(previous_size, _saves_of(directory, table, snapshots)),
            config=leaves,
            metrics=table.columns,
            snapshots=snapshots,
            problems=bounded((*reader.problems, *table.problems, *config.problems, *_snapshot_problems(snapshots))),
        )


class _Reader(RunDirectory):
    """What the files of a run directory say."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        for name in self.names:
            if _PROBLEM_FILE.match(name) and (text := self.data(name, limits.STATE_PROBLEM)):
                reason = text.decode("utf-8", "replace").strip()
                self.report("state-not-saved", f"the environment was not saved: {reason}", name)

    def table(self) -> tables.Table:
        """``progress.txt``; no table where there is none, and where it can't be read, which is a problem already."""
        if _PROGRESS not in self.names:
            return _NO_TABLE
        data = self.data(_PROGRESS)
        if _PROGRESS in self.unreadable:
            return _NO_TABLE
        check_extent(data)
        table = tables.read_table(data, _PROGRESS)
        left_out = _too_long(names_of(table.columns))
        for name in left_out:
            self.report(
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
            self.report("config-text-too-long", f"{what} has {len(value):,} characters: left out", _CONFIG)
            return None
        return value

    def config(self) -> configs.ConfigText:
        """``config.json``, and what only the files that some projects write beside or instead know."""
        named = [name for name in (_CONFIG, *_OTHER_CONFIGS) if name in self.names]
        contents = [(name, self.data(name)) for name in named]
        files = [(name, data) for name, data in contents if name not in self.unreadable]
        config = configs.ConfigText(files[0][1], files[0][0]) if files else configs.ConfigText(b"{}", _CONFIG)
        for name, data in files[1:]:
            config.add(configs.ConfigText(data, name))
        if not named:
            config.problems.append(Problem("config-missing", "no config.json: no hyperparameters are known", _CONFIG))
        return config

    def environment(self, values: dict[str, object], snapshots: tuple[SnapshotRecord, ...]) -> EnvironmentHint:
        """From the saved states, the one of the latest snapshot first, else from the config."""
        best = latest(snapshots)
        preferred = [best.state_path] if best and best.state_path else []
        states = [*preferred, *(n for n in self.names if is_state(n) and n not in preferred)]
        hint = _UNKNOWN
        for state in states:
            data = self.data(state)
            if state in self.unreadable:
                continue
            try:
                hint = environment_in_state(data)
            except PickleError as error:
                code = "lfs-pointer" if is_lfs_pointer(data) else "state-unreadable"
                self.report(code, f"the environment in it can't be read: {error}", state)
                hint = EnvironmentHint(None, None, hint.classes or classes_begun(error.classes))
                continue
            except Exception as error:  # a bad state is a problem of the state alone
                self.report("state-unreadable", why_failed(error), state)
                continue
            if hint.id or hint.classes:
                break
        if hint.unclear:
            self.report("environment-unclear", hint.unclear, state)
        named = configs.environment_id(values)
        if named and not hint.id:
            return EnvironmentHint(named, "config") if hint is _UNKNOWN else replace(hint, id=named, source="config")
        if named and hint.id and named != hint.id and _VERSIONED.match(named):
            message = f"the config says {named}, the saved environment is {hint.id}: the latter counts"
            self.report("environment-differs", message, _CONFIG)
        return hint

    def seed(self, configured: object, named: int | None) -> int | None:
        """The seed in the config, else the one in the name."""
        whole = configs.whole_number(configured)
        if whole is None:
            return named
        if named is not None and whole != named:
            self.report("seed-differs", f"the name says seed {named}, the config {whole}: the config counts", _CONFIG)
        return whole

    def content(self, previous_size: int | None, saves: str) -> Content:
        """Digests of metrics and config, and of the saves that tell a run without rows from others."""
        return content_of(self.data(_PROGRESS), self.data(_CONFIG), previous_size, saves)


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _too_long(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if longer_than(name, limits.KEY))


def _saves_of(directory: Path, table: tables.Table, snapshots: Sequence[SnapshotRecord]) -> str:
    """A digest of the saves of a run without rows, which are all that may tell it from others."""
    return digest_of_saves(directory, (s.path for s in snapshots)) if snapshots and not table.rows else ""


def _status(reader: _Reader, table: tables.Table, config: configs.ConfigText) -> Status:
    if _PROGRESS in reader.unreadable or not table.readable or not config.readable:
        return "broken"
    if _PROGRESS not in reader.names:
        return "policy"
    return "ok" if table.rows else "empty"


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
