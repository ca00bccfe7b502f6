"""Schema 0004 on databases of every earlier schema with data in them: up, down, killed midway, and used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import layouts
import pytest
from alembic import command
from conftest import Outcome
from test_layouts import deep, scalars, several
from test_migrations import execute, migrate, rows, tables
from test_upkeep import old_postgresql, old_sqlite, url

from spindb.analysis.drawing.panels import PlotSpec, arranged
from spindb.disk import formats
from spindb.index.database.connect import connected
from spindb.index.database.models import REVISIONS
from spindb.ingest.pipeline import ingest

__all__ = ["url"]  # a fixture
pytestmark = pytest.mark.sqlite
KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
Cli = Callable[..., Outcome]
Rows = dict[str, list[str]]


def location_of(revision: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        return old_sqlite(revision, tmp_path)
    return old_postgresql(revision, request.getfixturevalue("server"), request.getfixturevalue("url"))


def points(location: str) -> list[tuple[object, ...]]:
    return rows(location, "SELECT run_id, name, row, epoch, value, text FROM metric_points ORDER BY run_id, name, row")


@KINDS
def test_up_and_down_again_is_what_was(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    location = location_of("0003", kind, request, tmp_path)
    before, seen = tables(location), points(location)
    assert before["metrics"]
    assert before["evaluations"]
    migrate(location, lambda c: command.upgrade(c, "0004"))
    assert points(location) == seen
    assert rows(location, "SELECT DISTINCT steps FROM metrics") == [(None,)]
    assert rows(location, "SELECT DISTINCT part FROM runs") == [(None,)]
    migrate(location, lambda c: command.downgrade(c, "0003"))
    assert tables(location) == before
    assert points(location) == seen


@KINDS
@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (
            "metrics",
            "UPDATE metrics SET steps = {} WHERE name = 'Odd' AND run_id = 2",
            "metrics with steps of their own",
        ),
        ("runs", "UPDATE runs SET part = 'x#1' WHERE id = 2", "a directory that they share"),
    ],
)
def test_down_refuses_what_it_would_lose(
    table: str, change: str, said: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    location = location_of("0004", kind, request, tmp_path)
    execute(location, change.format("'[1,2,3]'" if kind == "sqlite" else "'{1,2,3}'"))
    before = tables(location)
    with pytest.raises(RuntimeError, match=rf"schema 0003 can't hold {said}.* 1 runs have \(ids 2\)") as caught:
        migrate(location, lambda c: command.downgrade(c, "0003"))
    assert tables(location) == before
    execute(location, str(caught.value).partition("nothing was changed. ")[2].removesuffix(" drops them"))
    migrate(location, lambda c: command.downgrade(c, "0003"))
    assert len(tables(location)["runs"]) == (2 if table == "metrics" else 1)


KILLED = """
import os, signal, sys
from alembic import op
from spindb.index.database import migrate
from spindb.index.database.engine import open_engine
execute = op.execute
def killing(statement, *rest, **options):
    if {word!r} in str(statement):
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(statement, *rest, **options)
op.execute = killing
migrate.upgrade(open_engine(sys.argv[1], write=True), "it")
"""


@KINDS
@pytest.mark.parametrize("word", ["VIEW metric_points AS", "DROP VIEW"])
def test_killed_midway_the_old_schema_stays(
    word: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if (kind, word) == ("postgresql", "DROP VIEW"):
        pytest.skip("PostgreSQL replaces the view")
    location = location_of("0003", kind, request, tmp_path)
    before = tables(location)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, "-c", KILLED.format(word=word), location], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert tables(location) == before
    assert points(location)
    migrate(location, lambda c: command.upgrade(c, "head"))
    assert {name: len(found) for name, found in tables(location).items()} == {n: len(f) for n, f in before.items()}


@KINDS
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_every_schema_takes_runs_of_every_layout(
    revision: str,
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formats, "LAYOUTS", (*formats.LAYOUTS, *layouts.ALL))
    location = location_of(revision, kind, request, tmp_path)
    kept = points(location)
    assert cli("--db", location, "db", "upgrade").code == 0
    assert points(location) == kept
    data = tmp_path / "data"
    deep(data)
    scalars(data)
    several(data, "a", "b")
    assert ingest(location, [data]).new == 4
    assert points(location)[: len(kept)] == kept
    deep_check = cli("--db", location, "db", "check", "--deep")
    assert (deep_check.code, "is sound" in deep_check.err) == (0, True), deep_check.err
    assert cli("--db", location, "runs", "tag:good", "--ids").out == "1\n"
    assert cli("--db", location, "runs", "eval/return.max>6", "--ids").out == "4\n"
    with connected(location) as connection:
        (panel,) = arranged(connection, [4], PlotSpec(per_run=True)).panels
        old = arranged(connection, [1, 2], PlotSpec(per_run=True)).panels[0]
    assert (panel.lines[0].x.tolist(), panel.lines[0].y.tolist()) == ([10, 30], [5, 7])
    assert old.lines[0].x.tolist() == [0]
    assert cli("--db", location, "export", "metrics").code == 0
