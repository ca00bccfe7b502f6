"""Statements that people type: only those that read, by functions that compute, for a limited time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from spindb.errors import UsageError
from spindb.index.database.answer import MOST_MEMORY, Answer
from spindb.index.database.backend import backend_of
from spindb.index.database.connect import connected
from spindb.index.database.watchdog import GiveUp

USUAL_SECONDS = 60
"""How long a statement may take where nothing else is said."""

_LONGEST = 2_000_000  # seconds: PostgreSQL counts milliseconds in 32 bits

# What SQLite and PostgreSQL say, and not what a statement may name.
_OVER = re.compile("interrupted|canceling statement due to statement timeout.*", re.DOTALL)
_REFUSED = re.compile(
    r"not authorized(?: to use function: .*)?|access to .* is prohibited"
    r"|cannot execute .* in a read-only transaction.*",
    re.DOTALL,
)


@contextmanager
def reading(location: str | Path) -> Iterator[Connection]:
    """A connection that can't write, whatever is typed.

    SQLite asks an authorizer about each action and function of a statement. On PostgreSQL each statement has a
    read-only transaction of its own, and is sent alone, after its tokens were looked through.
    """
    with connected(location) as connection:
        backend_of(connection).limit_reader(connection)
        yield connection


def meaning(connection: Connection, typed: str) -> str:
    """What the dot commands that people know from sqlite3 stand for."""
    command, _, name = typed.strip().partition(" ")
    name = name.strip()
    tables, columns = backend_of(connection).describing
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
    driver = connection.dialect.loaded_dbapi
    errors: tuple[type[Exception], ...] = (DBAPIError, driver.Error, driver.Warning)
    try:
        with backend_of(connection).answer(connection, text, seconds, give_up) as answer:
            yield answer
    except MemoryError:
        raise UsageError(f"it takes more than {MOST_MEMORY >> 20} MiB of memory") from None
    except errors as error:
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
