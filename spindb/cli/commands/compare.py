"""``spindb compare``: settings ranked over seeds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli import completion
from spindb.cli.options import (
    AsCsv,
    AsJson,
    Db,
    Everything,
    FilterWords,
    GroupBy,
    Lower,
    Summary,
    at_most_one,
    database,
    split,
    words_of,
)
from spindb.cli.terminal.rankings import print_comparison, warn
from spindb.cli.terminal.tables import print_csv, print_json, say
from spindb.extras import require_extra

if TYPE_CHECKING:
    from spindb.analysis.compare import Comparison, Row


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("compare")(compare)


def compare(
    ctx: typer.Context,
    words: FilterWords = None,
    value: Annotated[
        str, typer.Option("--value", "-y", help="The metric.", autocompletion=completion.of_metric)
    ] = "Performance",
    summary: Summary = "last",
    group_by: GroupBy = None,
    lower: Lower = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """Rank settings over their seeds: mean with Student's interval, median, interquartile mean, and what p says.

    spindb compare 'env=CartPole-v1 algo=ppo'

    spindb compare 'env=Pendulum-v0' --group-by algo --summary tail:10

    spindb compare 'algo=ppo' --summary reach:150
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected

    at_most_one(json=as_json, csv=as_csv)
    with require_extra():
        from spindb.analysis.compare import compare as compare_settings
    with connected(database(ctx, db)) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        found = compare_settings(connection, ids, value, summary, split(group_by), lower=lower)
    if as_json:
        print_json([_as_dict(row, found) for row in found.rows])
    elif as_csv:
        rows = [_flat(row, found) for row in found.rows]
        print_csv(tuple(rows[0]) if rows else ("n",), [tuple(row.values()) for row in rows])
    elif found.rows:
        print_comparison(found, summary, split(group_by))
    else:
        say("no run to compare")
    for note in found.notes:
        say(note)
    if not (as_json or as_csv):
        warn(found)


def _as_dict(row: Row, found: Comparison) -> dict[str, Any]:
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


def _left_out(row: Row, found: Comparison) -> dict[str, Any]:
    """What was left out, averaged or assumed: ids of runs."""
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


def _flat(row: Row, found: Comparison) -> dict[str, Any]:
    from spindb.analysis.statistics import Statistics
    from spindb.index.read.exports import column_names
    from spindb.index.read.groups import shown_field

    names = Statistics.__slots__
    statistics = asdict(row.statistics) if row.statistics else dict.fromkeys(names) | {"n": 0}
    values = {key: shown_field(None) if value is None else value for key, value in row.setting.values.items()}
    rest = {"left_out": row.left_out, "p": row.p, "verdict": row.verdict, "runs": list(row.setting.runs)}
    more = {"environment": row.setting.environment, "metric": row.metric, "p_alone": row.p_alone, "tests": row.tests}
    numbers = {**statistics, **rest, **more, **_left_out(row, found)}
    called = column_names(found.keys, list(numbers))
    return {**{called[key]: values.get(key) for key in found.keys}, **numbers}
