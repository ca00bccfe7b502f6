"""Which roots lie on this machine."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from spindb.index.database.models import roots
from spindb.machine import real, this_host


def stored_roots(connection: Connection) -> dict[int, str]:
    """The paths of the roots of this host, as they are stored, by id in order."""
    rows = connection.execute(select(roots.c.id, roots.c.path).where(roots.c.host == this_host()).order_by(roots.c.id))
    return {row.id: row.path for row in rows}


def by_real_path(stored: dict[int, str]) -> dict[Path, int]:
    """The ids of roots by their real paths; of several at one place the first."""
    known: dict[Path, int] = {}
    for root_id, path in stored.items():
        known.setdefault(real(path), root_id)
    return known


def roots_here(connection: Connection) -> dict[Path, int]:
    """The roots of this host by their real paths."""
    return by_real_path(stored_roots(connection))
