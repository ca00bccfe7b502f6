"""Runs of one setting whose seeds differ and whose rows do not: the seed changed nothing, or one is another's copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, select

from spindb.index.database.batches import batches
from spindb.index.database.models import metrics, runs
from spindb.index.read.repeated import stored_rows, without_clock
from spindb.index.read.sample import Seed

Seeds = Sequence[tuple[int, Seed | None]]
"""The runs of a setting, each with its seed."""


def equal_rows(connection: Connection, settings: Sequence[Seeds]) -> list[tuple[tuple[int, ...], ...]]:
    """For each setting, which of its runs have equal rows under different seeds: sets of ids, ascending.

    Runs of one row are left out: few metrics may agree in it by chance. So are runs of unknown seed.
    """
    several = [seeds if len({seed for _, seed in seeds if seed is not None}) > 1 else () for seeds in settings]
    outlines = _outlines(connection, [run_id for seeds in several for run_id, seed in seeds if seed is not None])
    # Series are read only of runs that agree in their outlines already: nearly never any.
    suspects = [_alike(seeds, outlines) for seeds in several]
    rows = stored_rows(connection, {run_id for found in suspects for members in found for run_id, _ in members})
    # Without what a clock says: equal trainings take different times.
    cells = {run_id: {name: tuple(of_run[name]) for name in without_clock(of_run)} for run_id, of_run in rows.items()}
    exact = {run_id: tuple(sorted(of_run.items())) for run_id, of_run in cells.items()}
    return [
        tuple(tuple(sorted(run_id for run_id, _ in same)) for members in found for same in _alike(members, exact))
        for found in suspects
    ]


def _alike(seeds: Seeds, content: Mapping[int, tuple[object, ...]]) -> list[list[tuple[int, Seed | None]]]:
    """The runs of equal content that have several seeds."""
    found: dict[tuple[object, ...], list[tuple[int, Seed | None]]] = {}
    for run_id, seed in seeds:
        if run_id in content:
            found.setdefault(content[run_id], []).append((run_id, seed))
    return [members for members in found.values() if len({seed for _, seed in members}) > 1]


def _outlines(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[object, ...]]:
    """How each run performed, in a few numbers: different ones rule out nearly all before any series is read."""
    c = metrics.c
    outline = (c.name, c.count, c.first, c.last, c.min, c.max)
    statement = select(runs.c.id, *outline).join(metrics, and_(c.run_id == runs.c.id, c.name == runs.c.performance))
    found: dict[int, tuple[object, ...]] = {}
    for batch in batches(ids):
        for run_id, *numbers in connection.execute(statement.where(runs.c.id.in_(batch), runs.c.rows > 1)):
            found[run_id] = tuple(numbers)
    return found
