"""What differs between the databases stands in one place for each, and only the one that is used is loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

import spindb
from spindb.errors import DatabaseError
from spindb.index.database.backend import backend_named
from spindb.index.database.series import packed
from spindb.ingest.pipeline import ingest

PACKAGE = Path(spindb.__file__).parent
OF_ONE = ("sqlite", "postgresql", "backend", "models", "cells", "series", "engine")
"""Modules of `spindb.index.database` that may name a kind of database."""


def test_no_other_module_asks_which_database_it_is() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "database" and path.stem in OF_ONE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                words = ast.unparse(node)
                if ("dialect.name" in words or "engine.name" in words) and "'" in words:
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {words}")
    assert found == []


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_each_knows_its_name_and_how_series_are_kept_there(name: str) -> None:
    backend = backend_named(name)
    assert backend.name == name
    assert backend is backend_named(name)
    assert packed([1.0], backend.name)[0] == {"sqlite": "[1.0]", "postgresql": "{1.0}"}[name]


def test_a_database_that_is_not_supported_is_an_error() -> None:
    with pytest.raises(DatabaseError, match="mysql is not supported"):
        backend_named("mysql")


def test_only_a_file_has_a_path() -> None:
    assert backend_named("sqlite").file(make_url("sqlite:////a/b.db")) == Path("/a/b.db")
    assert backend_named("sqlite").file(make_url("sqlite://")) is None
    assert backend_named("postgresql").file(make_url("postgresql+psycopg://server/lab")) is None


def test_errors_of_a_server_have_hints() -> None:
    error = backend_named("postgresql").explained("lab", "FATAL:  sorry, too many\n clients already: too many clients")
    assert str(error).startswith("lab: FATAL: sorry, too many clients already")
    assert error.hint is not None
    assert "max_connections" in error.hint


@pytest.mark.sqlite
def test_a_question_of_a_file_loads_nothing_of_servers(
    run_directory: Callable[..., Path], database: Path, tmp_path: Path
) -> None:
    run_directory("a_s0", config={"lr": 0.1})
    ingest(database, [tmp_path / "data"])
    code = f"import sys; from spindb.cli.app import run; run(['--db', {str(database)!r}, 'runs', 'lr=0.1']); "
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "spindb.index.database.sqlite" in loaded
    others = {"postgresql", "postgresql_prompt", "sqlite_prompt", "statements", "watchdog", "damage"}
    assert loaded.isdisjoint(f"spindb.index.database.{name}" for name in others)
    assert "psycopg" not in loaded
