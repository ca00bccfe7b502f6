"""The schema: migrations make what the models say, and other databases are refused in words."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import made_by
from sqlalchemy import Connection, inspect

from spindb.errors import DatabaseError, SchemaError
from spindb.index.database import migrate
from spindb.index.database import sqlite as sqlite_module
from spindb.index.database.create import create
from spindb.index.database.engine import database_errors, migrating, open_engine
from spindb.index.database.models import APPLICATION_ID, REVISIONS, metadata
from spindb.index.database.sqlite import network_file_system

pytestmark = pytest.mark.sqlite


def test_a_new_database_is_as_the_models_say(database: Path) -> None:
    engine = open_engine(database, write=True)
    assert migrate.upgrade(engine, "x") == (None, REVISIONS[-1])
    assert migrate.upgrade(engine, "x") == (REVISIONS[-1], REVISIONS[-1])
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert inspect(connection).get_view_names() == ["metric_points"]
        assert connection.exec_driver_sql("PRAGMA application_id").scalar() == APPLICATION_ID
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_directory()))
    return config


def test_migrations_lead_to_what_a_new_database_has(tmp_path: Path) -> None:
    migrate.upgrade(open_engine(tmp_path / "new.db", write=True), "x")
    with migrating(open_engine(tmp_path / "migrated.db", write=True)) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    new, migrated = (made_by(tmp_path / name) for name in ("new.db", "migrated.db"))
    assert new == migrated
    assert {"runs", "metrics", "metric_points", "ix_runs_fingerprint"} <= new.keys()


def test_the_list_of_revisions_is_that_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_down_again(database: Path) -> None:
    engine = open_engine(database, write=True)
    migrate.upgrade(engine, "x")
    config = alembic_config()
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_creation_that_fails_leaves_nothing_behind(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: Connection) -> None:
        create(connection)
        raise RuntimeError("the disk is full")

    engine = open_engine(database, write=True)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "create", fail)
        with pytest.raises(RuntimeError):
            migrate.upgrade(engine, "x")
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    migrate.upgrade(engine, "x")


def check(database: Path) -> None:
    with database_errors(database):
        engine = open_engine(database)
        with engine.connect() as connection:
            migrate.check(connection, "it")


def test_databases_that_are_none_or_others(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no database at"):
        check(tmp_path / "nowhere.db")
    with pytest.raises(DatabaseError, match="is a directory"):
        check(tmp_path)
    text = tmp_path / "text.db"
    text.write_text("not a database at all, just some words that go on for a while\n" * 100)
    with pytest.raises(DatabaseError, match="not a SQLite database"):
        check(text)
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(SchemaError, match="nothing was ingested"):
        check(empty)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE recipes (id INTEGER)")
    connection.close()
    with pytest.raises(SchemaError, match="not one of spindb's"):
        check(other)
    with pytest.raises(SchemaError, match="not one of spindb's"):
        migrate.upgrade(open_engine(other, write=True), "it")


def test_older_and_newer_schemas(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.upgrade(open_engine(database, write=True), "it")
    monkeypatch.setattr(migrate, "REVISIONS", (*REVISIONS, "9999"))
    with pytest.raises(SchemaError, match="older schema") as caught:
        check(database)
    assert caught.value.hint == "spindb db upgrade"
    monkeypatch.setattr(migrate, "REVISIONS", ("0000",))
    with pytest.raises(SchemaError, match="newer than this spindb"):
        check(database)
    with pytest.raises(SchemaError, match="newer than this spindb"):
        migrate.upgrade(open_engine(database, write=True), "it")


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatabaseError, match="not a database URL"):
        open_engine("nonsense://x")
    with pytest.raises(DatabaseError, match="mysql is not supported") as caught:
        open_engine("mysql+pymysql://user:secret@host/x")
    assert "secret" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    migrate.upgrade(open_engine("sqlite:///relative.db", write=True), "it")
    check(tmp_path / "relative.db")


MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:1 - nfs4 server:/home rw
31 22 0:41 / /home/local rw - xfs /dev/sdb rw
32 22 0:42 / /mnt/with\\040blank rw - fuse.sshfs host:/ rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/data/x.db", None), ("/home/me/x.db", "nfs4"), ("/home/local/x.db", None), ("/mnt/with blank/x", "fuse.sshfs")],
)
def test_network_file_systems_are_noticed(path: str, kind: str | None, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert network_file_system(Path(path), tmp_path / "mountinfo") == kind
    assert network_file_system(Path(path), tmp_path / "nowhere") is None


def test_on_a_network_file_system_nothing_is_logged_ahead(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "network_file_system", lambda path: "nfs4")
    engine = open_engine(database, write=True)
    migrate.upgrade(engine, "it")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    check(database)


def test_odd_characters_in_paths(tmp_path: Path) -> None:
    odd = tmp_path / "50% of #1? ü"
    odd.mkdir()
    migrate.upgrade(open_engine(odd / "spin db.db", write=True), "it")
    check(odd / "spin db.db")
    assert [p.name for p in odd.iterdir()] == ["spin db.db"]


def test_readers_need_no_writable_directory(tmp_path: Path, unprivileged: None) -> None:
    place = tmp_path / "shelf"
    place.mkdir()
    migrate.upgrade(open_engine(place / "spindb.db", write=True), "it")
    (place / "spindb.db").chmod(0o444)
    place.chmod(0o555)
    check(place / "spindb.db")
    assert [p.name for p in place.iterdir()] == ["spindb.db"]
    with pytest.raises(DatabaseError, match=r"readonly|unable to open"), database_errors(place / "spindb.db"):
        migrate.upgrade(open_engine(place / "spindb.db", write=True), "it")
    place.chmod(0o755)


def test_readers_cannot_write(database: Path) -> None:
    migrate.upgrade(open_engine(database, write=True), "it")
    engine = open_engine(database)
    with pytest.raises(DatabaseError, match="readonly"), database_errors(database), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM runs")
