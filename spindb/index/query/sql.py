"""Statements that people type: only those that read, by functions that compute, for a limited time."""

from __future__ import annotations

import math
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from spindb.errors import UsageError
from spindb.index.database import statements
from spindb.index.database.allowed import OF_SQLITE
from spindb.index.database.connect import connected
from spindb.index.database.guard import foreign
from spindb.index.database.watchdog import GiveUp, watched

USUAL_SECONDS = 60
"""How long a statement may take where nothing else is said."""

_READING = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE))
_TELLING = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "schema_version")
_LARGEST_CELL = 100_000_000  # bytes
_MOST_MEMORY = 2**30  # bytes that SQLite may take

_LONGEST = 2_000_000  # seconds: PostgreSQL counts milliseconds in 32 bits

# What SQLite and PostgreSQL say, and not what a statement may name.
_OVER = re.compile("interrupted|canceling statement due to statement timeout.*", re.DOTALL)
_REFUSED = re.compile(
    r"not authorized(?: to use function: .*)?|access to .* is prohibited"
    r"|cannot execute .* in a read-only transaction.*",
    re.DOTALL,
)
# SQLite makes these tables when they are first named, by actions that the authorizer refuses.
_OF_JSON = "SELECT 1 FROM json_each('[]'), json_tree('[]')"

_DESCRIBING = {
    "sqlite": (
        "SELECT name, type FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY name",
        "PRAGMA table_info({})",
    ),
    "postgresql": (
        "SELECT table_name AS name, lower(replace(table_type, 'BASE ', '')) AS type FROM information_schema.tables "
        "WHERE table_schema = current_schema ORDER BY name",
        "SELECT ordinal_position AS cid, column_name AS name, data_type AS type, is_nullable FROM "
        "information_schema.columns WHERE table_schema = current_schema AND table_name = '{}' ORDER BY cid",
    ),
}
"""Statements that list the tables, and the columns of one."""

_OTHER_SCHEMAS = """
    SELECT nspname::text FROM pg_namespace WHERE nspname NOT IN (current_schema(), 'information_schema')
"""
# What stands before the server's own where a statement says no schema.
_OWN_FUNCTIONS = """
    SELECT proname::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION SELECT oprname::text FROM pg_operator WHERE oprnamespace = current_schema()::regnamespace
"""
_FOR_ONE_STATEMENT = """
    SELECT set_config('search_path', quote_ident(current_schema()), true),
           set_config('standard_conforming_strings', 'on', true),
           set_config('statement_timeout', %s, true)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A statement's columns, and its rows as the database gives them: each is read when it is asked for."""

    titles: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def reading(location: str | Path) -> Iterator[Connection]:
    """A connection that can't write, whatever is typed.

    SQLite asks an authorizer about each action and function of a statement. On PostgreSQL each statement has a
    read-only transaction of its own, and is sent alone, after its tokens were looked through.
    """
    with connected(location) as connection:
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            _limit_memory(driver)
        yield connection


def _limit_memory(driver: sqlite3.Connection) -> None:
    driver.execute(f"PRAGMA hard_heap_limit = {_MOST_MEMORY}")
    if sys.version_info >= (3, 11):
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_CELL)
        driver.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000)
        driver.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


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


@contextmanager
def ask(
    connection: Connection, statement: str, *, seconds: float = USUAL_SECONDS, give_up: GiveUp | None = None
) -> Iterator[Answer]:
    """The answer to one statement, for the length of a ``with``.

    Args:
        connection: of `reading`.
        statement: what was typed.
        seconds: how long it may take, the reading of its rows included; 0, or more than three weeks: any time.
        give_up: ends the process, where SQLite does not end within one call of a function; without it such a call is
            waited for.

    Raises:
        UsageError: the database does not understand it, it would do more than read, or it takes too long.
    """
    seconds = seconds if seconds < _LONGEST else 0
    text = statement.strip().rstrip(";").rstrip()
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    asked = _of_server if connection.dialect.name == "postgresql" else partial(_of_file, give_up=give_up)
    try:
        with asked(connection, text, seconds) as answer:
            yield answer
    except MemoryError:
        raise UsageError(f"it takes more than {_MOST_MEMORY >> 20} MiB of memory") from None
    except (DBAPIError, sqlite3.Warning, errors) as error:
        raise _explained(str(getattr(error, "orig", error)).strip(), statement, seconds) from None
    finally:
        connection.rollback()


def too_long(seconds: float) -> UsageError:
    """What is said of a statement whose time was over."""
    return UsageError(f"it takes longer than {seconds:g} seconds", hint="--timeout SECONDS; 0: any time")


def _explained(words: str, statement: str, seconds: float) -> UsageError:
    if _OVER.fullmatch(words):
        return too_long(seconds)
    if _REFUSED.fullmatch(words):
        why = "" if words == "not authorized" else f": {words}"
        return UsageError(f"this prompt only reads{why}", hint="spindb tag, note and archive write")
    shown = "".join(f"\n  {line}" for text in (words, statement.strip()) for line in text.splitlines())
    return UsageError(shown.removeprefix("\n  "), hint="docs/sql.md describes the tables")


@contextmanager
def _of_file(connection: Connection, text: str, seconds: float, give_up: GiveUp | None = None) -> Iterator[Answer]:
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


@contextmanager
def _of_server(connection: Connection, text: str, seconds: float) -> Iterator[Answer]:
    statement = statements.read(text)
    connection.rollback()
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            cursor.execute(_FOR_ONE_STATEMENT, (str(math.ceil(seconds * 1000)),))
            schemas = [name for (name,) in cursor.execute(_OTHER_SCHEMAS)]
            others = [name for (name,) in cursor.execute(_OWN_FUNCTIONS)]
            others += [made.name for made in foreign(connection) if made.kind not in ("trigger", "rule")]
            statements.require_known(statement, schemas, others)
            rows = cursor.stream(text)  # alone: several statements can't be sent so
            first = next(rows, None)
            titles = tuple(column.name for column in cursor.description or ())
            yield Answer(titles, _after(first, rows))
    finally:
        driver.rollback()  # what a statement may have set for its transaction ends with it


def _after(first: Sequence[Any] | None, rest: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
    if first is not None:
        yield tuple(first)
        yield from rest
