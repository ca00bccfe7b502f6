"""Which roots lie on this machine."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from spindb.index.database.models import roots
from spindb.machine import real, this_host


def roots_here(connection: Connection) -> dict[Path, int]:
    """The roots of this host by their real paths."""
    known: dict[Path, int] = {}
    rows = connection.execute(select(roots.c.id, roots.c.path).where(roots.c.host == this_host()).order_by(roots.c.id))
    for root_id, path in rows:
        known.setdefault(real(path), root_id)
    return known
