"""What a run's log says of the epoch that a snapshot was saved in.

Snapshot N belongs to the row with Epoch = N: on-policy algorithms save before the update of that epoch, off-policy ones
before its test. The epoch of an unnumbered save follows from ``save_freq``, the last row and, where they were kept, the
times of the files; where two are possible both are given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from spindb.disk.formats import read_runs, recognise
from spindb.play.verify.verdict import Logged
from spindb.records import ConfigLeaf, MetricSeries, RunRecord, SnapshotRecord, finite_or_infinite

USUAL_TESTS = 10
"""Test episodes of Spinning Up's algorithms where the config does not say."""
_USUAL_FREQUENCY = {True: 1, False: 10}  # of saves, by whether there are test episodes
_VALUES = "AverageVVals"
_TOLERANCE = timedelta(seconds=1)  # files that were copied together lie closer


@dataclass(frozen=True, slots=True)
class LoggedEpoch:
    """A row of the log: its returns, and the mean of the value function with the range of that over all rows."""

    returns: Logged
    value: float | None = None
    value_span: float | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """What to compare a snapshot with, and how it acted when that was logged.

    ``lines`` are those of all epochs that it can be of; where there is none ``why`` says so. ``unlogged`` is an epoch
    that it can be of as well, whose row was not written. ``length`` is the greatest length of an episode by the
    config, in steps.
    """

    lines: tuple[LoggedEpoch, ...]
    deterministic: bool
    length: int | None
    why: str = ""
    unlogged: int | None = None


def log_of(directory: Path, snapshot: SnapshotRecord) -> Log:
    """Read the log beside a snapshot.

    Raises:
        OSError: the directory can't be read.
    """
    found = recognise(os.listdir(directory), directory)
    records = [] if found is None else list(read_runs(found, directory))
    record = next((r for r in records if any(s.path == snapshot.path for s in r.snapshots)), next(iter(records), None))
    if record is None:
        return Log((), False, None, "the run directory has no log")
    return said_of(record, snapshot)


def said_of(record: RunRecord, snapshot: SnapshotRecord) -> Log:
    """What a run's log says of one of its snapshots."""
    log = _Reading(record)
    if log.metric is None:
        return Log((), False, log.length, "nothing was logged" if not record.rows else "no return was logged")
    if log.own_steps:
        return Log((), log.tests, log.length, f"{log.metric} was logged at steps of its own, not by epochs")
    if snapshot.stale:
        return Log((), log.tests, log.length, f"the snapshot is stale: {snapshot.stale}")
    epochs, unlogged = ([snapshot.itr], None) if snapshot.itr is not None else log.epochs_of_unnumbered(snapshot)
    rows = {epoch: row for row, epoch in enumerate(log.axis)}
    lines = tuple(log.line(rows[epoch], epoch) for epoch in epochs if epoch in rows)
    missing = next((epoch for epoch in epochs if epoch not in rows), unlogged)
    why = "" if lines else f"epoch {missing} was not logged"
    if lines and not any(line.returns.episodes for line in lines):
        return Log((), log.tests, log.length, "how many episodes were logged is not known")
    return Log(tuple(line for line in lines if line.returns.episodes), log.tests, log.length, why, missing)


class _Reading:
    """A run's log, as far as verdicts need it."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self._series = {metric.name: metric for metric in record.metrics}
        self.metric = record.performance

    @property
    def own_steps(self) -> bool:
        """Whether the returns are not those of the run's rows, which epochs number."""
        return self.metric is not None and self.metric in self._series and self._series[self.metric].steps is not None

    @cached_property
    def tests(self) -> bool:
        """Whether the returns are of test episodes, which are deterministic."""
        return self.metric is not None and any(word in self.metric.lower() for word in ("test", "eval"))

    @cached_property
    def length(self) -> int | None:
        return self._config("max_ep_len")

    @cached_property
    def axis(self) -> list[int | None]:
        """The epoch of each row; without such a column its number."""
        cells = self._numbers(self.record.axis)
        if not cells:
            return list(range(self.record.rows))
        return [int(cell) if math.isfinite(cell) else None for cell in cells]

    def line(self, row: int, epoch: int) -> LoggedEpoch:
        assert self.metric is not None
        steps = None if self.tests else self.steps(row)
        returns = Logged(
            mean=self._numbers(self.metric)[row],
            spread=self._beside("Std", row),
            episodes=self._tests_logged() if self.tests else self._ended(row, steps),
            span=self._span(),
            low=self._beside("Min", row),
            high=self._beside("Max", row),
            steps=steps,
            metric=self.metric,
            epoch=epoch,
        )
        value = None if self.tests else self._at(_VALUES, row)
        return LoggedEpoch(returns, value, _range(self._numbers(_VALUES)) if value is not None else None)

    def _beside(self, word: str, row: int) -> float | None:
        """Another statistic of the returns, which loggers name alike: ``StdEpRet`` for ``AverageEpRet``."""
        assert self.metric is not None
        own = self.metric.removeprefix("Average")
        return None if own == self.metric else self._at(f"{word}{own}", row)

    def steps(self, row: int) -> int | None:
        """Environment steps of an epoch, over all processes."""
        given = self._config("steps_per_epoch")
        if given:
            return given
        counts = self._numbers(self.record.steps)
        if row >= len(counts) or not math.isfinite(counts[row]):
            return None
        before = counts[row - 1] if row else 0.0
        return int(counts[row] - before) if counts[row] > before else None

    def epochs_of_unnumbered(self, snapshot: SnapshotRecord) -> tuple[list[int], int | None]:
        """The epochs that the latest save can be of, and one that may have been saved without its row."""
        known = [epoch for epoch in self.axis if epoch is not None]
        if not known:
            return [], None
        last, final = known[-1], self._config("epochs")
        frequency = self._config("save_freq") or _USUAL_FREQUENCY[self.tests]
        regular = last - last % frequency
        ends = () if final is None else (final - 1, final) if self.tests else (final - 1,)
        epochs = [last] if last in ends else [regular] if regular or not self.tests else []
        if self.tests and final is not None and last == final - 1 and 0 < regular != last:
            epochs.append(regular)  # newer versions save at the end of epoch E, older ones at E - 1
        after = last + 1 if last not in ends and ((last + 1) % frequency == 0 or last + 1 in ends) else None
        saved, written = snapshot.saved_at, self.record.updated_at
        if saved is None or written is None:
            return epochs, after
        if after is not None and saved > written + _TOLERANCE:
            return [], after
        if saved < written - _TOLERANCE:  # no copies, which are all of one moment
            timed = self._epoch_at(saved, written)
            return list(dict.fromkeys([*epochs, *([] if timed is None else [timed])])), None
        return epochs, after

    def _epoch_at(self, saved: datetime, written: datetime) -> int | None:
        """The epoch whose row was the first to be written after a save, by the times that rows keep."""
        times = self._numbers("Time")
        if not times or not all(map(math.isfinite, times)) or len(times) != len(self.axis):
            return None
        started = written - timedelta(seconds=times[-1])
        if saved < started:  # the files' times and the log's don't fit
            return None
        after = (epoch for epoch, at in zip(self.axis, times, strict=True) if started + timedelta(seconds=at) >= saved)
        return next(after, None)

    def _tests_logged(self) -> int:
        return self._config("num_test_episodes") or USUAL_TESTS

    def _ended(self, row: int, steps: int | None) -> int:
        """How many episodes ended within an epoch; 0 where that is not known."""
        length = self._at("EpLen", row)
        return 0 if not steps or not length else episodes_within(steps, length)

    def _span(self) -> float | None:
        """Range of the curve; of a curve without one, that of all returns that were logged."""
        assert self.metric is not None
        found = _range(self._numbers(self.metric))
        if found:
            return found
        own = self.metric.removeprefix("Average")
        return _range([*self._numbers(f"Min{own}"), *self._numbers(f"Max{own}")])

    def _at(self, name: str, row: int) -> float | None:
        cells = self._numbers(name)
        return cells[row] if row < len(cells) and math.isfinite(cells[row]) else None

    def _numbers(self, name: str | None) -> list[float]:
        found = None if name is None else self._series.get(name)
        return [] if found is None or found.steps is not None else _floats(found)

    def _config(self, name: str) -> int | None:
        """A whole number of the config; the hyperparameter of that name, else one whose path ends so."""
        leaves = sorted(self.record.config, key=lambda leaf: leaf.key.count("."))
        found: ConfigLeaf | None = next((leaf for leaf in leaves if leaf.key.rpartition(".")[2] == name), None)
        number = None if found is None else found.number
        return int(number) if number is not None and math.isfinite(number) and number >= 0 else None


def episodes_within(steps: int, mean_length: float) -> int:
    """How many episodes of that mean length ended within so many steps: the most that have whole lengths in all.

    The mean was written as a float of 32 bits; where no number of episodes fits it is the most that there is room for.
    """
    most = int(steps / mean_length + 1e-6)
    for count in range(most, most // 2, -1):
        total = count * mean_length
        if abs(total - round(total)) <= 1e-6 * max(1.0, total):
            return count
    return max(most, 1) if mean_length <= steps else 0


def _floats(series: MetricSeries) -> list[float]:
    numbers = map(finite_or_infinite, series.values)
    return [math.nan if number is None else number for number in numbers]


def _range(numbers: Sequence[float]) -> float | None:
    finite = [number for number in numbers if math.isfinite(number)]
    return (max(finite) - min(finite)) or None if finite else None
