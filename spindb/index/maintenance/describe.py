"""Facts about the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, and_, func, select, text

from spindb.index.database import migrate, models
from spindb.index.database.engine import database_url, sqlite_path

_COUNTED: tuple[Table, ...] = (
    models.runs,
    models.configs,
    models.metrics,
    models.snapshots,
    models.problems,
    models.tags,
    models.notes,
    models.evaluations,
)


def describe_database(connection: Connection, location: str | Path) -> dict[str, Any]:
    """Facts about the database: place, schema, size in bytes, roots and row counts."""
    url = database_url(location)
    path = sqlite_path(url)
    facts: dict[str, Any] = {
        "database": str(path) if path else url.render_as_string(hide_password=True),
        "schema": migrate.revision(connection),
    }
    if path is not None:
        facts["bytes"] = path.stat().st_size
    elif connection.dialect.name == "postgresql":
        facts["bytes"] = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    runs, roots = models.runs.c, models.roots.c
    present = and_(runs.status != "superseded", runs.removed_at.is_(None))
    of_root = and_(runs.root_id == roots.id, present)
    counted = select(roots.host, roots.path, func.count(runs.id)).outerjoin(models.runs, of_root).group_by(roots.id)
    rows = connection.execute(counted.order_by(roots.host, roots.path))
    facts["roots"] = [{"host": host, "path": path_, "runs": count} for host, path_, count in rows]
    for table in _COUNTED:
        facts[table.name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
    kinds = {"runs": present, "superseded": runs.status == "superseded", "removed": runs.removed_at.is_not(None)}
    for name, condition in kinds.items():
        facts[name] = connection.execute(select(func.count(runs.id)).where(condition)).scalar_one()
    return facts
