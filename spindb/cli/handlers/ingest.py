"""Runs an ingest and reports what it did."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.problems import count_of, problem_lines
from spindb.cli.terminal.tables import echo, say, show
from spindb.index.database.engine import database_url, shown_location, sqlite_path
from spindb.ingest.pipeline import ingest as run_ingest
from spindb.ingest.summary import Summary
from spindb.logger.places import data_to_ingest
from spindb.signals import active
from spindb.views.ingest import summary_as_json

if TYPE_CHECKING:
    from rich.progress import Progress

_SHOWN_KEPT = 5
_KEPT = "runs that were indexed so far are kept, and whole; spindb ingest again reads the rest"
_NOTHING_WRITTEN = "nothing was written; spindb ingest again reads all"


class IngestOptions(NamedTuple):
    """How to ingest; ``jobs`` 0 means all cores, ``time_limit`` is in seconds of CPU time for one run."""

    prune: bool
    jobs: int
    dry_run: bool
    watch: bool
    stamp_zone: str | None
    time_limit: float | None


def ingest_and_report(location: str, paths: Sequence[Path], options: IngestOptions, *, as_json: bool) -> None:
    """Ingest the directories, then follow them with ``options.watch``.

    Raises:
        SpindbError: a directory or the database can't be used.
        typer.Exit: with code 1, where files had problems.
    """
    roots = list(paths) or [data_to_ingest()]
    if not paths:
        say(f"no directory was named: {roots[0]} is ingested")
    try:
        with _Progress() as progress:
            summary = run_ingest(
                location,
                roots,
                jobs=options.jobs or os.cpu_count() or 1,
                prune=options.prune,
                dry_run=options.dry_run,
                progress=progress.update,
                time_limit=options.time_limit,
                stamp_zone=options.stamp_zone,
            )
    except KeyboardInterrupt:
        # Printed when the process ends, below the progress bar.
        active().left = _NOTHING_WRITTEN if options.dry_run else _KEPT
        raise
    if as_json:
        print_json(summary_as_json(summary))
    _report(summary, location, roots, options.dry_run)
    if options.watch and not options.dry_run:
        _watch(location, roots, options)
    elif summary.problems:
        raise typer.Exit(1)


def _watch(location: str, paths: list[Path], options: IngestOptions) -> None:
    """A line on stdout for each run that changes, until interrupted."""
    # What reads single runs again is needed here alone; each process of a plain ingest would load it, too.
    from spindb.ingest.watch import RunChange, watch

    def report(change: RunChange) -> None:
        value = "" if change.last is None else f"  {change.performance} {show(change.last)}"
        echo(f"{time.strftime('%H:%M:%S')}  run {change.run_id}  {change.name}  {change.rows} rows{value}")

    say(f"watching {', '.join(map(str, paths))}: Ctrl-C ends it")
    active().left = _KEPT
    watch(location, paths, report, note=say, stamp_zone=options.stamp_zone, time_limit=options.time_limit)


class _Progress:
    """A bar on stderr while runs are read, and then indexed, where stderr is a terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def __enter__(self) -> _Progress:
        if os.isatty(2):
            # rich takes 40 ms to import, for nothing where stderr is a file.
            from spindb.cli.terminal.bars import ingest_bar

            self._bar, self._task = ingest_bar()
        return self

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` runs were read."""
        if self._bar is not None:
            what = "reading runs" if done < total else "indexing"
            self._bar.update(self._task, description=what, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _report(summary: Summary, location: str, paths: list[Path], dry_run: bool) -> None:
    problems = summary.problems
    for line in problem_lines(problems):
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
    say(f"{would}{count_of(summary.total, 'run')}: {', '.join(parts)}")
    _report_kept(summary)
    if problems:
        directories = len({found.directory for found in problems})
        say(f"{count_of(len(problems), 'problem')} in {count_of(directories, 'directory')}")
    else:
        say("no new problems")
    if summary.foreign:
        named = ", ".join(f"{label} ({count})" for label, count in summary.foreign.most_common())
        say(f"{count_of(summary.foreign.total(), 'directory')} of other loggers, not read: {named}")
    if summary.missing and not summary.total and not dry_run:
        say(
            f"no run is left under {', '.join(map(str, paths))}: {count_of(summary.missing, 'run')} marked as missing. "
            "If a disk is not mounted there, mount it and ingest again: they come back"
        )
    if not summary.total and not summary.missing and not summary.removed:
        say(f"no runs under {', '.join(map(str, paths))}: a run is a directory with a progress.txt or a saved policy")
    if not dry_run:
        say(f"database: {shown_location(location)}")
        _say_network(location)


def _say_network(location: str) -> None:
    path = sqlite_path(database_url(location))
    if path is None:
        return
    from spindb.index.database.sqlite import network_file_system  # which a server never needs

    kind = network_file_system(path)
    if kind is not None:
        say(f"note: it lies on a network file system ({kind}): write-ahead logging is off, write from one machine only")


def _report_kept(summary: Summary) -> None:
    """Say which runs were kept although they are gone, and which were left out."""
    for kept in summary.kept[:_SHOWN_KEPT]:
        say(f"run {kept.run} was overwritten by another training: what it held before is run {kept.kept_as}")
    if len(summary.kept) > _SHOWN_KEPT:
        say(f"… and {len(summary.kept) - _SHOWN_KEPT} more: spindb runs --all status=superseded")
    if summary.removed:
        say(f"{count_of(summary.removed, 'removed run')} left out: spindb rm --list shows them, rm --undo brings back")
    if summary.spared:
        added = "people added to them, or they hold what was overwritten"
        say(f"{count_of(summary.spared, 'missing run')} not dropped: {added}")


def _of_which(count: int, word: str) -> str:
    return f" ({count} {word})" if count else ""
