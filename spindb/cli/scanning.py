"""``spindb ingest``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli.options import AsJson, Db, database
from spindb.cli.output import print_json, say

if TYPE_CHECKING:
    from spindb.ingest import RunProblem, Summary

_SHOWN_PROBLEMS = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("ingest")(ingest)


def ingest(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Directories. [default: $SPINDB_DATA_DIR, else ./data]", show_default=False),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop runs whose directories are gone, unless you added something to them.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes that read. [default: all cores]", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Index every run under these directories; nothing in them is changed or executed.

    The second ingest reads only what changed:  spindb ingest data/
    """
    from spindb.ingest import ingest as run_ingest
    from spindb.logger.places import data_directory

    location = database(ctx, db)
    chosen = paths or [data_directory()]
    with _Progress() as progress:
        summary = run_ingest(
            location, chosen, jobs=jobs or os.cpu_count() or 1, prune=prune, dry_run=dry_run, progress=progress.update
        )
    if as_json:
        print_json(_as_dict(summary))
    _report(summary, location, chosen, dry_run)
    if summary.problems:
        raise typer.Exit(1)


class _Progress:
    """A bar on stderr while runs are read, where stderr is a terminal."""

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("reading runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not os.isatty(2))
        self._bar.start()
        self._task = self._bar.add_task("", total=None)
        return self

    def update(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _as_dict(summary: Summary) -> dict[str, object]:
    return {
        "runs": summary.total,
        "new": summary.new,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "returned": summary.returned,
        "missing": summary.missing,
        "pruned": summary.pruned,
        "problems": [
            {
                "directory": str(found.directory),
                "path": found.problem.path,
                "line": found.problem.line,
                "code": found.problem.code,
                "message": found.problem.message,
            }
            for found in summary.problems
        ],
    }


def _report(summary: Summary, location: str, paths: list[Path], dry_run: bool) -> None:
    problems = summary.problems
    for found in problems[:_SHOWN_PROBLEMS]:
        say(f"  {_place(found)}: {found.problem.message}")
    if len(problems) > _SHOWN_PROBLEMS:
        say(f"  … and {len(problems) - _SHOWN_PROBLEMS} more: spindb runs 'problems>0', spindb show RUN")
    counts = [
        (summary.new, "new"),
        (summary.changed, "changed"),
        (summary.unchanged, "unchanged"),
        (summary.returned, "back again"),
        (summary.missing, "missing"),
        (summary.pruned, "dropped"),
    ]
    always = {"new", "changed", "unchanged", "missing"}
    parts = [f"{count} {word}" for count, word in counts if count or word in always]
    would = "would index " if dry_run else ""
    say(f"{would}{_many(summary.total, 'run')}: {', '.join(parts)}")
    if problems:
        directories = len({found.directory for found in problems})
        say(f"{_many(len(problems), 'problem')} in {_many(directories, 'directory')}")
    else:
        say("no new problems")
    if not summary.total and not summary.missing:
        say(f"no runs under {', '.join(map(str, paths))}: a run is a directory with a progress.txt")
    if not dry_run:
        say(f"database: {location}")


def _many(count: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"


def _place(found: RunProblem) -> str:
    path = found.directory / found.problem.path if found.problem.path else found.directory
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{found.problem.line}" if found.problem.line else str(path)
