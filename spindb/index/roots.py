"""Roots: the directories under which runs are found, on which host.

Runs are stored relative to a root. Ingesting a directory inside a known root uses that root; ingesting
a directory above known roots absorbs them, so that no directory is ever indexed under two roots.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, delete, insert, select, update

from spindb.index.models import roots, runs


@dataclass(frozen=True, slots=True)
class Place:
    """Where an ingested directory lies: its root, and its path relative to that, ``.`` for the root."""

    root_id: int
    root: Path
    inside: str


def this_host() -> str:
    """The name of this machine, as roots hold it."""
    return socket.gethostname()


def place_of(connection: Connection, directory: Path) -> Place:
    """The root for an absolute directory on this host, made or found."""
    known = _known(connection)
    place = _inside(known, directory)
    if place is not None:
        return place
    inserted = connection.execute(insert(roots).values(host=this_host(), path=str(directory)))
    assert inserted.inserted_primary_key is not None
    root_id = int(inserted.inserted_primary_key[0])
    for path, inner_id in known.items():
        if directory in path.parents:
            _absorb(connection, inner_id, root_id, path.relative_to(directory).as_posix())
    return Place(root_id, directory, ".")


def planned_place(connection: Connection, directory: Path) -> Place:
    """The root that `place_of` would find, writing nothing; id 0 where it would make one."""
    return _inside(_known(connection), directory) or Place(0, directory, ".")


def _known(connection: Connection) -> dict[Path, int]:
    rows = connection.execute(select(roots.c.id, roots.c.path).where(roots.c.host == this_host()))
    return {Path(path): root_id for root_id, path in rows}


def _inside(known: dict[Path, int], directory: Path) -> Place | None:
    for root in (directory, *directory.parents):
        if root in known:
            return Place(known[root], root, directory.relative_to(root).as_posix())
    return None


def _absorb(connection: Connection, inner_id: int, root_id: int, prefix: str) -> None:
    """Rewrite the runs of an inner root relative to the one above it."""
    for run_id, path in connection.execute(select(runs.c.id, runs.c.path).where(runs.c.root_id == inner_id)).all():
        new_path = prefix if path == "." else str(PurePosixPath(prefix) / path)
        connection.execute(update(runs).where(runs.c.id == run_id).values(root_id=root_id, path=new_path))
    connection.execute(delete(roots).where(roots.c.id == inner_id))
