"""``spindb params`` and ``metrics``: which hyperparameters and metrics there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from spindb.cli.options import AsCsv, AsJson, Db, Everything, FilterWords, at_most_one, database, words_of
from spindb.cli.terminal.tables import (
    plural,
    print_csv,
    print_json,
    print_table,
    say,
    show,
    show_hyperparameter,
)

_MAX_VALUES_SHOWN = 6


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("params")(params)
    app.command("metrics")(metrics)


def params(
    ctx: typer.Context,
    words: FilterWords = None,
    varying: Annotated[
        bool, typer.Option("--varying", "-v", help="Only those that differ between these runs, absence included.")
    ] = False,
    internal: Annotated[
        bool, typer.Option("--internal", help="What the logger wrote about itself, and attributes of objects, too.")
    ] = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List hyperparameters: in how many runs each stands, and its values with their counts.

    spindb params 'algo=ppo' --varying
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected
    from spindb.index.read.overview import KeyRow, keys_over, varying_keys

    at_most_one(json=as_json, csv=as_csv)
    with connected(database(ctx, db)) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        rows = keys_over(connection, ids, internal=internal)
        if varying:
            order = {row.key: position for position, row in enumerate(varying_keys(connection, ids))}
            rows = sorted((row for row in rows if row.key in order), key=lambda row: order[row.key])
    if as_json:
        print_json([_key_as_dict(row, len(ids)) for row in rows])
    elif as_csv:
        lines = ((row.key, value, count) for row in rows for value, count in row.values)
        print_csv(("key", "value", "runs"), lines)
    elif rows:

        def line(row: KeyRow) -> tuple[Any, ...]:
            return row.key, row.runs, len(row.values), _values(row.values, len(ids) - row.runs if varying else 0)

        print_table(
            ("hyperparameter", "runs", "distinct", "values (runs)"),
            [line(row) for row in rows],
            fixed=("hyperparameter",),
        )
    if not (as_json or as_csv):
        differ = f", {plural(len(rows), 'hyperparameter')} differ" if varying and rows else ""
        say(f"{plural(len(ids), 'run')}{differ or (', all alike' if varying and ids else '')}")


def _key_as_dict(row: Any, runs: int) -> dict[str, Any]:
    values = [{"value": value, "runs": count} for value, count in row.values]
    return {"key": row.key, "runs": row.runs, "absent": runs - row.runs, "types": row.types, "values": values}


def _values(values: Sequence[tuple[Any, int]], absent: int = 0) -> str:
    """The most frequent values with their counts, or the range where all are numbers and many."""
    numbers = [v for v, _ in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(values) > _MAX_VALUES_SHOWN and len(numbers) == len(values):
        shown = [f"{show(min(numbers))} … {show(max(numbers))}"]
    else:
        texts = [show_hyperparameter(json.dumps(v, ensure_ascii=False)) for v, _ in values[:_MAX_VALUES_SHOWN]]
        shown = [f"{text} ({n})" for text, (_, n) in zip(texts, values, strict=False)]
        if len(values) == 1 and not absent:
            shown = texts
        if len(values) > _MAX_VALUES_SHOWN:
            shown.append("…")
    if absent:
        shown.append(f"absent ({absent})")
    return ", ".join(shown)


def metrics(
    ctx: typer.Context,
    words: FilterWords = None,
    everything: Everything = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """List metrics: in how many runs each stands, how many values it has, and their range.

    spindb metrics 'env=Pendulum-v0'
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected
    from spindb.index.read.overview import metrics_over

    at_most_one(json=as_json, csv=as_csv)
    with connected(database(ctx, db)) as connection:
        rows = metrics_over(connection, selected(connection, words_of(words), everything=everything, notice=say))
    titles = ("metric", "runs", "points", "min", "max")
    table = [(row.name, row.runs, row.points, row.min, row.max) for row in rows]
    if as_json:
        print_json([dict(zip(titles, row, strict=True)) for row in table])
    elif as_csv:
        print_csv(titles, table)
    else:
        print_table(titles, table)
