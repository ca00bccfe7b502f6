"""``spindb demo``: a study that spindb trains itself, ingested, queried, compared and played."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spindb.cli import handlers


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("demo")(demo)


def demo(
    directory: Annotated[Path, typer.Argument(help="Where data and database go.")] = Path("demo"),
    jobs: Annotated[int | None, typer.Option("--jobs", help="Parallel processes. (default: all cores)", min=1)] = None,
) -> None:
    """Train a few small agents for real, then ingest, query and play them: about a minute on two cores.

    What is trained already is not trained again.
    """
    handlers.demo.run_demo(directory, jobs)
