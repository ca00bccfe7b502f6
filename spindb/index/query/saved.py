"""Filters that people gave a name: ``@NAME`` in a filter stands for one."""

from __future__ import annotations

import re

from sqlalchemy import Connection, delete, insert, select

from spindb.errors import NotFoundError, UsageError
from spindb.index.database import models
from spindb.index.query import language
from spindb.index.query.fields import nearest
from spindb.index.query.language import Filter
from spindb.machine import now

_MAX_REPEATED = 10_000  # tests; queries that name each other twice stand for twice as many at each step
_NAME = re.compile(r"[^\s=!<>~()@,:'\"]+\Z")


def saved(connection: Connection) -> dict[str, str]:
    """Every saved query by its name, sorted."""
    c = models.queries.c
    return {row.name: row.text for row in connection.execute(select(c.name, c.text).order_by(c.name))}


def save_query(connection: Connection, name: str, text: str) -> Filter:
    """Give a filter a name; a query that had it before is replaced. Returns what the filter was read as.

    Raises:
        UsageError: the name can't stand in a filter, or the query would stand for itself.
        FilterError: the filter can't be read.
    """
    if not _NAME.match(name):
        raise UsageError(f"{name!r} can't be the name of a query: blanks and operators are not allowed")
    tree = expanded(connection, language.parse(text), within=(name,))
    table = models.queries
    connection.execute(delete(table).where(table.c.name == name))
    connection.execute(insert(table).values(name=name, text=text, created_at=now()))
    return tree


def remove_query(connection: Connection, name: str) -> None:
    """Forget a saved query.

    Raises:
        NotFoundError: there is none of that name.
    """
    if not connection.execute(delete(models.queries).where(models.queries.c.name == name)).rowcount:
        raise NotFoundError(f"no saved query is called {name!r}", hint=_hint(connection, name))


def expanded(connection: Connection, tree: Filter, within: tuple[str, ...] = ()) -> Filter:
    """The tree with every ``@NAME`` replaced by the tree of that query, whose names and values know its own text.

    Raises:
        FilterError: there is no such query, it refers to itself, or the whole is too deep or too large.
    """
    return _Expansion(connection).of(tree, within, 0)


class _Expansion:
    """Replaces saved queries by their trees; each is read once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.read: dict[str, Filter] = {}
        self.tests = 0
        self.repeated = 0

    def of(self, tree: Filter, within: tuple[str, ...], depth: int) -> Filter:
        match tree:
            case language.All(items):
                return tree._replace(items=tuple(self.of(item, within, depth) for item in items))
            case language.Either(items):
                return language.Either(tuple(self.of(item, within, depth + 1) for item in items))
            case language.Not(item):
                return language.Not(self.of(item, within, depth + 1))
            case language.SavedQuery():
                return self.saved(tree, within, depth + 1)
        self.tests += 1
        return tree

    def saved(self, query: language.SavedQuery, within: tuple[str, ...], depth: int) -> Filter:
        name = query.text
        if name in within:
            raise query.error(f"@{name} refers to itself")
        again, before = name in self.read, self.tests
        if not again:
            found = self.connection.execute(select(models.queries.c.text).where(models.queries.c.name == name)).scalar()
            if found is None:
                raise query.error(f"no saved query is called {name!r}", _hint(self.connection, name))
            self.read[name] = language.parse(found)
        if depth > language.MAX_DEPTH:
            raise query.error(f"more than {language.MAX_DEPTH} levels of parentheses, not and saved queries")
        inner = self.of(self.read[name], (*within, name), depth)
        self.repeated += (self.tests - before) * again
        if self.repeated > _MAX_REPEATED:
            raise query.error(f"saved queries repeat each other's tests more than {_MAX_REPEATED} times")
        return inner


def _hint(connection: Connection, name: str) -> str:
    there = saved(connection)
    near = nearest(name, there)
    if near:
        return f"did you mean @{' or @'.join(near)}?"
    return f"saved queries: {', '.join(there)}" if there else "spindb query save NAME 'FILTER' saves one"
