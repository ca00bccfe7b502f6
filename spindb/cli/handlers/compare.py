"""Prints settings ranked over seeds."""

from __future__ import annotations

from spindb.cli.handlers.access import Ranking, selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.data import Format, print_records
from spindb.cli.terminal.rankings import print_comparison, warn
from spindb.cli.terminal.tables import say
from spindb.extras import require_extra

with require_extra():  # numpy and scipy: part of an extra
    from spindb.analysis.compare import compare as compare_settings
    from spindb.views.comparison import comparison_as_json, comparison_as_records


def print_comparison_of(selection: Selection, ranking: Ranking, chosen: Format) -> None:
    """Print the ranking, and what a reader should know of it.

    Raises:
        FilterError: an unknown metric or field; UsageError: an unknown summary; MissingExtraError: no numpy or scipy.
    """
    with selected_runs(selection) as (connection, ids):
        found = compare_settings(
            connection, ids, ranking.metric, ranking.summary, ranking.group_by, lower=ranking.lower
        )
    if chosen == "json":
        print_records(chosen, comparison_as_json(found))
    elif chosen == "csv":
        print_records(chosen, comparison_as_records(found), ("n",))
    elif found.rows:
        print_comparison(found, ranking.summary, ranking.group_by)
    else:
        say("no run to compare")
    for note in found.notes:
        say(note)
    if chosen == "text":
        warn(found)
