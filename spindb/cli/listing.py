"""``spindb runs``: the table of runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from spindb.cli.output import (
    age,
    plural,
    print_csv,
    print_ids,
    print_json,
    print_json_lines,
    say,
    show,
    table,
    terminal_width,
)
from spindb.cli.terminal.door import echo_block
from spindb.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.index.search import Query, Result

_DATA_COLUMNS = (
    *("id", "root", "path", "name", "exp_name", "algo", "env", "seed", "status", "rows"),
    *("Performance", "Performance.max", "started", "updated", "tags"),
)
_TITLES = {"Performance": "perf", "Performance.max": "best"}
_PAGE = 50
_MAX_VARYING = 8
_WIDTH_OF_FILES = 80
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

    def query(self, text: str, columns: Sequence[str]) -> Query:
        from spindb.index.search import Query

        return Query(text, tuple(columns), self.sort, self.limit, self.everything, self.offset)


def _print_data(ask: _Request, location: str, *, as_json: bool, as_jsonl: bool, as_ids: bool) -> None:
    from spindb.index.connect import connected
    from spindb.index.search import search
    from spindb.index.selection import as_filter

    columns = ("id",) if as_ids else _changed(_DATA_COLUMNS, ask.columns)
    with connected(location) as connection:
        result = search(connection, ask.query(as_filter(connection, ask.words), columns))
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
        try:
            while True:
                fitting = replace(ask, limit=min(ask.limit or _PAGE, max(1, console.size.height - 5)))
                text, after = _listing(fitting, location, console.size.width)
                live.update(
                    Text.from_ansi("\n".join([text, *after, f"{datetime.now():%H:%M:%S}  Ctrl-C ends"])), refresh=True
                )
                time.sleep(_REFRESH_SECONDS)
        except KeyboardInterrupt:
            return


def _listing(ask: _Request, location: str, width: int | None) -> tuple[str, list[str]]:
    """The table as text, and what to say below it."""
    from spindb.index.connect import connected
    from spindb.index.search import search
    from spindb.index.selection import as_filter

    with connected(location) as connection:
        text = as_filter(connection, ask.words)
        found = search(connection, ask.query(text, ("id", "status", "algo", "env", "seed", "updated")))
        if not found.rows:
            return "", _nothing(connection, ask, text, found)
        if ask.columns is None or ask.columns.startswith(("+", "-")):
            layout = _layout(connection, found, ask.columns)
        else:
            layout = _Layout(_changed((), ask.columns), (), ())
        names = [name for name in layout.columns if name not in (_CURVE, _AGE)]
        rows = search(connection, ask.query(text, names)).rows
        extra = _extra(connection, found, layout.columns)
    cells = [dict(zip(names, row, strict=True)) | more for row, more in zip(rows, extra, strict=True)]
    titles = _titles(layout.columns)
    printed, dropped = table(
        list(titles.values()),
        [[_cell(row[name]) for name in layout.columns] for row in cells],
        right=(_AGE,),
        droppable=[titles[name] for name in layout.droppable],
        width=width,
    )
    return printed, _after(ask, found, layout, [name for name, title in titles.items() if title in dropped])


def _cell(value: Any) -> Any:
    """Tags as people type them."""
    return ", ".join(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class _Layout:
    """Columns by name; which may be left out, the last first; and what all runs have in common."""

    columns: tuple[str, ...]
    droppable: tuple[str, ...]
    common: tuple[str, ...]


def _layout(connection: Connection, found: Result, changes: str | None) -> _Layout:
    """The usual columns for these runs: what identifies them, what varies, how they did."""
    from spindb.index.overview import varying_keys

    common: list[str] = []
    identity = ["id", "name"]
    for position, name in ((2, "algo"), (3, "env")):
        values = {row[position] for row in found.rows}
        if len(values) > 1:
            identity.append(name)
        elif len(found.rows) > 1 and values != {None}:
            common.append(f"{name}={values.pop()}")
    seeds = ["seed"] if any(row[4] is not None for row in found.rows) else []
    keys = varying_keys(connection, [row[0] for row in found.rows])
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
    """What no field holds: the curve, or what the status is where there is none; the age."""
    from spindb.analysis.spark import sparkline
    from spindb.index.clock import now
    from spindb.index.points import performance_curves

    curves = performance_curves(connection, [row[0] for row in found.rows]) if _CURVE in columns else {}
    moment = now()
    return [
        {
            _CURVE: sparkline(curves[run_id]) if status == "ok" and run_id in curves else _status(status),
            _AGE: age((moment - updated).total_seconds()) if updated else "",
        }
        for run_id, status, *_, updated in found.rows
    ]


def _status(status: str) -> str:
    return "" if status == "ok" else f"({status})"


def _titles(columns: Sequence[str]) -> dict[str, str]:
    """A title per column: the last part of a hyperparameter's path where no other column ends so."""
    from spindb.index.fields import STATISTICS

    ends = [name.rpartition(".")[2] for name in columns]
    return {
        name: _TITLES.get(name, end if end not in ("", *STATISTICS) and ends.count(end) == 1 else name)
        for name, end in zip(columns, ends, strict=True)
    }


def _after(ask: _Request, found: Result, layout: _Layout, dropped: Sequence[str]) -> list[str]:
    count = len(found.rows)
    if count < found.total:
        first = ask.offset + 1
        more = f" (--page {ask.offset // (ask.limit or 1) + 2} shows more)" if ask.offset + count < found.total else ""
        lines = [f"runs {first}-{ask.offset + count} of {found.total}{more}"]
    else:
        lines = [plural(count, "run")]
    lines[0] += "".join(f", all {fact}" if not i else f" {fact}" for i, fact in enumerate(layout.common))
    hidden = [name for name in dropped if name not in (_AGE, "rows")]
    if hidden:
        lines.append(f"no room for {', '.join(hidden)} (--columns +{hidden[0]})")
    return lines


def _nothing(connection: Connection, ask: _Request, text: str, found: Result) -> list[str]:
    """Why no run is shown: the page, the filter term by term, or an empty database."""
    from spindb.index.search import count, explain

    if found.total:
        return [f"no page {ask.offset // (ask.limit or 1) + 1}: {found.total} runs match"]
    total = count(connection, "", everything=ask.everything)
    hidden = 0 if ask.everything else count(connection, text, everything=True)
    lines = [f"no run matches {text!r}" if text else "no runs here yet: spindb ingest DATA_DIR"]
    if hidden:
        return [
            lines[0] if text else "no runs to show",
            f"{plural(hidden, 'run')} archived or missing: --all shows them",
        ]
    if not text:
        return lines
    terms = explain(connection, text, everything=ask.everything)
    width = max((len(t.term) for t in terms), default=0)
    for t in terms:
        rest = f"; without it {plural(t.without, 'run')}" if len(terms) > 1 else ""
        lines.append(f"  {t.term:<{width}}  holds for {show(t.alone)} of {plural(total, 'run')}{rest}")
    return lines
