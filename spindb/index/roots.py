"""Roots: the directories under which runs are found, on which host.

Runs are stored relative to a root. Ingesting a directory inside a known root uses that root; ingesting
a directory above known roots absorbs them, so that no directory is ever indexed under two roots.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from spindb.errors import NotFoundError, UsageError
from spindb.index.models import roots, runs


class Place(NamedTuple):
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


def relocate_root(connection: Connection, old: Path, new: Path) -> int:
    """Let the root at `old`, of whichever host, be `new` on this host; returns how many runs it holds.

    Raises:
        NotFoundError: no root is `old`, or there is no directory `new`.
        UsageError: `new` is a root of its own, or lies inside or above one.
    """
    old, new = Path(os.path.abspath(old)), Path(os.path.abspath(new))
    rows = connection.execute(select(roots.c.id, roots.c.host, roots.c.path)).all()
    found = [row for row in rows if row.path == str(old)]
    if not found:
        there = ", ".join(sorted(row.path for row in rows)) or "none"
        raise NotFoundError(f"no root is {old}; roots here: {there}")
    if not new.is_dir():
        raise NotFoundError(f"no such directory: {new}")
    for row in rows:
        other = Path(row.path)
        nested = other == new or other in new.parents or new in other.parents
        if row not in found and row.host == this_host() and nested:
            raise UsageError(f"{new} and the root {other} overlap", hint=f"spindb ingest {new} recognises moved runs")
    ids = [row.id for row in found]
    if len(ids) > 1:
        hosts = ", ".join(row.host for row in found)
        raise UsageError(f"{old} is a root on several hosts ({hosts})", hint="ingest the new place instead")
    connection.execute(update(roots).where(roots.c.id == ids[0]).values(path=str(new), host=this_host()))
    return int(connection.execute(select(func.count()).where(runs.c.root_id == ids[0])).scalar_one())


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
