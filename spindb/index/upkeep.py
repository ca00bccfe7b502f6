"""Describes the database and looks for damage in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, and_, func, inspect, select, text

from spindb.index import models, schema, series
from spindb.index.engine import database_url, sqlite_path
from spindb.index.maintenance.links import wrong_links
from spindb.records import MetricSeries

_WORTH_STATISTICS = 100  # runs; few are found fast however they are looked for
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


def describe(connection: Connection, location: str | Path) -> dict[str, Any]:
    """Facts about the database: place, schema, size in bytes, roots and row counts."""
    url = database_url(location)
    path = sqlite_path(url)
    facts: dict[str, Any] = {
        "database": str(path) if path else url.render_as_string(hide_password=True),
        "schema": schema.revision(connection),
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


def statistics_behind(connection: Connection, written: int) -> bool:
    """Whether the planner knows too little of what the database holds: after an ingest that wrote `written` runs, or
    after one that died before it came to that."""
    held = connection.execute(select(func.count()).select_from(models.runs)).scalar_one()
    return max(written, abs(held - _runs_when_counted(connection))) >= max(_WORTH_STATISTICS, held // 10)


def _runs_when_counted(connection: Connection) -> int:
    """How many runs there were when statistics were taken last; 0 where they never were."""
    if connection.dialect.name == "postgresql":
        found = connection.execute(text("SELECT reltuples FROM pg_class WHERE oid = 'runs'::regclass")).scalar_one()
        return max(0, int(found))
    if not inspect(connection).has_table("sqlite_stat1"):
        return 0
    row = connection.execute(text("SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs'")).first()
    return int(row.stat.split()[0]) if row else 0


def refresh_statistics(engine: Engine) -> None:
    """Let the database's planner know what it holds, without which it guesses."""
    if engine.name == "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")  # in full: a second for 100,000 runs; samples misled the planner
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Vacuumed too: what an index holds is trusted without a look at the table only after that.
        connection.exec_driver_sql("VACUUM (ANALYZE) runs, configs, metrics")


def damage(connection: Connection) -> list[str]:
    """What is wrong with the database, one line each; empty where it is sound."""
    found: list[str] = []
    if connection.dialect.name == "sqlite":
        for line in connection.execute(text("PRAGMA integrity_check")).scalars():
            if line != "ok":
                found.append(str(line))
        for row in connection.execute(text("PRAGMA foreign_key_check")):
            found.append(f"{row[0]}: row {row[1]} belongs to a {row[2]} that is not there")
    return [*found, *wrong_links(connection), *_wrong_summaries(connection)]


def _wrong_summaries(connection: Connection) -> list[str]:
    """Metrics whose stored summary is not that of their stored series, or whose length is not the run's."""
    metrics, runs = models.metrics.c, models.runs.c
    summary_of = (metrics.run_id, metrics.name, metrics.count, metrics.last, metrics.min, metrics.max)
    statement = select(*summary_of, metrics.series, metrics.odd_cells, runs.rows).join(
        models.runs, runs.id == metrics.run_id
    )
    wrong = []
    for run_id, name, count, last, low, high, packed, odd, rows in connection.execute(statement):
        try:
            cells = series.decode(packed, odd)
        except ValueError:
            wrong.append(f"run {run_id}, metric {name}: the series can't be read")
            continue
        summary = MetricSeries(name, cells).summary()
        if (summary.count, summary.last, summary.min, summary.max) != (count, last, low, high) or len(cells) != rows:
            wrong.append(f"run {run_id}, metric {name}: the summary does not fit the series")
    return wrong
