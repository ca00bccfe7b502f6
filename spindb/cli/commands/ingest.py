"""``spindb ingest``."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli.options import AsJson, Db, database
from spindb.cli.terminal.tables import echo, print_json, say, show
from spindb.disk.problem_codes import rank, severity
from spindb.errors import NotFoundError
from spindb.location import working_directory
from spindb.signals import active

if TYPE_CHECKING:
    from spindb.ingest.summary import RunProblem, Summary

_EXAMPLES = 2  # of each code of problems
_LEAST_WIDTH = 40
_SHOWN_KEPT = 5
_KEPT = "runs that were indexed so far are kept, and whole; spindb ingest again reads the rest"
_NOTHING_WRITTEN = "nothing was written; spindb ingest again reads all"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("ingest")(ingest)


def ingest(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Directories. (default: $SPINDB_DATA_DIR, else what spindb config data_dir set, else ./data)",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Drop runs whose directories are gone, unless you added something or they hold what was overwritten.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes that read. (default: all cores)", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and follow training as it happens.")] = False,
    stamp_zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of the stamps in names: Europe/Berlin, +02:00. (default: this machine's)", metavar="ZONE"
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="Seconds of CPU time for reading one run; broken runs are read again. (default: 30)",
            min=0.001,
            metavar="SECONDS",
        ),
    ] = None,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Index every run under these directories; nothing in them is changed or executed.

    The second ingest reads only what changed:  spindb ingest data/
    """
    from spindb.ingest.pipeline import ingest as run_ingest
    from spindb.logger.places import data_to_ingest

    location = database(ctx, db)
    chosen = paths or [data_to_ingest()]
    if not paths:
        say(f"no directory was named: {chosen[0]} is ingested")
    try:
        with _Progress() as progress:
            summary = run_ingest(
                location,
                chosen,
                jobs=jobs or os.cpu_count() or 1,
                prune=prune,
                dry_run=dry_run,
                progress=progress.update,
                time_limit=time_limit,
                stamp_zone=stamp_zone,
            )
    except KeyboardInterrupt:
        active().left = _NOTHING_WRITTEN if dry_run else _KEPT
        raise
    if as_json:
        print_json(_as_dict(summary))
    _report(summary, location, chosen, dry_run)
    if watch and not dry_run:
        _watch(location, chosen, stamp_zone, time_limit)
        return
    if summary.problems:
        raise typer.Exit(1)


def _watch(location: str, paths: list[Path], stamp_zone: str | None, time_limit: float | None) -> None:
    """A line on stdout for each run that changes, until interrupted."""
    import time

    from spindb.ingest.watch import RunChange, watch

    def tell(change: RunChange) -> None:
        value = "" if change.last is None else f"  {change.performance} {show(change.last)}"
        echo(f"{time.strftime('%H:%M:%S')}  run {change.run_id}  {change.name}  {change.rows} rows{value}")

    say(f"watching {', '.join(map(str, paths))}: Ctrl-C ends it")
    active().left = _KEPT
    watch(location, paths, tell, note=say, stamp_zone=stamp_zone, time_limit=time_limit)


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
        "kept": [{"run": kept.run, "kept_as": kept.kept_as} for kept in summary.kept],
        "removed": summary.removed,
        "foreign": dict(summary.foreign.most_common()),
        "missing": summary.missing,
        "pruned": summary.pruned,
        "problem_counts": _counted(summary.problems),
        "spared": summary.spared,
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
    for line in _told(problems):
        say(line)
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
    _report_kept(summary)
    if problems:
        directories = len({found.directory for found in problems})
        say(f"{_many(len(problems), 'problem')} in {_many(directories, 'directory')}")
    else:
        say("no new problems")
    if summary.foreign:
        named = ", ".join(f"{label} ({count})" for label, count in summary.foreign.most_common())
        say(f"{_many(summary.foreign.total(), 'directory')} of other loggers, not read: {named}")
    if summary.missing and not summary.total and not dry_run:
        say(
            f"no run is left under {', '.join(map(str, paths))}: {_many(summary.missing, 'run')} marked as missing. "
            "If a disk is not mounted there, mount it and ingest again: they come back"
        )
    if not summary.total and not summary.missing and not summary.removed:
        say(f"no runs under {', '.join(map(str, paths))}: a run is a directory with a progress.txt or a saved policy")
    if not dry_run:
        from spindb.index.database.engine import shown_location

        say(f"database: {shown_location(location)}")
        _say_network(location)


def _say_network(location: str) -> None:
    from spindb.index.database.engine import database_url, sqlite_path
    from spindb.index.database.sqlite import network_file_system

    path = sqlite_path(database_url(location))
    kind = network_file_system(path) if path else None
    if kind is not None:
        say(f"note: it lies on a network file system ({kind}): write-ahead logging is off, write from one machine only")


def _report_kept(summary: Summary) -> None:
    """What an ingest did not drop, or left out."""
    for kept in summary.kept[:_SHOWN_KEPT]:
        say(f"run {kept.run} was overwritten by another training: what it held before is run {kept.kept_as}")
    if len(summary.kept) > _SHOWN_KEPT:
        say(f"… and {len(summary.kept) - _SHOWN_KEPT} more: spindb runs --all status=superseded")
    if summary.removed:
        say(f"{_many(summary.removed, 'removed run')} left out: spindb rm --list shows them, rm --undo brings back")
    if summary.spared:
        added = "people added to them, or they hold what was overwritten"
        say(f"{_many(summary.spared, 'missing run')} not dropped: {added}")


def _of_which(count: int, word: str) -> str:
    return f" ({count} {word})" if count else ""


def _many(count: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"


def _counted(problems: Sequence[RunProblem]) -> dict[str, int]:
    """How many problems each code has, the worst code first."""
    return {code: len(found) for code, found in _by_code(problems)}


def _told(problems: Sequence[RunProblem]) -> Iterator[str]:
    """The lines that say what was found, none wider than the terminal on stderr."""
    width = _width()
    for code, found in _by_code(problems):
        directories = len({problem.directory for problem in found})
        count = f"{len(found):,} in {_many(directories, 'directory')}"
        yield from _wrapped(f"{code}: {count} ({severity(code).value})", "  ", width)
        for problem in _examples(found):
            yield from _wrapped(f"{_place(problem)}: {show(problem.problem.message)}", "    ", width)
    if problems:
        code = min((problem.problem.code for problem in problems), key=rank)
        hint = f"all runs of a code: spindb runs 'problem={code}'; all problems of a run: spindb show RUN"
        yield from _wrapped(hint, "  ", width)


def _by_code(problems: Sequence[RunProblem]) -> Iterator[tuple[str, list[RunProblem]]]:
    ordered = sorted(problems, key=lambda found: rank(found.problem.code))
    for code, found in groupby(ordered, lambda found: found.problem.code):
        yield code, list(found)


def _examples(found: Sequence[RunProblem]) -> list[RunProblem]:
    """A few problems, of different messages if there are such."""
    examples = {problem.problem.message: problem for problem in reversed(found)}
    chosen = list(reversed(examples.values()))[:_EXAMPLES]
    others = [problem for problem in found if problem not in chosen]
    return chosen + others[: _EXAMPLES - len(chosen)]


def _place(found: RunProblem) -> str:
    path = found.directory / found.problem.path if found.problem.path else found.directory
    with contextlib.suppress(ValueError, NotFoundError):
        path = path.relative_to(working_directory())
    place = show(os.fspath(path))
    return f"{place}:{found.problem.line}" if found.problem.line else place


def _wrapped(text: str, indent: str, width: int | None) -> list[str]:
    if width is None:
        return [indent + text]
    return textwrap.wrap(
        text,
        max(width - 1, _LEAST_WIDTH),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _width() -> int | None:
    """Columns of the terminal that stderr is, else ``COLUMNS`` where that is set, else None."""
    if sys.stderr.isatty():
        return shutil.get_terminal_size().columns
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else None
