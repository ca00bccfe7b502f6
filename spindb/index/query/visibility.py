"""Which runs a question speaks of, decided once.

========================== =========== ======= ===============================
run                        by default  --all   a filter that names
========================== =========== ======= ===============================
archived                   no          yes     ``archived`` or ``id``
its directory is gone      no          yes     ``status`` or ``id``
overwritten (superseded)   no          yes     ``status`` or ``id``
a copy of another run      no          yes     ``copy_of`` or ``id``
removed                    no          no      no
========================== =========== ======= ===============================

A run with none of these marks is always there.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, false

from spindb.index.models import runs

_BY_FIELD: dict[str, ColumnElement[bool]] = {
    "archived": runs.c.archived == false(),
    "status": runs.c.status.not_in(("missing", "superseded")),
    "copy_of": runs.c.copy_of.is_(None),
}


def visible(named: Collection[str] = (), *, everything: bool = False) -> list[ColumnElement[bool]]:
    """Conditions on runs that a question keeps to.

    Args:
        named: the run fields that its filter names; those it decides itself.
        everything: archived and missing runs, superseded ones and copies too.
    """
    hidden = [] if everything or "id" in named else [c for name, c in _BY_FIELD.items() if name not in named]
    return [runs.c.removed_at.is_(None), *hidden]
