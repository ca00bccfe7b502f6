"""From a reference to a run to the snapshot that is to be played, in the index or in a directory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from spindb.disk import limits
from spindb.disk.formats import LAYOUTS, files_of, layout_of, read_runs
from spindb.disk.regular import follow_links_within, read_regular
from spindb.disk.scan import FoundRun, scan
from spindb.errors import DatabaseError, NotFoundError, UsageError
from spindb.index.database.connect import connected
from spindb.index.query.reference import RunName, RunPath, RunRef
from spindb.index.query.runs import find_run, pick_snapshot, run_at, snapshots_of
from spindb.location import find_database
from spindb.machine import this_host
from spindb.records import EnvironmentHint, SnapshotRecord

_MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Playable:
    """A run's snapshot, found, what is known of its environment, and all snapshots beside it."""

    directory: Path
    snapshot: SnapshotRecord
    env: EnvironmentHint
    run_id: int | None = None
    beside: tuple[SnapshotRecord, ...] = ()
    elsewhere: str | None = None
    """The host that it was recorded on, where that is not this one: the files here may be others."""
    note: str | None = None
    """How the run was found, where that may surprise."""
    root: Path | None = None
    """The root that it was ingested with, in which links to files are followed; without one in `directory`."""

    def follow_links(self) -> None:
        """Let the files of the run be links to others of its root."""
        follow_links_within(self.root or self.directory)


def locate(run: RunRef, itr: int | None = None, *, db: str | Path | None = None) -> Playable:
    """Find the snapshot to play.

    Args:
        run: which run: see `spindb.index.query.reference`. A directory need not be indexed.
        itr: which snapshot; None for the latest.
        db: the database (path or URL); without one as the command line finds it, where `run` is no directory.

    Raises:
        NotFoundError: there is no such run, directory or itr; the message lists what does exist.
        DatabaseError: the database can't be used.
    """
    if isinstance(run, RunPath):
        return _locate_directory(run.path, itr, _id_at(run.path, db))
    try:
        with connected(find_database(None if db is None else str(db))) as connection:
            found = find_run(connection, run)
            snapshots = snapshots_of(connection, found.id)
    except (NotFoundError, DatabaseError):
        if not isinstance(run, RunName) or not os.path.isdir(run.text):
            raise
        note = f"no run is called {run.text!r}: the directory {run.text} is meant"
        return replace(_locate_directory(Path(run.text), itr, None), note=note)
    if found.status == "superseded":
        raise NotFoundError(
            f"run {found.id} was overwritten: its directory holds run {found.superseded_by} now, its policies are gone"
        )
    if not os.path.isdir(found.directory):
        raise NotFoundError(
            f"run {found.id} was at {found.directory} on {found.host}, and is not there now",
            hint="ingest the place that it moved to, or mount its disk",
        )
    chosen = pick_snapshot(snapshots, itr, found.directory)
    elsewhere = None if found.host == this_host() else found.host
    playable = Playable(
        found.directory, chosen, found.env, found.id, tuple(snapshots), elsewhere, found.note, found.root
    )
    playable.follow_links()
    return playable


def latest_by_number(playable: Playable) -> Playable:
    """With the snapshot that the original takes for the latest: the highest number, stale or not, else the other."""
    best = max(playable.beside, key=lambda snapshot: -1 if snapshot.itr is None else snapshot.itr)
    return replace(playable, snapshot=best)


def _id_at(directory: Path, db: str | Path | None) -> int | None:
    """The id of the run at a directory, None where no database is given or it does not know."""
    if db is None:
        return None
    try:
        return indexed_id(directory, db)
    except DatabaseError:  # playing from a directory needs no database
        return None


def _locate_directory(directory: Path, itr: int | None, run_id: int | None) -> Playable:
    if not directory.is_dir():
        is_file = directory.exists()
        raise (UsageError if is_file else NotFoundError)(
            f"{directory} is a file, not an output directory" if is_file else f"no such directory: {directory}"
        )
    layout = layout_of(directory)
    if layout is None:
        raise NotFoundError(
            f"{directory} is not an output directory: it has no progress.txt and no save",
            hint=_near(directory) or "spindb runs lists the runs that are known, spindb ingest DATA_DIR finds others",
        )
    follow_links_within(directory)
    records = list(read_runs(layout, directory))
    if len(records) != 1:
        why = f"{directory} holds {len(records)} runs: name one by its id"
        raise UsageError(why, hint=f"spindb ingest {directory} indexes them, spindb runs lists their ids")
    (record,) = records
    chosen = pick_snapshot(record.snapshots, itr, directory)
    return Playable(directory, chosen, record.env, run_id, tuple(record.snapshots))


def _near(directory: Path) -> str | None:
    """Output directories below, or the one that this save belongs to."""
    if any(layout.is_save(directory.name) for layout in LAYOUTS):
        return f"its run is {directory.parent}: name that, and --itr for the snapshot"
    below = []
    for run in scan(directory):
        if isinstance(run, FoundRun):
            below.append(f"  {directory / run.path}")
        if len(below) > _MAX_LISTED:
            return "output directories below it:\n" + "\n".join(below[:_MAX_LISTED]) + "\n  …"
    return "output directories below it:\n" + "\n".join(below) if below else None


def policy_digest(playable: Playable) -> str | None:
    """A digest of the policy's files, so that a result stays tied to what was played; None where they can't be read."""
    files = files_of(playable.directory, playable.snapshot).digested
    if not files:
        return None
    digest = blake2b(digest_size=16)
    try:
        for file in files:
            digest.update(read_regular(playable.directory / file, limits.MODULE))
    except OSError:
        return None
    return digest.hexdigest()


def about(playable: Playable) -> dict[str, str]:
    """Where a policy comes from, for those who meet it elsewhere."""
    snapshot = playable.snapshot
    known = {
        "run": playable.directory.name,
        "run_id": playable.run_id,
        "snapshot": snapshot.path,
        "itr": snapshot.itr,
        "env": playable.env.id,
        "digest": policy_digest(playable),
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def indexed_id(directory: Path, db: str | Path) -> int | None:
    """The id of the run at `directory` in the database, None where it is not indexed there."""
    with connected(db) as connection:
        found = run_at(connection, directory)
    return found.id if found else None
