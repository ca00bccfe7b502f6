"""From a reference to a run to the snapshot that is to be played, in the index or in a directory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import SupportsIndex

from spindb.disk import limits
from spindb.disk.formats import recognise
from spindb.disk.formats.spinningup import SpinningUp
from spindb.disk.regular import follow_links_within, read_regular
from spindb.disk.scan import FoundRun, scan
from spindb.errors import DatabaseError, NotFoundError, UsageError
from spindb.index.database.connect import connected
from spindb.index.query.reference import RunDirectory, RunName, RunRef, reference
from spindb.index.query.runs import find_run, pick_snapshot, run_at, snapshots_of
from spindb.location import located
from spindb.machine import this_host
from spindb.records import EnvironmentHint, SnapshotRecord

_MAX_LISTED = 5
_SPINNING_UP = SpinningUp()


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


def locate(
    run: RunRef | SupportsIndex | str | Path,
    itr: int | None = None,
    *,
    db: str | Path | None = None,
    run_id: int | None = None,
) -> Playable:
    """Find the snapshot to play.

    Args:
        run: a run's id, directory or name: see `spindb.index.query.reference`. A directory need not be indexed.
        itr: which snapshot; None for the latest.
        db: the database (path or URL); without one as the command line finds it, where `run` is no directory.
        run_id: the id of the run at the directory, where it is known already.

    Raises:
        NotFoundError: there is no such run, directory or itr; the message lists what does exist.
        DatabaseError: the database can't be used.
    """
    ref = reference(run)
    if isinstance(ref, RunDirectory):
        return _locate_directory(ref.path, itr, _id_at(ref.path, db) if run_id is None else run_id)
    try:
        with connected(located(None if db is None else str(db))) as connection:
            found = find_run(connection, ref)
            snapshots = snapshots_of(connection, found.id)
    except (NotFoundError, DatabaseError):
        if not isinstance(ref, RunName) or not os.path.isdir(ref.text):
            raise
        note = f"no run is called {ref.text!r}: the directory {ref.text} is meant"
        return replace(_locate_directory(Path(ref.text), itr, run_id), note=note)
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
    names = os.listdir(directory)
    found = recognise(names, directory)
    if found is None and not any(map(_SPINNING_UP.is_save, names)):
        raise NotFoundError(
            f"{directory} is not an output directory: it has no progress.txt and no save",
            hint=_near(directory) or "spindb runs lists the runs that are known, spindb ingest DATA_DIR finds others",
        )
    follow_links_within(directory)
    record = (found or _SPINNING_UP).read(directory, ".")
    chosen = pick_snapshot(record.snapshots, itr, directory)
    return Playable(directory, chosen, record.env, run_id, tuple(record.snapshots))


def _near(directory: Path) -> str | None:
    """Output directories below, or the one that this save belongs to."""
    if _SPINNING_UP.is_save(directory.name):
        return f"its run is {directory.parent}: name that, and --itr for the snapshot"
    below = []
    for run in scan(directory):
        if isinstance(run, FoundRun):
            below.append(f"  {directory / run.path}")
        if len(below) > _MAX_LISTED:
            return "output directories below it:\n" + "\n".join(below[:_MAX_LISTED]) + "\n  …"
    return "output directories below it:\n" + "\n".join(below) if below else None


def digest_of(playable: Playable) -> str | None:
    """A digest of the policy's files, so that a result stays tied to what was played; None where they can't be read."""
    place = playable.directory / playable.snapshot.path
    files = [place] if place.is_file() else [place / "saved_model.pb", *sorted((place / "variables").glob("*"))]
    digest = blake2b(digest_size=16)
    try:
        for file in files:
            digest.update(read_regular(file, limits.MODULE))
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
        "digest": digest_of(playable),
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def indexed_id(directory: Path, db: str | Path) -> int | None:
    """The id of the run at `directory` in the database, None where it is not indexed there."""
    with connected(db) as connection:
        found = run_at(connection, directory)
    return found.id if found else None
