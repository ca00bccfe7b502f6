"""What a name in a query means: a run column, hyperparameters or metrics; for each run the first that it has.

========================= =================================================================================
name                      stands for, in this order
========================= =================================================================================
a run column              that column, in every run
``Performance``           each run's own performance metric, whatever keys and metrics are called so
any other bare name       the hyperparameter of that key; the metric of that name; hyperparameters whose path
                          ends so
``config.NAME``           the hyperparameter of that key; hyperparameters whose path ends so
``metric.NAME``           the metric of that name
========================= =================================================================================

Of hyperparameters whose path ends so the shorter path comes first, then the alphabet decides; what a logger wrote about
itself comes last. A metric takes a statistic (``.max``), ``.last`` where none is given. ``:`` in a path does for ``.``,
as Spinning Up writes it. What other runs of the database hold changes nothing for a run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Subquery,
    Table,
    and_,
    cast,
    exists,
    func,
    not_,
    select,
)

from spindb.errors import FilterError
from spindb.index.database.models import evaluations, notes, problems, roots, runs, snapshots, tags
from spindb.index.query.language import Name

Kind = Literal["text", "number", "bytes", "time", "flag", "codes"]
STATISTICS = ("last", "first", "min", "max", "mean", "count", "argmin", "argmax")
PERFORMANCE = "Performance"
"""The metric that each run's performance is in: AverageTestEpRet, else AverageEpRet."""

_OF_LOGGERS = ("logger.", "logger_kwargs.")


class RunField(NamedTuple):
    """A column of the run itself."""

    name: str
    kind: Kind


class ConfigField(NamedTuple):
    """A hyperparameter by its full key; with several keys the first that a run has."""

    keys: tuple[str, ...]


class MetricField(NamedTuple):
    """A statistic of a metric; without a metric's name, of each run's own performance metric."""

    metric: str | None
    statistic: str = "last"

    @property
    def shown(self) -> str:
        return self.metric or PERFORMANCE


class Alternatives(NamedTuple):
    """Several fields, of which the first that a run has is its value."""

    fields: tuple[ConfigField | MetricField, ...]


Stored = ConfigField | MetricField
"""What has a row of its own for each run that has it."""

Field = RunField | ConfigField | MetricField | Alternatives


def join_key(field: Stored) -> object:
    """What fields have in common that stand in one row: the statistics of a metric do."""
    return field if isinstance(field, ConfigField) else field.metric


def alternatives(field: Field) -> tuple[ConfigField | MetricField, ...]:
    """The fields that a name stands for, in order; none for a run column."""
    match field:
        case RunField():
            return ()
        case Alternatives(fields):
            return fields
        case _:
            return (field,)


def _count_of(table: Table) -> ColumnElement[Any]:
    return select(func.count()).where(table.c.run_id == runs.c.id).correlate(runs).scalar_subquery()


def _size() -> ColumnElement[Any]:
    """Bytes of the run's saved policies."""
    total = select(func.coalesce(func.sum(snapshots.c.size), 0)).where(snapshots.c.run_id == runs.c.id)
    return cast(total.correlate(runs).scalar_subquery(), BigInteger)


def _of_evaluations(statistic: ColumnElement[Any]) -> ColumnElement[Any]:
    """A statistic of the run's recorded evaluations."""
    return select(statistic).where(evaluations.c.run_id == runs.c.id).correlate(runs).scalar_subquery()


def _latest_verdicts() -> Subquery:
    """The verdict on each snapshot of what runs hold now: the last that was given."""
    e, later, present = evaluations, evaluations.alias("later"), runs.alias("present")
    same = (later.c.run_id == e.c.run_id, later.c.generation == e.c.generation)
    newer = (later.c.snapshot_path == e.c.snapshot_path, later.c.verdict.is_not(None), later.c.id > e.c.id)
    return (
        select(e.c.run_id, e.c.verdict.label("code"))
        .join(present, and_(present.c.id == e.c.run_id, present.c.generation == e.c.generation))
        .where(e.c.verdict.is_not(None), not_(exists().where(*same, *newer)))
        .subquery("verdicts")
    )


VERDICTS_GIVEN = _latest_verdicts()
"""``run_id`` and ``code``: a row for each snapshot with a verdict."""


def _joined(column: ColumnElement[Any], *, once: bool = False) -> ColumnElement[Any]:
    """All of the run's texts, or each different one once, with commas between."""
    table = column.table
    texts = select(column.label("text")).where(table.c.run_id == runs.c.id).correlate(runs).order_by(column)
    inner = (texts.distinct() if once else texts).subquery()
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
    "superseded_by": (runs.c.superseded_by, "number"),
    "tags": (_joined(tags.c.tag), "text"),
    "notes": (_joined(notes.c.text), "text"),
    "snapshots": (_count_of(snapshots), "number"),
    "size": (_size(), "bytes"),
    "evaluations": (_count_of(evaluations), "number"),
    "problems": (_count_of(problems), "number"),
    "problem": (_joined(problems.c.code, once=True), "codes"),
    "verified": (_joined(VERDICTS_GIVEN.c.code, once=True), "codes"),
    "eval.mean": (_of_evaluations(func.max(evaluations.c.mean_return)), "number"),
    "eval.episodes": (_of_evaluations(func.sum(evaluations.c.episodes)), "number"),
}
_ALIASES = {"exp": "exp_name", "env_id": "env"}
ROOT_FIELDS = ("root", "host")
"""Those which stand in the table of roots."""
RUN_FIELDS = tuple(_RUN_COLUMNS)
CODES: Mapping[str, FromClause] = {"problem": problems, "verified": VERDICTS_GIVEN}
"""Fields of which a run has several codes, and the rows of ``run_id`` and ``code`` that they stand in."""


def run_field(name: Name) -> RunField | None:
    """The run column that a name means, None where it means something else: in quotes it never means one."""
    column = _ALIASES.get(name.text, name.text)
    return RunField(column, _RUN_COLUMNS[column][1]) if column in _RUN_COLUMNS and not name.quoted else None


def run_column(field: RunField) -> ColumnElement[Any]:
    """The column (or count) behind a run field."""
    return _RUN_COLUMNS[field.name][0]


class Names:
    """Looks names up in one database, each once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._found: dict[tuple[str, bool], Field] = {}

    def find(self, name: Name) -> Field:
        """What `name` stands for.

        Raises:
            FilterError: nothing here has that name; the nearest ones are given.
        """
        place = name.text, name.quoted
        if place not in self._found:
            self._found[place] = self._find(name)
        return self._found[place]

    def _find(self, name: Name) -> Field:
        column = run_field(name)
        if column is not None:
            return column
        word = name.text
        head, dot, rest = word.partition(".")
        own, _, statistic = word.partition(".")
        if own == PERFORMANCE and statistic in ("", *STATISTICS):
            return MetricField(None, statistic or "last")
        if dot and head == "config":
            found = self._fields(self.keys_of(rest))
            near = [f"config.{key}" for key in self.keys] if found is None else []
        elif dot and head == "metric":
            found = self._fields((), [*self.metrics_of(rest), *self.metrics_of(word)])
            near = [f"metric.{metric}" for metric in self.metrics] if found is None else []
        else:
            exact, ending = self.exact_keys(word), self.keys_by_last_part(word)
            found = self._fields(exact, self.metrics_of(word), ending)
            near = [*RUN_FIELDS, *self.keys, *self.metrics, PERFORMANCE] if found is None else []
        if found is None:
            raise self.unknown(name, near)
        return found

    @staticmethod
    def _fields(
        keys: tuple[str, ...], of_metrics: Iterable[MetricField] = (), more: tuple[str, ...] = ()
    ) -> Field | None:
        """These as one field, None where there is none."""
        between = tuple(of_metrics)
        # Keys that no metric stands between are one field, which is one look into an index rather than two.
        parts = [(keys + more, ())] if not between else [(keys, between), (more, ())]
        fields: list[ConfigField | MetricField] = []
        for some, then in parts:
            fields += [ConfigField(some)] if some else []
            fields += then
        if len(fields) < 2:
            return fields[0] if fields else None
        return Alternatives(tuple(fields))

    def keys_of(self, word: str) -> tuple[str, ...]:
        """The hyperparameter of that key, then those whose path ends so."""
        return self.exact_keys(word) + self.keys_by_last_part(word)

    def exact_keys(self, word: str) -> tuple[str, ...]:
        return tuple(key for key in dict.fromkeys((word, word.replace(":", "."))) if key in self.keys)

    def keys_by_last_part(self, word: str) -> tuple[str, ...]:
        ending = "." + word.replace(":", ".")
        found = [key for key in self.keys if key.endswith(ending)]
        return tuple(sorted(found, key=lambda key: (key.startswith(_OF_LOGGERS), key.count("."), key)))

    def metrics_of(self, word: str) -> list[MetricField]:
        """The metric of that name, then the statistic that the name ends in."""
        metric, _, statistic = word.rpartition(".")
        found = [MetricField(word)] if self.is_metric(word) else []
        if statistic in STATISTICS and self.is_metric(metric):
            found.append(MetricField(metric, statistic))
        return found

    def unknown(self, name: Name, known: list[str]) -> FilterError:
        """That nothing has this name, and which of the `known` ones are like it."""
        near = nearest(name.text, known)
        hint = f"did you mean {' or '.join(near)}?" if near else "spindb params and spindb metrics list what there is"
        return name.error(f"nothing here is called {name.text!r}", hint)

    def is_metric(self, metric: str) -> bool:
        return metric in self.metrics

    @property
    def keys(self) -> dict[str, None]:
        """Every hyperparameter of the database, in order."""
        return self._names[0]

    @property
    def metrics(self) -> dict[str, None]:
        """Every metric of the database, in order."""
        return self._names[1]

    @cached_property
    def _names(self) -> tuple[dict[str, None], dict[str, None]]:
        found: tuple[dict[str, None], dict[str, None]] = ({}, {})
        for kind, name in self.connection.exec_driver_sql(_ALL_NAMES):
            found[kind][name] = None
        return found


def _steps(table: str, column: str, place: str) -> str:
    """Distinct values of an indexed column: one step through the index per value, not per row."""
    return f"""
        {place}(value) AS (
            SELECT min({column}) FROM {table}
            UNION ALL
            SELECT (SELECT min({column}) FROM {table} WHERE {column} > {place}.value)
            FROM {place} WHERE {place}.value IS NOT NULL
        )"""  # noqa: S608 - our own names


_ALL_NAMES = f"""
    WITH RECURSIVE {_steps("configs", "key", "keys")}, {_steps("metrics", "name", "names")}
    SELECT 0, value FROM keys WHERE value IS NOT NULL UNION ALL SELECT 1, value FROM names WHERE value IS NOT NULL
"""  # noqa: S608 - our own names


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like `word`, in any case of letters, also by their last parts."""
    by_form: dict[str, str] = {}
    for name in known:
        by_form.setdefault(name.lower(), name)
        by_form.setdefault(name.rpartition(".")[2].lower(), name)
    forms = difflib.get_close_matches(word.lower(), by_form, n=count * 2, cutoff=0.6)
    return list(dict.fromkeys(by_form[form] for form in forms))[:count]
