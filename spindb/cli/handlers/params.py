"""Prints hyperparameters and metrics over runs."""

from __future__ import annotations

from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.data import Format, print_csv, print_json
from spindb.cli.terminal.tables import plural, print_table, say
from spindb.index.read.overview import metrics_over
from spindb.views.hyperparameters import Hyperparameters, hyperparameters


def print_hyperparameters(selection: Selection, chosen: Format, *, varying: bool, internal: bool) -> None:
    """Print hyperparameters with their values; with `varying` those that differ.

    Raises:
        FilterError: the filter can't be read.
    """
    with selected_runs(selection) as (connection, ids):
        found = hyperparameters(connection, ids, varying=varying, internal=internal)
    if chosen == "json":
        print_json(found.as_json())
    elif chosen == "csv":
        print_csv(("key", "value", "runs"), found.lines())
    else:
        _print(found, varying=varying)


def _print(found: Hyperparameters, *, varying: bool) -> None:
    if found.rows:
        titles = ("hyperparameter", "runs", "distinct", "values (runs)")
        rows = [(row.key, row.runs, len(row.values), found.values_of(row, with_absent=varying)) for row in found.rows]
        print_table(titles, rows, fixed=("hyperparameter",))
    differ = f", {plural(len(found.rows), 'hyperparameter')} differ" if varying and found.rows else ""
    say(f"{plural(found.runs, 'run')}{differ or (', all alike' if varying and found.runs else '')}")


def print_metrics(selection: Selection, chosen: Format) -> None:
    """Print metrics with the range of their values.

    Raises:
        FilterError: the filter can't be read.
    """
    with selected_runs(selection) as (connection, ids):
        rows = metrics_over(connection, ids)
    titles = ("metric", "runs", "points", "min", "max")
    if chosen == "json":
        print_json([dict(zip(titles, row, strict=True)) for row in rows])
    elif chosen == "csv":
        print_csv(titles, rows)
    else:
        print_table(titles, rows)
