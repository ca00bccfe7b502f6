"""Refuses databases that hold what spindb did not make and what would run or answer in its name.

Triggers run with each write, with the rights of the user who writes. A view may stand where a table is expected, or in
place of ``metric_points``. A database is a file that anyone may have made, so its schema is read before it is used.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from spindb.errors import DatabaseError
from spindb.index.database.backend import Backend, backend_of
from spindb.index.database.models import metadata


class ForeignObject(NamedTuple):
    """Something beside the tables of a database."""

    kind: str
    name: str
    table: str
    sql: str

    @property
    def drop(self) -> str:
        """The statement that takes it out."""
        kind = self.kind.upper().removeprefix("VIRTUAL ")
        on = f" ON {_quoted(self.table)}" if self.sql == "" and self.kind in ("trigger", "rule") else ""
        return f"DROP {kind} {_quoted(self.name)}{on}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" on {self.table}" if self.kind in ("trigger", "rule") else "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def foreign(connection: Connection) -> list[ForeignObject]:
    """What somebody else made beside the tables and the view of spindb."""
    backend = backend_of(connection)
    rows = connection.execute(text(backend.made_beside))
    return [made for made in map(ForeignObject._make, rows) if not _is_ours(made, backend)]


def _is_ours(made: ForeignObject, backend: Backend) -> bool:
    if made.kind != "view" or made.name not in backend.views:
        return False
    written = [statement.split() for statement in backend.views[made.name]]
    return not written or made.sql.split() in written


def refuse_foreign(connection: Connection, name: str, *, write: bool) -> None:
    """Refuse a database that can't be used safely.

    Triggers, rules and views are refused where something is to be written; what has the name of a table or view of
    spindb, but is not that, always.

    Raises:
        DatabaseError: naming what stands in the way and how to drop it.
    """
    backend = backend_of(connection)
    found = [made for made in foreign(connection) if _stands_in_the_way(made, backend, write)]
    if not found:
        return
    drops = "; ".join(made.drop for made in found)
    raise DatabaseError(
        f"{name} holds what spindb did not make, and does not use: {', '.join(map(str, found))}",
        hint=f"if you made it: {drops}; else --db PATH names another database",
    )


def _stands_in_the_way(made: ForeignObject, backend: Backend, write: bool) -> bool:
    if made.name in metadata.tables or made.name in backend.views:
        return True
    return write and backend.acts_on_writes(made.kind, on_ours=made.table in metadata.tables)
