"""Commands over a selection of runs: ``runs``, ``params``, ``metrics``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.options import AsCsv, AsJson, Db, Everything, FilterWords, database
from spindb.cli.output import print_csv, print_json, print_table, say, show
from spindb.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DEFAULT_COLUMNS = ("id", "name", "algo", "env", "seed", "rows", "Performance")
_DATA_COLUMNS = (
    *("id", "root", "path", "name", "exp_name", "algo", "env", "seed", "status", "rows"),
    *("Performance", "Performance.max", "started", "updated"),
)
_TITLES = {"Performance": "perf", "Performance.max": "best", "AverageEpRet": "AvgEpRet"}
_CURVE = "curve"
_MAX_VALUES_SHOWN = 6


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("runs")(runs)
    app.command("ls", hidden=True)(runs)
    app.command("params")(params)
    app.command("metrics")(metrics)


def runs(
    ctx: typer.Context,
    words: FilterWords = None,
    sort: Annotated[
        str | None, typer.Option(metavar="FIELDS", help="Sort keys with commas between; -FIELD sorts downwards.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="FIELDS", help="Columns with commas between; +FIELD and -FIELD change the usual ones."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many runs.", min=1)] = None,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List runs.

    Quote the filter, or the shell takes < and > for itself:

    spindb runs 'env=CartPole-v0 pi_lr<1e-3 AverageEpRet.max>150 (seed=0 or seed=10)'

    spindb runs 'algo in (sac, td3) not status=empty' --sort -Performance --limit 5

    spindb runs "hidden_sizes=[64, 32]" --columns +pi_lr,-env
    """
    from spindb.index.connect import connected
    from spindb.index.search import Query, search

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    for_people = not (as_json or as_csv)
    usual = _DEFAULT_COLUMNS if for_people else _DATA_COLUMNS
    chosen = _columns(columns, usual)
    text = " ".join(words or [])
    with connected(database(ctx, db)) as connection:
        query = Query(text, chosen, _split(sort), limit, everything)
        result = search(connection, query if not for_people else _with_id(query))
        rows: list[tuple[Any, ...]] = list(result.rows)
        if for_people:
            rows = _for_people(connection, rows, curve=columns is None or columns.startswith(("+", "-")))
    if as_json:
        print_json([dict(zip(result.titles, row, strict=True)) for row in rows])
    elif as_csv:
        print_csv(result.titles, rows)
    elif rows:
        titles = [_TITLES.get(title, title) for title in chosen]
        print_table([*titles, _CURVE] if len(rows[0]) > len(titles) else titles, rows)
    if for_people:
        _count(len(rows), result.total, text)


def _with_id(query: Any) -> Any:
    """The query with the id and the status of each run as two more columns at the end."""
    from dataclasses import replace

    return replace(query, columns=(*query.columns, "id", "status"))


def _for_people(connection: Connection, rows: Sequence[tuple[Any, ...]], *, curve: bool) -> list[tuple[Any, ...]]:
    """Take off id and status again; add the curve, or what the status is where there is none."""
    from spindb.analysis.spark import sparkline
    from spindb.index.browse import performance_curves

    if not curve:
        return [row[:-2] for row in rows]
    curves = performance_curves(connection, [row[-2] for row in rows])
    return [
        (*row[:-2], sparkline(curves[row[-2]]) if row[-1] == "ok" and row[-2] in curves else _status(row[-1]))
        for row in rows
    ]


def _status(status: str) -> str:
    return "" if status == "ok" else f"({status})"


def _columns(given: str | None, usual: Sequence[str]) -> tuple[str, ...]:
    """The columns asked for: a list of their own, or changes to the usual ones."""
    fields = _split(given)
    if not fields:
        return tuple(usual)
    if not all(field.startswith(("+", "-")) for field in fields):
        return fields
    removed = {field[1:] for field in fields if field.startswith("-")}
    added = [field[1:] for field in fields if field.startswith("+")]
    return (*(field for field in usual if field not in removed), *added)


def _split(fields: str | None) -> tuple[str, ...]:
    return tuple(field.strip() for field in (fields or "").split(",") if field.strip())


def _count(shown: int, total: int, text: str) -> None:
    if not total:
        say(f"no run matches {text!r}" if text else "no runs here yet: spindb ingest DATA_DIR")
    elif shown < total:
        say(f"{shown} of {total} runs")
    else:
        say(f"{total} run{'' if total == 1 else 's'}")


def selected_ids(connection: Connection, words: Sequence[str] | None, *, everything: bool = False) -> list[int]:
    """Ids of the runs that are meant: by a filter, or by one run's id, path or name."""
    from spindb.index.resolve import find_run
    from spindb.index.search import run_ids

    text = " ".join(words or [])
    if (text and not any(sign in text for sign in "=<>~:( ")) or os.path.isdir(text):
        return [find_run(connection, text).id]
    return run_ids(connection, text, everything=everything)


_Selection = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN|FILTER]", help="One run, or which runs. [default: all]", show_default=False),
]


def params(
    ctx: typer.Context,
    words: _Selection = None,
    internal: Annotated[bool, typer.Option("--internal", help="What the logger wrote about itself too.")] = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List hyperparameters: in how many runs each stands, and its values.

    spindb params 'algo=ppo'
    """
    from spindb.index.browse import keys_over
    from spindb.index.connect import connected

    with connected(database(ctx, db)) as connection:
        rows = keys_over(connection, selected_ids(connection, words, everything=everything), internal=internal)
    if as_json:
        print_json(
            [
                {
                    "key": row.key,
                    "runs": row.runs,
                    "types": row.types,
                    "values": [{"value": value, "runs": count} for value, count in row.values],
                }
                for row in rows
            ]
        )
    elif as_csv:
        lines = ((row.key, value, count) for row in rows for value, count in row.values)
        print_csv(("key", "value", "runs"), lines)
    else:
        table = [(row.key, row.runs, len(row.values), _values(row.values)) for row in rows]
        print_table(("hyperparameter", "runs", "distinct", "values"), table)


def _values(values: Sequence[tuple[Any, int]]) -> str:
    """The most frequent values with their counts, or the range where all are numbers and many."""
    numbers = [v for v, _ in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(values) > _MAX_VALUES_SHOWN and len(numbers) == len(values):
        return f"{show(min(numbers))} … {show(max(numbers))}"
    shown = [show(v) if len(values) == 1 else f"{show(v)} ({n})" for v, n in values[:_MAX_VALUES_SHOWN]]
    return ", ".join([*shown, "…"] if len(values) > _MAX_VALUES_SHOWN else shown)


def metrics(
    ctx: typer.Context,
    words: _Selection = None,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List metrics: in how many runs each stands, how many values it has, and their range.

    spindb metrics 'env=Pendulum-v0'
    """
    from spindb.index.browse import metrics_over
    from spindb.index.connect import connected

    with connected(database(ctx, db)) as connection:
        rows = metrics_over(connection, selected_ids(connection, words, everything=everything))
    titles = ("metric", "runs", "points", "min", "max")
    table = [(row.name, row.runs, row.points, row.min, row.max) for row in rows]
    if as_json:
        print_json([dict(zip(titles, row, strict=True)) for row in table])
    elif as_csv:
        print_csv(titles, table)
    else:
        print_table(titles, table)
