"""The application: its commands, its global options, and the one place where errors become words."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

import spindb
from spindb.cli.fast_parameters import spare
from spindb.cli.options import TRACEBACK, Debug
from spindb.cli.terminal.door import (
    OutputError,
    close_output,
    discard_output,
    echo,
    open_streams,
    output_error,
    say,
    say_error,
)
from spindb.errors import DamagedWarning, DatabaseError, SpindbError
from spindb.location import working_directory
from spindb.signals import Interrupts, active, exit_code, interrupts, words
from spindb.views.jsonable import JSON_VERSION

COMMANDS = {
    "ingest": ("ingest",),
    "runs": ("runs", "ls"),
    "show": ("show",),
    "snapshots": ("path", "snapshots"),
    "diff": ("diff",),
    "du": ("du",),
    "params": ("params", "metrics"),
    "doctor": ("doctor",),
    "query": ("query",),
    "compare": ("compare",),
    "plot": ("plot",),
    "export": ("export",),
    "export_policy": ("export-policy",),
    "annotate": ("tag", "note", "archive", "unarchive", "rm"),
    "sql": ("sql",),
    "test_policy": ("test-policy", "test_policy"),
    "sweep": ("sweep",),
    "best": ("best",),
    "verify": ("verify",),
    "relocate": ("relocate",),
    "config": ("config",),
    "db": ("db",),
    "demo": ("demo",),
}
"""Modules of `spindb.cli.commands` and the commands that each adds, in the order in which help lists them."""

_HELP = """Every RL run you ever trained is one query away, and every saved policy plays again.

    spindb ingest data/                           index all runs below

    spindb runs 'env=CartPole-v1 pi_lr<1e-3'      find runs

    spindb compare 'env=CartPole-v1'              rank settings over seeds

    spindb plot 'env=CartPole-v1' -o curves.png   draw learning curves

    spindb test-policy --run-id 42 --itr 100      play a saved policy

    Exit codes: 0 done, 1 done with problems, 2 usage or filter, 3 not found, 4 database or schema,\
 5 policy or environment."""


def _print_version(asked: bool) -> None:
    if asked:
        echo(f"spindb {spindb.__version__} (JSON output version {JSON_VERSION})")
        raise typer.Exit


def _global(
    ctx: typer.Context,
    db: Annotated[
        str | None,
        typer.Option(help="Database: a file or a URL. (default: $SPINDB_URL, else the nearest spindb.db upward)"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Debug = False,
) -> None:
    ctx.obj = db


def application(command: str | None = None) -> typer.Typer:
    """The application; with only the commands that come with `command` where that is one.

    To build all of them takes as long as a query.
    """
    app = typer.Typer(
        name="spindb",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global)
    # An unknown command, or none, takes all of them: for the list of help, or the nearest name.
    needed = [module for module, commands in COMMANDS.items() if command in commands] or COMMANDS
    for module in needed:
        import_module(f"spindb.cli.commands.{module}").register(app)
    return app


def _command_in(arguments: Sequence[str]) -> str | None:
    """The command that is called, None where that takes the whole application to tell."""
    if "_SPINDB_COMPLETE" in os.environ:
        return None
    # Read by hand, before the parser exists: only the modules of one command are imported. In doubt the answer is None,
    # which costs time and is never wrong.
    words = iter(arguments)
    for word in words:
        if word == "--db":
            next(words, None)
        elif word != "--debug" and not word.startswith("--db="):
            return None if word.startswith("-") else word
    return None


_OF_STREAMS = (errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 128 and the signal's number where a signal ended it.

    What the command had finished stays finished; what it leaves behind it says in `Interrupts.left`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    traced = os.environ.get(TRACEBACK)
    # Held until the command is under way: a signal between two statements here would end in a traceback.
    with interrupts(held=True) as signals:
        try:
            with signals.released():
                code = _with_streams(given)
            if code == exit_code("SIGINT"):  # raised without a signal, by an environment for instance
                signals.received = signals.received or "SIGINT"
        except KeyboardInterrupt:  # here, and not around it: what arrives from now on is noted alone
            signals.received = signals.received or "SIGINT"
        except Exception:
            if signals.received is None:
                raise  # else it is what the interrupt became on its way, in a callback of SQLite for instance
        finally:
            if traced is None:
                os.environ.pop(TRACEBACK, None)  # --debug is of this call alone
        return code if signals.received is None else _interrupted(signals)


def _interrupted(signals: Interrupts) -> int:
    assert signals.received is not None
    try:
        close_output()
    except OutputError:  # the terminal, or the reader, may have gone first
        discard_output()
    say(words(signals.received, signals.left))
    return exit_code(signals.received)


def _with_streams(given: Sequence[str]) -> int:
    open_streams()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DamagedWarning)
            warnings.showwarning = _say_warning
            code = _command(given)
        close_output()
    except OutputError as error:
        discard_output()
        if error.exit_code:
            say_error(error)
        return error.exit_code
    return code


def _said(error: SpindbError) -> int:
    # An error after a signal is what the signal became on its way: `run` says the signal in its place.
    if active().received is not None:
        raise error
    say_error(error)
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    return error.exit_code


def _without_directory(error: FileNotFoundError) -> SpindbError:
    """What stands behind an error of any function that makes a relative path absolute; another error is raised anew."""
    try:
        working_directory()
    except SpindbError as gone:
        return gone
    raise error


def _told_of_damage() -> DatabaseError | None:
    """What stands behind an error that nobody foresaw, where the database held wrong values and that was said."""
    unknown = sys.modules.get("spindb.index.database.unknown")  # a command that asked no database has not loaded it
    if unknown is None or not (unknown.noted.last_warning or unknown.noted.count):
        return None
    return DatabaseError(
        unknown.noted.last_warning or "the database holds wrong values", hint="spindb db check names them"
    )


def _say_warning(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
    """Warnings of spindb's own as words; those of libraries as Python prints them."""
    if issubclass(category, DamagedWarning):
        say(f"warning: {message}")
    else:
        _as_python_does(message, category, *rest, **named)


_as_python_does = warnings.showwarning


def _command(arguments: Sequence[str]) -> int:
    try:
        spare(get_command(application(_command_in(arguments))))(args=arguments, prog_name="spindb")
    except SystemExit as stop:  # how the parser ends every command
        if isinstance(stop.__context__, BrokenPipeError):
            raise output_error(stop.__context__) from None
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except OutputError:
        raise
    except SpindbError as error:
        return _said(error)
    except FileNotFoundError as error:
        return _said(_without_directory(error))
    # What code raises that met a value of another type than the column's; anything else is a mistake of ours, and gets
    # its traceback.
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        damaged = _told_of_damage()
        if damaged is None:
            raise
        say_error(damaged)
        return damaged.exit_code
    except OSError as error:  # help, which the parser prints itself
        if error.filename is None and error.errno in _OF_STREAMS:
            raise output_error(error) from None
        raise
    return 0
