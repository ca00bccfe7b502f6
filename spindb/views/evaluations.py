"""Recorded evaluations of snapshots, ranked, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from spindb.index.read.evaluations import Evaluated


def ranking_as_json(rows: Sequence[Evaluated]) -> list[dict[str, object]]:
    """An object for each evaluation of one ranking, with its rank: equal means have equal ranks."""
    return [_as_json(row, 1 + sum(other.mean_return > row.mean_return for other in rows)) for row in rows]


def _as_json(row: Evaluated, rank: int) -> dict[str, object]:
    return {
        "run": row.run_id,
        "name": row.name,
        "itr": row.itr,
        "snapshot": row.snapshot_path,
        "env": row.env_id,
        "episodes": row.episodes,
        "mean_return": row.mean_return,
        "standard_error": row.standard_error,
        "deterministic": row.deterministic,
        "seed": row.seed,
        "max_ep_len": row.max_ep_len,
        "rank": rank,
        "action": row.options.action,
        "command": row.command,
    }
