"""Refuses databases that hold what spindb did not make and what would run or answer in its name.

Triggers run with each write, with the rights of whoever writes. A view may stand where a table is expected, or in
place of ``metric_points``. A database is a file that anyone may have made, so its schema is read before it is used.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from spindb.errors import DatabaseError
from spindb.index.database.create import VIEWS
from spindb.index.database.models import metadata

_MADE_IN_FILE = text(
    "SELECT CASE WHEN sql LIKE 'CREATE VIRTUAL%' THEN 'virtual table' ELSE type END, name, tbl_name, sql "
    "FROM sqlite_master WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%' ORDER BY type, name"
)
# Of the schema that statements are about: triggers and rules of tables, and what stands where tables should.
_MADE_ON_SERVER = text(
    """
    SELECT 'trigger', t.tgname::text, c.relname::text, '' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'rule', r.rulename::text, c.relname::text, '' FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE r.rulename <> '_RETURN' AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'view' END, c.relname::text, c.relname::text, ''
    FROM pg_class c WHERE c.relkind IN ('v', 'm', 'f') AND c.relnamespace = current_schema()::regnamespace
    ORDER BY 1, 2
    """
)


class Made(NamedTuple):
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


def foreign(connection: Connection) -> list[Made]:
    """What somebody else made beside the tables and the view of spindb."""
    on_server = connection.dialect.name == "postgresql"
    rows = connection.execute(_MADE_ON_SERVER if on_server else _MADE_IN_FILE)
    return [made for made in map(Made._make, rows) if not _is_ours(made, on_server)]


def _is_ours(made: Made, on_server: bool) -> bool:
    known = VIEWS.get(made.name, ()) if made.kind == "view" else ()
    return bool(known) and (on_server or made.sql.split() in [statement.split() for statement in known])


def refuse_foreign(connection: Connection, name: str, *, write: bool) -> None:
    """Refuse a database that can't be used safely.

    Triggers, rules and views are refused where something is to be written; what has the name of a table or view of
    spindb, but is not that, always.

    Raises:
        DatabaseError: naming what stands in the way and how to drop it.
    """
    on_server = connection.dialect.name == "postgresql"
    found = [made for made in foreign(connection) if _stands_in_the_way(made, write, on_server)]
    if not found:
        return
    drops = "; ".join(made.drop for made in found)
    raise DatabaseError(
        f"{name} holds what spindb did not make, and does not use: {', '.join(map(str, found))}",
        hint=f"if you made it: {drops}; else --db PATH names another database",
    )


def _stands_in_the_way(made: Made, write: bool, on_server: bool) -> bool:
    if made.name in metadata.tables or made.name in VIEWS:
        return True
    if on_server:  # others may keep views of their own beside our tables, which no statement of ours touches
        return write and made.kind in ("trigger", "rule") and made.table in metadata.tables
    return write and made.kind in ("trigger", "view")
