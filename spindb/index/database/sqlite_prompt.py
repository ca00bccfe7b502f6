"""Statements that people type to SQLite: an authorizer looks at each action and function, a thread at the time."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from spindb.index.database.allowed import OF_SQLITE
from spindb.index.database.answer import MOST_MEMORY, Answer
from spindb.index.database.guard import foreign
from spindb.index.database.watchdog import GiveUp, watched

_READING = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE))
_TELLING = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "schema_version")
_LARGEST_CELL = 100_000_000  # bytes
# SQLite makes these tables when they are first named, by actions that the authorizer refuses.
_OF_JSON = "SELECT 1 FROM json_each('[]'), json_tree('[]')"


def limit_sqlite_memory(driver: sqlite3.Connection) -> None:
    """Limit what one statement may take."""
    driver.execute(f"PRAGMA hard_heap_limit = {MOST_MEMORY}")
    if sys.version_info >= (3, 11):
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_CELL)
        driver.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000)
        driver.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


@contextmanager
def sqlite_answer(connection: Connection, text: str, seconds: float, give_up: GiveUp | None) -> Iterator[Answer]:
    """The answer to one statement; see `spindb.index.query.sql.ask`."""
    if not connection.in_transaction():
        connection.begin()  # an action of its own, which the authorizer would refuse
    driver: Any = connection.connection.driver_connection
    hidden = frozenset(made.name for made in foreign(connection))
    driver.execute(_OF_JSON).close()
    driver.set_authorizer(_authorizer(hidden))
    cursor = driver.cursor()
    try:
        with watched(driver, seconds, give_up) as watch:
            watch.execute(cursor, text)
            yield Answer(tuple(column[0] for column in cursor.description or ()), watch.rows(cursor))
    finally:
        cursor.close()
        driver.set_authorizer(lambda *_: sqlite3.SQLITE_OK)  # None takes it off from Python 3.11 on only


def _authorizer(hidden: frozenset[str]) -> Callable[..., int]:
    """What SQLite asks before each action; `hidden` are views and virtual tables that spindb did not make."""

    def authorize(action: int, first: str | None, second: str | None, _: str | None, within: str | None) -> int:
        if within in hidden or (action == sqlite3.SQLITE_READ and first in hidden):
            return sqlite3.SQLITE_DENY
        if action in _READING or action == sqlite3.SQLITE_READ:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second is not None and second.lower() in OF_SQLITE:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and first in _TELLING:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return authorize
