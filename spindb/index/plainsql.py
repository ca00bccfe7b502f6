"""Statements that people type: only those that read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from spindb.errors import UsageError
from spindb.index.connect import connected

_READING = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
_TELLING = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "schema_version")


@dataclass(frozen=True, slots=True)
class Answer:
    """A statement's columns and rows."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@contextmanager
def reading(location: str | Path) -> Iterator[Connection]:
    """A connection that can't write, whatever is typed.

    SQLite asks an authorizer about each action of a statement; PostgreSQL has read-only transactions.
    """
    with connected(location) as connection:
        if connection.dialect.name != "sqlite":
            connection.rollback()
            connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connection.commit()
        yield connection


@contextmanager
def _authorized(connection: Connection) -> Iterator[None]:
    """For the statement alone: ending its transaction is an action too."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.set_authorizer(_authorize)
    try:
        yield
    finally:
        driver.set_authorizer(lambda *_: sqlite3.SQLITE_OK)  # None takes it off from Python 3.11 on only


def _authorize(action: int, first: str | None, *_: Any) -> int:
    if action in _READING or (action == sqlite3.SQLITE_PRAGMA and first in _TELLING):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def ask(connection: Connection, statement: str) -> Answer:
    """The answer to one statement.

    Raises:
        UsageError: the database does not understand it, or it would write.
    """
    if not connection.in_transaction():
        connection.begin()  # an action of its own, which the authorizer would refuse
    try:
        with _authorized(connection):
            result = connection.exec_driver_sql(statement.strip().rstrip(";"))
            return Answer(tuple(result.keys()), tuple(tuple(row) for row in result))
    except ResourceClosedError:
        return Answer((), ())
    except (DBAPIError, sqlite3.Warning) as error:
        connection.rollback()
        words = str(getattr(error, "orig", error)).strip()
        if "not authorized" in words or "read-only" in words:
            raise UsageError("this prompt only reads", hint="spindb tag, note and archive write") from None
        raise UsageError(f"{words}\n  {statement.strip()}", hint="docs/sql.md describes the tables") from None
