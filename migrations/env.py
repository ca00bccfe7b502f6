"""Alembic's environment: spindb hands its connection in `config.attributes`; alembic.ini names a URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from spindb.index.engine import migrating, open_engine
from spindb.index.models import metadata


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None, "alembic.ini names no sqlalchemy.url"
    with migrating(open_engine(url, write=True)) as opened:
        run(opened)
