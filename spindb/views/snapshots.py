"""A run's snapshots: their condition, the last verdict on each, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from spindb.index.read.run import EvaluationRow
from spindb.records import SnapshotRecord, latest


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Snapshots, oldest first; ``verdicts`` holds the evaluation that gave the last verdict on each, by path."""

    all: tuple[SnapshotRecord, ...]
    verdicts: Mapping[str, EvaluationRow]

    def last(self, count: int) -> Snapshots:
        """The newest ones."""
        return Snapshots(self.all[-count:], self.verdicts)

    def remark(self, snapshot: SnapshotRecord) -> str:
        """Whether it is the latest, stale or can't be loaded; and the verdict."""
        return ", ".join(filter(None, (self._condition(snapshot), self.verdict(snapshot))))

    def _condition(self, snapshot: SnapshotRecord) -> str:
        if snapshot.unloadable:
            return "can't be loaded"
        if snapshot.stale:
            return "stale"
        # Identity, not equality: copies of a save in one directory are equal.
        return "latest" if snapshot is latest(self.all) else ""

    def verdict(self, snapshot: SnapshotRecord) -> str:
        """The last verdict on it; empty where there is none."""
        found = self.verdicts.get(snapshot.path)
        return found.verdict or "" if found is not None else ""

    def as_json(self) -> list[dict[str, object]]:
        """An object for each snapshot."""
        return [
            {
                **asdict(snapshot),
                "inputs": dict(snapshot.inputs),
                "outputs": dict(snapshot.outputs),
                "verdict": self.verdict(snapshot) or None,
            }
            for snapshot in self.all
        ]
