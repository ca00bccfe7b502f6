"""Alembic's environment: spindb hands its connection in `config.attributes`.

By hand (``alembic upgrade head``) it is the database that the command line would take: ``$SPINDB_URL``, else the
nearest ``spindb.db`` upward; ``alembic -x db=PLACE upgrade head`` names another.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from spindb.index.database.engine import migrating, open_engine
from spindb.index.database.models import metadata
from spindb.location import find_database


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    named = context.get_x_argument(as_dictionary=True).get("db") or context.config.get_main_option("sqlalchemy.url")
    with migrating(open_engine(find_database(named), write=True)) as opened:
        run(opened)
