"""Whether the index still says what the files say, and how to make it so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select, update

from spindb.disk.formats import layout_named, read_runs
from spindb.disk.regular import follow_links_within
from spindb.disk.run_directory import why_failed
from spindb.errors import NotFoundError
from spindb.index.database import series
from spindb.index.database.connect import connected
from spindb.index.database.models import configs, metrics, roots, runs
from spindb.index.write.rows import COLUMNS, Row, config_rows, metric_rows
from spindb.ingest.deadline import SECONDS, TooSlowError, within_seconds
from spindb.ingest.pipeline import Progress, ingest
from spindb.ingest.summary import Summary
from spindb.machine import this_host
from spindb.records import RunRecord, directory_of


@dataclass(frozen=True, slots=True)
class Deviation:
    """A run whose row says something else than its files."""

    run_id: int
    directory: Path
    what: str


def deviations_from_disk(connection: Connection) -> Iterator[Deviation]:
    """Read every run of this host again and compare; those that changed since the last ingest deviate too.

    Left out are runs that were missing, overwritten or removed: no files say what they are.
    """
    wanted = select(runs.c.id, runs.c.path, runs.c.part, runs.c.format, runs.c.fingerprint, roots.c.path.label("root"))
    here = wanted.join(roots, roots.c.id == runs.c.root_id).where(
        roots.c.host == this_host(), runs.c.status.in_(("ok", "empty", "policy")), runs.c.removed_at.is_(None)
    )
    places: dict[tuple[str, str, str], list[Any]] = {}
    for run in connection.execute(here.order_by(runs.c.id)):
        places.setdefault((run.root, directory_of(run.path, run.part), run.format), []).append(run)
    for (root, path, layout), of_it in places.items():
        directory, records = Path(root, path), _read(root, path, layout)
        for run in of_it:
            what = _deviation(connection, run, records) if isinstance(records, dict) else records
            if what is not None:
                yield Deviation(run.id, directory / (run.part or ""), what)


def _read(root: str, path: str, layout: str) -> dict[str | None, RunRecord] | str:
    """The runs of a directory by their parts, or why they can't be read."""
    directory = Path(root, path)
    if not directory.is_dir():
        return "its directory is gone"
    follow_links_within(root)
    try:
        found = within_seconds(SECONDS, lambda: list(read_runs(layout_named(layout), directory, path)))
    except TooSlowError:
        return f"takes more than {SECONDS:g} seconds to read"
    except LookupError as error:
        return str(error)
    except OSError as error:
        return why_failed(error)
    return {record.part: record for record in found}


def _deviation(connection: Connection, run: Any, records: Mapping[str | None, RunRecord]) -> str | None:
    """What a run's files say otherwise than its rows; None where both agree."""
    record = records.get(run.part)
    if record is None:
        return "it is not in its file any more" if run.part is not None else "its directory holds other runs now"
    if record.content.whole != run.fingerprint:
        return "its files changed since they were read"
    for name, fresh, kept in (
        ("hyperparameters", config_rows(record), _stored(connection, configs, run.id)),
        ("metrics", _unpacked(metric_rows(record, "sqlite")), _unpacked(_stored(connection, metrics, run.id))),
    ):
        if _comparable(fresh) != _comparable(kept):
            return f"its {name} are not those of its files"
    return None


def _stored(connection: Connection, table: Table, run_id: int) -> list[Row]:
    columns = [table.c[name] for name in COLUMNS[table.name]]
    return [tuple(row) for row in connection.execute(select(*columns).where(table.c.run_id == run_id))]


def _comparable(rows: list[Row]) -> list[str]:
    """Rows in an order of their own."""
    return sorted(map(repr, rows))


def _unpacked(rows: list[Row]) -> list[Row]:
    """Metrics with the cells of their series, whole numbers as floats, which an array makes of them."""
    unpacked = []
    for *summary, packed, odd_cells, steps in rows:
        cells = series.decode(packed, odd_cells)
        exact = [float(c) if isinstance(c, (int, float)) and abs(c) < 2**53 else c for c in cells]
        own = series.steps_of(steps)
        unpacked.append((*summary, exact, None if own is None else list(map(float, own))))
    return unpacked


def rebuild_index(location: str | Path, *, jobs: int = 1, progress: Progress | None = None) -> Summary:
    """Read every run of this host again into the same rows: ids stay, and what people added to them.

    Runs of other hosts stay as they are.

    Raises:
        NotFoundError: no root lies on this host, or a root's directory is gone: nothing was changed then.
        DatabaseError, SchemaError: the database can't be used.
    """
    with connected(location, write=True) as connection:
        own = [Path(p) for p in connection.execute(select(roots.c.path).where(roots.c.host == this_host())).scalars()]
        gone = [str(path) for path in own if not path.is_dir()]
        if gone or not own:
            raise NotFoundError(
                f"roots that are gone: {', '.join(gone)}" if gone else f"no root lies on this host ({this_host()})",
                hint="spindb relocate OLD NEW says where a root is now, spindb db info lists them",
            )
        ids = select(roots.c.id).where(roots.c.host == this_host())
        connection.execute(update(runs).where(runs.c.root_id.in_(ids)).values(signature=None))
    return ingest(location, own, jobs=jobs, progress=progress)
