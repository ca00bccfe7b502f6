"""What saved policies take on disk: as JSON, and which paths could be removed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from spindb.disk.formats.snapshots import twin_of
from spindb.index.read.usage import Usage
from spindb.records import SnapshotRecord

Removable = Literal["stale", "between", "copies"]
REMOVABLE: Mapping[Removable, str] = {
    "stale": "left by earlier runs",
    "between": "neither the latest nor evaluated",
    "copies": "in copies of other runs",
}
"""Kinds of saved policies that could be removed, with what they are."""


def removable(found: Iterable[Usage], kind: Removable) -> Iterator[tuple[Path, int]]:
    """Paths that could be removed, with the bytes of saved policies in each.

    A copy is removed whole or not at all: its saves are never stale or between.
    """
    for usage in found:
        if usage.copy_of is not None:
            if kind == "copies":
                yield usage.directory, usage.size
            continue
        for snapshot in {"stale": usage.stale, "between": usage.between}.get(kind, ()):
            path = usage.directory / snapshot.path
            yield path, snapshot.size
            if snapshot.kind == "pyt_save" and os.path.lexists(twin := twin_of(path)):
                yield twin, 0
            # Its bytes are not counted among those of saved policies.
            if snapshot.state_path and not _is_shared(usage, snapshot):
                yield usage.directory / snapshot.state_path, 0


def _is_shared(usage: Usage, snapshot: SnapshotRecord) -> bool:
    """Whether the saved environment belongs to another saved policy, too."""
    return any(s.state_path == snapshot.state_path for s in usage.saved if s is not snapshot)


def usage_as_json(usage: Usage) -> dict[str, object]:
    """What the saved policies of a run take."""
    return {
        "id": usage.run_id,
        "name": usage.name,
        "directory": str(usage.directory),
        "copy_of": usage.copy_of,
        "here": usage.here,
        "saves": len(usage.saved),
        "size": usage.size,
        "stale": [snapshot.path for snapshot in usage.stale],
        "between": [snapshot.path for snapshot in usage.between],
    }
