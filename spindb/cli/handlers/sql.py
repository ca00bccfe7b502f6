"""Runs SQL statements that read, one or many from a prompt or stdin."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from sqlite3 import complete_statement
from types import NoneType
from typing import NoReturn

from spindb.cli.terminal.data import Format, print_csv, print_json_lines, print_json_rows
from spindb.cli.terminal.door import OutputError, close_output, say_error
from spindb.cli.terminal.tables import cell, plural, print_table, say
from spindb.errors import UsageError
from spindb.index.database.answer import Answer
from spindb.index.query.sql import ask, meaning, reading, too_long
from spindb.signals import active, exit_code, words

_MOST_ROWS = 10_000  # of a table
_MOST_TEXT = 20_000_000  # characters of its cells
_SAYS_NOTHING = re.compile(r"(?:[\s;]|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_HELP = (
    ".tables       the tables",
    ".schema NAME  the columns of one",
    ".quit         ends, as Ctrl-D does",
    "A statement ends with a semicolon and may go over several lines.",
)


def run_statements(location: str, statement: str | None, timeout: float, chosen: Format) -> None:
    """Run the statement and print its rows; without one run those of stdin, or of a prompt.

    Raises:
        UsageError: a statement that is wrong, writes or takes too long; at a prompt it is printed only.
    """

    def give_up(signal: str | None) -> NoReturn:
        # The statement is inside one call of an SQL function, which nothing but the end of the process ends.
        error = too_long(timeout)
        if signal is None:
            say_error(error)
        else:
            say(words(signal))
        with contextlib.suppress(OutputError):
            close_output()
        os._exit(error.exit_code if signal is None else exit_code(signal))

    with reading(location) as connection:
        for typed in [statement] if statement is not None else _typed():
            try:
                with ask(connection, meaning(connection, typed), seconds=timeout, give_up=give_up) as answer:
                    _print(answer, chosen)
            except UsageError as error:
                if statement is not None or not sys.stdin.isatty() or active().received is not None:
                    raise
                say_error(error)


def _typed() -> Iterator[str]:
    """Statements from stdin, with a prompt where it is a terminal."""
    if not sys.stdin.isatty():
        yield from _statements(sys.stdin.read())
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives `input` history and editing
    say("only reading; .tables, .schema NAME, .help, .quit")
    say("")
    lines: list[str] = []
    while True:
        try:
            line = input("   ...> " if lines else "spindb> ")
        except EOFError:
            say("")
            return
        except KeyboardInterrupt:
            if active().received not in (None, "SIGINT"):
                raise
            active().forget()  # Ctrl-C drops what was typed, as it does in every shell
            say("")
            lines = []
            continue
        if not lines and line.strip() in (".quit", ".exit", "quit", "exit"):
            return
        if not lines and line.strip() == ".help":
            for text in _HELP:
                say(text)
            continue
        lines.append(line)
        if complete_statement("\n".join(lines)) or lines[0].startswith("."):
            yield "\n".join(lines)
            lines = []


def _statements(text: str) -> Iterator[str]:
    """The statements of a text, without those of comments alone; a semicolon within a string or a comment ends none."""
    statement = ""
    # sqlite3.complete_statement knows strings and comments: a semicolon within one is put back.
    for part in text.split(";"):
        statement += part + ";"
        if complete_statement(statement):
            if not _SAYS_NOTHING.fullmatch(statement):
                yield statement.strip()
            statement = ""
    if not _SAYS_NOTHING.fullmatch(statement):
        yield statement.strip()


def _print(answer: Answer, chosen: Format) -> None:
    if chosen == "json":
        print_json_rows(answer.titles, answer.rows)
    elif chosen == "jsonl":
        print_json_lines(answer.titles, answer.rows)
    elif chosen == "csv":
        print_csv(answer.titles, answer.rows)
    else:
        _print_table(answer)


def _print_table(answer: Answer) -> None:
    """As many rows as a table may hold: it is laid out when all of it is known."""
    rows: list[list[str | int | float | None]] = []
    room = _MOST_TEXT
    more = False
    for row in answer.rows:
        # One more row is asked for than is shown: that alone says whether there are more.
        if more := len(rows) == _MOST_ROWS or room < 0:
            break
        cells = [value if isinstance(value, (int, float, NoneType)) else cell(value) for value in row]
        room -= sum(len(text) if isinstance(text, str) else 1 for text in cells)
        rows.append(cells)
    if rows:
        print_table(answer.titles, rows)
    if more:
        say(f"the first {plural(len(rows), 'row')}, more were not read: --csv and --jsonl print all, LIMIT chooses")
    else:
        say(plural(len(rows), "row"))
