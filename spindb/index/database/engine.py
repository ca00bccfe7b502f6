"""Opens a database: SQLite files by path, anything else by SQLAlchemy URL.

PostgreSQL: readers see one state of the database and can't write, writers take turns.
SQLite: WAL, foreign keys on, writers take the write lock when they begin (pysqlite would defer it and
fail later), everyone waits for a lock instead of failing.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from spindb.errors import DatabaseError, UsageError
from spindb.extras import installing
from spindb.files import is_text
from spindb.index.database.cells import read_with_care
from spindb.index.database.models import APPLICATION_ID

# What goes wrong while a connection is closed, interrupts included, is logged there with a traceback; nothing is lost.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())

_BUSY_SECONDS = 30.0
_MAX_SHOWN = 200  # characters
_CACHE = "cache_size = -65536"  # KiB
# The schema of a file is its maker's: no function in it may do more than compute.
_UNTRUSTED = "trusted_schema = OFF"
# Nothing is written into a damaged page. Readers meet damage where they read it: a look at every cell of every page
# costs a narrow question a tenth of its time.
_WARY = "cell_size_check = ON"
_PAGE = "page_size = 8192"  # bytes, of new files: series of 100 epochs fill smaller pages badly
_MAPPED = "mmap_size = 4294967296"  # bytes: pages are looked at where they lie


# PostgreSQL, for one transaction. A question that is asked often is still planned for what it asks: a plan for any
# hyperparameter takes ten times as long. A narrow one is answered before a second process would have started.
_PLAN_AS_ASKED = """
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('parallel_setup_cost', '2500', true)
"""


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
    if not is_text(absolute):
        raise DatabaseError(f"the path {absolute} is not UTF-8: SQLite can't open files there", hint="rename it")
    return absolute


def shown(location: str | Path) -> str:
    """How a database is named in what is printed: as it was given, its password left out."""
    text = str(location)
    return text if "://" not in text else database_url(text).render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite database, None for other databases and for one in memory."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def open_engine(location: str | Path, *, write: bool = False) -> Engine:
    """An engine for the database at `location`, made once; a reader's SQLite connection can't write.

    Raises:
        DatabaseError: there is no such file (readers), or it is a directory.
    """
    url = database_url(location)
    path = sqlite_path(url)
    if url.get_backend_name() != "sqlite":
        return _server(url, write)
    if path is not None:
        if os.path.isdir(path):
            raise DatabaseError(f"{path} is a directory, not a database")
        if not write and not os.path.exists(path):
            raise DatabaseError(f"no database at {path}", hint="spindb ingest DATA_DIR creates it")
        if write and not os.path.isdir(path.parent):
            raise DatabaseError(f"the directory {path.parent} does not exist")
    if write and path is not None:
        _create(path)
    return _file(url.database or ":memory:", write)


# Making an engine takes three times as long as a narrow question. It holds no connection: what was opened is closed
# after use, so that a process may go on after a fork, and a file may be replaced.
_kept = functools.lru_cache(maxsize=16)


@_kept
def _file(database: str, write: bool) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: _connect(database, write), poolclass=NullPool)
    read_with_care(engine)
    begin = "BEGIN IMMEDIATE" if write else "BEGIN"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _create(path: Path) -> None:
    """A file that is not there yet is made for its owner alone; SQLite gives the files beside it the same rights."""
    with contextlib.suppress(OSError):  # it is there, or opening it says what is wrong
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


@_kept
def _server(url: URL, write: bool) -> Engine:
    """A database server; each connection is closed when it was used, so that commands hold none while they think.

    Writers take turns, as SQLite's do: what a transaction decides by what it read must still hold when it commits.
    """
    if url.get_backend_name() != "postgresql":
        raise DatabaseError(f"{url.get_backend_name()} is not supported", hint="SQLite and PostgreSQL are")
    readers = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    try:
        engine = create_engine(url, poolclass=NullPool, execution_options={} if write else readers)
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"no driver for {url.drivername}: {error}",
            hint=f"{installing('psycopg')}, and postgresql+psycopg://… as the URL",
        ) from None
    at_begin = f"SELECT pg_advisory_xact_lock({APPLICATION_ID})" if write else _PLAN_AS_ASKED

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(at_begin)

    return engine


def _connect(database: str, write: bool) -> sqlite3.Connection:
    if write or database == ":memory:":
        journal = "DELETE" if network_file_system(Path(database)) else "WAL"
        writer = (_WARY, _UNTRUSTED, _PAGE, "foreign_keys = ON", f"journal_mode = {journal}", "synchronous = NORMAL")
        return _sqlite(database, "rwc", *writer)
    # A file that another machine shortens while it is mapped ends the process.
    reading = (_CACHE,) if network_file_system(Path(database)) else (_CACHE, _MAPPED)
    if _unpacks_untrusted():
        reading = (*reading, _UNTRUSTED)
    if _writable(database) and _writable(os.path.dirname(database)):
        # Opened for writing although it never writes: only such a connection tidies the log away.
        return _sqlite(database, "rw", "query_only = ON", *reading)
    try:
        return _sqlite(database, "ro", "schema_version", *reading)
    except sqlite3.OperationalError:
        # A WAL database in a directory where nothing may be written has no place for its shared
        # memory; without a log beside it the file alone is complete.
        if os.path.exists(database + "-wal"):
            raise
        return _sqlite(database, "ro&immutable=1", *reading)


@functools.cache
def _unpacks_untrusted() -> bool:
    """Whether views of a schema that is not trusted may call JSON functions, as ``metric_points`` does: some versions
    of SQLite took these for unsafe. There a reader, which runs no trigger, trusts; it knows no function but SQLite's.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as probe:
        probe.execute("CREATE VIEW v AS SELECT json_extract('[1]', '$[0]')")
        probe.execute(f"PRAGMA {_UNTRUSTED}")
        try:
            probe.execute("SELECT * FROM v").fetchall()
        except sqlite3.Error:
            return False
    return True


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """One transaction that may make tables anew.

    SQLite's foreign keys are off in it, which can only be said before one begins.
    """
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.execute("PRAGMA foreign_keys = OFF")
        with connection.begin():
            yield connection


_NETWORK_TYPES = ("nfs", "cifs", "smb", "9p", "afs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.sshfs")


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the file system that `path` lies on where it is one shared over a network, else None.

    WAL keeps shared memory beside the database, which such file systems don't share between machines;
    there the older rollback journal is used. Known from Linux's table of mounts (proc(5)); elsewhere None.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split(" ")[4].encode().decode("unicode_escape") if left.count(" ") > 4 else ""
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if mount and inside and len(mount) >= len(best):
            best, kind = mount, right.split(" ")[0]
    return kind if kind.startswith(_NETWORK_TYPES) else None


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _sqlite(database: str, mode: str, *pragmas: str) -> sqlite3.Connection:
    uri = database if database == ":memory:" else f"{Path(database).as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
    except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
        connection.close()
        raise sqlite3.DatabaseError("database disk image is malformed: its schema is not text") from error
    except sqlite3.Error:
        connection.close()
        raise
    return connection


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


_SERVER_HINTS = {
    "password authentication failed": "the URL, PGPASSWORD or ~/.pgpass gives the password",
    "no password supplied": "the URL, PGPASSWORD or ~/.pgpass gives the password",
    "too many clients": "wait, or let the server take more (max_connections): a command needs one at a time",
    "remaining connection slots": "wait, or let the server take more (max_connections): a command needs one at a time",
    "permission denied": "this role may not do that: docs/postgresql.md says which rights a writer needs",
    'role "': "the URL or PGUSER names the role, createuser makes one: docs/postgresql.md says which rights it needs",
    "does not exist": "createdb makes a database, spindb ingest its tables",
    "terminating connection": "what was committed is there; the next spindb ingest goes on",
    "closed the connection": "what was committed is there; the next spindb ingest goes on",
    "connection has been closed": "what was committed is there; the next spindb ingest goes on",
    "connection is lost": "what was committed is there; the next spindb ingest goes on",
    "starting up": "wait until it is",
    "connection to server": "is the server running, and are host and port those of the URL?",
    "connection failed": "is the server running, and are host and port those of the URL?",
    "resolve host": "is the server running, and are host and port those of the URL?",
}


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _explained(error: Any, location: str | Path) -> DatabaseError:
    """What went wrong, and what to do."""
    url = database_url(location)
    shown = str(sqlite_path(url) or url.render_as_string(hide_password=True).removeprefix("sqlite:///"))
    text = str(error).strip()
    if "file is not a database" in text or "malformed" in text:
        return DatabaseError(f"{shown} is not a SQLite database, or it is damaged ({text})")
    if "locked" in text:
        return DatabaseError(f"{shown} is locked by another program for more than {_BUSY_SECONDS:.0f} seconds")
    if url.get_backend_name() == "sqlite":
        return DatabaseError(f"{shown}: {text}")
    hint = next((hint for words, hint in _SERVER_HINTS.items() if words in text), None)
    return DatabaseError(f"{shown}: {' '.join(text.split())}", hint=hint)
