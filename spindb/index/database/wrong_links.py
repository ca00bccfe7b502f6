"""Whether runs name each other as they must: copies their originals, superseded runs what overwrote them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, and_, or_, select

from spindb.index.database.models import runs


def wrong_links(connection: Connection) -> Iterator[str]:
    """Runs whose links can't be, one line each."""
    other, c = runs.alias("other"), runs.c
    unlike = (c.status == "superseded") != c.superseded_by.is_not(None)
    for run_id in connection.execute(select(c.id).where(unlike).order_by(c.id)).scalars():
        yield f"run {run_id}: it is superseded and names no run, or names one and is not superseded"
    elsewhere = or_(other.c.root_id != c.root_id, other.c.path != c.path, other.c.superseded_by.is_not(None))
    joined = select(c.id, other.c.id.label("other")).join(other, other.c.id == c.superseded_by)
    for row in connection.execute(joined.where(elsewhere).order_by(c.id)):
        yield f"run {row.id}: it is superseded by run {row.other}, which is not the run of its directory"
    chained = and_(other.c.id == c.copy_of, or_(other.c.copy_of.is_not(None), other.c.superseded_by.is_not(None)))
    for row in connection.execute(select(c.id, other.c.id.label("other")).join(other, chained).order_by(c.id)):
        yield f"run {row.id}: it is a copy of run {row.other}, which is not an original"
