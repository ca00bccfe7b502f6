"""Writes a run as what it was recognised as: a new one, one that is known, or one in another's directory."""

from __future__ import annotations

from spindb.index.write.batch import Batch
from spindb.index.write.identity import Identity
from spindb.index.write.rows import RunRows

_COSTLY = ("too-slow", "reader-died")  # not to try again before the files change


def write_as(writing: Batch, identity: Identity, rows: RunRows, signature: str) -> tuple[int, int | None]:
    """Write a run as that; returns its id, and that of the run which keeps what its directory held before."""
    past, removed_at = identity.past, identity.removed_at
    if identity.run_id is None:
        number = past.following if past else 0
        run_id = writing.add(rows, signature, copy_of=identity.copy_of, removed_at=removed_at, generation=number)
        if past is None:
            return run_id, None
    elif identity.unread:
        costly = any(problem.code in _COSTLY for problem in rows.record.problems)
        writing.keep(identity.run_id, rows, signature if costly else None)
        return identity.run_id, None
    else:
        run_id = identity.run_id
        kept = writing.set_aside(past) if past and not past.apart else None
        if past and identity.moved_from is not None:
            writing.make_room(run_id, past)
        writing.replace(run_id, rows, signature, removed_at=removed_at, moved=identity.moved_from is not None)
        if past is None or not past.apart:
            return run_id, kept
    writing.part(past, run_id)
    return run_id, past.run_id
