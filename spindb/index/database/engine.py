"""Opens a database: SQLite files by path, anything else by SQLAlchemy URL."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from spindb.errors import DatabaseError, UsageError
from spindb.files import is_utf8
from spindb.index.database.backend import backend_named, backend_of

# What goes wrong while a connection is closed, interrupts included, is logged there with a traceback; nothing is lost.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())

_MAX_SHOWN = 200  # characters


def database_url(location: str | Path) -> URL:
    """The URL of a database given as a path or as a URL.

    Raises:
        DatabaseError: it looks like a URL and is none that can be used; it is no UTF-8, as SQLite wants it.
    """
    text = str(location)
    if "://" not in text:
        return URL.create("sqlite", database=_absolute(text))
    try:
        url = make_url(text)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise DatabaseError(f"not a database URL: {error}", hint="sqlite:///path/to/spindb.db, for instance") from None
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return url.set(database=_absolute(url.database))
    return url


def _absolute(path: str) -> str:
    absolute = os.path.abspath(path)
    if not is_utf8(absolute):
        raise DatabaseError(f"the path {absolute} is not UTF-8: SQLite can't open files there", hint="rename it")
    return absolute


def shown_location(location: str | Path) -> str:
    """How a database is named in what is printed: as it was given, its password left out."""
    text = str(location)
    return text if "://" not in text else database_url(text).render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite database, None for other databases and for one in memory."""
    return backend_named(url.get_backend_name()).file(url)


def open_engine(location: str | Path, *, write: bool = False) -> Engine:
    """An engine for the database at `location`, made once; a reader's connection can't write.

    Raises:
        DatabaseError: there is no such file (readers), it is a directory, or the kind of database is not supported.
    """
    url = database_url(location)
    return backend_named(url.get_backend_name()).open(url, write=write)


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """One transaction that may make tables anew."""
    with engine.connect() as connection:
        backend_of(engine).before_migration(connection)
        with connection.begin():
            yield connection


@contextmanager
def database_errors(location: str | Path) -> Iterator[None]:
    """Turn what the driver raises into `DatabaseError` with the database's name; text that no database takes (a path
    or a word that is no UTF-8) into `UsageError`."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{_cut(repr(error.object))} is not UTF-8 text: a database can't hold it",
            hint="rename the file or directory",
        ) from error
    except DBAPIError as error:
        raise _explained(error.orig, location) from error
    except sqlite3.Error as error:
        raise _explained(error, location) from error


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _explained(error: BaseException | None, location: str | Path) -> DatabaseError:
    """What went wrong, and what to do."""
    url = database_url(location)
    backend = backend_named(url.get_backend_name())
    name = str(backend.file(url) or url.render_as_string(hide_password=True).removeprefix("sqlite:///"))
    return backend.explained(name, str(error).strip())
