"""Finds rows whose cells are not what their columns hold: SQLite takes anything, and files get damaged.

What a column holds is read off its type in `spindb.index.database.models`: times are times, flags are 0 or 1, whole
numbers are not negative, ids are those of rows that are there. ``Column.info`` says what no type can: ``json`` (what
a text is as JSON: ``object`` for any value, ``list``, ``dict``), ``signed`` (a whole number that may be negative). A
new column is checked without a line here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Double,
    Integer,
    Row,
    Table,
    Text,
    literal_column,
    select,
    text,
)

from spindb.index.database.models import SERIES, metadata

_MAX_SHOWN = 60
Judge = Callable[[Any], str | None]
"""Why a cell is not what its column holds, None where it is."""


class WrongCell(NamedTuple):
    """A cell that is not what its column holds."""

    table: str
    row: str
    column: str
    why: str

    def __str__(self) -> str:
        return f"{self.table}, {self.row}: {self.column} {self.why}"


class Undecodable(bytes):
    """A text that is no UTF-8."""


def findings(connection: Connection, limit: int | None = None) -> Iterator[WrongCell]:
    """The wrong cells of all tables, at most `limit`; each is read once, but for the series of metrics."""
    found = 0
    with _any_text(connection):
        for table in metadata.sorted_tables:
            for finding in _of_table(connection, table):
                yield finding
                found += 1
                if found == limit:
                    return


def _of_table(connection: Connection, table: Table) -> Iterator[WrongCell]:
    columns = [column for column in table.columns if column.type is not SERIES]
    keys = [columns.index(column) for column in table.primary_key.columns]
    judges = [_judge(connection, column) for column in columns]
    # Cells as the driver gives them: SQLAlchemy would convert them.
    names = ", ".join(f'"{column.name}"' for column in columns)
    for row in connection.exec_driver_sql(f'SELECT {names} FROM "{table.name}"'):  # noqa: S608 - our own names
        for column, cell, judge in zip(columns, row, judges, strict=True):
            if (why := judge(cell)) is not None:
                yield WrongCell(table.name, _row(columns, keys, row), column.name, why)
        yield from _points_to_itself(table, columns, keys, row)
    yield from _against_checks(connection, table)


def _row(columns: list[Column[Any]], keys: list[int], row: Row[Any]) -> str:
    return ", ".join(f"{columns[key].name} {shown_value(row[key])}" for key in keys)


def _points_to_itself(table: Table, columns: list[Column[Any]], keys: list[int], row: Row[Any]) -> Iterator[WrongCell]:
    for position, column in enumerate(columns):
        own = any(key.column.table is table for key in column.foreign_keys)
        if own and row[position] is not None and row[position] == row[keys[0]]:
            yield WrongCell(table.name, _row(columns, keys, row), column.name, "is the row itself")


def _against_checks(connection: Connection, table: Table) -> Iterator[WrongCell]:
    keys = list(table.primary_key.columns)
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            wrong = text(f"NOT ({constraint.sqltext})")
            cells: list[ColumnElement[Any]] = [literal_column(f'"{key.name}"') for key in keys]
            for row in connection.execute(select(*cells).select_from(text(table.name)).where(wrong)):
                named = ", ".join(f"{key.name} {shown_value(cell)}" for key, cell in zip(keys, row, strict=True))
                what = str(constraint.name).removeprefix(f"ck_{table.name}_")
                yield WrongCell(table.name, named, what, f"is none of those that there are: {constraint.sqltext}")


def _judge(connection: Connection, column: Column[Any]) -> Judge:
    """Decides whether a cell is what the column holds."""
    inner = _by_type(connection, column)

    def judge(cell: object) -> str | None:
        if cell is None:
            return None if column.nullable else "is NULL, where something is needed"
        return inner(cell)

    return judge


def _by_type(connection: Connection, column: Column[Any]) -> Judge:
    if column.foreign_keys:
        return _reference(connection, column)
    if isinstance(column.type, Boolean):
        return _flag
    if isinstance(column.type, Integer):
        return _any_whole if column.info.get("signed") else _count
    if isinstance(column.type, Double):
        return _number
    if isinstance(column.type, DateTime):
        return _time
    if isinstance(column.type, Text):
        return _json(column.info["json"]) if "json" in column.info else _text
    raise TypeError(f"{column}: what does {column.type!r} hold?")


def _reference(connection: Connection, column: Column[Any]) -> Judge:
    (key,) = column.foreign_keys
    target = key.column
    known = set(connection.exec_driver_sql(f'SELECT "{target.name}" FROM "{target.table.name}"').scalars())  # noqa: S608

    def judge(cell: object) -> str | None:
        return None if cell in known else f"is {shown_value(cell)}, which is not a row of {target.table.name}"

    return judge


def _flag(cell: object) -> str | None:
    is_flag = isinstance(cell, bool) or (type(cell) is int and cell in (0, 1))
    return None if is_flag else _not("true or false", cell)


def _any_whole(cell: object) -> str | None:
    return None if type(cell) is int else _not("a whole number", cell)


def _count(cell: object) -> str | None:
    return None if type(cell) is int and cell >= 0 else _not("a whole number of 0 or more", cell)


def _number(cell: object) -> str | None:
    return None if type(cell) in (int, float) else _not("a number", cell)


def _time(cell: object) -> str | None:
    if isinstance(cell, datetime):
        return None
    try:
        if isinstance(cell, str) and datetime.fromisoformat(cell).tzinfo is None:
            return None
    except ValueError:
        pass
    return _not("a time", cell)


def _text(cell: object) -> str | None:
    return None if isinstance(cell, str) else _not("text", cell)


def _json(kind: type[object]) -> Judge:
    def judge(cell: object) -> str | None:
        if not isinstance(cell, str):
            return _not("text", cell)
        try:
            return None if isinstance(json.loads(cell), kind) else _not(_NAMES[kind], cell)
        except (ValueError, RecursionError):
            return _not(_NAMES[kind], cell)

    return judge


_NAMES: dict[type[object], str] = {object: "JSON", list: "a JSON list", dict: "a JSON object"}


def _not(what: str, cell: object) -> str:
    return f"is not {what}: {shown_value(cell)}"


def shown_value(cell: object) -> str:
    """A cell in words."""
    if isinstance(cell, Undecodable):
        return f"a text that is no UTF-8 ({bytes(cell)[:_MAX_SHOWN]!r})"
    if isinstance(cell, bytes):
        return f"a blob of {len(cell)} bytes"
    words = repr(cell)
    return words if len(words) <= _MAX_SHOWN else f"{words[:_MAX_SHOWN]}…"


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """SQLite's texts even where they are no UTF-8, which the driver would fail on."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    before = driver.text_factory
    driver.text_factory = _decoded
    try:
        yield
    finally:
        driver.text_factory = before


def _decoded(raw: bytes) -> Any:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Undecodable(raw)
