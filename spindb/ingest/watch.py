"""Follows training as it happens: what changes under the roots is ingested within about a second."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spindb.disk.formats import recognise
from spindb.index import browse
from spindb.index.connect import connected
from spindb.index.resolve import run_at
from spindb.ingest.pipeline import ingest

_DEBOUNCE_MS = 600  # changes within this time are one
_STEP_MS = 100


@dataclass(frozen=True, slots=True)
class RunChange:
    """A run that was read again: its rows now, and the last value of its performance metric."""

    run_id: int
    name: str
    rows: int
    performance: str | None
    last: float | str | None


def watch(
    location: str | Path,
    paths: Sequence[Path],
    tell: Callable[[RunChange], None],
    *,
    stop: threading.Event | None = None,
) -> None:
    """Ingest what changes under `paths` until interrupted or `stop` is set.

    Args:
        location: the database; `paths` were ingested into it before.
        paths: directories.
        tell: called for each run that changed.
        stop: ends the watch.
    """
    from watchfiles import watch as changes_under

    roots = [Path(os.path.abspath(path)) for path in paths]
    batches = changes_under(
        *roots, watch_filter=None, debounce=_DEBOUNCE_MS, step=_STEP_MS, stop_event=stop, raise_interrupt=False
    )
    for batch in batches:
        directories = _affected((Path(path) for _, path in batch), roots)
        if directories:
            written: list[Path] = []
            ingest(location, directories, wrote=written.append)
            for change in _changes(location, written):
                tell(change)


def _affected(paths: Iterable[Path], roots: Sequence[Path]) -> list[Path]:
    """The directories to ingest for these changed paths: runs where possible, none inside another."""
    found = {_nearest(path, root) for path in paths for root in roots if root == path or root in path.parents}
    return sorted(d for d in found if not found.intersection(d.parents))


def _nearest(path: Path, root: Path) -> Path:
    """The run that a changed path belongs to, else the nearest directory that is still there."""
    present = root
    for directory in (path, *path.parents):
        try:
            names = [entry.name for entry in directory.iterdir()]
        except OSError:
            continue
        if present == root:
            present = directory
        if recognise(names) is not None:
            return directory
        if directory == root:
            break
    return present


def _changes(location: str | Path, directories: Sequence[Path]) -> list[RunChange]:
    found = []
    with connected(location) as connection:
        for directory in directories:
            run = run_at(connection, directory)
            if run is not None:
                metrics = {m.name: m for m in browse.metrics_of(connection, run.id)}
                metric = metrics.get(run.performance or "")
                last = browse.last_value(metric) if metric else None
                found.append(RunChange(run.id, run.name, run.rows, run.performance, last))
    return found
