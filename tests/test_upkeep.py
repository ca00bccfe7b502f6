"""What keeps a database for years: upgrades, backups, copies, comparing with the files, reading them again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import EVALUATION, Outcome, made_by, rows_of, settle
from servers import Server

from spindb.errors import SchemaError, UsageError
from spindb.index.database import migrate, models
from spindb.index.database.backup import back_up
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.database.models import REVISIONS
from spindb.index.maintenance.copy import differing_tables
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest

pytestmark = pytest.mark.sqlite

SCHEMAS = Path(__file__).parent / "schemas"
ROWS = ((0, 1.0), (1, "nan"), (2, "inf"), (3, "text"), (4, ""), (5, 2**60 + 1), (6, "-0.0"))
Write = Callable[..., Path]
Cli = Callable[..., Outcome]


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    server.execute("CREATE DATABASE upkeep")
    yield server.url(database="upkeep")
    server.execute("DROP DATABASE upkeep WITH (FORCE)")


@pytest.fixture
def study(run_directory: Write, database: Path, tmp_path: Path) -> Path:
    """Three runs, one a copy of another, with what people add."""
    for name in ("a", "b", "c"):
        rows = ROWS if name != "b" else ((0, 5.5),)
        run_directory(f"exp/{name}", config={"lr": 1e-3, "list": [1, 2]}, rows=rows)
    ingest(database, [tmp_path / "data"])
    with connected(database, write=True) as connection:
        connection.exec_driver_sql("INSERT INTO tags VALUES (2, 'good')")
        add_evaluation(connection, 2, EVALUATION)
    return tmp_path / "data"


# Upgrades.


def old_sqlite(revision: str, tmp_path: Path) -> str:
    place = tmp_path / "old.db"
    shutil.copy(SCHEMAS / f"{revision}.db", place)
    return str(place)


def old_postgresql(revision: str, server: Server, url: str) -> str:
    statements = (SCHEMAS / f"{revision}.sql").read_text().replace("CREATE SCHEMA public;", "")
    psql = [server.binaries / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.directory, "-U", "spindb", "upkeep"]
    subprocess.run(psql, input=statements, text=True, check=True, capture_output=True)
    return url


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_every_schema_is_upgraded_and_used(
    revision: str, kind: str, request: pytest.FixtureRequest, run_directory: Write, tmp_path: Path, cli: Cli
) -> None:
    if kind == "sqlite":
        location = old_sqlite(revision, tmp_path)
    else:
        location = old_postgresql(revision, request.getfixturevalue("server"), request.getfixturevalue("url"))
    assert cli("--db", location, "db", "upgrade").code == 0
    assert cli("--db", location, "runs", "tag:good", "--ids").out == "1\n"
    points = "SELECT row, value, text FROM metric_points WHERE run_id = 1 AND name = 'Odd' ORDER BY row"
    answer = cli("--db", location, "sql", "--jsonl", points).out.splitlines()
    assert [tuple(json.loads(line).values()) for line in answer] == [(0, None, None), (1, None, "text"), (2, 3.0, None)]
    run_directory("new")
    assert cli("--db", location, "ingest", tmp_path / "data").code in (0, 1)
    assert cli("--db", location, "tag", "3", "+new").code == 0
    assert cli("--db", location, "runs", "tag:new", "--ids").out == "3\n"
    assert "is sound" in cli("--db", location, "db", "check").err


@pytest.fixture
def a_broken_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second revision that makes a table and then fails."""
    migrations = tmp_path / "migrations"
    shutil.copytree(migrate.migrations_directory(), migrations)
    (migrations / "versions" / "9999_broken.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n\n"
        'revision = "9999"\n'
        f'down_revision = "{REVISIONS[-1]}"\n\n\n'
        "def upgrade():\n"
        '    op.create_table("half", sa.Column("id", sa.Integer()))\n'
        "    op.execute(\"UPDATE runs SET name = 'lost'\")\n"
        '    raise RuntimeError("the disk is full")\n'
    )
    monkeypatch.setattr(migrate, "migrations_directory", lambda: migrations)
    monkeypatch.setattr(migrate, "REVISIONS", (*REVISIONS, "9999"))


@pytest.mark.usefixtures("a_broken_migration")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_failed_upgrade_leaves_the_old_schema(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    revision = REVISIONS[-1]
    if kind == "sqlite":
        location = old_sqlite(revision, tmp_path)
    else:
        location = old_postgresql(revision, request.getfixturevalue("server"), request.getfixturevalue("url"))
    with pytest.raises(SchemaError, match=f"older schema {revision}"), connected(location):
        pass
    engine = open_engine(location, write=True)
    with pytest.raises(RuntimeError, match="the disk is full"):
        migrate.upgrade(engine, "it")
    with engine.connect() as connection:
        assert migrate.revision(connection) == revision
        assert connection.exec_driver_sql("SELECT name FROM runs WHERE id = 1").scalar() == "ppo_s0"
        assert "half" not in models.metadata.tables
    engine.dispose()
    if kind == "sqlite":
        (kept,) = tmp_path.glob(f"old.db.schema-{revision}-*")
        assert rows_of(kept, "SELECT count(*) FROM runs") == [(2,)]


# Backups.


def test_a_backup_is_whole_while_others_write(study: Path, database: Path, tmp_path: Path, cli: Cli) -> None:
    with connected(database, write=True) as connection:
        connection.exec_driver_sql("UPDATE runs SET name = 'unfinished'")
        outcome = cli("--db", database, "db", "backup", tmp_path / "copy.db")
    assert outcome.code == 0
    assert rows_of(tmp_path / "copy.db", "SELECT DISTINCT name FROM runs ORDER BY 1") == [("a",), ("b",), ("c",)]
    assert sorted(p.name for p in tmp_path.iterdir() if "copy" in p.name) == ["copy.db"]
    assert cli("--db", database, "db", "backup", tmp_path / "copy.db").code == 2
    beside = cli("--db", database, "db", "backup")
    assert beside.code == 0
    assert len(list(tmp_path.glob("spindb.db.backup-*"))) == 1


def test_backups_that_can_not_be_made_are_said(study: Path, database: Path, tmp_path: Path, cli: Cli) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        back_up(database, tmp_path / "nowhere" / "copy.db")
    assert cli("--db", tmp_path / "absent.db", "db", "backup").code == 3
    refused = cli("--db", "postgresql+psycopg://x@/y", "db", "backup")
    assert refused.code == 2
    assert "pg_dump" in refused.err


# The index against the files.


def test_a_deep_check_compares_with_the_files(study: Path, database: Path, cli: Cli) -> None:
    deep = ("--db", database, "db", "check", "--deep")
    assert cli(*deep).code == 0
    with connected(database, write=True) as connection:
        connection.exec_driver_sql("UPDATE configs SET value = '0.5', number = 0.5 WHERE run_id = 1 AND key = 'lr'")
    (study / "exp" / "b" / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t7\n")
    shutil.rmtree(study / "exp" / "c")
    assert cli("--db", database, "db", "check").code == 0
    found = cli(*deep)
    assert found.code == 1
    assert "run 1: its hyperparameters are not those of its files" in found.err
    assert "run 2: its files changed since they were read" in found.err
    assert "run 3: its directory is gone" in found.err
    assert "spindb db rebuild reads all files again" in found.err
    told = cli(*deep, "--json")
    assert told.code == 1
    assert len(json.loads(told.out)["damage"]) == 3


def test_a_rebuild_reads_all_again_and_keeps_what_people_added(
    study: Path, database: Path, tmp_path: Path, cli: Cli
) -> None:
    before = rows_of(database, "SELECT id, name, copy_of FROM runs ORDER BY id")
    with connected(database, write=True) as connection:
        connection.exec_driver_sql("UPDATE metrics SET last = 99, series = '[99]' WHERE run_id = 2")
        connection.exec_driver_sql("DELETE FROM configs")
    outcome = cli("--db", database, "db", "rebuild")
    assert outcome.code == 0
    assert "3 runs read again" in outcome.err
    assert cli("--db", database, "db", "check", "--deep").code == 0
    assert rows_of(database, "SELECT id, name, copy_of FROM runs ORDER BY id") == before
    assert rows_of(database, "SELECT run_id, tag FROM tags") == [(2, "good")]
    assert rows_of(database, "SELECT run_id FROM evaluations") == [(2,)]
    assert len(list(tmp_path.glob("spindb.db.backup-*"))) == 1
    study.rename(tmp_path / "moved")
    refused = cli("--db", database, "db", "rebuild")
    assert refused.code == 3
    assert "roots that are gone" in refused.err
    assert rows_of(database, "SELECT count(*) FROM runs WHERE status = 'ok'") == [(3,)]


# Copies.


def test_a_lab_moves_to_a_server_and_back(study: Path, database: Path, url: str, tmp_path: Path, cli: Cli) -> None:
    there = cli("db", "copy", database, url)
    assert there.code == 0, there.err
    assert "compared row by row" in there.err
    assert cli("--db", url, "runs", "tag:good", "--ids").out == "2\n"
    back = tmp_path / "back.db"
    assert cli("db", "copy", url, back).code == 0
    with connected(database) as first, connected(back) as last, connected(url) as between:
        assert differing_tables(first, last) == []
        assert differing_tables(first, between) == []
    assert cli("--db", back, "db", "check", "--deep").code == 0
    cell = "SELECT text FROM metric_points WHERE run_id = 1 AND name = 'AverageEpRet' AND row = 3"
    assert rows_of(back, cell) == [("text",)]
    for location in (url, str(back)):  # ids go on
        assert cli("--db", location, "note", "1", "moved").code == 0
        (directory := tmp_path / "more" / "d").mkdir(parents=True, exist_ok=True)
        (directory / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t1\n")
        settle(tmp_path / "more")
        assert cli("--db", location, "ingest", tmp_path / "more").code in (0, 1)
        assert rows_of(Path(location), "SELECT max(id) FROM runs") == [(4,)] if location != url else True


def test_a_copy_that_differs_is_seen(study: Path, database: Path, tmp_path: Path, cli: Cli) -> None:
    other = tmp_path / "other.db"
    assert cli("db", "copy", database, other).code == 0
    refused = cli("db", "copy", database, other)
    assert refused.code == 2
    assert "copy into an empty database" in refused.err
    for change in (
        "UPDATE metrics SET series = '[1.5]' WHERE run_id = 2 AND name = 'AverageEpRet'",
        "DELETE FROM tags",
    ):
        with connected(other, write=True) as connection:
            connection.exec_driver_sql(change)
    with connected(database) as left, connected(other) as right:
        assert [line.partition(":")[0] for line in differing_tables(left, right)] == ["metrics", "tags"]


def test_a_copy_that_fails_leaves_nothing(
    study: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.setattr("spindb.index.maintenance.copy.differing_tables", lambda *_: ["runs: row 1 differs"])
    outcome = cli("db", "copy", database, tmp_path / "other.db")
    assert outcome.code == 4
    assert "the copy differs from its source" in outcome.err
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        assert other.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_the_schemas_that_are_kept_are_those_of_the_migrations() -> None:
    assert sorted(path.stem for path in SCHEMAS.glob("*.db")) == list(REVISIONS)
    assert sorted(path.stem for path in SCHEMAS.glob("*.sql")) == list(REVISIONS)


def test_the_last_schema_that_is_kept_is_that_of_the_models(database: Path) -> None:
    migrate.upgrade(open_engine(database, write=True), "it")
    assert made_by(SCHEMAS / f"{REVISIONS[-1]}.db") == made_by(database)
