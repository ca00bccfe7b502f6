"""What was read from disk, as frozen values: the only thing that `disk` hands to `index`.

Terms are those of the docs: a *run* is one output directory, a *metric* one column of its
``progress.txt``, a *snapshot* one saved policy, a *problem* something odd that was found.

What a run has dozens of is a named tuple: a frozen dataclass takes four times as long to make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, Literal, NamedTuple

Cell = float | int | str | None
"""One value of a metric: a number (NaN and infinities included), text, or None for an empty cell."""

Status = Literal["ok", "empty", "broken", "policy"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something odd on disk, kept as data.

    ``path`` is relative to the run directory, ``line`` counts from 1, ``code`` is a stable word
    for programs, ``message`` says what it is and what follows from it.
    """

    code: str
    message: str
    path: str = ""
    line: int | None = None


class ConfigLeaf(NamedTuple):
    """One hyperparameter: a leaf of ``config.json``.

    ``value`` is JSON text (``NaN``, ``Infinity`` allowed) with memory addresses replaced; ``raw`` is
    the JSON text before that where it differs; ``number`` is the numeric value of a number, or of a
    string that spells one (which is what numpy scalars became); ``internal`` marks what the logger
    wrote about itself; ``canonical`` is the same for equal values (see `spindb.canonical`).
    """

    key: str
    type: Literal["int", "float", "bool", "str", "null", "list", "dict"]
    value: str
    number: float | None = None
    raw: str | None = None
    internal: bool = False
    canonical: str = ""


class MetricSummary(NamedTuple):
    """Summary of a metric's numbers; NaN, text and empty cells take no part in it.

    ``argmin`` and ``argmax`` are row numbers, from 0, of the first such row. ``last`` is the value
    of the very last row, None where that is no number; then ``last_text`` says what it is. ``finite``
    says that all cells are finite numbers. There is no negative zero: databases don't keep it.
    """

    count: int  # type: ignore[assignment]  # not the method of tuples
    first: float | None = None
    last: float | None = None
    last_text: str | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    argmin: int | None = None
    argmax: int | None = None
    finite: bool = False


class MetricSeries(NamedTuple):
    """One metric, one cell per kept row of the run's table.

    Where a metric was logged at steps of its own (its length is its own, too), ``steps`` holds the step of each cell:
    finite numbers, as many as there are cells.
    """

    name: str
    values: Sequence[Cell]
    steps: Sequence[float] | None = None

    def summary(self) -> MetricSummary:
        values = self.values
        try:
            total = math.fsum(values)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            total = math.nan
        if values and math.isfinite(total):  # finite numbers one and all, as nearly all series are
            return _of_numbers(values, total)
        numbers = [(v, row) for row, v in enumerate(values) if isinstance(v, (int, float)) and v == v]
        tail = values[-1] if values else None
        last = finite_or_infinite(tail)
        last_text = None if last is not None or not values else cell_text(tail)
        if not numbers:
            return MetricSummary(0, last_text=last_text)
        average = mean([v for v, _ in numbers])
        low, argmin = min(numbers, key=_value_of)
        high, argmax = max(numbers, key=_value_of)
        return MetricSummary(
            count=len(numbers),
            first=numbers[0][0] + 0.0,
            last=last,
            min=low + 0.0,
            max=high + 0.0,
            mean=average if average is None else average + 0.0,
            argmin=argmin,
            argmax=argmax,
            last_text=last_text,
        )


_name_of: Callable[[MetricSeries], str] = itemgetter(0)


def names_of(columns: Iterable[MetricSeries]) -> tuple[str, ...]:
    """The names of columns, in their order."""
    return tuple(map(_name_of, columns))


def _of_numbers(values: Sequence[Any], total: float) -> MetricSummary:
    count, low, high = len(values), min(values), max(values)
    ends, places = (values[0] + 0.0, values[-1] + 0.0, None), (values.index(low), values.index(high), True)
    # As the class's own call, which takes three times as long.
    return _summary((count, *ends, low + 0.0, high + 0.0, total / count + 0.0, *places))


_summary = partial(tuple.__new__, MetricSummary)


def _value_of(pair: tuple[float, int]) -> float:
    return pair[0]


def mean(numbers: Sequence[float]) -> float | None:
    """Arithmetic mean of numbers without NaN; None where infinities of both signs meet, or there is no number."""
    if not numbers:
        return None
    try:
        return math.fsum(numbers) / len(numbers)
    except ValueError:  # inf - inf
        return None
    except OverflowError:  # the sum leaves the range of a double although the mean need not
        infinite = {n for n in numbers if math.isinf(n)}
        if infinite:
            return infinite.pop() if len(infinite) == 1 else None
        total = sum(float(n) / len(numbers) for n in numbers)
        return max(min(numbers), min(total, max(numbers)))


def finite_or_infinite(cell: Cell) -> float | None:
    """The cell as a float where it is a number other than NaN, else None; no negative zero."""
    if isinstance(cell, (int, float)) and cell == cell:
        return cell + 0.0
    return None


def cell_text(cell: Cell) -> str:
    """A cell that is no plain number, as a person would write it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and math.isnan(cell):
        return "NaN"
    return str(cell)


@dataclass(frozen=True, slots=True)
class EnvironmentHint:
    """What the files say of a run's environment, and which of them said it.

    ``source`` is ``config``, ``state id`` (the id stood in the saved state) or ``state class``
    (the id follows from the class of the environment, its time limit and its arguments). ``unclear`` says why
    no id follows although the class is known.
    """

    id: str | None
    source: str | None
    classes: tuple[str, ...] = ()
    max_episode_steps: int | None = None
    unclear: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One saved policy.

    ``path`` and ``state_path`` are relative to the run directory; ``size`` is in bytes;
    ``inputs`` and ``outputs`` map names such as ``x`` and ``pi`` to tensor names;
    ``unloadable`` and ``stale`` hold the reason where the snapshot is so, else None; ``odd`` what else is wrong with
    it, which is kept as a problem alone.
    """

    kind: str
    path: str
    itr: int | None = None
    size: int = 0
    saved_at: datetime | None = None
    state_path: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    framework: str | None = None
    unloadable: str | None = None
    stale: str | None = None
    odd: str | None = None


CRITICAL = 2.5758293035489004
"""Standard errors that the 99 % interval of a difference reaches to either side."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the episodes of an evaluation agree with what the log says of the snapshot's epoch.

    ``word`` is one of `spindb.verdicts.VERDICTS`, ``reason`` why, empty where there is nothing to add. Of what was
    logged: ``metric``, ``epoch``, mean, standard error of that mean, number of episodes that it is of, range of the
    curve over all epochs. ``played`` is the mean that these ``episodes`` would have logged, with its standard
    error. ``difference`` is played minus logged, ``error`` its standard error, ``power`` the probability that a
    true difference of 30 % of the range would have been found. None is what is not known.
    """

    word: str
    reason: str = ""
    metric: str | None = None
    epoch: int | None = None
    logged_mean: float | None = None
    logged_error: float | None = None
    logged_episodes: int | None = None
    logged_range: float | None = None
    played: float | None = None
    played_error: float | None = None
    episodes: int = 0
    difference: float | None = None
    error: float | None = None
    power: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 99 % interval of the difference."""
        if self.difference is None or self.error is None:
            return None
        return self.difference - CRITICAL * self.error, self.difference + CRITICAL * self.error


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """One episode: undiscounted return, length in steps, how it ended."""

    ep_return: float
    length: int
    ending: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A rollout's result and all that it depended on."""

    kind: str
    itr: int | None
    snapshot_path: str
    env_id: str | None
    env_source: str
    deterministic: bool
    max_ep_len: int | None
    seed: int | None
    episodes: Sequence[EpisodeResult]
    mean_return: float | None
    std_return: float | None
    mean_length: float | None
    versions: Mapping[str, str]
    seconds: float
    engine: str = "numpy"
    snapshot_digest: str | None = None
    partial: bool = False
    verdict: Verdict | None = None
    """Whether it agrees with the training log; None where that was not asked."""


class Content(NamedTuple):
    """Digests by which a run's content is recognised wherever it lies.

    ``whole`` is over metrics and config; ``metrics`` over the first ``size`` bytes of the metrics, which is
    all of them; ``config`` over the config. ``begins`` is the digest of as many bytes as the metrics had
    when they were read before, None where they are shorter now (or were never read).
    """

    whole: str
    size: int
    metrics: str
    config: str
    begins: str | None = None


NO_CONTENT = Content("", 0, "", "")


class RunRecord(NamedTuple):
    """One run, read.

    ``path`` is its place relative to the root: its directory, and behind that ``part`` where one directory holds
    several runs (see `part_of`). ``rows`` is the number of rows of its table; without one, the length of its longest
    metric. ``axis`` and ``steps`` are the metrics that number the rows and count interactions; a metric with steps of
    its own counts interactions by those unless ``steps`` names a metric.
    """

    path: str
    name: str
    format: str
    status: Status
    exp_name: str | None = None
    seed: int | None = None
    algo: str | None = None
    algo_source: str | None = None
    env: EnvironmentHint = EnvironmentHint(None, None)
    rows: int = 0
    axis: str | None = None
    steps: str | None = None
    performance: str | None = None
    started_at: datetime | None = None
    started_source: str | None = None
    updated_at: datetime | None = None
    content: Content = NO_CONTENT
    config: tuple[ConfigLeaf, ...] = ()
    metrics: tuple[MetricSeries, ...] = ()
    snapshots: tuple[SnapshotRecord, ...] = ()
    problems: tuple[Problem, ...] = ()
    part: str | None = None


def part_of(file: str, key: str | int | None = None) -> str:
    """The name of a run that shares its directory with others: its file, relative to the directory, and a key in it.

    Written as ``runs.jsonl#3``. The key is quoted so that it holds neither ``#`` nor ``/``.
    """
    if key is None:
        return f"{file}#" if "#" in file else file
    quoted = str(key).replace("%", "%25").replace("#", "%23").replace("/", "%2F")
    return f"{file}#{quoted}"


def file_of(part: str) -> str:
    """The file of a run that `part_of` named so, relative to its directory."""
    file, mark, _ = part.rpartition("#")
    return file if mark else part


def path_of(directory: str, part: str | None) -> str:
    """The path of a run in a directory, ``.`` for the root: behind that comes its part where it has one."""
    if part is None:
        return directory
    return part if directory == "." else f"{directory}/{part}"


def directory_of(path: str, part: str | None) -> str:
    """The directory of a run at `path`, which ends with its part where it has one."""
    return path if part is None else path[: -len(part)].rstrip("/") or "."


def latest(snapshots: Sequence[SnapshotRecord]) -> SnapshotRecord | None:
    """The snapshot that is played when no itr is named.

    The highest itr, else the unnumbered one, as the original tool has it; but a stale or
    unloadable one only where there is nothing better.
    """

    def rank(snapshot: SnapshotRecord) -> tuple[bool, bool, int]:
        itr = -1 if snapshot.itr is None else snapshot.itr
        return snapshot.unloadable is None, snapshot.stale is None, itr

    return max(snapshots, key=rank, default=None)
