"""What the shell is offered when Tab is pressed: commands by typer; fields, values, tags and runs from the database.

SQLite files are read by the standard library alone, since every key press is a process of its own: SQLAlchemy
would take a quarter of a second. Whatever goes wrong completes nothing and says nothing.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import typer

from spindb.errors import DatabaseError
from spindb.index.read.finding_codes import CODES
from spindb.location import find_database
from spindb.printable import printable

_RUN_FIELDS = (
    *("id", "name", "exp_name", "seed", "algo", "env", "status", "rows", "format", "path", "root", "host"),
    *(
        "started",
        "updated",
        "archived",
        "copy_of",
        "superseded_by",
        "tags",
        "notes",
        "snapshots",
        "size",
        "evaluations",
        "problems",
        "problem",
    ),
    *("verified", "eval.mean", "eval.episodes"),
)
_WORDS = ("and", "or", "not")
_STATISTICS = ("first", "min", "max", "mean", "count", "argmin", "argmax")
_VALUE_COLUMNS = {
    "env": "runs.env_id",
    "env_id": "runs.env_id",
    "algo": "runs.algo",
    "status": "runs.status",
    "exp_name": "runs.exp_name",
    "exp": "runs.exp_name",
    "problem": "problems.code",
    "verified": "evaluations.verdict",
}
_TERM = re.compile(r"[^\s()]*\Z")
_COMPARATOR = re.compile(r"(.+?)(!=|<=|>=|==|=|<|>|~)(.*)\Z", re.DOTALL)
_LIMIT = 200


def of_filter(ctx: typer.Context, incomplete: str) -> list[str]:
    """Continuations of a filter: names, values after a comparator, ``tag:`` and ``@`` names."""
    match = _TERM.search(incomplete)
    assert match is not None
    done, term = incomplete[: match.start()], match[0]
    return [done + text for text in _starting(term, _terms(ctx, term))]


def _terms(ctx: typer.Context, term: str) -> Iterable[str]:
    if term.startswith("tag:"):
        return [f"tag:{tag}" for tag in _ask(ctx, "SELECT DISTINCT tag FROM tags ORDER BY tag")]
    if term.startswith("@"):
        return [f"@{name}" for name in _ask(ctx, "SELECT name FROM queries ORDER BY name")]
    if compared := _COMPARATOR.match(term):
        return (f"{compared[1]}{compared[2]}{value}" for value in _values(ctx, compared[1]))
    return [*_names(ctx, term), "tag:", *_WORDS]


def _values(ctx: typer.Context, name: str) -> list[str]:
    if name in _VALUE_COLUMNS:
        table, _, column = _VALUE_COLUMNS[name].partition(".")
        return _ask(ctx, f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1")  # noqa: S608 - from the table above
    # Ordered as numbers first: 1e-4 before 0.001, and 9 before 10.
    keys = _keys(ctx, name.removeprefix("config."))
    marks = ", ".join("?" * len(keys))
    statement = (
        f"SELECT canonical FROM configs WHERE key IN ({marks}) "  # noqa: S608 - question marks
        "GROUP BY canonical ORDER BY min(number), canonical LIMIT ?"
    )
    # A text is offered without its quotes where the filter reads it as the same text; values with blanks would be split
    # by the shell.
    found = _ask(ctx, statement, *keys, _LIMIT)
    return [value[1:-1] if re.fullmatch(r'"[\w.:-]+"', value) else value for value in found if " " not in value]


def _keys(ctx: typer.Context, name: str) -> list[str]:
    """The hyperparameters that a name stands for: see `spindb.index.query.fields`."""
    path = name.replace(":", ".")
    return [key for key in _distinct(ctx, "configs", "key") if key in (name, path) or key.endswith("." + path)]


def of_fields(ctx: typer.Context, incomplete: str) -> list[str]:
    """Continuations of a list of names with commas between, each with ``+`` or ``-`` before it."""
    head, comma, last = incomplete.rpartition(",")
    sign = last[:1] if last[:1] in ("+", "-") else ""
    return [head + comma + sign + name for name in _starting(last[len(sign) :], _names(ctx, last[len(sign) :]))]


def of_metric(ctx: typer.Context, incomplete: str) -> list[str]:
    """Metrics that begin so."""
    return _starting(incomplete, ["Performance", *_distinct(ctx, "metrics", "name")])


def of_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of runs with their names, or names that begin so."""
    if incomplete.isdigit() or not incomplete:
        ids = _ask(
            ctx,
            "SELECT id FROM runs WHERE removed_at IS NULL AND CAST(id AS TEXT) LIKE ? ORDER BY id LIMIT ?",
            *(incomplete + "%", _LIMIT),
        )
        return [str(run_id) for run_id in ids]
    return _starting(incomplete, _ask(ctx, "SELECT DISTINCT name FROM runs WHERE removed_at IS NULL ORDER BY name"))


def of_tag(ctx: typer.Context, incomplete: str) -> list[str]:
    """Tags after ``+`` or ``-``, else a filter."""
    if incomplete[:1] in ("+", "-"):
        tags = _ask(ctx, "SELECT DISTINCT tag FROM tags ORDER BY tag")
        return _starting(incomplete, [incomplete[0] + tag for tag in tags])
    return of_filter(ctx, incomplete)


def of_query(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of saved queries."""
    return _starting(incomplete, _ask(ctx, "SELECT name FROM queries ORDER BY name"))


def of_finding(ctx: typer.Context, incomplete: str) -> list[str]:
    """Findings of ``spindb doctor``."""
    return _starting(incomplete, CODES)


def _names(ctx: typer.Context, begun: str) -> Iterator[str]:
    """Every field; a metric's statistics once the metric is typed."""
    yield from _RUN_FIELDS
    yield from _distinct(ctx, "configs", "key")
    for metric in ("Performance", *_distinct(ctx, "metrics", "name")):
        yield metric
        if begun.startswith(metric + "."):
            yield from (f"{metric}.{statistic}" for statistic in _STATISTICS)


def _distinct(ctx: typer.Context, table: str, column: str) -> list[str]:
    visible = "WHERE NOT internal" if table == "configs" else ""
    return _ask(ctx, f"SELECT DISTINCT {column} FROM {table} {visible} ORDER BY {column}")  # noqa: S608 - our own names


def _starting(begun: str, names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.lower().startswith(begun.lower())]


def _ask(ctx: typer.Context, statement: str, *values: str | int) -> list[str]:
    """The first column of a statement's rows, as text; nothing where there is no such database."""
    return [text for text in _answers(ctx, statement, values) if printable(text) == text]  # others can't be typed


def _answers(ctx: typer.Context, statement: str, values: tuple[str | int, ...]) -> list[str]:
    try:
        location = find_database(ctx.params.get("db") or ctx.find_root().params.get("db"))
        if location.startswith("postgresql"):
            return _ask_server(location, statement, values)
        path = Path(location.removeprefix("sqlite:///"))
        if "://" not in str(path) and os.path.isfile(path):
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
                # Not mode=ro in the URI: such a connection leaves the files of the WAL beside the database.
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.text_factory = lambda raw: raw.decode(errors="replace")
                return [str(row[0]) for row in connection.execute(statement, values)]
    except (sqlite3.Error, OSError, DatabaseError):
        pass
    return []


def _ask_server(location: str, statement: str, values: Iterable[str | int]) -> list[str]:
    try:
        import psycopg  # an extra, and of servers alone
    except ImportError:
        return []
    scheme, _, rest = location.partition("://")
    try:
        with psycopg.connect(f"{scheme.partition('+')[0]}://{rest}", connect_timeout=2) as connection:
            return [str(row[0]) for row in connection.execute(statement.replace("?", "%s"), tuple(values))]
    except psycopg.Error:
        return []
