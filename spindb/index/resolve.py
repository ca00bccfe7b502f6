"""From what a person types to a run and one of its snapshots."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from spindb.errors import NotFoundError, UsageError
from spindb.index.database.unknown import json_object, json_texts
from spindb.index.fields import nearest
from spindb.index.models import LARGEST, roots, runs, snapshots
from spindb.index.roots import real, roots_here
from spindb.index.write.removal import when_removed
from spindb.records import EnvironmentHint, SnapshotRecord, latest

_MAX_LISTED = 10


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run of the index and where its files lie."""

    id: int
    name: str
    directory: Path
    host: str
    status: str
    exp_name: str | None
    seed: int | None
    algo: str | None
    algo_source: str | None
    env: EnvironmentHint
    rows: int
    axis: str | None
    performance: str | None
    started_at: datetime | None
    started_source: str | None
    updated_at: datetime | None
    ingested_at: datetime
    archived: bool
    generation: int = 0
    copy_of: int | None = None
    superseded_by: int | None = None


def find_run(connection: Connection, text: str) -> RunInfo:
    """The run that `text` means: an id, a path, a unique name or a prefix of one.

    Raises:
        NotFoundError: there is no such run; the nearest names are given.
        UsageError: several runs have that name or prefix; they are listed.
    """
    if text.isascii() and text.isdigit():
        return run_by_id(connection, int(text))
    by_path = run_at(connection, Path(text))
    if by_path is not None:
        return by_path
    prefix = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    for condition in (runs.c.name == text, runs.c.name.like(prefix, escape="\\")):
        found = _select(connection, condition & (runs.c.status != "superseded"))
        if len(found) == 1:
            return found[0]
        if found:
            listed = "\n".join(f"  {run.id:>5}  {run.directory}" for run in found[:_MAX_LISTED])
            more = f"\n  … and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
            raise UsageError(f"{text!r} means {len(found)} runs:\n{listed}{more}", hint="name one by its id")
    names = connection.execute(select(runs.c.name).where(runs.c.removed_at.is_(None)).distinct()).scalars()
    near = nearest(text, (str(name) for name in names))
    hint = f"did you mean {' or '.join(near)}?" if near else "spindb runs lists what there is"
    if os.sep in text and Path(text).is_dir():
        hint = f"it is not in the database: spindb ingest {text}"
    raise NotFoundError(f"no run has the id, path or name {text!r}", hint=hint)


def run_by_id(connection: Connection, run_id: int) -> RunInfo:
    """The run with that id.

    Raises:
        NotFoundError: there is none; the ids that exist are given.
    """
    found = _select(connection, runs.c.id == run_id) if run_id <= LARGEST else []
    if found:
        return found[0]
    if run_id <= LARGEST and (removed := when_removed(connection, [run_id])):
        raise NotFoundError(
            f"run {run_id} was removed from the index on {removed[run_id]:%Y-%m-%d}",
            hint=f"spindb rm --undo {run_id} brings it back",
        )
    ids = list(connection.execute(select(runs.c.id).where(runs.c.removed_at.is_(None)).order_by(runs.c.id)).scalars())
    there = f"ids here: {shorten(ids)}" if ids else "the database holds no runs"
    raise NotFoundError(f"no run has the id {run_id}; {there}", hint="spindb runs lists them")


def run_at(connection: Connection, directory: Path) -> RunInfo | None:
    """The run whose directory on this host is `directory`, if it is indexed."""
    absolute = real(directory)
    for root, root_id in roots_here(connection).items():
        if absolute == root or root in absolute.parents:
            inside = absolute.relative_to(root).as_posix()
            there = (runs.c.root_id == root_id) & (runs.c.path == inside) & (runs.c.status != "superseded")
            found = _select(connection, there)
            if found:
                return found[0]
    return None


def _select(connection: Connection, condition: ColumnElement[bool]) -> list[RunInfo]:
    statement = select(runs, roots.c.path.label("root"), roots.c.host).join(roots, roots.c.id == runs.c.root_id)
    there = statement.where(condition, runs.c.removed_at.is_(None))
    return [_run_info(row) for row in connection.execute(there.order_by(runs.c.id))]


def _run_info(row: Row[Any]) -> RunInfo:
    classes = json_texts(row.env_classes) if row.env_classes else ()
    return RunInfo(
        id=row.id,
        name=row.name,
        directory=Path(os.path.normpath(os.path.join(row.root, row.path))),
        host=row.host,
        status=row.status,
        exp_name=row.exp_name,
        seed=row.seed,
        algo=row.algo,
        algo_source=row.algo_source,
        env=EnvironmentHint(row.env_id, row.env_source, classes, row.max_episode_steps),
        rows=row.rows,
        axis=row.axis,
        performance=row.performance,
        started_at=row.started_at,
        started_source=row.started_source,
        updated_at=row.updated_at,
        ingested_at=row.ingested_at,
        archived=row.archived,
        generation=row.generation,
        copy_of=row.copy_of,
        superseded_by=row.superseded_by,
    )


def snapshots_of(connection: Connection, run_id: int) -> list[SnapshotRecord]:
    """All snapshots of a run, by kind and itr."""
    columns = snapshots.c
    order = (columns.kind, columns.itr.nulls_first())
    return [
        SnapshotRecord(
            kind=row.kind,
            path=row.path,
            itr=row.itr,
            size=row.size,
            saved_at=row.saved_at,
            state_path=row.state_path,
            inputs=json_object(row.inputs),
            outputs=json_object(row.outputs),
            framework=row.framework,
            unloadable=row.unloadable,
            stale=row.stale,
        )
        for row in connection.execute(select(snapshots).where(columns.run_id == run_id).order_by(*order))
    ]


def pick_snapshot(found: Sequence[SnapshotRecord], itr: int | None, directory: Path) -> SnapshotRecord:
    """The snapshot numbered `itr`, or the latest where `itr` is None.

    Raises:
        NotFoundError: the run has no snapshot, or none with that itr; the ones that exist are listed.
    """
    if not found:
        raise NotFoundError(
            f"{directory} has no saved policy: no simple_save, tf1_save, pyt_save or checkpoint with a SavedModel",
            hint="the run ended before its first save, or only its metrics were copied",
        )
    chosen = latest([s for s in found if itr is None or s.itr == itr])
    if chosen is None:
        numbered = sorted({s.itr for s in found if s.itr is not None})
        there = f"saved itrs: {shorten(numbered)}" if numbered else "only the unnumbered, latest save exists"
        if numbered and any(s.itr is None for s in found):
            there += ", and an unnumbered one"
        raise NotFoundError(
            f"{directory} has no snapshot with itr {itr}; {there}", hint="leave --itr out for the latest"
        )
    return chosen


def shorten(numbers: Sequence[int]) -> str:
    """Sorted whole numbers as a person would list them: ``1-5, 8, 10-40 by 10``."""
    parts: list[str] = []
    rest = list(numbers)
    while rest:
        step = rest[1] - rest[0] if len(rest) > 1 else 0
        length = 1
        while length < len(rest) and rest[length] - rest[length - 1] == step:
            length += 1
        if length < 3:
            parts.append(str(rest.pop(0)))
            continue
        by = f" by {step}" if step != 1 else ""
        parts.append(f"{rest[0]}-{rest[length - 1]}{by}")
        rest = rest[length:]
    return ", ".join(parts)
