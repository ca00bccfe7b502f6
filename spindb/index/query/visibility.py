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
from typing import NamedTuple

from sqlalchemy import ColumnElement, not_, true

from spindb.index.database.models import runs


class Kind(NamedTuple):
    """Runs that are left out by default: the run fields that speak of them, and which runs they are."""

    fields: tuple[str, ...]
    condition: ColumnElement[bool]


KINDS: dict[str, Kind] = {
    "overwritten": Kind(("status", "superseded_by"), runs.c.status == "superseded"),
    "missing": Kind(("status",), runs.c.status == "missing"),
    "archived": Kind(("archived",), runs.c.archived == true()),
    "copies": Kind(("copy_of",), runs.c.copy_of.is_not(None)),
}

THERE = runs.c.removed_at.is_(None)
"""That a run was not removed: what every question keeps to."""


def hidden_kinds(named: Collection[str] = (), *, everything: bool = False) -> tuple[str, ...]:
    """The kinds of runs that a question leaves out.

    Args:
        named: the run fields that its filter names; those it decides itself.
        everything: archived and missing runs, superseded ones and copies too.
    """
    if everything or "id" in named:
        return ()
    # A filter that speaks of a kind's own field decides about that kind; left out as well, `status=missing` would find
    # nothing.
    return tuple(name for name, kind in KINDS.items() if not set(kind.fields) & set(named))


def visible_runs(named: Collection[str] = (), *, everything: bool = False) -> list[ColumnElement[bool]]:
    """Conditions on runs that a question keeps to; arguments as `hidden_kinds` has them."""
    return [THERE, *(not_(KINDS[name].condition) for name in hidden_kinds(named, everything=everything))]
