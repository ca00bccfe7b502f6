"""``spindb ingest``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli.options import AsJson, Db, database
from spindb.cli.output import echo, print_json, say, show

if TYPE_CHECKING:
    from spindb.ingest.summary import RunProblem, Summary

_SHOWN_PROBLEMS = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("ingest")(ingest)


def ingest(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Directories. (default: $SPINDB_DATA_DIR, else ./data)", show_default=False),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop runs whose directories are gone, unless you added something to them.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes that read. (default: all cores)", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and follow training as it happens.")] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Index every run under these directories; nothing in them is changed or executed.

    The second ingest reads only what changed:  spindb ingest data/
    """
    from spindb.ingest.pipeline import ingest as run_ingest
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
    if watch and not dry_run:
        _watch(location, chosen)
        return
    if summary.problems:
        raise typer.Exit(1)


def _watch(location: str, paths: list[Path]) -> None:
    """A line on stdout for each run that changes, until interrupted."""
    import time

    from spindb.ingest.watch import RunChange, watch

    def tell(change: RunChange) -> None:
        value = "" if change.last is None else f"  {change.performance} {show(change.last)}"
        echo(f"{time.strftime('%H:%M:%S')}  run {change.run_id}  {change.name}  {change.rows} rows{value}")

    say(f"watching {', '.join(map(str, paths))}: Ctrl-C ends it")
    watch(location, paths, tell)


class _Progress:
    """A bar on stderr while runs are read, and then indexed, where stderr is a terminal."""

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not os.isatty(2))
        self._bar.start()
        self._task = self._bar.add_task("looking for runs", total=None)
        return self

    def update(self, done: int, total: int) -> None:
        what = "reading runs" if done < total else "indexing"
        self._bar.update(self._task, description=what, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _as_dict(summary: Summary) -> dict[str, object]:
    return {
        "runs": summary.total,
        "new": summary.new,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "returned": summary.returned,
        "moved": summary.moved,
        "overwritten": summary.overwritten,
        "copies": summary.copies,
        "foreign": dict(summary.foreign.most_common()),
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
        (summary.new, "new" + _of_which(summary.copies, "copied")),
        (summary.changed, "changed" + _of_which(summary.overwritten, "overwritten")),
        (summary.unchanged, "unchanged"),
        (summary.returned, "back again"),
        (summary.moved, "moved"),
        (summary.missing, "missing"),
        (summary.pruned, "dropped"),
    ]
    always = ("new", "changed", "unchanged", "missing")
    parts = [f"{count} {word}" for count, word in counts if count or word.startswith(always)]
    would = "would index " if dry_run else ""
    say(f"{would}{_many(summary.total, 'run')}: {', '.join(parts)}")
    if problems:
        directories = len({found.directory for found in problems})
        say(f"{_many(len(problems), 'problem')} in {_many(directories, 'directory')}")
    else:
        say("no new problems")
    if summary.foreign:
        named = ", ".join(f"{label} ({count})" for label, count in summary.foreign.most_common())
        say(f"{_many(summary.foreign.total(), 'directory')} of other loggers, not read: {named}")
    if not summary.total and not summary.missing:
        say(f"no runs under {', '.join(map(str, paths))}: a run is a directory with a progress.txt")
    if not dry_run:
        from spindb.index.engine import shown

        say(f"database: {shown(location)}")
        _say_network(location)


def _say_network(location: str) -> None:
    from spindb.index.engine import database_url, network_file_system, sqlite_path

    path = sqlite_path(database_url(location))
    kind = network_file_system(path) if path else None
    if kind is not None:
        say(f"note: it lies on a network file system ({kind}): write-ahead logging is off, write from one machine only")


def _of_which(count: int, word: str) -> str:
    return f" ({count} {word})" if count else ""


def _many(count: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"


def _place(found: RunProblem) -> str:
    path = found.directory / found.problem.path if found.problem.path else found.directory
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{found.problem.line}" if found.problem.line else str(path)
