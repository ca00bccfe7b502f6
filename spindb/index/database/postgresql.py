"""PostgreSQL: readers see one state of the database and can't write, writers take turns."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Select,
    Table,
    Text,
    cast,
    create_engine,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from spindb.errors import DatabaseError
from spindb.extras import install_command
from spindb.index.database.models import APPLICATION_ID

if TYPE_CHECKING:
    from spindb.index.database.answer import Answer
    from spindb.index.database.watchdog import GiveUp

_LIMIT_EXCEEDED = "54000"  # the code for text that is too long for an index

# For one transaction. A statement that is sent often is still planned for its own values: a plan for any
# hyperparameter takes ten times as long. A narrow one is answered before a second process would have started.
_PLAN_AS_ASKED = """
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('parallel_setup_cost', '2500', true)
"""

_BESIDE_TABLES = (
    """
    CREATE VIEW metric_points AS
    SELECT m.run_id, m.name, (p.number - 1)::integer AS row,
           CASE WHEN m.steps IS NOT NULL OR a.steps IS NOT NULL THEN NULL
                WHEN a.series IS NULL THEN p.number - 1
                ELSE a.series[p.number] END AS epoch,
           CASE WHEN p.cell <> 'NaN' THEN p.cell END AS value,
           CASE WHEN p.cell = 'NaN' THEN 'NaN'
                WHEN p.cell IS NULL THEN m.odd_cells::json ->> (p.number - 1)::text END AS text,
           CASE WHEN m.steps IS NOT NULL THEN m.steps[p.number]
                WHEN s.steps IS NULL THEN s.series[p.number] END AS step
    FROM metrics AS m
    JOIN runs AS r ON r.id = m.run_id
    LEFT JOIN metrics AS a ON a.run_id = m.run_id AND a.name = r.axis
    LEFT JOIN metrics AS s ON s.run_id = m.run_id AND s.name = r.steps
    CROSS JOIN LATERAL unnest(m.series) WITH ORDINALITY AS p (cell, number)
    """,
    # Which values are frequent per hyperparameter: by itself it takes the two columns for independent.
    "CREATE STATISTICS st_configs_key_number (mcv) ON key, number FROM configs",
    "CREATE STATISTICS st_configs_key_canonical (mcv) ON key, canonical FROM configs",
    "ALTER STATISTICS st_configs_key_number SET STATISTICS 1000",
    "ALTER STATISTICS st_configs_key_canonical SET STATISTICS 1000",
)

# Of the schema that statements are about: triggers and rules of tables, and what stands where tables should.
_MADE_BESIDE = """
    SELECT 'trigger', t.tgname::text, c.relname::text, '' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'rule', r.rulename::text, c.relname::text, '' FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE r.rulename <> '_RETURN' AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'view' END, c.relname::text, c.relname::text, ''
    FROM pg_class c WHERE c.relkind IN ('v', 'm', 'f') AND c.relnamespace = current_schema()::regnamespace
    ORDER BY 1, 2
    """

_AGAIN = "what was committed is there; the next spindb ingest goes on"
_CREDENTIALS = "the URL, PGPASSWORD or ~/.pgpass gives the password"
_TOO_MANY = "wait, or let the server take more (max_connections): a command needs one at a time"
_RUNNING = "is the server running, and are host and port those of the URL?"
_HINTS = {
    "password authentication failed": _CREDENTIALS,
    "no password supplied": _CREDENTIALS,
    "too many clients": _TOO_MANY,
    "remaining connection slots": _TOO_MANY,
    "permission denied": "this role may not do that: docs/postgresql.md says which rights a writer needs",
    'role "': "the URL or PGUSER names the role, createuser makes one: docs/postgresql.md says which rights it needs",
    "does not exist": "createdb makes a database, spindb ingest its tables",
    "terminating connection": _AGAIN,
    "closed the connection": _AGAIN,
    "connection has been closed": _AGAIN,
    "connection is lost": _AGAIN,
    "starting up": "wait until it is",
    "connection to server": _RUNNING,
    "connection failed": _RUNNING,
    "resolve host": _RUNNING,
}


class PostgreSQL:
    """A server; see `spindb.index.database.backend.Backend`."""

    __slots__ = ()
    name = "postgresql"
    sorts_afterwards = False

    def file(self, url: URL) -> Path | None:
        return None

    def open(self, url: URL, *, write: bool) -> Engine:
        return _engine(url, write)

    def explained(self, name: str, words: str) -> DatabaseError:
        hint = next((hint for part, hint in _HINTS.items() if part in words), None)
        return DatabaseError(f"{name}: {' '.join(words.split())}", hint=hint)

    @property
    def beside_tables(self) -> Sequence[str]:
        return _BESIDE_TABLES

    @property
    def views(self) -> Mapping[str, Sequence[str]]:
        return {"metric_points": ()}

    @property
    def made_beside(self) -> str:
        return _MADE_BESIDE

    def acts_on_writes(self, kind: str, *, on_ours: bool) -> bool:
        # Others may keep views of their own beside our tables, which no statement of ours touches.
        return on_ours and kind in ("trigger", "rule")

    def before_migration(self, connection: Connection) -> None:
        """Nothing to do: tables are altered where they are."""

    def file_of(self, connection: Connection) -> Path | None:
        return None

    def insert_rows(self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Any]) -> None:
        quoted = connection.dialect.identifier_preparer
        into = f"{quoted.format_table(table)} ({', '.join(map(quoted.quote, columns))})"
        statement = f"COPY {into} FROM STDIN"
        driver: Any = connection.connection.driver_connection
        base: type[Exception] = connection.dialect.loaded_dbapi.Error
        try:
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
        except base as error:  # as SQLAlchemy would have it
            raise DBAPIError.instance(statement, None, error, base) from error

    def new_run_ids(self, connection: Connection, count: int) -> Iterator[int]:
        drawn = "SELECT nextval(pg_get_serial_sequence('runs', 'id')) FROM generate_series(1, %s)"
        return iter(connection.exec_driver_sql(drawn, (count,)).scalars().all()) if count else iter(())

    def after_copy(self, connection: Connection, tables: Collection[Table]) -> None:
        for table in tables:
            if "id" in table.c:
                last = f"SELECT coalesce(max(id), 0) + 1 FROM {table.name}"  # noqa: S608 - our own names
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                connection.execute(text(f"SELECT setval({sequence}, ({last}), false)"))

    def missing_indexes(self, connection: Connection, names: Collection[str]) -> set[str]:
        return set()

    def refuses_value(self, error: OperationalError) -> bool:
        return getattr(error.orig, "sqlstate", None) == _LIMIT_EXCEEDED

    def runs_when_counted(self, connection: Connection) -> int:
        found = connection.execute(text("SELECT reltuples FROM pg_class WHERE oid = 'runs'::regclass")).scalar_one()
        return max(0, int(found))

    def refresh_statistics(self, engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Vacuumed too: what an index holds is trusted without a look at the table only after that.
            connection.exec_driver_sql("VACUUM (ANALYZE) runs, configs, metrics")

    def integrity(self, connection: Connection) -> list[str]:
        return []

    def size(self, connection: Connection) -> int | None:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def elements(self, listed: str, *, whole: bool) -> Select[Any]:
        texts = func.jsonb_array_elements_text(cast(literal(listed, Text), JSONB)).table_valued("value")
        return select(cast(texts.c.value, BigInteger) if whole else texts.c.value)

    @property
    def describing(self) -> tuple[str, str]:
        return (
            "SELECT table_name AS name, lower(replace(table_type, 'BASE ', '')) AS type FROM information_schema.tables "
            "WHERE table_schema = current_schema ORDER BY name",
            "SELECT ordinal_position AS cid, column_name AS name, data_type AS type, is_nullable FROM "
            "information_schema.columns WHERE table_schema = current_schema AND table_name = '{}' ORDER BY cid",
        )

    def limit_reader(self, connection: Connection) -> None:
        """Nothing to do: each statement gets its limits."""

    def answer(
        self, connection: Connection, text: str, seconds: float, give_up: GiveUp | None
    ) -> AbstractContextManager[Answer]:
        from spindb.index.database import postgresql_prompt  # few questions are typed as SQL

        return postgresql_prompt.postgresql_answer(connection, text, seconds)


POSTGRESQL = PostgreSQL()


@functools.lru_cache(maxsize=16)
def _engine(url: URL, write: bool) -> Engine:
    """An engine; each connection is closed when it was used, so that commands hold none while they think.

    Writers take turns, as SQLite's do: what a transaction decides by what it read must still hold when it commits.
    """
    readers = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    try:
        engine = create_engine(url, poolclass=NullPool, execution_options={} if write else readers)
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"no driver for {url.drivername}: {error}",
            hint=f"{install_command('psycopg')}, and postgresql+psycopg://… as the URL",
        ) from None
    at_begin = f"SELECT pg_advisory_xact_lock({APPLICATION_ID})" if write else _PLAN_AS_ASKED

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(at_begin)

    return engine
