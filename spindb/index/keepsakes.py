"""What people added, as text: dumped as YAML that a person can read and keep in git, and restored from it.

A run is named by its content (``fingerprint``) and by its place; a restore finds it by content first, then by place, so
that what was added finds its run after the data was moved or the database was made anew. Restoring twice adds nothing
twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, exists, insert, or_, select, update

from spindb.errors import UsageError
from spindb.index import models
from spindb.index.clock import now
from spindb.index.database.unknown import json_object, noted
from spindb.index.filters import parse

FORMAT = 1
"""Version of the dump's layout. A reader refuses a greater one."""

_EVALUATION = tuple(str(c.name) for c in models.evaluations.columns if c.name not in ("id", "run_id"))
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_HEAD = "# What people added to a spindb database. spindb db restore FILE puts it back.\n"


def dump(connection: Connection) -> str:
    """All tags, notes, archive marks, evaluations and saved queries as YAML text; equal databases, equal text.

    Raises:
        ValueError: some of it can't be read.
    """
    import yaml

    runs, roots = models.runs, models.roots
    added = [exists().where(t.c.run_id == runs.c.id) for t in (models.tags, models.notes, models.evaluations)]
    statement = (
        select(runs.c.id, roots.c.host, roots.c.path.label("root"), runs.c.path, runs.c.fingerprint, runs.c.archived)
        .join(roots, roots.c.id == runs.c.root_id)
        .where(or_(runs.c.archived, *added))
        .order_by(roots.c.host, roots.c.path, runs.c.path)
    )
    found = [_run_as_dict(connection, row) for row in connection.execute(statement).all()]
    c = models.queries.c
    queries = {row.name: row.text for row in connection.execute(select(c.name, c.text).order_by(c.name))}
    if noted.count:  # a dump that holds less than was written would be taken for all of it
        raise ValueError("unknown values can't be dumped")
    content = {"spindb": FORMAT, "queries": queries, "runs": found}
    return _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _run_as_dict(connection: Connection, row: Any) -> dict[str, Any]:
    facts = {"run": row.path, "root": row.root, "host": row.host, "fingerprint": row.fingerprint}
    added = {
        "archived": row.archived,
        "tags": list(_column(connection, models.tags, "tag", row.id)),
        "notes": [
            {"at": _time_text(note.created_at), "text": note.text} for note in _rows(connection, models.notes, row.id)
        ],
        "evaluations": [_evaluation_as_dict(connection, e) for e in _rows(connection, models.evaluations, row.id)],
    }
    return facts | {name: value for name, value in added.items() if value}


def _rows(connection: Connection, table: Table, run_id: int) -> Sequence[Any]:
    return connection.execute(select(table).where(table.c.run_id == run_id).order_by(table.c.id)).all()


def _column(connection: Connection, table: Table, name: str, run_id: int) -> Sequence[Any]:
    column = table.c[name]
    return connection.execute(select(column).where(table.c.run_id == run_id).order_by(column)).scalars().all()


def _evaluation_as_dict(connection: Connection, row: Any) -> dict[str, Any]:
    c = models.episodes.c
    episodes = select(c.ep_return, c.length, c.ending).where(c.evaluation_id == row.id).order_by(c.number)
    values = {name: getattr(row, name) for name in _EVALUATION}
    values["created_at"] = _time_text(row.created_at)
    values["versions"] = json_object(row.versions)
    values["episodes"] = [[e.ep_return, e.length, e.ending] for e in connection.execute(episodes)]
    return {name: value for name, value in values.items() if value is not None}


@dataclass
class Restored:
    """What a restore did; ``unknown`` holds the places of runs that the database does not have."""

    runs: int = 0
    tags: int = 0
    notes: int = 0
    evaluations: int = 0
    archived: int = 0
    queries: int = 0
    unknown: list[str] = field(default_factory=list)


def restore(connection: Connection, text: str) -> Restored:
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
                done.unknown.append(f"{entry['host']}:{entry['root']}/{entry['run']}")
                continue
            done.runs += 1
            _restore_run(connection, run, entry, done)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"this dump is damaged: {type(error).__name__} {error}") from error
    return done


def _parsed(text: str) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"not a dump: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("spindb"), int):
        raise UsageError("not a dump of spindb: it says no version", hint="spindb db dump writes one")
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


def _find(connection: Connection, entry: Mapping[str, Any]) -> Any:
    """The run with that content, in that place where there are copies; else the run in that place."""
    runs, roots = models.runs, models.roots
    wanted = (runs.c.id, runs.c.archived, runs.c.path, runs.c.rows, runs.c.fingerprint)
    known = select(*wanted, roots.c.host, roots.c.path.label("root")).join(roots, roots.c.id == runs.c.root_id)
    there = or_(runs.c.fingerprint == entry["fingerprint"], runs.c.path == entry["run"])

    def likeness(row: Any) -> tuple[bool, bool, bool, bool, int]:
        same = row.fingerprint == entry["fingerprint"]
        return same, row.path == entry["run"], row.root == entry["root"], row.host == entry["host"], -row.id

    best = max(connection.execute(known.where(there)).all(), key=likeness, default=None)
    if best is None or not (best.fingerprint == entry["fingerprint"] or best.root == entry["root"]):
        return None
    if best.rows == 0 and best.path != entry["run"]:  # runs without rows look alike: their place alone tells them
        return None
    return best


def _restore_run(connection: Connection, run: Any, entry: Mapping[str, Any], done: Restored) -> None:
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
        at, text = _time(note["at"]), str(note["text"])
        if (at, text) not in written:
            connection.execute(insert(models.notes).values(run_id=run.id, text=text, created_at=at))
            done.notes += 1
    recorded = {(e.created_at, e.snapshot_path, e.seconds) for e in _rows(connection, models.evaluations, run.id)}
    for evaluation in entry.get("evaluations") or []:
        if (_time(evaluation["created_at"]), evaluation["snapshot_path"], evaluation["seconds"]) not in recorded:
            _restore_evaluation(connection, run.id, evaluation)
            done.evaluations += 1


def _restore_evaluation(connection: Connection, run_id: int, entry: Mapping[str, Any]) -> None:
    values = {name: entry.get(name) for name in _EVALUATION if name in entry}
    values |= {
        "created_at": _time(entry["created_at"]),
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


def _time_text(time: datetime) -> str:
    return time.strftime(_TIME)


def _time(text: Any) -> datetime:
    return datetime.strptime(str(text), _TIME)
