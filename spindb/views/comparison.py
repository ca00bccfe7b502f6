"""A comparison of settings, as nested objects for JSON and as flat records for CSV."""

from __future__ import annotations

from dataclasses import asdict

from spindb.analysis.compare import Comparison, Row
from spindb.analysis.statistics import Statistics
from spindb.index.read.exports import column_names
from spindb.index.read.groups import shown_field


def comparison_as_json(found: Comparison) -> list[dict[str, object]]:
    """An object for each setting and metric, ranked."""
    return [_as_json(row, found) for row in found.rows]


def comparison_as_records(found: Comparison) -> list[dict[str, object]]:
    """A flat record for each: hyperparameters first, each with a column of its own."""
    return [_as_record(row, found) for row in found.rows]


def statistics_of(row: Row) -> dict[str, object]:
    """The statistics by name; where there is no value, ``n`` is 0 and the others None."""
    return asdict(row.statistics) if row.statistics else dict.fromkeys(Statistics.__slots__) | {"n": 0}


def _as_json(row: Row, found: Comparison) -> dict[str, object]:
    return {
        "setting": dict(row.setting.values),
        "label": row.setting.label,
        "environment": row.setting.environment,
        "metric": row.metric,
        "runs": row.setting.runs,
        "seeds": row.setting.seeds,
        "values": row.values,
        "value_seeds": row.seeds,
        "left_out": row.left_out,
        **(asdict(row.statistics) if row.statistics else {"n": 0}),
        "p": row.p,
        "p_alone": row.p_alone,
        "tests": row.tests,
        "verdict": row.verdict,
        **_left_out(row, found),
    }


def _left_out(row: Row, found: Comparison) -> dict[str, object]:
    """Ids of runs that were left out, averaged or assumed to differ."""
    return {
        "runs_left_out": row.runs_left_out,
        "copies_left_out": row.setting.copies,
        "earlier_left_out": row.setting.earlier,
        "reruns_averaged": row.setting.reruns,
        "continued": row.setting.continued,
        "assumed_different": row.setting.assumed_different,
        "equal_rows": row.setting.equal_rows,
        "overwritten_left_out": found.grouping.overwritten,
    }


def _as_record(row: Row, found: Comparison) -> dict[str, object]:
    # A record has a column for every hyperparameter of the ranking: null here is a value, an empty cell means absent.
    values = {key: shown_field(None) if value is None else value for key, value in row.setting.values.items()}
    rest = {"left_out": row.left_out, "p": row.p, "verdict": row.verdict, "runs": list(row.setting.runs)}
    more = {"environment": row.setting.environment, "metric": row.metric, "p_alone": row.p_alone, "tests": row.tests}
    numbers = {**statistics_of(row), **rest, **more, **_left_out(row, found)}
    columns = column_names(found.keys, list(numbers))
    return {**{columns[key]: values.get(key) for key in found.keys}, **numbers}
