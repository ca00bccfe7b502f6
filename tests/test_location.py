"""Fault 9: a current directory that was deleted is said in words, by every command that needs one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.sqlite

NEEDING = (
    "ingest .|ingest data|ingest . --dry-run|show .|path .|snapshots ./x|diff ./a ./b|tag . +x|note . x|archive ./a|"
    "rm . --yes|test-policy . -nr|relocate a b|db copy a b|sweep ./x"
)
OF_THE_DATABASE = (
    "runs|show 1|path 1|params|metrics|doctor|query list|compare|plot|export configs|tag|best|db info|db check|"
    "db backup|db dump|db rebuild|db upgrade"
)


@pytest.fixture
def gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_directory: Callable[..., Path], cli: Callable[..., Any]
) -> Path:
    """A database elsewhere; the current directory is deleted."""
    run_directory("a", config="{", rows=((0, 1.0),))
    cli("--db", tmp_path / "there.db", "ingest", tmp_path / "data")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    return tmp_path


@pytest.mark.parametrize("words", NEEDING.split("|"))
def test_9_a_deleted_directory_is_words_where_a_path_is_relative(
    gone: Path, cli: Callable[..., Any], words: str
) -> None:
    found = cli("--db", gone / "there.db", *words.split())
    assert (found.code, found.err.splitlines()[0]) == (
        3,
        "error: the current directory is gone: it was deleted, or its disk was unmounted",
    )


@pytest.mark.parametrize("words", OF_THE_DATABASE.split("|"))
def test_9_a_deleted_directory_is_words_where_no_database_is_named(
    gone: Path, cli: Callable[..., Any], words: str
) -> None:
    for before in ((), ("--db", "relative.db")):
        found = cli(*before, *words.split())
        assert found.code == 3
        assert "error: the current directory is gone" in found.err


def test_9_what_needs_no_directory_works_without_one(gone: Path, cli: Callable[..., Any]) -> None:
    database = ("--db", gone / "there.db")
    assert cli(*database, "runs").code == 0
    assert cli(*database, "show", 1).code == 0
    (gone / "data" / "a" / "progress.txt").write_text("Epoch\n0\t1\n")
    again = cli(*database, "ingest", gone / "data")
    assert again.code == 1
    assert f"{gone}/data/a" in again.err


def test_9_python_m_starts_without_a_directory(gone: Path) -> None:
    command = [sys.executable, "-m", "spindb", "runs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "the current directory is gone" in done.stderr
