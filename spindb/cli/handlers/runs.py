"""Prints the table of runs, or its rows as data."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from spindb.cli.options import Selection, split, words_of
from spindb.cli.terminal.data import Format, print_csv, print_ids, print_json, print_json_lines
from spindb.cli.terminal.door import echo_block, say
from spindb.cli.terminal.tables import CUT, is_numeric, table, terminal_width
from spindb.errors import UsageError
from spindb.index.database.connect import connected
from spindb.index.query.outline import words_of_hidden
from spindb.index.query.problems import unknown_codes
from spindb.index.query.question import everything
from spindb.index.query.search import count, explain
from spindb.views.runs import AGE, RunsTable, TableRequest, runs_data, runs_table
from spindb.views.text import plural, show, show_exactly

_PAGE = 50
_MAX_KEYS = 5
_REFRESH_SECONDS = 2.0


class RunColumns(NamedTuple):
    """Which columns and which page of the table of runs; ``limit`` None is the usual one, 0 means all runs."""

    sort: tuple[str, ...]
    columns: str | None
    limit: int | None
    page: int


def list_runs(selection: Selection, columns: RunColumns, chosen: Format, *, watch: bool) -> None:
    """Print the runs as a table, once or again and again, or as data.

    Raises:
        FilterError: the filter can't be read; UsageError: the options don't fit together.
    """
    # In a pipe all runs are printed: a program that counts lines must not get a page.
    pages = chosen == "text" and terminal_width() is not None
    if columns.page > 1 and not columns.limit and not pages:
        raise UsageError("--page needs --limit: how many runs a page has")
    limit = _PAGE if columns.limit is None and pages else columns.limit or None
    request = TableRequest(
        words_of(selection.words),
        columns.sort,
        split(columns.columns),
        limit,
        (columns.page - 1) * (limit or 0),
        selection.everything,
    )
    if watch:
        _watch(request, selection.location)
    elif chosen != "text":
        _print_data(request, selection.location, chosen)
    else:
        text, below = _listing(request, selection.location, terminal_width())
        if text:
            echo_block(text)
        for line in below:
            say(line)


def _print_data(request: TableRequest, location: str, chosen: Format) -> None:
    with connected(location) as connection:
        # Where only ids are printed only ids are read: each further column may take a join.
        result = runs_data(connection, request._replace(columns=("id",)) if chosen == "ids" else request, say)
    for line in _meanings(result.meaning):
        say(line)
    if chosen == "ids":
        print_ids(row[0] for row in result.rows)
    elif chosen == "json":
        print_json([dict(zip(result.titles, row, strict=True)) for row in result.rows])
    elif chosen == "jsonl":
        print_json_lines(result.titles, result.rows)
    else:
        print_csv(result.titles, result.rows)


def _watch(request: TableRequest, location: str) -> None:
    """Show the table again and again, on the terminal's other screen."""
    if terminal_width() is None:
        raise UsageError("--watch needs a terminal", hint="spindb ingest --watch follows training; --json prints data")
    # rich takes 40 ms to import, a sixth of what the table itself takes.
    from spindb.cli.terminal.bars import Screen

    with Screen() as screen:
        while True:
            width, height = screen.size
            # Five lines are left for the title, the rule, the notes below the table and the clock.
            fitting = request._replace(limit=min(request.limit or _PAGE, max(1, height - 5)))
            text, below = _listing(fitting, location, width)
            lines = [text, *below, f"{datetime.now():%H:%M:%S}  Ctrl-C ends"]
            screen.show("\n".join(lines))
            time.sleep(_REFRESH_SECONDS)


def _listing(request: TableRequest, location: str, width: int | None) -> tuple[str, list[str]]:
    """The table as text, and the lines below it."""
    notices: list[str] = []
    with connected(location) as connection:
        found = runs_table(connection, request, notices.append)
        if not found.rows:
            return "", [*notices, *_why_empty(connection, request, found)]
    columns = found.layout.columns
    numeric = [name for name in found.exact if any(is_numeric(row[name]) for row in found.rows)]
    laid = table(
        list(found.titles.values()),
        [[_cell(row[name], exact=name in found.exact) for name in columns] for row in found.rows],
        right=(AGE, *(found.titles[name] for name in numeric)),
        droppable=[found.titles[name] for name in found.layout.droppable],
        width=width,
    )
    left_out = [name for name, title in found.titles.items() if title in laid.dropped]
    below = [*_below(request, found, left_out), *([CUT] if laid.cut else ()), *_meanings(found.meaning)]
    return laid.text, [*notices, *below]


def _cell(value: object, *, exact: bool) -> object:
    """Tags as people type them; hyperparameters with all their digits, so that they can be typed into a filter."""
    if isinstance(value, tuple):
        return ", ".join(value)
    return show_exactly(value) if exact and isinstance(value, float) else value


def _below(request: TableRequest, found: RunsTable, left_out: Sequence[str]) -> list[str]:
    """How many runs and which, what all have in common, and what is not shown."""
    whole, count = found.whole, len(found.rows)
    end = request.offset + count
    if count < whole.total:
        page = request.offset // (request.limit or 1) + 1
        more = f" (--page {page + 1} shows more)" if end < whole.total else ""
        lines = [f"runs {request.offset + 1}-{end} of {whole.total}{more}"]
    else:
        lines = [plural(count, "run")]
    lines[0] += "".join(f", all {fact}" if not i else f" {fact}" for i, fact in enumerate(found.layout.common))
    if whole.sampled and not request.columns:
        lines.append(f"columns: hyperparameters that vary among {len(whole.ids)} of these runs")
    hidden = [name for name in left_out if name not in (AGE, "rows")]
    if hidden:
        lines.append(f"no room for {', '.join(hidden)} (--columns +{hidden[0]})")
    if whole.hidden:
        lines.append(f"{words_of_hidden(whole.hidden)} not shown: --all")
    return lines


def _meanings(meaning: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Which keys a name stood for, a line each."""
    return [
        f"{name}: {', '.join(keys[:_MAX_KEYS])}{f' and {len(keys) - _MAX_KEYS} more' if len(keys) > _MAX_KEYS else ''}"
        for name, keys in meaning.items()
    ]


def _why_empty(connection: Connection, request: TableRequest, found: RunsTable) -> list[str]:
    """Why no run is shown: the page, runs that are hidden, the filter term by term, or an empty database."""
    question, whole = found.question, found.whole
    text = question.text
    if whole.total:
        return [f"no page {request.offset // (request.limit or 1) + 1}: {whole.total} runs match"]
    # Hidden runs are named before the filter is explained: most often they are what was looked for.
    if whole.hidden:
        first = f"no run matches {text!r}" if text else "no runs to show"
        return [first, f"{words_of_hidden(whole.hidden)} not shown: --all"]
    if not text:
        return ["no runs here yet: spindb ingest DATA_DIR"]
    lines = [f"no run matches {text!r}"]
    total = count(connection, everything(connection, hidden=request.everything))
    terms = explain(connection, question)
    width = max((len(t.term) for t in terms), default=0)
    for t in terms:
        rest = f"; without it {plural(t.without, 'run')}" if len(terms) > 1 else ""
        lines.append(f"  {t.term:<{width}}  holds for {show(t.alone)} of {plural(total, 'run')}{rest}")
    unknown, known = unknown_codes(connection, question.tree)
    if unknown:
        there = f"codes here: {', '.join(known)}" if known else "no run here has a problem"
        lines.append(f"no run has the problem {', '.join(unknown)}; {there}")
    return lines
