"""What differs between runs: hyperparameters, facts, the last and the best value of each metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from spindb.analysis.differences import Difference, Fact, differences
from spindb.canonical import canonical
from spindb.index.database.unknown import json_value
from spindb.index.query.runs import RunInfo
from spindb.index.read.run import config_of, last_value, metrics_of
from spindb.records import ConfigLeaf
from spindb.views.text import show, show_hyperparameter


@dataclass(frozen=True, slots=True)
class Differences:
    """Runs beside each other: a row per key, each with a value per run."""

    runs: tuple[RunInfo, ...]
    rows: tuple[Difference, ...]

    @property
    def titles(self) -> list[str]:
        """The runs' ids, as titles of columns."""
        return [str(run.id) for run in self.runs]

    def as_json(self) -> list[dict[str, object]]:
        """An object for each key, with whole values by run id."""
        return [{"key": row.key, "values": dict(zip(self.titles, row.exact, strict=True))} for row in self.rows]


def differences_between(connection: Connection, runs: Sequence[RunInfo], *, equal: bool = False) -> Differences:
    """The keys whose values differ between these runs; with `equal` all keys."""
    rows = differences([_facts(connection, run) for run in runs], everything=equal)
    return Differences(tuple(runs), tuple(rows))


def _facts(connection: Connection, run: RunInfo) -> dict[str, Fact]:
    """What a run is compared by, exactly: hyperparameters by canonical texts, numbers by all digits."""
    about = {"algo": run.algo, "env": run.env.id, "status": run.status, "rows": run.rows}
    found = {leaf.key: _hyperparameter(leaf) for leaf in config_of(connection, run.id)}
    found |= {f"run.{key}": Fact(str(v), show(v), str(v)) for key, v in about.items() if v is not None}
    for metric in metrics_of(connection, run.id):
        found[f"metric.{metric.name}"] = _number(last_value(metric))
        # The best value of other metrics says nothing: of a loss the highest is the worst.
        if metric.name == run.performance:
            found[f"metric.{metric.name}.max"] = _number(metric.max)
    return found


def _hyperparameter(leaf: ConfigLeaf) -> Fact:
    value = json_value(leaf.canonical)
    exact = value if isinstance(value, str) else leaf.canonical
    return Fact(leaf.canonical, show_hyperparameter(leaf.canonical), exact)


def _number(value: float | str | None) -> Fact:
    exact = canonical(value) if isinstance(value, float) else str(value or "")
    return Fact(exact, show(value), exact)
