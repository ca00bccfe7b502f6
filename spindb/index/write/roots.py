"""Roots: the directories under which runs are found, on which host.

Runs are stored relative to a root. Ingesting a directory inside a known root uses that root; ingesting
a directory above known roots absorbs them, so that no directory is ever indexed under two roots.

A root is its real path: a directory that is reached by a link is the one that the link leads to. Roots that an older
spindb stored under the path of a link are known by where it leads, and stored anew.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from spindb.errors import NotFoundError, UsageError
from spindb.index.database.models import problems, roots, runs
from spindb.index.database.places import by_real_path, roots_here, stored_roots
from spindb.index.write.contents import merge
from spindb.machine import real, this_host


class RootPlace(NamedTuple):
    """Where an ingested directory lies: its root, and its path relative to that, ``.`` for the root."""

    root_id: int
    root: Path
    inside: str


def place_of(connection: Connection, directory: Path) -> RootPlace:
    """The root for a real directory on this host, made or found."""
    stored = stored_roots(connection)
    if _store_real_paths(connection, stored):
        stored = stored_roots(connection)
    known = by_real_path(stored)
    place = _inside(known, directory)
    if place is not None:
        return place
    inserted = connection.execute(insert(roots).values(host=this_host(), path=str(directory)))
    assert inserted.inserted_primary_key is not None
    root_id = int(inserted.inserted_primary_key[0])
    # After the new root is there, since the runs of the inner ones are moved to it.
    for path, inner_id in known.items():
        if directory in path.parents:
            _absorb(connection, inner_id, root_id, path.relative_to(directory).as_posix())
    return RootPlace(root_id, directory, ".")


def planned_place(connection: Connection, directory: Path) -> RootPlace:
    """The root that `place_of` would find, writing nothing; id 0 where it would make one."""
    return _inside(roots_here(connection), directory) or RootPlace(0, directory, ".")


def relocate_root(connection: Connection, old: Path, new: Path) -> int:
    """Let the root at `old`, of whichever host, be `new` on this host; returns how many runs it holds.

    Raises:
        NotFoundError: no root is `old`, or there is no directory `new`.
        UsageError: `new` is a root of its own, or lies inside or above one.
    """
    old, new = Path(os.path.abspath(old)), real(new)
    rows = connection.execute(select(roots.c.id, roots.c.host, roots.c.path)).all()
    found = [row for row in rows if row.path == str(old)]
    # A root may be named through a link; its own path, as it is stored, goes first, since the directory may be gone.
    found = found or [row for row in rows if row.host == this_host() and real(row.path) == real(old)]
    if not found:
        there = ", ".join(sorted(row.path for row in rows)) or "none"
        raise NotFoundError(f"{old} is not a root; roots here: {there}")
    if not os.path.isdir(new):
        raise NotFoundError(f"no such directory: {new}")
    for row in rows:
        other = real(row.path)
        nested = other == new or other in new.parents or new in other.parents
        if row not in found and row.host == this_host() and nested:
            raise UsageError(f"{new} and the root {other} overlap", hint=f"spindb ingest {new} recognises moved runs")
    ids = [row.id for row in found]
    if len(ids) > 1:
        hosts = ", ".join(row.host for row in found)
        raise UsageError(f"{old} is a root on several hosts ({hosts})", hint="ingest the new place instead")
    connection.execute(update(roots).where(roots.c.id == ids[0]).values(path=str(new), host=this_host()))
    # What was overwritten lies at the same place as the run that is there, and is no further directory.
    held = (runs.c.root_id == ids[0], runs.c.status != "superseded", runs.c.removed_at.is_(None))
    return int(connection.execute(select(func.count()).where(*held)).scalar_one())


def _inside(known: dict[Path, int], directory: Path) -> RootPlace | None:
    # From the inside out. No root lies within another, so that the first one is the only one.
    for root in (directory, *directory.parents):
        if root in known:
            return RootPlace(known[root], root, directory.relative_to(root).as_posix())
    return None


def _store_real_paths(connection: Connection, stored: dict[int, str]) -> bool:
    """Let roots of this host that were stored under the path of a link be where it leads; whether there were any."""
    linked = [(key, real(path)) for key, path in stored.items() if path != str(real(path)) and os.path.isdir(path)]
    others = {Path(path): root_id for root_id, path in stored.items() if root_id not in dict(linked)}
    for root_id, path in linked:
        place = _inside(others, path)
        if place is not None:
            _absorb(connection, root_id, place.root_id, place.inside)
            continue
        connection.execute(update(roots).where(roots.c.id == root_id).values(path=str(path)))
        for inner in [other for other in others if path in other.parents]:
            _absorb(connection, others.pop(inner), root_id, inner.relative_to(path).as_posix())
        others[path] = root_id
    return bool(linked)


def _absorb(connection: Connection, inner_id: int, root_id: int, prefix: str) -> None:
    """Rewrite the runs of an inner root relative to the one above it, or to the same directory's.

    Those with links that led out of the inner root are read again: they may lead to files within the other one.
    """
    linked = select(problems.c.run_id).where(problems.c.code == "link-outside")
    outward = (runs.c.root_id == inner_id, runs.c.signature.is_not(None), runs.c.id.in_(linked))
    connection.execute(update(runs).where(*outward).values(signature=None))
    there = select(runs.c.path, runs.c.id).where(runs.c.root_id == root_id, runs.c.status != "superseded")
    # Both roots may hold the same directory, where one of them was stored under the path of a link.
    taken = {row.path: row.id for row in connection.execute(there)}
    inner = select(runs.c.id, runs.c.path, runs.c.status).where(runs.c.root_id == inner_id)
    for run_id, path, status in connection.execute(inner).all():
        new_path = prefix if path == "." else str(PurePosixPath(prefix) / path)
        if new_path not in taken:
            connection.execute(update(runs).where(runs.c.id == run_id).values(root_id=root_id, path=new_path))
        elif status != "superseded":  # which go along with theirs
            merge(connection, run_id, taken[new_path])
    connection.execute(delete(roots).where(roots.c.id == inner_id))
