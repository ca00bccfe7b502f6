"""Copies of SQLite files, whole even while others write (sqlite.org/backup.html)."""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from spindb.errors import DatabaseError, NotFoundError, UsageError
from spindb.files import atomic_write
from spindb.machine import now


def beside(path: Path, why: str = "backup") -> Path:
    """Where a copy of the database at `path` goes: beside it, with the time in its name."""
    named = f"{path.name}.{why}-{now():%Y%m%dT%H%M%S}"
    numbered = (path.with_name(f"{named}{'' if number == 1 else f'-{number}'}") for number in itertools.count(1))
    return next(place for place in numbered if not os.path.exists(place))


def back_up(path: Path, place: Path) -> Path:
    """Copy the database at `path` to `place`, which must not be there; returns `place`.

    Raises:
        NotFoundError: there is no such database.
        UsageError: `place` is there, or can't be written.
        DatabaseError: the copy is not sound: the database is damaged.
    """
    if not os.path.isfile(path):
        raise NotFoundError(f"no database at {path}")
    if os.path.exists(place):
        raise UsageError(f"{place} already exists")
    try:
        with atomic_write(place, private=True) as unfinished:
            with closing(sqlite3.connect(unfinished)) as copy, closing(sqlite3.connect(path)) as source:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
                (sound,) = copy.execute("PRAGMA quick_check").fetchone()
            if sound != "ok":
                raise DatabaseError(f"{path} is damaged: {sound}", hint="spindb db check lists the damage")
    except sqlite3.OperationalError as error:
        if "unable to open" in str(error):
            raise UsageError(f"{place} can't be written: {error}") from None
        raise
    return place
