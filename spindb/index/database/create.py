"""Makes the schema in an empty database at once, as the models say, and marks it as migrated.

Migrations lead databases of older schemas here; a test compares where both ways end. A new database does
not walk through that history, and its first ingest is spared the import of Alembic.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert

from spindb.index.database.backend import backend_of
from spindb.index.database.models import REVISIONS, metadata

# As Alembic makes it.
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def create(connection: Connection) -> None:
    """Make the tables, the view and what the planner needs."""
    metadata.create_all(connection, checkfirst=False)
    for statement in backend_of(connection).beside_tables:
        connection.exec_driver_sql(statement)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(insert(_VERSION), {"version_num": REVISIONS[-1]})
