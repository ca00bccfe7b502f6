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

_DESCRIBING = {
    "sqlite": (
        "SELECT name, type FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY name",
        "PRAGMA table_info({})",
    ),
    "postgresql": (
        "SELECT table_name AS name, lower(replace(table_type, 'BASE ', '')) AS type FROM information_schema.tables "
        "WHERE table_schema = current_schema() ORDER BY name",
        "SELECT ordinal_position AS cid, column_name AS name, data_type AS type, is_nullable FROM "
        "information_schema.columns WHERE table_schema = current_schema() AND table_name = '{}' ORDER BY cid",
    ),
}
"""Statements that list the tables, and the columns of one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A statement's columns and rows."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@contextmanager
def reading(location: str | Path) -> Iterator[Connection]:
    """A connection that can't write, whatever is typed.

    SQLite asks an authorizer about each action of a statement. On PostgreSQL each statement has a read-only transaction
    of its own, and is prepared, which one statement can be and two can't.
    """
    with connected(location) as connection:
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


def meaning(connection: Connection, typed: str) -> str:
    """What the dot commands that people know from sqlite3 stand for."""
    command, _, name = typed.strip().partition(" ")
    name = name.strip()
    tables, columns = _DESCRIBING[connection.dialect.name]
    if command == ".tables":
        return tables
    if command == ".schema" and name.replace("_", "").isalnum():
        return columns.format(name)
    return typed


def ask(connection: Connection, statement: str) -> Answer:
    """The answer to one statement.

    Raises:
        UsageError: the database does not understand it, or it would write.
    """
    text = statement.strip().rstrip(";")
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        return (_ask_server if connection.dialect.name == "postgresql" else _ask_file)(connection, text)
    except ResourceClosedError:
        return Answer((), ())
    except (DBAPIError, sqlite3.Warning, errors) as error:
        connection.rollback()
        words = str(getattr(error, "orig", error)).strip()
        if "not authorized" in words or "read-only" in words:
            raise UsageError("this prompt only reads", hint="spindb tag, note and archive write") from None
        raise UsageError(f"{words}\n  {statement.strip()}", hint="docs/sql.md describes the tables") from None


def _ask_file(connection: Connection, text: str) -> Answer:
    if not connection.in_transaction():
        connection.begin()  # an action of its own, which the authorizer would refuse
    with _authorized(connection):
        result = connection.exec_driver_sql(text)
        return Answer(tuple(result.keys()), tuple(tuple(row) for row in result))


def _ask_server(connection: Connection, text: str) -> Answer:
    connection.rollback()
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            cursor.execute(text, prepare=True)
            if cursor.description is None:
                return Answer((), ())
            return Answer(tuple(column.name for column in cursor.description), tuple(cursor.fetchall()))
    finally:
        driver.rollback()  # what a statement may have set for its transaction ends with it
