"""Which runs a question speaks of, decided once.

========================== =========== ======= ========================================
run                        by default  --all   a filter that names
========================== =========== ======= ========================================
archived                   no          yes     ``archived`` or ``id``
its directory is gone      no          yes     ``status`` or ``id``
overwritten (superseded)   no          yes     ``status``, ``superseded_by`` or ``id``
a copy of another run      no          yes     ``copy_of`` or ``id``
removed                    no          no      no
========================== =========== ======= ========================================

A run with none of these marks is always there.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, not_, true

from spindb.index.database.models import runs

_KINDS: dict[str, tuple[tuple[str, ...], ColumnElement[bool]]] = {
    "overwritten": (("status", "superseded_by"), runs.c.status == "superseded"),
    "missing": (("status",), runs.c.status == "missing"),
    "archived": (("archived",), runs.c.archived == true()),
    "copies": (("copy_of",), runs.c.copy_of.is_not(None)),
}

THERE = runs.c.removed_at.is_(None)
"""That a run was not removed: what every question keeps to."""


def hidden(named: Collection[str] = (), *, everything: bool = False) -> dict[str, ColumnElement[bool]]:
    """The kinds of runs that a question leaves out, each with its condition.

    Args:
        named: the run fields that its filter names; those it decides itself.
        everything: archived and missing runs, superseded ones and copies too.
    """
    if everything or "id" in named:
        return {}
    return {kind: condition for kind, (fields, condition) in _KINDS.items() if not set(fields) & set(named)}


def visible(named: Collection[str] = (), *, everything: bool = False) -> list[ColumnElement[bool]]:
    """Conditions on runs that a question keeps to; arguments as `hidden` has them."""
    return [THERE, *map(not_, hidden(named, everything=everything).values())]
