"""Statements that people type to PostgreSQL: sent alone, read-only, when their tokens were looked through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from spindb.index.database import statements
from spindb.index.database.answer import Answer
from spindb.index.database.guard import foreign

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


@contextmanager
def postgresql_answer(connection: Connection, text: str, seconds: float) -> Iterator[Answer]:
    """The answer to one statement; see `spindb.index.query.sql.ask`."""
    statement = statements.read_sql_statement(text)
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
