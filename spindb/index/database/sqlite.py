"""SQLite: WAL, foreign keys on; writers take the write lock when they begin (pysqlite would defer it and fail later),
everyone waits for a lock instead of failing."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sqlite3
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    DateTime,
    Engine,
    Select,
    Table,
    Text,
    create_engine,
    event,
    func,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from spindb.errors import DatabaseError
from spindb.index.database.cells import read_with_care
from spindb.index.database.models import APPLICATION_ID

if TYPE_CHECKING:
    from spindb.index.database.answer import Answer
    from spindb.index.database.watchdog import GiveUp

_BUSY_SECONDS = 30.0
_CACHE = "cache_size = -65536"  # KiB
# The schema of a file is its maker's: no function in it may do more than compute.
_UNTRUSTED = "trusted_schema = OFF"
# Nothing is written into a damaged page. Readers meet damage where they read it: a look at every cell of every page
# costs a narrow question a tenth of its time.
_WARY = "cell_size_check = ON"
_PAGE = "page_size = 8192"  # bytes, of new files: series of 100 epochs fill smaller pages badly
_MAPPED = "mmap_size = 4294967296"  # bytes: pages are looked at where they lie

# One row per logged value. `value` is NULL where the cell is no number; then `text` says what it is
# ("NaN", or what was written), and both are NULL where the cell was empty. `epoch` is the cell of the
# run's axis in the same row, or the row number where the run has none; a metric with steps of its own
# has no rows in common with the axis. `step` is its own step, or what the run's steps count in that row.
_METRIC_POINTS = """
    CREATE VIEW metric_points AS
    SELECT m.run_id, m.name, p.key AS row,
           CASE WHEN m.steps IS NOT NULL OR a.steps IS NOT NULL THEN NULL
                WHEN a.series IS NULL THEN p.key
                ELSE json_extract(a.series, '$[' || p.key || ']') END AS epoch,
           CASE WHEN p.type IN ('integer', 'real') THEN p.value
                WHEN p.value = 'Infinity' THEN 9e999
                WHEN p.value = '-Infinity' THEN -9e999 END AS value,
           CASE WHEN p.type = 'text' AND p.value NOT IN ('Infinity', '-Infinity') THEN p.value END AS text,
           CASE WHEN m.steps IS NOT NULL THEN json_extract(m.steps, '$[' || p.key || ']')
                WHEN s.steps IS NULL THEN json_extract(s.series, '$[' || p.key || ']') END AS step
    FROM metrics AS m
    JOIN runs AS r ON r.id = m.run_id
    LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
    LEFT JOIN metrics AS s ON s.run_id = m.run_id AND s.name = r.steps
    JOIN json_each(m.series) AS p
    """
_METRIC_POINTS_BEFORE_0004 = """
    CREATE VIEW metric_points AS
    SELECT m.run_id, m.name, p.key AS row,
           CASE WHEN a.series IS NULL THEN p.key ELSE json_extract(a.series, '$[' || p.key || ']') END AS epoch,
           CASE WHEN p.type IN ('integer', 'real') THEN p.value
                WHEN p.value = 'Infinity' THEN 9e999
                WHEN p.value = '-Infinity' THEN -9e999 END AS value,
           CASE WHEN p.type = 'text' AND p.value NOT IN ('Infinity', '-Infinity') THEN p.value END AS text
    FROM metrics AS m
    JOIN runs AS r ON r.id = m.run_id
    LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
    JOIN json_each(m.series) AS p
    """


class SQLite:
    """A file, or a database in memory; see `spindb.index.database.backend.Backend`."""

    __slots__ = ()
    name = "sqlite"
    sorts_afterwards = True

    def file(self, url: URL) -> Path | None:
        return None if not url.database or url.database == ":memory:" else Path(url.database)

    def open(self, url: URL, *, write: bool) -> Engine:
        path = self.file(url)
        if path is not None:
            if os.path.isdir(path):
                raise DatabaseError(f"{path} is a directory, not a database")
            if not write and not os.path.exists(path):
                raise DatabaseError(f"no database at {path}", hint="spindb ingest DATA_DIR creates it")
            if write and not os.path.isdir(path.parent):
                raise DatabaseError(f"the directory {path.parent} does not exist")
            if write:
                _create(path)
        return _engine(url.database or ":memory:", write)

    def explained(self, name: str, words: str) -> DatabaseError:
        if "file is not a database" in words or "malformed" in words:
            return DatabaseError(f"{name} is not a SQLite database, or it is damaged ({words})")
        if "locked" in words:
            return DatabaseError(f"{name} is locked by another program for more than {_BUSY_SECONDS:.0f} seconds")
        return DatabaseError(f"{name}: {words}")

    @property
    def beside_tables(self) -> Sequence[str]:
        return f"PRAGMA application_id = {APPLICATION_ID}", _METRIC_POINTS

    @property
    def views(self) -> Mapping[str, Sequence[str]]:
        return {"metric_points": (_METRIC_POINTS, _METRIC_POINTS_BEFORE_0004)}

    @property
    def made_beside(self) -> str:
        return (
            "SELECT CASE WHEN sql LIKE 'CREATE VIRTUAL%' THEN 'virtual table' ELSE type END, name, tbl_name, sql "
            "FROM sqlite_master WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%' ORDER BY type, name"
        )

    def acts_on_writes(self, kind: str, *, on_ours: bool) -> bool:
        return kind in ("trigger", "view")

    def before_migration(self, connection: Connection) -> None:
        # Only outside of transactions can this be said.
        _driver(connection).execute("PRAGMA foreign_keys = OFF")

    def file_of(self, connection: Connection) -> Path | None:
        file = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
        return Path(file) if file else None

    def insert_rows(self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Any]) -> None:
        columns, rows = _without_nulls(table, columns, rows)
        quoted = connection.dialect.identifier_preparer
        into = f"{quoted.format_table(table)} ({', '.join(map(quoted.quote, columns))})"
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {into} VALUES ({places})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, list(_with_times(connection, table, columns, rows)))

    def new_run_ids(self, connection: Connection, count: int) -> Iterator[int]:
        last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").scalar()
        return itertools.count((last or 0) + 1)

    def after_copy(self, connection: Connection, tables: Collection[Table]) -> None:
        """Nothing to do: SQLite goes on from the greatest id that it was given."""

    def missing_indexes(self, connection: Connection, names: Collection[str]) -> set[str]:
        there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'").scalars()
        return set(names).difference(there)

    def refuses_value(self, error: OperationalError) -> bool:
        return False

    def runs_when_counted(self, connection: Connection) -> int:
        if not inspect(connection).has_table("sqlite_stat1"):
            return 0
        row = connection.execute(text("SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs'")).first()
        return int(row.stat.split()[0]) if row else 0

    def refresh_statistics(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")  # in full: a second for 100,000 runs; samples misled the planner

    def integrity(self, connection: Connection) -> list[str]:
        lines = connection.execute(text("PRAGMA integrity_check")).scalars()
        return [str(line) for line in lines if line != "ok"]

    def size(self, connection: Connection) -> int | None:
        file = self.file_of(connection)
        return None if file is None else file.stat().st_size

    def elements(self, listed: str, *, whole: bool) -> Select[Any]:
        return select(func.json_each(literal(listed, Text)).table_valued("value").c.value)

    @property
    def describing(self) -> tuple[str, str]:
        return (
            "SELECT name, type FROM sqlite_master "
            "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY name",
            "PRAGMA table_info({})",
        )

    def limit_reader(self, connection: Connection) -> None:
        from spindb.index.database import sqlite_prompt  # few questions are typed as SQL

        sqlite_prompt.limit_sqlite_memory(_driver(connection))

    def answer(
        self, connection: Connection, text: str, seconds: float, give_up: GiveUp | None
    ) -> AbstractContextManager[Answer]:
        from spindb.index.database import sqlite_prompt  # as above

        return sqlite_prompt.sqlite_answer(connection, text, seconds, give_up)


SQLITE = SQLite()


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _without_nulls(table: Table, columns: Sequence[str], rows: Sequence[Any]) -> tuple[Sequence[str], Sequence[Any]]:
    """The same without columns that are NULL in every row, where NULL is what the column then gets.

    To bind None, Python's sqlite3 looks for an adapter of its class, which takes longer than to bind a number.
    """
    null = {
        place
        for place, name in enumerate(columns)
        if table.c[name].nullable and table.c[name].server_default is None and all(row[place] is None for row in rows)
    }
    kept = [place for place in range(len(columns)) if place not in null]
    if len(kept) == len(columns) or len(kept) < 2:  # of one column `itemgetter` makes no tuples
        return columns, rows
    return [columns[place] for place in kept], list(map(itemgetter(*kept), rows))


def _with_times(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Any]
) -> Sequence[Sequence[Any]]:
    """The rows, times as the text that SQLite keeps them as: it has no type for them."""
    dialect = connection.dialect
    converters: dict[int, Any] = {}
    for place, name in enumerate(columns):
        kind = table.c[name].type
        if isinstance(kind, DateTime) and (convert := kind.dialect_impl(dialect).bind_processor(dialect)):
            converters[place] = convert
    if not converters:
        return rows
    written = [list(row) for row in rows]
    for row in written:
        for place, convert in converters.items():
            row[place] = convert(row[place])
    return list(map(tuple, written))


# Making an engine takes three times as long as a narrow question. It holds no connection: what was opened is closed
# after use, so that a process may go on after a fork, and a file may be replaced.
@functools.lru_cache(maxsize=16)
def _engine(database: str, write: bool) -> Engine:
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
