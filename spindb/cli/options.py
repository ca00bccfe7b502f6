"""Options that several commands share, and where the database is found."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, TypeVar, get_args

import typer

from spindb.cli import completion
from spindb.cli.terminal.data import Format
from spindb.cli.terminal.door import say
from spindb.errors import NotFoundError, UsageError
from spindb.location import find_database

Db = Annotated[
    str | None,
    typer.Option("--db", help="Database: a file or a URL. (default: $SPINDB_URL, else the nearest spindb.db upward)"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonLines = Annotated[bool, typer.Option("--jsonl", help="Print JSON lines: one object per line.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
AsIds = Annotated[bool, typer.Option("--ids", help="Print ids only, one per line: for pipes.")]
Everything = Annotated[bool, typer.Option("--all", help="Include hidden runs: archived, missing, overwritten, copies.")]
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
    """The database to use: ``--db`` of the command, else of the program, else as `find_database` finds it."""
    return find_database(given or ctx.obj)


def words_of(words: Sequence[str] | None) -> list[str]:
    """The words that select runs; ``-`` stands for ids on stdin.

    Raises:
        UsageError: ``-`` was given and stdin holds something else than ids, or nothing.
    """
    if list(words or []) != ["-"]:
        return list(words or [])
    # Ids and nothing else: a table piped in by mistake would select runs by whatever numbers it holds.
    ids = sys.stdin.read().split()
    wrong = [word for word in ids if not (word.isascii() and word.isdigit())]
    if wrong:
        raise UsageError(f"stdin holds {wrong[0]!r} where an id was expected", hint="spindb runs … --ids prints ids")
    if not ids:
        raise UsageError("stdin holds no ids")
    return ids


def require_runs(ids: Sequence[int], words: Sequence[str] | None) -> None:
    """Refuse a filter that no run matches.

    Raises:
        NotFoundError: it is such.
    """
    if not ids:
        raise NotFoundError("no run matches", hint=f"spindb runs {' '.join(map(repr, words or []))} says why")


def output_format(**flags: bool) -> Format:
    """The output format that the flags choose; text where none is set.

    Flags that are no format (``watch``) only exclude the others.

    Raises:
        UsageError: naming those that were given, where they are several.
    """
    given = [name for name, is_set in flags.items() if is_set]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in given)} exclude each other")
    return next((known for known in get_args(Format) if known in given), "text")


class Selection(NamedTuple):
    """Which runs of which database a command is about; ``words`` as they were typed (see `words_of`)."""

    location: str
    words: Sequence[str]
    everything: bool = False


def selection(ctx: typer.Context, db: str | None, words: Sequence[str] | None, everything: bool = False) -> Selection:
    """What the usual options of a command select."""
    return Selection(database(ctx, db), words or (), everything)


_Value = TypeVar("_Value")


def renamed(to: str) -> Callable[[typer.CallbackParam, _Value], _Value]:
    """For an option that still works and is not listed any more: says what it is called now."""

    def note(param: typer.CallbackParam, value: _Value) -> _Value:
        if value:
            say(f"note: {param.opts[0]} is now {to}")
        return value

    return note


def split(fields: str | None) -> tuple[str, ...]:
    """Names with commas between as they are typed in ``--columns``, ``--sort``, ``--group-by``."""
    return tuple(field.strip() for field in (fields or "").split(",") if field.strip())


Internal = Annotated[
    bool,
    typer.Option("--internal", help="Include what the logger wrote about itself, and attributes of objects."),
]
