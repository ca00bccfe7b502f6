"""What the database's planner knows of its tables."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, func, select

from spindb.index.database import models
from spindb.index.database.backend import backend_of

_WORTH_STATISTICS = 100  # runs; few are found fast however they are looked for


def statistics_behind(connection: Connection, written: int) -> bool:
    """Whether the planner knows too little of what the database holds: after an ingest that wrote `written` runs, or
    after one that died before it came to that."""
    held = connection.execute(select(func.count()).select_from(models.runs)).scalar_one()
    return max(written, abs(held - backend_of(connection).runs_when_counted(connection))) >= max(
        _WORTH_STATISTICS, held // 10
    )


def refresh_statistics(engine: Engine) -> None:
    """Let the database's planner know what it holds, without which it guesses."""
    backend_of(engine).refresh_statistics(engine)
