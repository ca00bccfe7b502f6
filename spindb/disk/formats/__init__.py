"""On-disk layouts, one module each behind one small protocol."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from spindb.disk.formats.spinningup import SpinningUp
from spindb.records import RunRecord

__all__ = ["FORMATS", "READERS", "Format", "format_named", "recognise"]


class Format(Protocol):
    """A layout in which some logger writes its runs."""

    @property
    def name(self) -> str:
        """Stored with the run."""

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        """Whether a directory with these entries is a run of this layout.

        A policy without metrics is told by what lies in its saves, and so only where `directory` is given.
        """

    def matters(self, name: str) -> bool:
        """Whether the entry `name` of a run directory is read, so that its change means a changed run."""

    def is_save(self, name: str) -> bool:
        """Whether the entry `name` of a run directory is a saved policy, never a directory of runs."""

    def read(
        self, directory: Path, path: str, previous_size: int | None = None, stamp_zone: str | None = None
    ) -> RunRecord:
        """Read the run at `directory`; `path` is its place relative to the root.

        `previous_size` is how many bytes its metrics had when they were read before, so that a run that
        grew can be told from one that was overwritten. `stamp_zone` is the zone of a stamp in its name, None for
        this machine's.

        Never raises for odd content: that becomes problems of the record.
        """


READERS = 5
"""Enters the signature of every run. Raise it where a reader of this package makes other rows of the same files, so
that the next ingest reads runs again that an older spindb read."""

FORMATS: tuple[Format, ...] = (SpinningUp(),)
"""Tested in this order; the first that recognises a directory reads it."""


def recognise(names: Collection[str], directory: str | os.PathLike[str] | None = None) -> Format | None:
    """The first layout that a directory with these entries has, if any; see `Format.recognise`."""
    for candidate in FORMATS:
        if candidate.recognise(names, directory):
            return candidate
    return None


def format_named(name: str) -> Format:
    """The layout with that name."""
    return next(candidate for candidate in FORMATS if candidate.name == name)
