"""The exceptions that spindb raises deliberately.

::

    SpindbError                      exit code 1
    ├── UsageError                   2  an invalid flag, value or combination
    │   └── FilterError              2  an invalid query, with the position in its text
    ├── NotFoundError                3  no such run, path, itr, key
    ├── DatabaseError                4  missing, locked, unreadable, or not a database
    │   └── SchemaError              4  older or newer than this spindb
    └── PlaybackError                5  a policy or an environment that can't be used
        ├── PolicyError              5
        └── EnvironmentBuildError    5

The command line catches ``SpindbError`` in one place and prints its message on stderr; the exit code is that of its
class. Any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DamagedWarning",
    "DatabaseError",
    "EnvironmentBuildError",
    "EnvironmentWarning",
    "FilterError",
    "NotFoundError",
    "PlaybackError",
    "PolicyError",
    "SchemaError",
    "SpindbError",
    "UsageError",
]


class DamagedWarning(UserWarning):
    """Invalid values in the database were read as unknown."""


class EnvironmentWarning(UserWarning):
    """The environment that was built is not that of the training."""


class SpindbError(Exception):
    """Base class. ``hint`` is a suggestion how to proceed, or None."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SpindbError):
    """The request is invalid."""

    exit_code = 2


_LONGEST_SHOWN = 500  # characters of a query


class FilterError(UsageError):
    """A query that can't be read or names something unknown.

    ``text[start:end]`` is the part that it is about; ``str(error)`` shows it with a caret line.
    """

    def __init__(self, message: str, text: str, start: int, end: int | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.text = text
        self.start = start
        # At least one caret, also at the end of the text.
        self.end = max(start + 1, end if end is not None else start + 1)

    def __str__(self) -> str:
        first, last = 0, len(self.text)
        if last > _LONGEST_SHOWN:  # the part around what it is about
            first = max(0, self.start - _LONGEST_SHOWN // 4)
            last = first + _LONGEST_SHOWN
        before, after = "… " if first else "", " …" if last < len(self.text) else ""
        marks = " " * (self.start - first + len(before)) + "^" * (min(self.end, max(last, self.start + 1)) - self.start)
        return f"{self.message}\n  {before}{self.text[first:last]}{after}\n  {marks}"


class NotFoundError(SpindbError):
    """A run, path, itr or key that does not exist; the message lists existing ones."""

    exit_code = 3


class DatabaseError(SpindbError):
    """The database can't be opened, read or written."""

    exit_code = 4


class SchemaError(DatabaseError):
    """The database has an older or newer schema than this spindb."""


class PlaybackError(SpindbError):
    """A saved policy can't be played."""

    exit_code = 5


class PolicyError(PlaybackError):
    """The snapshot can't be loaded, or does not fit the environment."""


class EnvironmentBuildError(PlaybackError):
    """No usable environment; the message lists what was tried and why it failed."""
