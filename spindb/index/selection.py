"""Which runs are meant where a command takes several: a filter, ids, names or directories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection, select

from spindb.errors import NotFoundError
from spindb.index.models import LARGEST, runs
from spindb.index.roots import real, roots_here
from spindb.index.search import run_ids

_IDS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*,?\Z")
_SIGNS = "=<>~:(@ "


def as_filter(connection: Connection, words: Sequence[str]) -> str:
    """The filter that `words` mean.

    Ids (``3 5-9`` or ``3,5-9``) and directories (one run's, or one that runs lie under) become one on ``id``,
    and so does a single word without any sign of a filter: the name of a run, or the beginning of one.
    Everything else is a filter already.

    Raises:
        NotFoundError: an id, directory or name that the index does not have.
        UsageError: a name that several runs have.
    """
    if words and all(_IDS.match(word) for word in words):
        return _ids(connection, ",".join(words))
    if words and all(os.path.isdir(word) for word in words):
        return _in(run_id for word in words for run_id in _under(connection, Path(word)))
    if len(words) == 1 and words[0] and not any(sign in words[0] for sign in _SIGNS):
        from spindb.index.resolve import find_run  # most filters do without, and start sooner

        return f"id={find_run(connection, words[0]).id}"
    return " ".join(words)


def selected(connection: Connection, words: Sequence[str], *, everything: bool = False) -> list[int]:
    """Ids of the runs that `words` mean, ascending; see `as_filter`."""
    return run_ids(connection, as_filter(connection, words), everything=everything)


def _ids(connection: Connection, text: str) -> str:
    single: list[int] = []
    parts: list[str] = []
    for part in filter(None, text.split(",")):
        low, dash, high = part.partition("-")
        if dash:
            parts.append(f"id={low}..{high}")
        else:
            single.append(int(low))
    if single:
        parts.append(_in(single))
        known = set(run_ids(connection, parts[-1]))
        missing = sorted(set(single) - known)
        if missing:
            from spindb.index.resolve import shorten
            from spindb.index.write.removal import when_removed

            if removed := sorted(when_removed(connection, [n for n in missing if n <= LARGEST])):
                which = f"run{'s' if len(removed) > 1 else ''} {shorten(removed)}"
                undo = f"spindb rm --undo {' '.join(map(str, removed))} brings back what was removed"
                raise NotFoundError(f"removed from the index: {which}", hint=undo)
            there = list(
                connection.execute(select(runs.c.id).where(runs.c.removed_at.is_(None)).order_by(runs.c.id)).scalars()
            )
            ids = f"ids here: {shorten(there)}" if there else "the database holds no runs"
            raise NotFoundError(f"no run has the id {shorten(missing)}; {ids}", hint="spindb runs lists them")
    return " or ".join(parts)


def _in(ids: Iterable[int]) -> str:
    return f"id in ({', '.join(map(str, sorted(set(ids))))})"


def _under(connection: Connection, directory: Path) -> list[int]:
    """The run whose directory it is, else all runs that lie under it."""
    from spindb.index.resolve import run_at

    found = run_at(connection, directory)
    if found is not None:
        return [found.id]
    absolute, known = real(directory), {root_id: root for root, root_id in roots_here(connection).items()}
    there = select(runs.c.id, runs.c.path, runs.c.root_id).where(
        runs.c.root_id.in_(known), runs.c.status != "superseded", runs.c.removed_at.is_(None)
    )
    ids = [row.id for row in connection.execute(there) if absolute in (known[row.root_id] / row.path).parents]
    if not ids:
        raise NotFoundError(f"no run of the database lies under {directory}", hint=f"spindb ingest {directory}")
    return ids
