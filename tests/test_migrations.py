"""Migrations of databases that hold data: nothing is lost on the way up and down, on both engines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text
from test_upkeep import old_postgresql, old_sqlite, url

from spindb.index.database import migrate as schema
from spindb.index.database.engine import migrating, open_engine

__all__ = ["url"]  # a fixture
pytestmark = pytest.mark.sqlite


def location_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the first schema, with data and what people added."""
    if kind == "sqlite":
        return old_sqlite("0001", tmp_path)
    return old_postgresql("0001", request.getfixturevalue("server"), request.getfixturevalue("url"))


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(schema.migrations_directory()))
    return made


def migrate(location: str, step: Callable[[Config], None]) -> None:
    engine = open_engine(location, write=True)
    with migrating(engine) as connection:
        using = config()
        using.attributes["connection"] = connection
        step(using)
    engine.dispose()


def execute(location: str, *statements: str) -> None:
    engine = open_engine(location, write=True)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def tables(location: str) -> dict[str, list[str]]:
    """Every table with its rows as text."""
    engine = open_engine(location)
    with engine.connect() as connection:
        found = {
            name: sorted(str(dict(row._mapping)) for row in connection.execute(text(f"SELECT * FROM {name}")))
            for name in inspect(connection).get_table_names()
        }
    engine.dispose()
    return found


def rows(location: str, statement: str) -> list[tuple[object, ...]]:
    engine = open_engine(location)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_up_and_down_again_loses_nothing(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    location = location_of(kind, request, tmp_path)
    spelled = "UPDATE configs SET value = '\"1e-3\"', type = 'str' WHERE key = 'pi_lr' AND run_id = 1"
    execute(location, "UPDATE runs SET signature = NULL", spelled, "DELETE FROM runs WHERE id = 2")
    before = tables(location)
    assert before["tags"]
    assert before["evaluations"]
    assert before["metrics"]

    migrate(location, lambda c: command.upgrade(c, "0002"))
    assert rows(location, "SELECT canonical FROM configs WHERE key = 'pi_lr'") == [("0.001",)]
    assert {name: len(found) for name, found in tables(location).items()} == {n: len(f) for n, f in before.items()}
    assert rows(location, "SELECT count(*) FROM metric_points") == [(9,)]

    migrate(location, lambda c: command.downgrade(c, "0001"))
    assert tables(location) == before
    assert rows(location, "SELECT count(*) FROM metric_points") == [(9,)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_id_of_a_run_that_is_gone_is_not_given_again(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    location = location_of(kind, request, tmp_path)
    execute(location, "DELETE FROM runs WHERE id = 2")
    migrate(location, lambda c: command.upgrade(c, "0002"))
    columns = "root_id, path, name, format, status, rows, ingested_at, fingerprint, metrics_size, metrics_digest"
    values = "1, 'x', 'x', 'x', 'policy', 0, '2026-01-01 00:00:00', '', 0, ''"
    execute(location, f"INSERT INTO runs ({columns}, config_digest) VALUES ({values}, '')")
    assert rows(location, "SELECT max(id) FROM runs") == [(3,)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_verdicts_come_and_go_with_their_columns(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    location = location_of(kind, request, tmp_path)
    migrate(location, lambda c: command.upgrade(c, "0002"))
    before = tables(location)
    migrate(location, lambda c: command.upgrade(c, "0003"))
    assert rows(location, "SELECT verdict, power FROM evaluations") == [(None, None)]
    execute(location, "UPDATE evaluations SET verdict = 'differs', logged_mean = 50.0")
    migrate(location, lambda c: command.downgrade(c, "0002"))
    assert tables(location) == before


def test_tables_are_not_made_anew_while_foreign_keys_delete(tmp_path: Path) -> None:
    location = old_sqlite("0001", tmp_path)
    using = config()
    engine = open_engine(location, write=True)
    with engine.connect() as connection:
        using.attributes["connection"] = connection
        with pytest.raises(RuntimeError, match="foreign keys must be off"):
            command.upgrade(using, "head")
    engine.dispose()
    assert tables(location)["tags"]


def test_alembic_by_hand_upgrades_a_database_with_data(tmp_path: Path) -> None:
    location = old_sqlite("0001", tmp_path)
    using = config()
    using.set_main_option("sqlalchemy.url", f"sqlite:///{location}")
    command.upgrade(using, "head")
    assert tables(location)["tags"]
    assert rows(location, "SELECT version_num FROM alembic_version") == [(schema.REVISIONS[-1],)]


@pytest.mark.sqlite
@pytest.mark.parametrize("how", ["nearest", "variable", "argument"])
def test_alembic_by_hand_goes_where_the_command_line_would(how: str, tmp_path: Path) -> None:
    location = str(Path(old_sqlite("0001", tmp_path)).rename(tmp_path / "spindb.db"))
    (tmp_path / "below").mkdir()
    checkout = Path(__file__).parent.parent
    more = ["-x", f"db={location}"] if how == "argument" else []
    environment = {name: value for name, value in os.environ.items() if name != "SPINDB_URL"}
    environment |= {"SPINDB_URL": str(location)} if how == "variable" else {}
    upgrade = [sys.executable, "-m", "alembic", "-c", str(checkout / "alembic.ini"), *more, "upgrade", "head"]
    place = tmp_path / "below" if how == "nearest" else Path("/")
    subprocess.run(upgrade, cwd=place, env={**environment, "PYTHONPATH": str(checkout)}, check=True)
    assert rows(location, "SELECT version_num FROM alembic_version") == [(schema.REVISIONS[-1],)]
