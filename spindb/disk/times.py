"""When a run started and when its last row was written, and whether the times of its files can be believed.

A name may carry a stamp: local time of the machine that trained. The time of a file is that of the training where
the file lies as it was written; a clone, an unpacked archive and many copies give all files the time of the copy.
Then the files contradict what the rows and the name say:

- the last row says that training took hours, and the config was written at most half of that before the last row;
- the name says a start, and the last row's file is days older or younger than start and duration together.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from spindb.records import MetricSeries, names_of

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)_(?:(\d\d-\d\d-\d\d)[-_])?")
_CLOCKS = ("time", "walltime", "elapsedtime", "timeelapsed", "totaltime", "timetimeelapsed", "timetotals")
_LONGEST = 1e8  # seconds: a larger number is a date, not a duration
_TELLING = 600.0  # seconds of training that a copy's times can't hide
_ENOUGH = 8  # rows by which a clock is told from durations
_DAY = 86400.0
_IN_ZONE = "name in "
_LONGEST_WITHOUT_CLOCK = 90 * _DAY  # a training whose rows don't say how long it took


class FileTimes(NamedTuple):
    """When files were written, in seconds since the epoch."""

    config: float | None
    progress: float | None


class RunTime(NamedTuple):
    """Start and last row, in UTC without a zone; None where it is not known."""

    started_at: datetime | None
    started_source: str | None
    updated_at: datetime | None


def without_stamp(name: str) -> str:
    """The name without the stamp that a launcher put in front."""
    return _STAMP.sub("", name)


def has_stamp(name: str) -> bool:
    """Whether a date and a time stand in front of a name."""
    match = _STAMP.match(name)
    return bool(match and match[2])


def run_time(name: str, files: FileTimes, columns: Sequence[MetricSeries], stamp_zone: str | None = None) -> RunTime:
    """When the run of that name started, and when its last row was written.

    Args:
        name: of its directory.
        files: when config and metrics were written.
        columns: the metrics; one may say how long training took.
        stamp_zone: of the machine that trained; None for this machine's. Where it is given the source of the start
            names it, so that the run keeps it.

    Raises:
        ValueError: there is no such zone.
    """
    zone = None if stamp_zone is None else zone_named(stamp_zone)
    stamp = _stamp(name, zone)
    by_name = "name" if stamp_zone is None else _IN_ZONE + stamp_zone
    begun = files.config if files.config is not None else files.progress
    if _times_of_a_copy(name, stamp, files, seconds_of(columns), zone):
        return RunTime(stamp, by_name if stamp else None, None)
    started = stamp or (utc(begun) if begun is not None else None)
    source = by_name if stamp else "file time" if started is not None else None
    return RunTime(started, source, utc(files.progress) if files.progress is not None else None)


def utc(seconds: float) -> datetime | None:
    """A time stamp as a naive datetime in UTC, which is what records and tables hold.

    None for one before the year 1 or after 9999, which a file's time can be.
    """
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _clock(names: tuple[str, ...]) -> int | None:
    """The place of the column that says how long training took."""
    return next((i for i, name in enumerate(names) if re.sub(r"[^a-z]", "", name.lower()) in _CLOCKS), None)


def seconds_of(columns: Sequence[MetricSeries]) -> float | None:
    """How many seconds training took by the rows: since the last start, where it was started again."""
    place = _clock(names_of(columns))
    if place is None:
        return None
    values: Sequence[Any] = columns[place].values
    with contextlib.suppress(TypeError, IndexError):  # of a clock that goes on, the last row says it
        if 0 <= values[0] <= values[-1] < _LONGEST and list(values) == sorted(values):
            return float(values[-1])
    times = [float(t) for t in values if isinstance(t, (int, float)) and 0 <= t < _LONGEST]
    if not times:
        return None
    back = sum(after < before for before, after in pairwise(times))
    if len(times) >= _ENOUGH and back * 4 > len(times):  # no clock: the duration of each row
        return min(sum(times), _LONGEST)
    return times[-1]


def _times_of_a_copy(
    name: str, stamp: datetime | None, files: FileTimes, seconds: float | None, zone: tzinfo | None
) -> bool:
    if files.progress is None:
        return False
    if seconds is not None and seconds >= _TELLING and files.config is not None:
        return files.progress - files.config < seconds / 2
    day = stamp or _day(name, zone)
    if day is None:
        return False
    slack = _DAY if stamp else 2 * _DAY
    since = files.progress - day.replace(tzinfo=timezone.utc).timestamp()
    if seconds is None:
        return not -slack < since < _LONGEST_WITHOUT_CLOCK
    return not seconds - slack < since < seconds + max(slack, seconds)


def _stamp(name: str, zone: tzinfo | None) -> datetime | None:
    """The start that the launcher wrote into the name, in UTC."""
    match = _STAMP.match(name)
    return _in_utc(f"{match[1]} {match[2]}", "%Y-%m-%d %H-%M-%S", zone) if match and match[2] else None


def _day(name: str, zone: tzinfo | None) -> datetime | None:
    match = _STAMP.match(name)
    return _in_utc(match[1], "%Y-%m-%d", zone) if match else None


def _in_utc(text: str, layout: str, zone: tzinfo | None) -> datetime | None:
    """A local time in UTC, with the offset that the zone had at that time."""
    try:
        local = datetime.strptime(text, layout)
        aware = local.astimezone() if zone is None else local.replace(tzinfo=zone)
        return aware.astimezone(timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


def zone_of_source(source: str | None) -> str | None:
    """The zone that the source of a start names, None where it was this machine's."""
    return source.removeprefix(_IN_ZONE) if source is not None and source.startswith(_IN_ZONE) else None


@lru_cache(maxsize=8)
def zone_named(name: str) -> tzinfo:
    """The zone of that name: ``Europe/Berlin``, ``UTC``, ``+02:00``.

    Raises:
        ValueError: there is none.
    """
    from zoneinfo import ZoneInfo

    if match := re.fullmatch(r"(?:UTC)?([+-])(\d\d?):?(\d\d)?", name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    if name.upper() in ("Z", "UTC"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"no time zone {name!r}") from error
