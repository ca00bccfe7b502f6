"""From a reference (`spindb.index.query.reference`) to a run and one of its snapshots."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from spindb.errors import NotFoundError, UsageError
from spindb.index.database.backend import backend_of
from spindb.index.database.models import LARGEST, roots, runs, snapshots
from spindb.index.database.places import roots_here
from spindb.index.database.text import storable
from spindb.index.database.unknown import json_object, json_texts
from spindb.index.query.fields import nearest
from spindb.index.query.find import shortest_names
from spindb.index.query.lists import one_of
from spindb.index.query.reference import RunId, RunName, RunPath, RunRef, reference
from spindb.index.query.search import fields_of
from spindb.index.query.visibility import THERE, visible_runs
from spindb.machine import real
from spindb.records import EnvironmentHint, SnapshotRecord, directory_of, file_of, latest

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
    root: Path | None = None
    generation: int = 0
    copy_of: int | None = None
    superseded_by: int | None = None
    note: str | None = None
    """How the reference was read, where that may surprise."""
    part: str | None = None
    """Which of its directory's runs it is, where that holds several."""

    @property
    def place(self) -> Path:
        """Its directory, and behind that which of the runs there it is."""
        return self.directory / (self.part or "")

    @property
    def files(self) -> Path:
        """Where its files lie: its directory, or the file that holds several runs."""
        return self.directory / (file_of(self.part) if self.part else "")


def find_run(connection: Connection, run: RunRef | str) -> RunInfo:
    """The run that is referred to; a word is read as `spindb.index.query.reference.parse_reference` reads it.

    Raises:
        NotFoundError: there is no such run; the nearest names are given.
        UsageError: several runs have that name or begin so; they are listed.
    """
    match reference(run):
        case RunId(number):
            return run_by_id(connection, number)
        case RunPath(path):
            found = run_at(connection, path)
            if found is None:
                if beside := runs_in(connection, path):
                    raise _several(f"{path} holds", beside)
                there = os.path.isdir(path)
                hint = f"spindb ingest {path}" if there else "spindb runs --columns id,root,path says where runs lie"
                raise NotFoundError(f"no run of the database lies at {path}", hint=hint)
            return found
        case RunName(text):
            return _by_name(connection, text)


def _by_name(connection: Connection, name: str) -> RunInfo:
    """The run of that name, else the only one whose name begins so, else the one in the directory of that name."""
    found, exact = named(connection, name)
    if len(found) == 1:
        return found[0]
    # Several begin so, or none does: a directory of exactly that name is meant before any of them.
    if not exact and os.path.isdir(name):
        here = run_at(connection, Path(name))
        if here is not None:
            return replace(here, note=f"no run is called {name!r}: the run in the directory {name} is used")
    if found:
        raise _several(f"{name!r} means", found)
    # Of all names, hidden runs too: a run that was archived is named by people who remember it.
    near = nearest(name, (str(known) for known in connection.execute(select(runs.c.name).distinct()).scalars()))
    hint = f"did you mean {' or '.join(near)}?" if near else "spindb runs lists what there is"
    # A directory of that name that is not indexed explains the failure better than names that are spelled alike.
    if os.path.isdir(name):
        hint = f"the directory {name} is not in the database: spindb ingest {name}"
    raise NotFoundError(f"no run is called {name!r}", hint=hint)


def _several(what: str, found: Sequence[RunInfo]) -> UsageError:
    listed = found[:_MAX_LISTED]
    lines = [f"  {run.id:>5}  {place}" for run, place in zip(listed, shortest_run_names(listed), strict=True)]
    more = f"\n  … and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    return UsageError(f"{what} {len(found)} runs:\n" + "\n".join(lines) + more, hint="name one by its id")


def named(connection: Connection, name: str) -> tuple[list[RunInfo], bool]:
    """The runs of that name, else those whose names begin so; and whether they have the name itself."""
    name = storable(name)
    exact = _preferred(connection, runs.c.name == name)
    return exact or _preferred(connection, func.substr(runs.c.name, 1, len(name)) == name), bool(exact)


def shortest_run_names(found: Sequence[RunInfo]) -> list[str]:
    """The shortest trailing paths that tell these runs apart."""
    return shortest_names([run.place for run in found])


def short_run_names(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """The shortest trailing paths that tell these runs apart, by id."""
    places = fields_of(connection, ids, ("root", "path"))
    paths = [os.path.normpath(os.path.join(root, path)) for root, path in places.values()]
    return dict(zip(places, shortest_names(paths), strict=True))


def _preferred(connection: Connection, condition: ColumnElement[bool]) -> list[RunInfo]:
    """Runs that are shown by default, else those that are hidden."""
    return _select(connection, and_(condition, *visible_runs())) or _select(connection, condition)


def run_by_id(connection: Connection, run_id: int) -> RunInfo:
    """The run with that id.

    Raises:
        NotFoundError: there is none, or it was removed; the ids that exist are given.
    """
    # Ids are typed: one that the column can't hold is unknown, and must not become an error of the driver.
    found = _select(connection, runs.c.id == run_id) if run_id <= LARGEST else []
    if found:
        return found[0]
    raise missing(connection, [run_id])


def missing(connection: Connection, ids: Sequence[int]) -> NotFoundError:
    """That no run has these ids, removed runs named as such, and which ids there are."""
    # A number beyond the range of the column is an error of the driver, and no run can have it.
    given = one_of(backend_of(connection), runs.c.id, [i for i in ids if i <= LARGEST])
    gone = set(connection.execute(select(runs.c.id).where(given, runs.c.removed_at.is_not(None))).scalars())
    if gone:
        which = f"run{'s' if len(gone) > 1 else ''} {shorten(sorted(gone))}"
        undo = f"spindb rm --undo {' '.join(map(str, sorted(gone)[:_MAX_LISTED]))} brings back what was removed"
        return NotFoundError(f"removed from the index: {which}", hint=undo)
    there = list(connection.execute(select(runs.c.id).where(THERE).order_by(runs.c.id)).scalars())
    known = f"ids here: {shorten(there)}" if there else "the database holds no runs"
    return NotFoundError(f"no run has the id {shorten(sorted(ids))}; {known}", hint="spindb runs lists them")


def run_at(connection: Connection, directory: Path) -> RunInfo | None:
    """The run whose directory on this host is `directory`, if it is indexed; the one that it holds now."""
    place = real(directory)
    for root, root_id in roots_here(connection).items():
        if place == root or root in place.parents:
            inside = storable(place.relative_to(root).as_posix())
            # What the directory held before lies at the same path, and is another run.
            at = and_(runs.c.root_id == root_id, runs.c.path == inside, runs.c.superseded_by.is_(None))
            if found := _select(connection, at):
                return found[0]
    return None


def runs_in(connection: Connection, place: Path) -> list[RunInfo]:
    """The runs that share a directory on this host, or a file."""
    found: list[RunInfo] = []
    within = real(place)
    for root, root_id in roots_here(connection).items():
        if within == root or root in within.parents:
            inside = "" if within == root else storable(within.relative_to(root).as_posix())
            shared = and_(runs.c.root_id == root_id, runs.c.part.is_not(None), runs.c.superseded_by.is_(None))
            # Not LIKE: a path may hold its wildcards, and SQLite's LIKE ignores case. The comparison of real paths
            # below decides; this keeps the rows few.
            begins = func.substr(runs.c.path, 1, len(inside)) == inside
            alike = _select(connection, and_(shared, begins))
            found += [run for run in alike if within in (real(run.directory), real(run.files))]
    return found


def _select(connection: Connection, condition: ColumnElement[bool]) -> list[RunInfo]:
    statement = select(runs, roots.c.path.label("root"), roots.c.host).join(roots, roots.c.id == runs.c.root_id)
    return [_run_info(row) for row in connection.execute(statement.where(condition, THERE).order_by(runs.c.id))]


def _run_info(row: Row[Any]) -> RunInfo:
    classes = json_texts(row.env_classes) if row.env_classes else ()
    return RunInfo(
        id=row.id,
        name=row.name,
        directory=Path(os.path.normpath(os.path.join(row.root, directory_of(row.path, row.part)))),
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
        root=Path(row.root),
        generation=row.generation,
        copy_of=row.copy_of,
        superseded_by=row.superseded_by,
        part=row.part,
    )


def snapshots_of(connection: Connection, run_id: int) -> list[SnapshotRecord]:
    """All snapshots of a run, by kind and itr."""
    return snapshots_by_run(connection, [run_id]).get(run_id, [])


def snapshots_by_run(connection: Connection, ids: Sequence[int]) -> dict[int, list[SnapshotRecord]]:
    """The snapshots of those of these runs that have any, by kind and itr; as many runs as one statement takes."""
    columns = snapshots.c
    order = (columns.run_id, columns.kind, columns.itr.nulls_first())
    found: dict[int, list[SnapshotRecord]] = {}
    for row in connection.execute(select(snapshots).where(columns.run_id.in_(ids)).order_by(*order)):
        record = SnapshotRecord(
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
        found.setdefault(row.run_id, []).append(record)
    return found


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
        raise NotFoundError(f"{directory} has no snapshot with itr {itr}; {there}", hint="omit --itr for the latest")
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
        # Two numbers always have a step: a range is only shorter, and only evidence of regular saves, from three on.
        if length < 3:
            parts.append(str(rest.pop(0)))
            continue
        by = f" by {step}" if step != 1 else ""
        parts.append(f"{rest[0]}-{rest[length - 1]}{by}")
        rest = rest[length:]
    return ", ".join(parts)
