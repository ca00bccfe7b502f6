"""Filters that people gave a name: ``@NAME`` in a filter stands for one."""

from __future__ import annotations

import re

from sqlalchemy import Connection, delete, insert, select

from spindb.errors import FilterError, NotFoundError, UsageError
from spindb.index import filters, models
from spindb.index.clock import now
from spindb.index.fields import nearest
from spindb.index.filters import Filter

_NAME = re.compile(r"[^\s=!<>~()@,:'\"]+\Z")


def saved(connection: Connection) -> dict[str, str]:
    """Every saved query by its name, sorted."""
    c = models.queries.c
    return {row.name: row.text for row in connection.execute(select(c.name, c.text).order_by(c.name))}


def save(connection: Connection, name: str, text: str) -> None:
    """Give a filter a name; a query that had it before is replaced.

    Raises:
        UsageError: the name can't stand in a filter, or the query would stand for itself.
        FilterError: the filter can't be read.
    """
    if not _NAME.match(name):
        raise UsageError(f"{name!r} can't name a query: blanks and the signs of a filter are not allowed")
    expanded(connection, filters.parse(text), text, within=(name,))
    table = models.queries
    connection.execute(delete(table).where(table.c.name == name))
    connection.execute(insert(table).values(name=name, text=text, created_at=now()))


def remove(connection: Connection, name: str) -> None:
    """Forget a saved query.

    Raises:
        NotFoundError: there is none of that name.
    """
    if not connection.execute(delete(models.queries).where(models.queries.c.name == name)).rowcount:
        raise NotFoundError(f"no saved query is called {name!r}", hint=_hint(connection, name))


def expanded(connection: Connection, tree: Filter, text: str, within: tuple[str, ...] = ()) -> Filter:
    """The tree with every ``@NAME`` replaced by the tree of that query.

    Raises:
        FilterError: there is no such query, or it stands for itself.
    """
    match tree:
        case filters.All(items):
            return filters.All(tuple(expanded(connection, item, text, within) for item in items))
        case filters.Either(items):
            return filters.Either(tuple(expanded(connection, item, text, within) for item in items))
        case filters.Not(item):
            return filters.Not(expanded(connection, item, text, within))
        case filters.Saved(name, start, end):
            if name in within:
                raise FilterError(f"@{name} stands for itself", text, start, end)
            found = connection.execute(select(models.queries.c.text).where(models.queries.c.name == name)).scalar()
            if found is None:
                message = f"no saved query is called {name!r}"
                raise FilterError(message, text, start, end, hint=_hint(connection, name))
            inner = expanded(connection, filters.parse(found), found, (*within, name))
            return filters.Within(found, inner)
    return tree


def _hint(connection: Connection, name: str) -> str:
    there = saved(connection)
    near = nearest(name, there)
    if near:
        return f"did you mean @{' or @'.join(near)}?"
    return f"saved queries: {', '.join(there)}" if there else "spindb query save NAME 'FILTER' saves one"
