"""Creates, checks and upgrades the schema: the only module that knows Alembic, and imports it late."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, inspect, text

from spindb.errors import SchemaError
from spindb.index.database.backend import backend_of
from spindb.index.database.backup import back_up, beside
from spindb.index.database.create import create
from spindb.index.database.engine import migrating
from spindb.index.database.guard import refuse_foreign
from spindb.index.database.models import REVISIONS

State = Literal["absent", "current", "older", "newer", "foreign"]


def migrations_directory() -> Path:
    """Where the migrations lie: inside the installed package, else beside it in a checkout."""
    package = Path(str(files("spindb")))
    packaged = package / "migrations"
    return packaged if os.path.isdir(packaged) else package.parent / "migrations"


def revision(connection: Connection) -> str | None:
    """The schema revision that the database says it has."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found is not None else None


def state(connection: Connection) -> State:
    """How the database's schema stands to this spindb."""
    found = revision(connection)
    if found is None:
        return "foreign" if inspect(connection).get_table_names() else "absent"
    if found == REVISIONS[-1]:
        return "current"
    return "older" if found in REVISIONS else "newer"


def check(connection: Connection, name: str, *, write: bool = False) -> None:
    """Refuse the database called `name` unless it has exactly this spindb's schema, and nothing foreign in it.

    Raises:
        SchemaError: it has another schema.
        DatabaseError: it holds what is not used (see `refuse_foreign`).
    """
    found = state(connection)
    if found == "current":
        refuse_foreign(connection, name, write=write)
    if found == "absent":
        raise SchemaError(f"{name} is empty: nothing was ingested yet", hint="spindb ingest DATA_DIR")
    if found == "foreign":
        raise SchemaError(
            f"{name} is a database, but not one of spindb's", hint="name another file with --db or SPINDB_URL"
        )
    if found == "older":
        raise SchemaError(
            f"{name} has the older schema {revision(connection)}, this spindb needs {REVISIONS[-1]}",
            hint="spindb db upgrade",
        )
    if found == "newer":
        raise SchemaError(
            f"{name} has schema {revision(connection)}, which is newer than this spindb knows ({REVISIONS[-1]})",
            hint="pip install --upgrade spindb",
        )


def upgrade(engine: Engine, name: str) -> tuple[str | None, str]:
    """Create the schema or bring it up to date, in one transaction; returns revisions before and after.

    Raises:
        SchemaError: the database is not one of spindb's, or newer than this spindb.
    """
    _back_up_older(engine)
    with migrating(engine) as connection:
        if state(connection) in ("foreign", "newer"):
            check(connection, name)
        refuse_foreign(connection, name, write=True)
        before = revision(connection)
        if before is None:
            create(connection)
        elif before != REVISIONS[-1]:
            _run_migrations(connection)
        return before, REVISIONS[-1]


def _back_up_older(engine: Engine) -> None:
    """A file of an older schema is copied before it is touched."""
    with engine.connect() as connection:
        older = revision(connection) if state(connection) == "older" else None
        file = backend_of(engine).file_of(connection) if older else None
    if older and file:
        back_up(file, beside(file, f"schema-{older}"))


def _run_migrations(connection: Connection) -> None:
    from alembic import command  # half a second, when a schema changes and never else
    from alembic import config as alembic_config

    config = alembic_config.Config()
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    command.upgrade(config, "head")
