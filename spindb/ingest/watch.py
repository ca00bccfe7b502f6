"""Follows training as it happens: what changes under the roots is ingested within about a second."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchfiles import watch as changes_under
from watchfiles._rust_notify import WatchfilesRustInternalError

from spindb.disk.formats import recognise
from spindb.errors import NotFoundError, SpindbError, UsageError
from spindb.files import is_utf8
from spindb.index.database.connect import connected
from spindb.index.query.runs import run_at
from spindb.index.read.run import last_value, metrics_of
from spindb.ingest.pipeline import ingest

_DEBOUNCE_MS = 600  # changes within this time are one
_STEP_MS = 100
_UNDECODABLE = "Unable to decode path"  # what the watcher says of a name that is not UTF-8, and then ends
_LIMITS = "spindb ingest without --watch reads them; fs.inotify.max_user_instances and max_user_watches set the limits"
_WAIT_S = 1.0  # between two looks whether a root is there


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
    note: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
    stamp_zone: str | None = None,
    time_limit: float | None = None,
) -> None:
    """Ingest what changes under `paths` until interrupted or `stop` is set.

    A root that vanishes is waited for, and nothing above it is looked at. So is one that was replaced by an empty
    directory, as a mount point is when its disk is unmounted: no run is marked as missing for that.

    Args:
        location: the database; `paths` were ingested into it before.
        paths: directories.
        tell: called for each run that changed.
        note: called with a sentence where a root vanished or is back.
        stop: ends the watch.
        stamp_zone: time zone of the stamps in names, as `ingest` takes it.
        time_limit: seconds for reading one run, as `ingest` takes it.

    Raises:
        KeyboardInterrupt: it was interrupted.
        SpindbError: the system can't watch that many directories.
    """
    stop = stop or threading.Event()
    roots = [_Root(Path(os.path.abspath(path))) for path in paths]
    follower = _Follower(location, roots, tell, note, stop, stamp_zone, time_limit)
    while not stop.is_set():
        follower.follow()


@dataclass(slots=True)
class _Root:
    """A root and which directory it was when it was last looked at: None while it is gone."""

    path: Path
    directory: tuple[int, int] | None = None
    known: bool = False  # whether anything was said of it, or ingested, since the watch began

    def now(self) -> tuple[int, int] | None:
        """The directory that is there and can be listed.

        None, too, for an empty one in the place of another: the mount point of a disk that is gone.
        """
        try:
            with os.scandir(self.path) as entries:
                empty = next(entries, None) is None
            status = os.stat(self.path)
        except OSError:
            return None
        found = status.st_dev, status.st_ino
        return None if empty and self.known and found != self.directory else found


@dataclass(slots=True)
class _Follower:
    location: str | Path
    roots: Sequence[_Root]
    tell: Callable[[RunChange], None]
    note: Callable[[str], None]
    stop: threading.Event
    stamp_zone: str | None
    time_limit: float | None
    behind: bool = False  # something may have changed unseen

    def follow(self) -> None:
        """Follow the roots that are there until one of them vanishes or is back, or the watcher ends."""
        self.look()
        present = [root.path for root in self.roots if root.directory is not None]
        if not present:
            self.stop.wait(_WAIT_S)
            return
        for changed in _changed_paths(present, self.stop):
            if any(root.now() != root.directory for root in self.roots):
                return
            everything = changed is None or self.behind
            self.behind = changed is None  # and whatever changes before the next watcher is there
            self.ingest(present if everything else _affected(changed or (), present))
            if changed is None:
                self.stop.wait(_WAIT_S)

    def look(self) -> None:
        """Say which roots vanished, and ingest those that are back."""
        for root in self.roots:
            found = root.now()
            if found is None and (root.directory is not None or not root.known):
                self.note(f"{root.path} is gone: waiting for it; its runs stay as they are")
            elif found is not None and root.known and found != root.directory:
                self.note(f"{root.path} is back")
                self.ingest([root.path])
            root.directory, root.known = found, True

    def ingest(self, directories: Sequence[Path]) -> None:
        if not directories:
            return
        written: list[Path] = []
        try:
            ingest(
                self.location,
                directories,
                wrote=written.append,
                stamp_zone=self.stamp_zone,
                time_limit=self.time_limit,
            )
        except (NotFoundError, UsageError):
            # One of them vanished just now. The change that this is will be reported, too.
            if all(map(_can_be_listed, directories)):
                raise
        for change in _changes(self.location, written):
            self.tell(change)


def _changed_paths(roots: Sequence[Path], stop: threading.Event) -> Iterator[list[Path] | None]:
    """What changes below the roots: paths, none of them now and then; None, at the end, where one can't be watched.

    Raises:
        SpindbError: the system can't watch that many directories.
    """
    try:
        for batch in changes_under(
            *roots,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=stop,
            raise_interrupt=True,
            rust_timeout=int(_WAIT_S * 1000),
            yield_on_timeout=True,
            ignore_permission_denied=True,  # the scan says which directories can't be listed
        ):
            yield [Path(path) for _, path in batch]
    except FileNotFoundError:  # a root vanished before it was watched
        return
    except (OSError, WatchfilesRustInternalError) as error:
        if not str(error).startswith(_UNDECODABLE):
            raise SpindbError(f"the directories can't be watched: {error}", hint=_LIMITS) from error
        yield None


def _can_be_listed(directory: Path) -> bool:
    try:
        os.scandir(directory).close()
    except OSError:
        return False
    return True


def _affected(paths: Iterable[Path], roots: Sequence[Path]) -> list[Path]:
    """The directories to ingest for these changed paths: runs where possible, none inside another."""
    found = {_nearest(path, root) for path in paths for root in roots if root == path or root in path.parents}
    found.discard(None)
    return sorted(d for d in found if d is not None and not found.intersection(d.parents))


def _nearest(path: Path, root: Path) -> Path | None:
    """The run that a changed path belongs to, else the nearest directory that is still there.

    None where the root itself is gone: what lies above is none of our business. A directory whose path is no UTF-8 is
    left to the scan of one above it.
    """
    present = policy = None
    for directory in (path, *path.parents):
        try:
            names = os.listdir(directory) if is_utf8(os.fspath(directory)) else None
        except OSError:
            names = None
        if names is not None:
            present = present or directory
            if recognise(names) is not None:
                return directory
            if policy is None and recognise(names, directory) is not None:
                policy = directory  # unless it lies in a run with metrics
        if directory == root:
            break
    return policy or present


def _changes(location: str | Path, directories: Sequence[Path]) -> list[RunChange]:
    found = []
    with connected(location) as connection:
        for directory in directories:
            run = run_at(connection, directory)
            if run is not None:
                metrics = {m.name: m for m in metrics_of(connection, run.id)}
                metric = metrics.get(run.performance or "")
                last = last_value(metric) if metric else None
                found.append(RunChange(run.id, run.name, run.rows, run.performance, last))
    return found
