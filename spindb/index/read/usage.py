"""What saved policies take on disk, and which of them could go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from spindb.index.database.batches import batches
from spindb.index.database.models import evaluations, roots, runs
from spindb.index.query.runs import snapshots_by_run
from spindb.machine import this_host
from spindb.records import SnapshotRecord, directory_of, latest


@dataclass(frozen=True, slots=True)
class Usage:
    """The saved policies of a run.

    ``copy_of`` is the run with the same content, where this is a copy; ``here`` says whether the directory is on this
    machine. ``stale`` are what an earlier run left in the directory; ``between`` those of this run that are not the
    latest, and of which no evaluation was recorded.
    """

    run_id: int
    name: str
    directory: Path
    copy_of: int | None
    here: bool
    saved: tuple[SnapshotRecord, ...]
    stale: tuple[SnapshotRecord, ...]
    between: tuple[SnapshotRecord, ...]

    @property
    def size(self) -> int:
        """Bytes of all."""
        return stored_bytes(self.saved)


def stored_bytes(saved: Sequence[SnapshotRecord]) -> int:
    """Bytes of these together."""
    return sum(snapshot.size for snapshot in saved)


def usage_of(connection: Connection, ids: Sequence[int]) -> list[Usage]:
    """What the saved policies of these runs take, the largest first; runs without one are left out."""
    found: list[Usage] = []
    for batch in batches(ids):
        saved = snapshots_by_run(connection, batch)
        played = evaluations.c
        evaluated = select(played.run_id, played.snapshot_path).where(played.run_id.in_(batch))
        kept = {(row.run_id, row.snapshot_path) for row in connection.execute(evaluated)}
        place = (roots.c.path.label("root"), roots.c.host, runs.c.path, runs.c.part)
        columns = (runs.c.id, runs.c.name, *place, runs.c.copy_of)
        statement = select(*columns).join(roots, roots.c.id == runs.c.root_id).where(runs.c.id.in_(list(saved)))
        for run_id, name, root, host, path, part, copy_of in connection.execute(statement):
            own = saved[run_id]
            stale = tuple(one for one in own if one.stale)
            newest = latest(own)
            between = tuple(
                one for one in own if not one.stale and one is not newest and (run_id, one.path) not in kept
            )
            here = host == this_host()
            found.append(
                Usage(run_id, name, Path(root) / directory_of(path, part), copy_of, here, tuple(own), stale, between)
            )
    return sorted(found, key=lambda usage: (-usage.size, usage.run_id))
