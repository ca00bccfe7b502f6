"""Describes the database and looks for damage in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, and_, func, inspect, select, text

from spindb.index.database import migrate as schema
from spindb.index.database import models, series
from spindb.index.database.engine import database_url, sqlite_path
from spindb.index.database.guard import foreign
from spindb.index.database.unknown import UNKNOWN_NUMBER, noted
from spindb.index.database.wrong_cells import findings, shown
from spindb.index.database.wrong_links import wrong_links
from spindb.records import MetricSeries

_OF_SERIES = ("count", "first", "last", "last_text", "min", "max", "mean", "argmin", "argmax")
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
    """What is wrong with the database, a line each with table, row and column; none where it is sound."""
    found: list[str] = []
    if connection.dialect.name == "sqlite":
        lines = connection.execute(text("PRAGMA integrity_check")).scalars()
        found += [str(line) for line in lines if line != "ok"]
    found += [f"not made by spindb: {made}, which {made.drop} takes out" for made in foreign(connection)]
    return [*found, *wrong_links(connection), *wrong_cells(connection)]


def wrong_cells(connection: Connection) -> Iterator[str]:
    """The cells that are not what their columns hold, a line each with table, row and column."""
    yield from map(str, findings(connection))
    yield from _wrong_summaries(connection)


def _wrong_summaries(connection: Connection) -> Iterator[str]:
    """Metrics whose stored summary is not that of their stored series, or whose length is not the run's."""
    metrics, runs = models.metrics.c, models.runs.c
    kept = (metrics[column] for column in _OF_SERIES)
    statement = select(metrics.run_id, metrics.name, metrics.series, metrics.odd_cells, runs.rows, *kept).join(
        models.runs, runs.id == metrics.run_id
    )
    for run_id, name, packed, odd, rows, *stored in connection.execute(statement):
        cell = f"metrics, run_id {run_id}, name {name!r}"
        noted.taken()
        cells = series.decode(packed, odd)
        if noted.taken() or not all(isinstance(value, (int, float, str, type(None))) for value in cells):
            yield f"{cell}: series is not a list of cells: {shown(packed)}"
            continue
        if len(cells) != rows and rows is not UNKNOWN_NUMBER:
            yield f"{cell}: series has {len(cells)} cells, the run has {rows} rows"
            continue
        try:
            summary = MetricSeries(name, cells).summary()
        except OverflowError:  # whole numbers beyond all floats have none
            continue
        for column, kept in zip(_OF_SERIES, stored, strict=True):
            if kept is not UNKNOWN_NUMBER and not _same(getattr(summary, column), kept):
                yield f"{cell}: {column} is {shown(kept)}, the series says {getattr(summary, column)!r}"


def _same(computed: object, kept: object) -> bool:
    if isinstance(computed, float) and isinstance(kept, float):
        return math.isclose(computed, kept, rel_tol=1e-9) or computed == kept
    return computed == kept
