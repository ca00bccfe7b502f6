"""`spindb sql`: answers, and never writes."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, REPOSITORY, Outcome, settle

pytestmark = pytest.mark.sqlite

Cli = Callable[..., Outcome]


@pytest.fixture
def place(run_directory: Callable[..., Path], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for seed in (0, 1):
        run_directory(f"ppo_s{seed}", config=PPO_CONFIG | {"seed": seed})
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    return tmp_path


def test_answers(place: Path, cli: Cli) -> None:
    statement = "SELECT id, name, NULL AS absent FROM runs ORDER BY id;"
    assert json.loads(cli("sql", statement, "--json").out)[1] == {"id": 2, "name": "ppo_s1", "absent": None}
    assert cli("sql", statement, "--csv").out == "id,name,absent\n1,ppo_s0,\n2,ppo_s1,\n"
    table = cli("sql", statement)
    assert table.out.splitlines()[0].split() == ["id", "name", "absent"]
    assert table.err == "2 rows\n"
    assert cli("sql", "SELECT 1 WHERE 0").err == "0 rows\n"
    assert "metric_points" in cli("sql", ".tables").out
    assert "tag" in cli("sql", ".schema tags").out
    assert (
        cli("sql", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n").code
        == 0
    )


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM runs",
        "UPDATE runs SET archived = 1",
        "INSERT INTO tags VALUES (1, 'x')",
        "DROP TABLE runs",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "REINDEX",
        "ANALYZE",
    ],
)
def test_nothing_is_written(place: Path, cli: Cli, statement: str) -> None:
    before = (place / "spindb.db").read_bytes()
    outcome = cli("sql", statement)
    assert outcome.code == 2, outcome
    assert (place / "spindb.db").read_bytes() == before
    assert sorted(os.listdir(place)) == ["data", "spindb.db"]


def test_errors_name_the_statement(place: Path, cli: Cli) -> None:
    outcome = cli("sql", "SELECT absent FROM nowhere")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no such table: nowhere" in outcome.err
    assert "SELECT absent FROM nowhere" in outcome.err
    assert cli("sql", "SELECT 1; SELECT 2").code == 2


def test_statements_from_a_pipe(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("SELECT 1 AS a;\nSELECT 2\nAS b;\n"))
    assert cli("sql", "--csv").out == "a\n1\nb\n2\n"


def test_a_prompt_in_a_terminal(place: Path) -> None:
    """Typed by hand: a statement over two lines, an error that ends nothing, help, the end."""
    typed = b"SELECT name\nFROM runs WHERE id = 1;\nSELEC 1;\n.help\n.tables\n.quit\n"
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "spindb", "sql"]
    process = subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    os.write(leader, typed)
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    os.close(follower)
    text = out.decode()
    assert process.returncode == 0
    assert "ppo_s0" in text
    assert 'near "SELEC": syntax error' in text
    assert "ends, as Ctrl-D does" in text
    assert "metric_points" in text


def test_examples_work_in_any_client(place: Path) -> None:
    """Those of the pages, in Python's sqlite3 as in the sqlite3 shell."""
    found = []
    for page in ("docs/sql.md", "docs/commands.md", "docs/architecture.md"):
        text = (REPOSITORY / page).read_text()
        found += re.findall(r'spindb sql "([^"]+)"', text)
        found += re.findall(r"`(SELECT [^`]+)`", text)
        found += [
            s for block in re.findall(r"^```sql\n(.*?)^```", text, re.M | re.S) for s in block.split(";") if s.strip()
        ]
    assert len(found) >= 8
    with closing(sqlite3.connect(f"{(place / 'spindb.db').as_uri()}?mode=ro", uri=True)) as connection:
        for statement in found:
            if statement.startswith(("SELECT", "WITH")):
                connection.execute(statement).fetchall()


def test_the_page_describes_every_table() -> None:
    from spindb.index.database.models import metadata

    page = (REPOSITORY / "docs" / "sql.md").read_text()
    for table in metadata.tables:
        assert f"`{table}`" in page, table
