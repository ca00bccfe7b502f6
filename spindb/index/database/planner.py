"""What the database's planner knows of its tables."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, func, inspect, select, text

from spindb.index.database import models

_WORTH_STATISTICS = 100  # runs; few are found fast however they are looked for


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
