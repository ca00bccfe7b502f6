"""``spindb runs``: the table of runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli import completion
from spindb.cli.options import (
    AsCsv,
    AsIds,
    AsJson,
    AsJsonLines,
    Db,
    Everything,
    FilterWords,
    at_most_one,
    database,
    split,
    words_of,
)
from spindb.cli.terminal.door import echo_block
from spindb.cli.terminal.tables import (
    CUT,
    age,
    plural,
    print_csv,
    print_ids,
    print_json,
    print_json_lines,
    say,
    show,
    show_exactly,
    table,
    terminal_width,
)
from spindb.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.index.query.outline import Outline
    from spindb.index.query.question import Question
    from spindb.index.query.search import Query, Result

_DATA_COLUMNS = (
    *("id", "root", "path", "name", "exp_name", "algo", "env", "seed", "status", "rows"),
    *("Performance", "Performance.max", "started", "updated", "tags"),
)
_TITLES = {"Performance": "perf", "Performance.max": "best"}
_PAGE = 50
_MAX_VARYING = 8
_MAX_KEYS = 5
_REFRESH_SECONDS = 2.0
_CURVE, _AGE = "curve", "age"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("runs")(runs)
    app.command("ls", hidden=True)(runs)


def runs(
    ctx: typer.Context,
    words: FilterWords = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            "-s",
            metavar="FIELDS",
            help="Sort keys with commas between; -FIELD sorts downwards.",
            autocompletion=completion.of_fields,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            "-c",
            metavar="FIELDS",
            help="Columns with commas between; +FIELD and -FIELD change the usual ones.",
            autocompletion=completion.of_fields,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", help="At most so many runs; 0: all. (default: 50 in a terminal)", min=0),
    ] = None,
    page: Annotated[int, typer.Option("--page", "-p", help="Which page, of --limit runs each.", min=1)] = 1,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh the table in place until Ctrl-C.")] = False,
    everything: Everything = False,
    as_json: AsJson = False,
    as_jsonl: AsJsonLines = False,
    as_csv: AsCsv = False,
    as_ids: AsIds = False,
    db: Db = None,
) -> None:
    """List runs: the hyperparameters that vary among them, performance, its curve, age.

    Quote the filter, or the shell takes < and > for itself:

    spindb runs 'env=CartPole-v0 pi_lr<1e-3 AverageEpRet.max>150 (seed=0 or seed=10)'

    spindb runs 'algo in (sac, td3) not status=empty' --sort -Performance --limit 5

    spindb runs "hidden_sizes=[64, 32]" --columns +pi_lr,-env
    """
    at_most_one(json=as_json, jsonl=as_jsonl, csv=as_csv, ids=as_ids, watch=watch)
    location = database(ctx, db)
    selection = words_of(words)
    for_people = not (as_json or as_jsonl or as_csv or as_ids)
    if page > 1 and not limit and not (for_people and terminal_width()):
        raise UsageError("--page needs --limit: how many runs a page has")
    per_page = _PAGE if limit is None and for_people and terminal_width() else limit or None
    offset = (page - 1) * (per_page or 0)
    ask = _Request(selection, split(sort), columns, per_page, offset, everything)
    if watch:
        _watch(ask, location)
    elif for_people:
        text, words_after = _listing(ask, location, terminal_width())
        if text:
            echo_block(text)
        for line in words_after:
            say(line)
    else:
        _print_data(ask, location, as_json=as_json, as_jsonl=as_jsonl, as_ids=as_ids)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the command line asks for."""

    words: Sequence[str]
    sort: tuple[str, ...]
    columns: str | None
    limit: int | None
    offset: int
    everything: bool

    def query(self, question: Question, columns: Sequence[str], total: int | None = None) -> Query:
        from spindb.index.query.search import Query

        return Query(question, tuple(columns), self.sort, self.limit, self.everything, self.offset, total)


def _print_data(ask: _Request, location: str, *, as_json: bool, as_jsonl: bool, as_ids: bool) -> None:
    from spindb.index.database.connect import connected
    from spindb.index.query.search import search
    from spindb.index.query.selection import question_of

    columns = ("id",) if as_ids else _changed(_DATA_COLUMNS, ask.columns)
    with connected(location) as connection:
        question = question_of(connection, ask.words, everything=ask.everything, notice=say)
        result = search(connection, ask.query(question, columns))
    for line in _meanings(result.meaning):
        say(line)
    if as_ids:
        print_ids(row[0] for row in result.rows)
    elif as_json:
        print_json([dict(zip(result.titles, row, strict=True)) for row in result.rows])
    elif as_jsonl:
        print_json_lines(result.titles, result.rows)
    else:
        print_csv(result.titles, result.rows)


def _watch(ask: _Request, location: str) -> None:
    """Show the table again and again, on the terminal's other screen."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    if terminal_width() is None:
        raise UsageError("--watch needs a terminal", hint="spindb ingest --watch follows training; --json prints data")
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            fitting = replace(ask, limit=min(ask.limit or _PAGE, max(1, console.size.height - 5)))
            text, after = _listing(fitting, location, console.size.width)
            live.update(
                Text.from_ansi("\n".join([text, *after, f"{datetime.now():%H:%M:%S}  Ctrl-C ends"])), refresh=True
            )
            time.sleep(_REFRESH_SECONDS)


def _listing(ask: _Request, location: str, width: int | None) -> tuple[str, list[str]]:
    """The table as text, and what to say below it."""
    from spindb.index.database.connect import connected
    from spindb.index.query.outline import outline
    from spindb.index.query.search import search
    from spindb.index.query.selection import question_of

    notices: list[str] = []
    with connected(location) as connection:
        question = question_of(connection, ask.words, everything=ask.everything, notice=notices.append)
        whole = outline(connection, question)
        found = search(connection, ask.query(question, ("id", "status", "root", "path", "updated"), whole.total))
        if not found.rows:
            return "", [*notices, *_nothing(connection, ask, question, whole)]
        if ask.columns is None or ask.columns.startswith(("+", "-")):
            layout = _layout(connection, whole, ask.columns)
        else:
            layout = _Layout(_changed((), ask.columns), (), ())
        names = [name for name in layout.columns if name not in (_CURVE, _AGE)]
        shown = search(connection, ask.query(question, names, whole.total))
        extra = _extra(connection, found, layout.columns)
        keys = _hyperparameters(question, names)
    cells = [dict(zip(names, row, strict=True)) | more for row, more in zip(shown.rows, extra, strict=True)]
    titles = _titles(layout.columns)
    laid = table(
        list(titles.values()),
        [[_cell(row[name], exact=name in keys) for name in layout.columns] for row in cells],
        right=(_AGE, *(titles[name] for name in keys if _are_numbers(row[name] for row in cells))),
        droppable=[titles[name] for name in layout.droppable],
        width=width,
    )
    left_out = [name for name, title in titles.items() if title in laid.dropped]
    after = _after(ask, len(found.rows), whole, layout, left_out)
    return laid.text, [*notices, *after, *([CUT] if laid.cut else ()), *_meanings(shown.meaning)]


def _hyperparameters(question: Question, names: Sequence[str]) -> set[str]:
    """The columns that hold hyperparameters, of some runs at least."""
    from spindb.index.query.fields import ConfigField, alternatives
    from spindb.index.query.language import Name

    found = {name: alternatives(question.names.find(Name.whole(name))) for name in names}
    return {name for name, fields in found.items() if any(isinstance(one, ConfigField) for one in fields)}


def _cell(value: Any, *, exact: bool) -> Any:
    """Tags as people type them; hyperparameters with all their digits, so that they can be typed into a filter."""
    if isinstance(value, tuple):
        return ", ".join(value)
    return show_exactly(value) if exact and isinstance(value, float) else value


def _are_numbers(values: Iterable[Any]) -> bool:
    return any(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Columns by name; which may be left out, the last first; and what all runs have in common."""

    columns: tuple[str, ...]
    droppable: tuple[str, ...]
    common: tuple[str, ...]


def _layout(connection: Connection, whole: Outline, changes: str | None) -> _Layout:
    """The usual columns for these runs: what identifies them, what varies among all of them, how they did."""
    from spindb.index.read.overview import varying_keys

    common: list[str] = []
    identity = ["id", "name"]
    for name in ("algo", "env"):
        if name not in whole.common:
            identity.append(name)
        elif whole.total > 1 and whole.common[name] is not None:
            common.append(f"{name}={whole.common[name]}")
    seeds = ["seed"] if whole.common.get("seed", 0) is not None else []
    keys = varying_keys(connection, whole.ids)
    own = ("seed", "exp_name", "env", "env_name", "env_id", "algo")
    telling = [row.key for row in keys if len(row.values) > 1 and row.key not in own and not row.opaque]
    varying = telling[:_MAX_VARYING]
    usual = (*identity, *varying, *seeds, "rows", "Performance", _CURVE, _AGE)
    columns = _changed(usual, changes)
    droppable = [_AGE, *varying[1:3], "rows", *varying[3:]]
    asked = {field.lstrip("+") for field in split(changes)}
    return _Layout(columns, tuple(name for name in droppable if name in columns and name not in asked), tuple(common))


def _changed(usual: Sequence[str], changes: str | None) -> tuple[str, ...]:
    """The columns asked for: a list of their own, or changes to the usual ones."""
    fields = split(changes)
    if not fields:
        return tuple(usual)
    if not all(field.startswith(("+", "-")) for field in fields):
        return fields
    removed = {field[1:] for field in fields if field.startswith("-")}
    added = [field[1:] for field in fields if field.startswith("+") and field[1:] not in usual]
    kept = [field for field in usual if field not in removed]
    place = kept.index("Performance") if "Performance" in kept else len(kept)
    return (*kept[:place], *added, *kept[place:])


def _extra(connection: Connection, found: Result, columns: Sequence[str]) -> list[dict[str, Any]]:
    """What no field holds: names that tell these runs apart; the curve, or the status where there is none; the age."""
    from spindb.analysis.drawing.sparkline import sparkline
    from spindb.index.query.find import shortest_names
    from spindb.index.read.curves import performance_curves
    from spindb.machine import now

    curves = performance_curves(connection, [row[0] for row in found.rows]) if _CURVE in columns else {}
    names = shortest_names([os.path.normpath(os.path.join(root, path)) for _, _, root, path, _ in found.rows])
    moment = now()
    return [
        {
            "name": name,
            _CURVE: sparkline(curves[run_id]) if status == "ok" and run_id in curves else _status(status),
            _AGE: age((moment - updated).total_seconds()) if updated else "",
        }
        for name, (run_id, status, _, _, updated) in zip(names, found.rows, strict=True)
    ]


def _status(status: str) -> str:
    return "" if status == "ok" else f"({status})"


def _titles(columns: Sequence[str]) -> dict[str, str]:
    """A title per column: the last part of a hyperparameter's path where no other column ends so."""
    from spindb.index.query.fields import STATISTICS

    ends = [name.rpartition(".")[2] for name in columns]
    return {
        name: _TITLES.get(name, end if end not in ("", *STATISTICS) and ends.count(end) == 1 else name)
        for name, end in zip(columns, ends, strict=True)
    }


def _after(ask: _Request, count: int, whole: Outline, layout: _Layout, dropped: Sequence[str]) -> list[str]:
    from spindb.index.query.outline import words_of

    if count < whole.total:
        first = ask.offset + 1
        more = f" (--page {ask.offset // (ask.limit or 1) + 2} shows more)" if ask.offset + count < whole.total else ""
        lines = [f"runs {first}-{ask.offset + count} of {whole.total}{more}"]
    else:
        lines = [plural(count, "run")]
    lines[0] += "".join(f", all {fact}" if not i else f" {fact}" for i, fact in enumerate(layout.common))
    if whole.sampled and ask.columns is None:
        lines.append(f"columns: hyperparameters that vary among {len(whole.ids)} of these runs")
    hidden = [name for name in dropped if name not in (_AGE, "rows")]
    if hidden:
        lines.append(f"no room for {', '.join(hidden)} (--columns +{hidden[0]})")
    if whole.hidden:
        lines.append(f"{words_of(whole.hidden)} not shown: --all")
    return lines


def _meanings(meaning: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Which keys a name stood for, a line each."""
    return [
        f"{name}: {', '.join(keys[:_MAX_KEYS])}{f' and {len(keys) - _MAX_KEYS} more' if len(keys) > _MAX_KEYS else ''}"
        for name, keys in meaning.items()
    ]


def _nothing(connection: Connection, ask: _Request, question: Question, whole: Outline) -> list[str]:
    """Why no run is shown: the page, runs that are hidden, the filter term by term, or an empty database."""
    from spindb.index.query.outline import words_of
    from spindb.index.query.question import everything
    from spindb.index.query.search import count, explain

    text = question.text
    if whole.total:
        return [f"no page {ask.offset // (ask.limit or 1) + 1}: {whole.total} runs match"]
    if whole.hidden:
        first = f"no run matches {text!r}" if text else "no runs to show"
        return [first, f"{words_of(whole.hidden)} not shown: --all"]
    if not text:
        return ["no runs here yet: spindb ingest DATA_DIR"]
    lines = [f"no run matches {text!r}"]
    total = count(connection, everything(connection, hidden=ask.everything))
    terms = explain(connection, question)
    width = max((len(t.term) for t in terms), default=0)
    for t in terms:
        rest = f"; without it {plural(t.without, 'run')}" if len(terms) > 1 else ""
        lines.append(f"  {t.term:<{width}}  holds for {show(t.alone)} of {plural(total, 'run')}{rest}")
    return [*lines, *_codes(connection, question)]


def _codes(connection: Connection, question: Question) -> list[str]:
    """Which codes of problems there are, where the filter names one that no run has."""
    from spindb.index.query.problems import unknown_codes

    unknown, known = unknown_codes(connection, question.tree)
    there = f"codes here: {', '.join(known)}" if known else "no run here has a problem"
    return [f"no run has the problem {', '.join(unknown)}; {there}"] if unknown else []
