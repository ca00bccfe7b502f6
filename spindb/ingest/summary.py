"""What an ingest did, counted in runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from spindb.index.write.batch import IndexedRun
from spindb.index.write.identity import Identity
from spindb.records import Problem, RunRecord


class Kept(NamedTuple):
    """A run whose directory was overwritten, and the run that keeps what it held before."""

    run: int
    kept_as: int


class Outcome(NamedTuple):
    """What became of a run that was read; ``known`` is what the index knew, ``same`` says that it proved to be so."""

    directory: str
    known: IndexedRun | None
    record: RunRecord
    identity: Identity
    same: bool = False
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class RunProblem:
    """A problem and the directory it was found in."""

    directory: Path
    problem: Problem


@dataclass(slots=True)
class Summary:
    """What an ingest did, counted in runs.

    ``overwritten`` are among the changed, ``copies`` among the new, ``spared`` among the missing: what a pruning kept.
    ``kept`` says where the earlier contents of the overwritten ones are. ``removed`` counts runs on disk that a person
    removed from the index, which are counted nowhere else. ``foreign`` counts directories of other loggers by what lies
    in them. ``problems`` holds those of runs that were read.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    missing: int = 0
    returned: int = 0
    moved: int = 0
    overwritten: int = 0
    copies: int = 0
    pruned: int = 0
    spared: int = 0
    removed: int = 0
    kept: list[Kept] = field(default_factory=list)
    foreign: Counter[str] = field(default_factory=Counter)
    problems: list[RunProblem] = field(default_factory=list)

    @property
    def written(self) -> int:
        """All runs that were written."""
        return self.new + self.changed + self.returned + self.moved

    @property
    def total(self) -> int:
        """All runs that were found on disk, but for those that were removed."""
        return self.new + self.changed + self.unchanged + self.returned + self.moved

    def count(self, outcome: Outcome, directory: Path) -> bool:
        """Count the run at `directory`; returns whether it was written into view, that is, new or not as it was."""
        known, record, identity, same, kept = outcome[1:]
        if kept is not None:
            self.kept.append(kept)
        if identity.removed_at is not None or (same and known is not None and known.removed):
            self.removed += 1
            return False
        if identity.moved_from is not None:
            self.moved += 1
        elif known is None:
            self.new += 1
            self.copies += identity.copy_of is not None
        elif known.status == "missing":
            self.returned += 1
        elif same:
            self.unchanged += 1
            return False
        else:
            self.changed += 1
            self.overwritten += identity.past is not None and not identity.past.nothing
        self.problems += [RunProblem(directory, problem) for problem in record.problems]
        return True
