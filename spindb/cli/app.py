"""The application: its commands, its global options, and the one place where errors become words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import spindb
from spindb.cli import (
    annotating,
    asking,
    comparing,
    database,
    demonstrating,
    exporting,
    inspecting,
    listing,
    moving,
    playing,
    querying,
    scanning,
    showing,
)
from spindb.errors import SpindbError

app = typer.Typer(
    name="spindb",
    help="""Every RL run you ever trained is one query away, and every saved policy plays again.

    spindb ingest data/                            index all runs under a directory

    spindb runs 'env=CartPole-v1 pi_lr<1e-3'       find runs

    spindb test-policy --run-id 42 --itr 100       play a saved policy

    Exit codes: 0 done, 1 done with problems, 2 usage or filter, 3 not found, 4 database or schema,
    5 policy or environment.""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"spindb {spindb.__version__}")
        raise typer.Exit


@app.callback()
def _global(
    ctx: typer.Context,
    db: Annotated[
        str | None,
        typer.Option(help="Database: a file or a URL. [default: $SPINDB_URL, else the nearest spindb.db upward]"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    ctx.obj = db


for module in (
    scanning,
    listing,
    querying,
    showing,
    inspecting,
    comparing,
    exporting,
    annotating,
    asking,
    playing,
    database,
    moving,
    demonstrating,
):
    module.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="spindb")
    except SystemExit as stop:  # how the parser ends every command
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except SpindbError as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        return error.exit_code
    return 0
