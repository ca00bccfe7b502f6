"""What files can't give, as text: dumped as YAML that a person can read and keep in git, and restored from it.

That is what people added, which runs they removed, and what directories held before they were overwritten. A run is
named by its content (``fingerprint``) and by its place; a restore finds it by content first, then by place, so that
what was added finds its run after the data was moved or the database was made anew. Restoring twice adds nothing twice.

========= =======================================================================================
FORMAT    holds
========= =======================================================================================
1         tags, notes, archive marks, evaluations, saved queries
2         also ``removed``, ``generation``, ``superseded`` (whole runs) and ``overwritten`` (lines
          that schema 0001 kept of them)
3         also ``steps`` of metrics that have their own
========= =======================================================================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Table,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    update,
)

from spindb.errors import UsageError
from spindb.index.database import models
from spindb.index.database.unknown import json_object, noted
from spindb.index.maintenance import superseded
from spindb.index.query.language import parse
from spindb.index.write.contents import next_generation
from spindb.index.write.copies import distinctive, link_copies
from spindb.machine import now

FORMAT = 3
"""Version of the dump's layout. A reader refuses a greater one, and takes all before."""

_EVALUATION = tuple(str(c.name) for c in models.evaluations.columns if c.name not in ("id", "run_id"))
_LINE = tuple(str(c.name) for c in models.superseded.columns if c.name != "run_id")
_HEAD = "# What people added to a spindb database, and what was overwritten. spindb db restore FILE puts it back.\n"


def dump(connection: Connection) -> str:
    """All that a restore puts back, as YAML text; equal databases, equal text.

    Raises:
        ValueError: some of it can't be read.
    """
    runs, roots, other = models.runs, models.roots, models.runs.alias("other")
    tables = (models.tags, models.notes, models.evaluations, models.superseded)
    added = [exists().where(t.c.run_id == runs.c.id) for t in tables]
    statement = (
        select(runs, roots.c.host, roots.c.path.label("root"))
        .join(roots, roots.c.id == runs.c.root_id)
        .where(or_(runs.c.archived, runs.c.removed_at.is_not(None), *added, exists().where(_holds(runs, other))))
        .where(runs.c.status != "superseded")
        .order_by(roots.c.host, roots.c.path, runs.c.path)
    )
    found = [_run_as_dict(connection, row) for row in connection.execute(statement).all()]
    c = models.queries.c
    queries = {row.name: row.text for row in connection.execute(select(c.name, c.text).order_by(c.name))}
    if noted.count:  # a dump that holds less than was written would be taken for all of it
        raise ValueError("unknown values can't be dumped")
    content = {"spindb": FORMAT, "queries": queries, "runs": found}
    return _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _holds(run: FromClause, other: FromClause) -> ColumnElement[bool]:
    held: ColumnElement[bool] = other.c.superseded_by == run.c.id
    return held


def _run_as_dict(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    facts = {"run": row.path, "root": row.root, "host": row.host, "fingerprint": row.fingerprint}
    earlier = select(models.runs).where(models.runs.c.superseded_by == row.id).order_by(models.runs.c.generation)
    lines = select(models.superseded).where(models.superseded.c.run_id == row.id)
    kept = {
        "generation": row.generation,
        "superseded": [
            superseded.as_values(connection, other) | _added(connection, other)
            for other in connection.execute(earlier).all()
        ],
        "overwritten": [
            {name: _plain(getattr(line, name)) for name in _LINE if getattr(line, name) is not None}
            for line in connection.execute(lines.order_by(models.superseded.c.generation))
        ],
    }
    return facts | _added(connection, row) | {name: value for name, value in kept.items() if value}


def _added(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """What people added to a run, and whether they removed it."""
    added = {
        "removed": _plain(row.removed_at),
        "archived": row.archived,
        "tags": list(_column(connection, models.tags, "tag", row.id)),
        "notes": [
            {"at": superseded.time_text(note.created_at), "text": note.text}
            for note in _rows(connection, models.notes, row.id)
        ],
        "evaluations": [_evaluation_as_dict(connection, e) for e in _rows(connection, models.evaluations, row.id)],
    }
    return {name: value for name, value in added.items() if value}


def _plain(value: object) -> object:
    return superseded.time_text(value) if isinstance(value, datetime) else value


def _rows(connection: Connection, table: Table, run_id: int) -> Sequence[Any]:
    return connection.execute(select(table).where(table.c.run_id == run_id).order_by(table.c.id)).all()


def _column(connection: Connection, table: Table, name: str, run_id: int) -> Sequence[Any]:
    column = table.c[name]
    return connection.execute(select(column).where(table.c.run_id == run_id).order_by(column)).scalars().all()


def _evaluation_as_dict(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    c = models.episodes.c
    episodes = select(c.ep_return, c.length, c.ending).where(c.evaluation_id == row.id).order_by(c.number)
    values = {name: getattr(row, name) for name in _EVALUATION}
    values["created_at"] = superseded.time_text(row.created_at)
    values["versions"] = json_object(row.versions)
    values["episodes"] = [[e.ep_return, e.length, e.ending] for e in connection.execute(episodes)]
    return {name: value for name, value in values.items() if value is not None}


@dataclass
class Restored:
    """What a restore did.

    ``unknown`` holds the places of runs that the database does not have, ``changed`` those of runs that were removed
    and hold something else now, so that they stay.
    """

    runs: int = 0
    tags: int = 0
    notes: int = 0
    evaluations: int = 0
    archived: int = 0
    queries: int = 0
    superseded: int = 0
    removed: int = 0
    unknown: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def restore_dump(connection: Connection, text: str) -> Restored:
    """Add what a dump holds and the database lacks.

    Raises:
        UsageError: the text is no dump, or one of a newer spindb.
    """
    content = _parsed(text)
    done = Restored()
    try:
        for name, query in (content.get("queries") or {}).items():
            done.queries += _restore_query(connection, str(name), str(query))
        for entry in content.get("runs") or []:
            run = _find(connection, entry)
            if run is None:
                done.unknown.append(_place(entry))
                continue
            done.runs += 1
            _restore_run(connection, run, entry, done)
        link_copies(connection)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"this dump is damaged: {type(error).__name__} {error}") from error
    return done


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"not a dump: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("spindb"), int):
        raise UsageError("not a dump of spindb: it has no version", hint="spindb db dump writes one")
    if content["spindb"] > FORMAT:
        raise UsageError(f"this dump is of version {content['spindb']}; this spindb reads up to {FORMAT}")
    return content


def _restore_query(connection: Connection, name: str, text: str) -> int:
    parse(text)
    table = models.queries
    if connection.execute(select(table.c.name).where(table.c.name == name)).first():
        return 0
    connection.execute(insert(table).values(name=name, text=text, created_at=now()))
    return 1


def _place(entry: Mapping[str, Any]) -> str:
    return f"{entry['host']}:{entry['root']}/{entry['run']}"


def _find(connection: Connection, entry: Mapping[str, Any]) -> Any:
    """The run with that content, in that place where there are copies; else the run in that place."""
    runs, roots = models.runs, models.roots
    wanted = (runs, distinctive().label("telling"), roots.c.host, roots.c.path.label("root"))
    known = select(*wanted).join(roots, roots.c.id == runs.c.root_id)
    # By content anywhere, or by place with any content: a moved run is found by the first, a grown one by the second.
    there = or_(
        runs.c.fingerprint == entry["fingerprint"],
        and_(runs.c.path == entry["run"], runs.c.status != "superseded"),
    )

    def likeness(row: Row[Any]) -> tuple[bool, bool, bool, bool, bool, int]:
        same, present = row.fingerprint == entry["fingerprint"], row.status != "superseded"
        return same, present, row.path == entry["run"], row.root == entry["root"], row.host == entry["host"], -row.id

    best = max(connection.execute(known.where(there)).all(), key=likeness, default=None)
    # The same relative path under another root is another run, unless its content says otherwise.
    if best is None or not (best.fingerprint == entry["fingerprint"] or best.root == entry["root"]):
        return None
    if best.path != entry["run"] and not (best.telling or best.rows):  # it looks like others: its place alone tells it
        return None
    return best


def _restore_run(connection: Connection, run: Row[Any], entry: Mapping[str, Any], done: Restored) -> None:
    same = run.fingerprint == entry["fingerprint"]
    numbers = _restore_past(connection, run, entry, done)
    _restore_lines(connection, run.id, entry)
    if entry.get("removed") and not same:
        done.changed.append(_place(entry))
    _restore_added(connection, run, entry, done, numbers, removed=same)


def _restore_past(connection: Connection, run: Row[Any], entry: Mapping[str, Any], done: Restored) -> dict[int, int]:
    """Put back what the run's directory held before; returns the numbers of its contents now, by those in the dump."""
    runs = models.runs
    # What was overwritten belongs to the run that holds the directory now, even where the dump's run is an earlier
    # content.
    owner = run if run.superseded_by is None else connection.execute(_BY_ID, {"run": run.superseded_by}).one()
    earlier = {row.fingerprint: row for row in connection.execute(_EARLIER, {"run": owner.id})}
    number = _whole(entry.get("generation", 0))
    taken = {row.generation for row in earlier.values()}
    numbers = {number: run.generation}
    if run is owner and run.fingerprint == entry["fingerprint"] and run.generation < number and number not in taken:
        connection.execute(update(runs).where(runs.c.id == run.id).values(generation=number))
        numbers[number] = number
    for other in entry.get("superseded") or []:
        was = _whole(other["generation"])
        known = owner if owner.fingerprint == other["fingerprint"] else earlier.get(other["fingerprint"])
        if known is None:
            # The number of the dump is kept where nothing else has it: evaluations name contents by it.
            free = {*numbers.values(), *taken}
            as_number = was if was not in free else next_generation(connection, owner.id)
            run_id = superseded.put_back(connection, owner, as_number, other)
            known = connection.execute(_BY_ID, {"run": run_id}).one()
            taken.add(as_number)
            done.superseded += 1
        numbers[was] = numbers[number] if known is run else known.generation
        _restore_added(connection, known, other, done, {was: numbers[was]}, removed=True)
    return numbers


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} where a whole number was expected")
    return value


def _restore_lines(connection: Connection, run_id: int, entry: Mapping[str, Any]) -> None:
    table = models.superseded
    there = set(connection.execute(select(table.c.generation).where(table.c.run_id == run_id)).scalars())
    for line in entry.get("overwritten") or []:
        if line["generation"] not in there:
            values = {name: line[name] for name in _LINE if name in line}
            times = {name: superseded.time_of(line[name]) for name in _LINE if name in line and name.endswith("_at")}
            connection.execute(insert(table).values(run_id=run_id, **values | times))


_BY_ID = select(models.runs).where(models.runs.c.id == bindparam("run"))
_EARLIER = select(models.runs).where(models.runs.c.superseded_by == bindparam("run"))


def _restore_added(
    connection: Connection,
    run: Row[Any],
    entry: Mapping[str, Any],
    done: Restored,
    numbers: Mapping[int, int],
    *,
    removed: bool,
) -> None:
    """Put back what people added; `numbers` are those of the contents now, `removed` whether it may be removed."""
    if removed and entry.get("removed") and run.removed_at is None:
        values = {"removed_at": superseded.time_of(entry["removed"])}
        connection.execute(update(models.runs).where(models.runs.c.id == run.id).values(**values))
        done.removed += 1
    if entry.get("archived") and not run.archived:
        connection.execute(update(models.runs).where(models.runs.c.id == run.id).values(archived=True))
        done.archived += 1
    there = set(_column(connection, models.tags, "tag", run.id))
    for tag in entry.get("tags") or []:
        if tag not in there:
            connection.execute(insert(models.tags).values(run_id=run.id, tag=str(tag)))
            done.tags += 1
    written = {(note.created_at, note.text) for note in _rows(connection, models.notes, run.id)}
    for note in entry.get("notes") or []:
        at, text = superseded.time_of(note["at"]), str(note["text"])
        if (at, text) not in written:
            connection.execute(insert(models.notes).values(run_id=run.id, text=text, created_at=at))
            done.notes += 1
    # Evaluations have no key of their own across databases: when, of what, and how long it took tells them apart.
    recorded = {(e.created_at, e.snapshot_path, e.seconds) for e in _rows(connection, models.evaluations, run.id)}
    for evaluation in entry.get("evaluations") or []:
        if (
            superseded.time_of(evaluation["created_at"]),
            evaluation["snapshot_path"],
            evaluation["seconds"],
        ) not in recorded:
            was = evaluation.get("generation", 0)
            _restore_evaluation(connection, run.id, {**evaluation, "generation": numbers.get(was, was)})
            done.evaluations += 1


def _restore_evaluation(connection: Connection, run_id: int, entry: Mapping[str, Any]) -> None:
    values = {name: entry.get(name) for name in _EVALUATION if name in entry}
    values |= {
        "created_at": superseded.time_of(entry["created_at"]),
        "versions": json.dumps(entry["versions"], sort_keys=True),
        "episodes": len(entry["episodes"]),
    }
    inserted = connection.execute(insert(models.evaluations).values(run_id=run_id, **values))
    assert inserted.inserted_primary_key is not None
    evaluation_id = inserted.inserted_primary_key[0]
    rows = [
        {
            "evaluation_id": evaluation_id,
            "number": number,
            "ep_return": None if value is None or math.isnan(value) else value,
            "length": length,
            "ending": ending,
        }
        for number, (value, length, ending) in enumerate(entry["episodes"])
    ]
    if rows:
        connection.execute(insert(models.episodes), rows)
