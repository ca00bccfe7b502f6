"""What a layout is: how some logger lays out its runs on disk."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from spindb.disk.run_directory import RunDirectory
from spindb.records import RunRecord, SnapshotRecord

Previous = Mapping[str | None, int]
"""How many bytes the metrics of the directory's runs had when they were read before, by their parts."""


@dataclass(frozen=True, slots=True)
class SnapshotFiles:
    """The files of a run directory that playing a snapshot reads; paths are relative to the directory.

    ``digested`` are those that make up the policy, in the order in which they are digested. ``states`` are those that
    hold a saved environment, the snapshot's own first, else the latest. ``config`` holds the hyperparameters as JSON or
    YAML; None where there is no such file.
    """

    digested: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    config: str | None = None


class Layout(Protocol):
    """A layout in which some logger writes its runs: one or many in a directory.

    Nothing here raises for odd content: that becomes problems of the run. Nothing executes what files hold.
    """

    @property
    def name(self) -> str:
        """Stored with the run: a layout that is renamed can't find its runs again."""

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        """Whether a directory with these entries holds runs of this layout.

        Names alone come first, for all layouts; what takes a look at files is asked again, with `directory`, where
        no name decides.
        """

    def is_save(self, name: str) -> bool:
        """Whether the entry `name` of a run directory is part of it, as a saved policy is: no directory of runs."""

    def watched(self, directory: str, names: Sequence[str]) -> Iterable[str]:
        """The paths that runs are read from, at any depth: where the size or time of one changes, they are read again.

        `names` are the entries of `directory`, sorted. Paths are relative to it, with ``/`` between their parts, in
        an order that follows from the names. What can't be listed is left out: `read` says so.
        """

    def read(self, run: RunDirectory, previous: Previous) -> Iterable[RunRecord]:
        """The runs of a directory.

        Where it holds several, each has a ``part`` (`spindb.records.part_of`) by which it is known again: one that
        does not depend on how many there are or in which order. Then ``content`` covers all that the record says, since
        a run with an equal one is not written again. ``path`` is set by the caller.

        `previous` lets a run that grew be told from one that was overwritten: `RunDirectory.content` takes it.
        """

    def snapshot_files(self, directory: str, snapshot: SnapshotRecord | None) -> SnapshotFiles:
        """The files that playing a snapshot reads; without a snapshot, those of the run alone."""
