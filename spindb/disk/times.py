"""The start of a run, the time of its last row, and whether the times of its files are reliable.

A name may contain a time stamp, in local time of the training machine. The time of a file is that of the training only
if the file was not copied; a clone, an unpacked archive and many copies set all files to the time of the copy. Then the
file times contradict the rows or the name:

- by the last row, training took hours, but the config was written at most half of that before the last row;
- the name has a start, but the last row's file is days older or younger than start plus duration.
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

# Spinning Up's datestamp: 2021-03-04_12-30-00-name, or only the date before the name of the experiment.
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)_(?:(\d\d-\d\d-\d\d)[-_])?")
_CLOCKS = ("time", "walltime", "elapsedtime", "timeelapsed", "totaltime", "timetimeelapsed", "timetotals")
_LONGEST = 1e8  # seconds, three years: larger numbers are dates since 1970
_TELLING = 600.0  # seconds of training: copying takes less, so shorter runs prove nothing
_ENOUGH = 8  # rows needed to distinguish a clock from durations
_DAY = 86400.0
_IN_ZONE = "name in "
_LONGEST_WITHOUT_CLOCK = 90 * _DAY  # assumed longest training if no column has the duration


class FileTimes(NamedTuple):
    """Modification times of files, in seconds since the epoch."""

    config: float | None
    progress: float | None


class RunTime(NamedTuple):
    """Start and last row as naive datetimes in UTC; None if unknown."""

    started_at: datetime | None
    started_source: str | None
    updated_at: datetime | None


def without_stamp(name: str) -> str:
    """The name without the time stamp before it."""
    return _STAMP.sub("", name)


def has_stamp(name: str) -> bool:
    """Whether a name begins with a date and a time."""
    match = _STAMP.match(name)
    return bool(match and match[2])


def run_time(name: str, files: FileTimes, columns: Sequence[MetricSeries], stamp_zone: str | None = None) -> RunTime:
    """When a run started, and when its last row was written.

    Args:
        name: name of its directory.
        files: modification times of config and metrics.
        columns: the metrics; one may have the duration of the training.
        stamp_zone: time zone of the training machine; None for this machine's. If given, it is part of the source of
            the start, so that later ingests know it.

    Raises:
        ValueError: the zone is unknown.
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
    """Seconds since the epoch as a naive datetime in UTC, as in records and tables.

    None outside the years 1 to 9999, which is possible for the time of a file.
    """
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=64)  # most runs have the header of the run before
def _clock(names: tuple[str, ...]) -> int | None:
    """The index of the column with the duration of the training."""
    return next((i for i, name in enumerate(names) if re.sub(r"[^a-z]", "", name.lower()) in _CLOCKS), None)


def seconds_of(columns: Sequence[MetricSeries]) -> float | None:
    """The duration of the training in seconds by its rows: since the last start if it was restarted."""
    place = _clock(names_of(columns))
    if place is None:
        return None
    values: Sequence[Any] = columns[place].values
    with contextlib.suppress(TypeError, IndexError):  # the usual case, a clock that never goes back
        if 0 <= values[0] <= values[-1] < _LONGEST and list(values) == sorted(values):
            return float(values[-1])
    times = [float(t) for t in values if isinstance(t, (int, float)) and 0 <= t < _LONGEST]
    if not times:
        return None
    back = sum(after < before for before, after in pairwise(times))
    if len(times) >= _ENOUGH and back * 4 > len(times):  # goes back often: not a clock, but the duration of each row
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
    # A day of slack for an unknown time zone, and another if the name has a date without a time.
    slack = _DAY if stamp else 2 * _DAY
    since = files.progress - day.replace(tzinfo=timezone.utc).timestamp()
    if seconds is None:
        return not -slack < since < _LONGEST_WITHOUT_CLOCK
    return not seconds - slack < since < seconds + max(slack, seconds)


def _stamp(name: str, zone: tzinfo | None) -> datetime | None:
    """The start in the name, in UTC."""
    match = _STAMP.match(name)
    return _in_utc(f"{match[1]} {match[2]}", "%Y-%m-%d %H-%M-%S", zone) if match and match[2] else None


def _day(name: str, zone: tzinfo | None) -> datetime | None:
    match = _STAMP.match(name)
    return _in_utc(match[1], "%Y-%m-%d", zone) if match else None


def _in_utc(text: str, layout: str, zone: tzinfo | None) -> datetime | None:
    """Local time converted to UTC, with the offset of the zone at that time."""
    try:
        local = datetime.strptime(text, layout)
        aware = local.astimezone() if zone is None else local.replace(tzinfo=zone)
        return aware.astimezone(timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


def zone_of_source(source: str | None) -> str | None:
    """The zone in the source of a start; None for this machine's."""
    return source.removeprefix(_IN_ZONE) if source is not None and source.startswith(_IN_ZONE) else None


@lru_cache(maxsize=8)
def zone_named(name: str) -> tzinfo:
    """The zone with that name: ``Europe/Berlin``, ``UTC``, ``+02:00``.

    Raises:
        ValueError: it is unknown.
    """
    from zoneinfo import ZoneInfo  # few runs need a zone by name

    if match := re.fullmatch(r"(?:UTC)?([+-])(\d\d?):?(\d\d)?", name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    if name.upper() in ("Z", "UTC"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"no time zone {name!r}") from error
