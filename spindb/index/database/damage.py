"""Looks for damage: files that are cut off, cells that are not what their columns hold, links to nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sqlalchemy import Connection, select

from spindb.index.database import models, series
from spindb.index.database.backend import backend_of
from spindb.index.database.guard import foreign
from spindb.index.database.unknown import UNKNOWN_NUMBER, noted
from spindb.index.database.wrong_cells import findings, shown_value
from spindb.index.database.wrong_links import wrong_links
from spindb.records import Cell, MetricSeries

_OF_SERIES = ("count", "first", "last", "last_text", "min", "max", "mean", "argmin", "argmax")


def damage(connection: Connection) -> list[str]:
    """What is wrong with the database, a line each with table, row and column; none where it is sound."""
    found = backend_of(connection).integrity(connection)
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
    cells_of = (metrics.series, metrics.odd_cells, metrics.steps)
    statement = select(metrics.run_id, metrics.name, *cells_of, runs.rows, *kept).join(
        models.runs, runs.id == metrics.run_id
    )
    for run_id, name, packed, odd, own, rows, *stored in connection.execute(statement):
        cell = f"metrics, run_id {run_id}, name {name!r}"
        noted.taken()
        cells = series.decode(packed, odd)
        wrong = []
        if noted.taken() or not all(isinstance(value, (int, float, str, type(None))) for value in cells):
            wrong.append(f"series is not a list of cells: {shown_value(packed)}")
        steps = series.steps_of(own)
        if noted.taken() or not all(map(math.isfinite, steps or ())):
            wrong.append(f"steps is not a list of finite numbers: {shown_value(own)}")
        if not wrong:
            wrong += _wrong_length(cells, steps, rows)
        if wrong:
            yield from (f"{cell}: {each}" for each in wrong)
            continue
        try:
            summary = MetricSeries(name, cells).summary()
        except OverflowError:  # whole numbers beyond all floats have none
            continue
        for column, kept in zip(_OF_SERIES, stored, strict=True):
            if kept is not UNKNOWN_NUMBER and not _same(getattr(summary, column), kept):
                yield f"{cell}: {column} is {shown_value(kept)}, the series says {getattr(summary, column)!r}"


def _wrong_length(cells: list[Cell], steps: list[float] | None, rows: object) -> list[str]:
    """Why a series has not one cell for each of its steps, or of the run's rows where it has no steps of its own."""
    if steps is None:
        fits = len(cells) == rows or rows is UNKNOWN_NUMBER
        return [] if fits else [f"series has {len(cells)} cells, the run has {rows} rows"]
    return [] if len(steps) == len(cells) else [f"series has {len(cells)} cells and {len(steps)} steps"]


def _same(computed: object, kept: object) -> bool:
    if isinstance(computed, float) and isinstance(kept, float):
        return math.isclose(computed, kept, rel_tol=1e-9) or computed == kept
    return computed == kept
