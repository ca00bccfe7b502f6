"""What a name in a query means: a run column, a hyperparameter or a metric of this database.

A bare name means a run column, then a hyperparameter, then a metric; ``config.``, ``metric.`` say it
outright. A metric takes a statistic (``.max``), ``.last`` where none is given. A hyperparameter may be
named by its last part where that is unambiguous, and with ``:`` for ``.`` as Spinning Up writes it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, exists, func, select, text

from spindb.errors import FilterError
from spindb.index.filters import Name
from spindb.index.models import configs, evaluations, metrics, notes, problems, roots, runs, snapshots, tags

Kind = Literal["text", "number", "time", "flag"]
STATISTICS = ("last", "first", "min", "max", "mean", "count", "argmin", "argmax")
PERFORMANCE = "Performance"
"""The metric that each run's performance is in: AverageTestEpRet, else AverageEpRet."""


@dataclass(frozen=True, slots=True)
class RunField:
    """A column of the run itself."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class ConfigField:
    """A hyperparameter by its full key."""

    key: str


@dataclass(frozen=True, slots=True)
class MetricField:
    """A statistic of a metric."""

    metric: str
    statistic: str = "last"


Field = RunField | ConfigField | MetricField


def _count_of(table: Table) -> ColumnElement[Any]:
    return select(func.count()).where(table.c.run_id == runs.c.id).correlate(runs).scalar_subquery()


def _of_evaluations(statistic: ColumnElement[Any]) -> ColumnElement[Any]:
    """A statistic of the run's recorded evaluations."""
    return select(statistic).where(evaluations.c.run_id == runs.c.id).correlate(runs).scalar_subquery()


def _joined(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """All of the run's texts, with commas between."""
    table = column.table
    texts = select(column.label("text")).where(table.c.run_id == runs.c.id).correlate(runs).order_by(column)
    inner = texts.subquery()
    return select(func.aggregate_strings(inner.c.text, ", ")).select_from(inner).scalar_subquery()


_RUN_COLUMNS: dict[str, tuple[ColumnElement[Any], Kind]] = {
    "id": (runs.c.id, "number"),
    "name": (runs.c.name, "text"),
    "exp_name": (runs.c.exp_name, "text"),
    "seed": (runs.c.seed, "number"),
    "algo": (runs.c.algo, "text"),
    "env": (runs.c.env_id, "text"),
    "status": (runs.c.status, "text"),
    "rows": (runs.c.rows, "number"),
    "format": (runs.c.format, "text"),
    "path": (runs.c.path, "text"),
    "root": (roots.c.path, "text"),
    "host": (roots.c.host, "text"),
    "started": (runs.c.started_at, "time"),
    "updated": (runs.c.updated_at, "time"),
    "archived": (runs.c.archived, "flag"),
    "copy_of": (runs.c.copy_of, "number"),
    "tags": (_joined(tags.c.tag), "text"),
    "notes": (_joined(notes.c.text), "text"),
    "snapshots": (_count_of(snapshots), "number"),
    "evaluations": (_count_of(evaluations), "number"),
    "problems": (_count_of(problems), "number"),
    "eval.mean": (_of_evaluations(func.max(evaluations.c.mean_return)), "number"),
    "eval.episodes": (_of_evaluations(func.sum(evaluations.c.episodes)), "number"),
}
_ALIASES = {"exp": "exp_name", "env_id": "env"}
ROOT_FIELDS = ("root", "host")
"""Those which stand in the table of roots."""
RUN_FIELDS = tuple(_RUN_COLUMNS)


def run_column(field: RunField) -> ColumnElement[Any]:
    """The column (or count) behind a run field."""
    return _RUN_COLUMNS[field.name][0]


class Names:
    """Looks names up in one database, each once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._there: dict[ColumnElement[str], dict[str, bool]] = {configs.c.key: {}, metrics.c.name: {}}

    def find(self, name: Name, query: str) -> Field:
        """The field that `name` means.

        Raises:
            FilterError: nothing here has that name (the nearest ones are named), or several have.
        """
        word = name.text
        head, dot, rest = word.partition(".")
        if dot and head == "config" and not self.is_key(word):
            return self.config(rest, name, query)
        if dot and head == "metric" and not self.is_metric(word):
            return self.metric(rest, name, query)
        column = _ALIASES.get(word, word)
        if column in _RUN_COLUMNS and not name.quoted:
            return RunField(column, _RUN_COLUMNS[column][1])
        found = self.exact_key(word) or self.exact_metric(word) or self.key_by_last_part(word, name, query)
        if found is None:
            raise self.unknown(name, query, [*RUN_FIELDS, *self.keys(), *self.metrics(), PERFORMANCE])
        return found

    def config(self, key: str, name: Name, query: str) -> Field:
        found = self.exact_key(key) or self.key_by_last_part(key, name, query)
        if found is None:
            raise self.unknown(name, query, [f"config.{k}" for k in self.keys()])
        return found

    def metric(self, metric: str, name: Name, query: str) -> Field:
        found = self.exact_metric(metric)
        if found is None:
            raise self.unknown(name, query, [f"metric.{m}" for m in [*self.metrics(), PERFORMANCE]])
        return found

    def exact_key(self, key: str) -> ConfigField | None:
        for spelling in dict.fromkeys((key, key.replace(":", "."))):
            if self.is_key(spelling):
                return ConfigField(spelling)
        return None

    def exact_metric(self, word: str) -> MetricField | None:
        if self.is_metric(word):
            return MetricField(word)
        metric, _, statistic = word.rpartition(".")
        if statistic in STATISTICS and self.is_metric(metric):
            return MetricField(metric, statistic)
        return None

    def key_by_last_part(self, part: str, name: Name, query: str) -> ConfigField | None:
        ending = "." + part.replace(":", ".")
        found = [key for key in self.keys() if key.endswith(ending)]
        visible = [key for key in found if not key.startswith(("logger.", "logger_kwargs."))]
        candidates = visible or found
        if len(candidates) > 1:
            raise FilterError(
                f"{name.text!r} is the last part of several hyperparameters: {', '.join(candidates)}",
                query,
                name.start,
                name.end,
                hint="write one of them in full",
            )
        return ConfigField(candidates[0]) if candidates else None

    def unknown(self, name: Name, query: str, known: list[str]) -> FilterError:
        near = nearest(name.text, known)
        hint = f"did you mean {' or '.join(near)}?" if near else "spindb params and spindb metrics list what there is"
        return FilterError(f"nothing here is called {name.text!r}", query, name.start, name.end, hint=hint)

    def is_key(self, key: str) -> bool:
        return self._is_there(configs.c.key, key)

    def is_metric(self, metric: str) -> bool:
        if metric == PERFORMANCE:
            return True
        return self._is_there(metrics.c.name, metric)

    def _is_there(self, column: ColumnElement[str], name: str) -> bool:
        there = self._there[column]
        if name not in there:
            there[name] = bool(self.connection.execute(select(exists().where(column == name))).scalar())
        return there[name]

    def keys(self) -> list[str]:
        """Every hyperparameter of the database, sorted."""
        return _distinct(self.connection, configs, "key")

    def metrics(self) -> list[str]:
        """Every metric of the database, sorted."""
        return _distinct(self.connection, metrics, "name")


def _distinct(connection: Connection, table: Table, column: str) -> list[str]:
    """Distinct values of an indexed column: one step through the index per value, not per row."""
    name, key = table.name, column
    statement = f"""
        WITH RECURSIVE found(value) AS (
            SELECT min({key}) FROM {name}
            UNION ALL
            SELECT (SELECT min({key}) FROM {name} WHERE {key} > found.value) FROM found WHERE found.value IS NOT NULL
        )
        SELECT value FROM found WHERE value IS NOT NULL
        """  # noqa: S608 - both names come from the tables above
    return [str(value) for value in connection.execute(text(statement)).scalars()]


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like `word`, in any case of letters, also by their last parts."""
    by_form: dict[str, str] = {}
    for name in known:
        by_form.setdefault(name.lower(), name)
        by_form.setdefault(name.rpartition(".")[2].lower(), name)
    forms = difflib.get_close_matches(word.lower(), by_form, n=count * 2, cutoff=0.6)
    return list(dict.fromkeys(by_form[form] for form in forms))[:count]
