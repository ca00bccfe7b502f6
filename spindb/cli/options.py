"""Options that several commands share, and where the database is found."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli import completion
from spindb.cli.terminal.tables import say
from spindb.errors import NotFoundError, UsageError
from spindb.location import find_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.index.query.runs import RunInfo

Db = Annotated[
    str | None,
    typer.Option("--db", help="Database: a file or a URL. (default: $SPINDB_URL, else the nearest spindb.db upward)"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonLines = Annotated[bool, typer.Option("--jsonl", help="Print JSON lines: an object per line.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
AsIds = Annotated[bool, typer.Option("--ids", help="Print ids alone, a line each: for pipes.")]
Everything = Annotated[bool, typer.Option("--all", help="Hidden runs too: archived, missing, overwritten, copies.")]
FilterWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]",
        help="Which runs: a filter such as 'env=Hopper-v2 pi_lr<1e-3', ids (3 5-9), a directory, or - for ids "
        "from stdin. (default: all)",
        show_default=False,
        autocompletion=completion.of_filter,
    ),
]
TRACEBACK = "SPINDB_TRACEBACK"
"""Environment variable: set, errors are followed by where they came from (an environment's own code, say)."""


def _set_debug(asked: bool) -> None:
    if asked:
        os.environ[TRACEBACK] = "1"  # processes that are started see it, too


Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="After an error, show where it came from: an environment's own code, say.",
        callback=_set_debug,
        expose_value=True,
    ),
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Id, directory, name or the beginning of a name.", autocompletion=completion.of_run
    ),
]

GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        "-g",
        metavar="FIELDS",
        help="What makes a setting, with commas between. (default: everything but the seed)",
        show_default=False,
        autocompletion=completion.of_fields,
    ),
]
Summary = Annotated[
    str, typer.Option("--summary", help="A curve as one number: last, first, min, max, mean, tail:K, auc, reach:VALUE.")
]
Lower = Annotated[bool, typer.Option("--lower", help="The lowest is the best, as with a loss.")]


def database(ctx: typer.Context, given: str | None) -> str:
    """The database that is meant: ``--db`` of the command, else of the program, else as `located` finds it."""
    return find_database(given or ctx.obj)


def words_of(words: Sequence[str] | None) -> list[str]:
    """The words that select runs; ``-`` stands for ids on stdin.

    Raises:
        UsageError: ``-`` was given and stdin holds something else than ids, or nothing.
    """
    if list(words or []) != ["-"]:
        return list(words or [])
    ids = sys.stdin.read().split()
    wrong = [word for word in ids if not (word.isascii() and word.isdigit())]
    if wrong:
        raise UsageError(f"stdin holds {wrong[0]!r} where an id was expected", hint="spindb runs … --ids prints ids")
    if not ids:
        raise UsageError("stdin holds no ids")
    return ids


def require_runs(ids: list[int], words: Sequence[str] | None) -> None:
    """Refuse a filter that no run matches.

    Raises:
        NotFoundError: it is such.
    """
    if not ids:
        raise NotFoundError("no run matches", hint=f"spindb runs {' '.join(map(repr, words or []))} says why")


def run_meant(connection: Connection, word: str) -> RunInfo:
    """The run that a word means (see `spindb.index.query.reference`); says so where that may surprise.

    Raises:
        NotFoundError: there is none; UsageError: there are several.
    """
    from spindb.index.query.runs import find_run

    found = find_run(connection, word)
    if found.note:
        say(found.note)
    return found


def at_most_one(**formats: bool) -> None:
    """Refuse several output formats at once.

    Raises:
        UsageError: naming those that were given.
    """
    given = [f"--{name}" for name, wanted in formats.items() if wanted]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other")


def split(fields: str | None) -> tuple[str, ...]:
    """Names with commas between as they are typed in ``--columns``, ``--sort``, ``--group-by``."""
    return tuple(field.strip() for field in (fields or "").split(",") if field.strip())
