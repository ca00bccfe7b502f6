"""A run with all that is shown of it, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from spindb.index.database.unknown import json_value
from spindb.index.query.runs import RunInfo, snapshots_of
from spindb.index.read.overview import VaryingKey, varying_keys
from spindb.index.read.run import RunWhole, last_value, siblings_of, verdicts_of, whole
from spindb.train.command import launch
from spindb.views.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class RunView:
    """A run, what the index holds of it, and the hyperparameters that differ from its ``siblings`` (how many)."""

    run: RunInfo
    whole: RunWhole
    saved: Snapshots
    siblings: int
    varying: Mapping[str, VaryingKey]

    @property
    def launch(self) -> str | None:
        """The command that would launch it again, as far as its config says; None where it does not."""
        config = {leaf.key: json_value(leaf.value) for leaf in self.whole.config if not leaf.internal}
        return launch(config, self.run.algo, self.run.env.id, [snapshot.kind for snapshot in self.saved.all])

    def as_json(self) -> dict[str, object]:
        """The run as one object."""
        return {
            **asdict(self.run),
            "directory": str(self.run.directory),
            "launch": self.launch,
            "tags": self.whole.tags,
            "notes": [{"at": at, "text": text} for at, text in self.whole.notes],
            "config": {leaf.key: json_value(leaf.value) for leaf in self.whole.config},
            "metrics": {m.name: {**asdict(m), "last": last_value(m)} for m in self.whole.metrics},
            "snapshots": self.saved.as_json(),
            "evaluations": [asdict(evaluation) for evaluation in self.whole.evaluations],
            "superseded": [asdict(row) for row in self.whole.earlier],
            "problems": [asdict(problem) for problem in self.whole.problems],
        }


def view_of(connection: Connection, run: RunInfo, *, internal: bool = False) -> RunView:
    """The view of a run; with `internal` also what the logger wrote about itself."""
    # Runs of the same algorithm and environment: beside others nearly every hyperparameter would differ.
    siblings = siblings_of(connection, run.id)
    varying = varying_keys(connection, [run.id, *siblings]) if siblings else []
    return RunView(
        run,
        whole(connection, run.id, internal=internal),
        Snapshots(tuple(snapshots_of(connection, run.id)), verdicts_of(connection, run.id)),
        len(siblings),
        {row.key: row for row in varying},
    )
