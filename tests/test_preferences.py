"""What stays set for a user, and where runs are looked for when nobody names a directory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from spindb.errors import NotFoundError
from spindb.logger import EpochLogger, data_directory
from spindb.logger.places import data_to_ingest
from spindb.preferences import place

Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of whom nothing is known, in a directory without data."""
    monkeypatch.delenv("SPINDB_CONFIG", raising=False)
    monkeypatch.delenv("SPINDB_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return tmp_path


def test_the_data_directory_stays_set(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_directory() == Path("data")
    assert cli("config", "data_dir").code == 3
    assert cli("config", "data_dir", "../runs").err == f"written to {home}/home/.config/spindb/config.json\n"
    monkeypatch.chdir("/")
    assert cli("config", "data_dir").out == f"{home}/runs\n"
    assert data_directory() == home / "runs"
    with EpochLogger(exp_name="walk", quiet=True) as logger:
        assert logger.output_dir.parent == home / "runs"
    monkeypatch.setenv("SPINDB_DATA_DIR", "/elsewhere")
    assert data_directory() == Path("/elsewhere"), "the variable goes before"
    monkeypatch.delenv("SPINDB_DATA_DIR")
    assert cli("config", "data_dir", "--unset").code == 0
    assert json.loads(cli("config", "--json").out) == {"data_dir": None}


def test_ingest_takes_what_was_set_and_says_so(cli: Cli, home: Path, run_directory: Callable[..., Path]) -> None:
    made = run_directory("a_s0", config={"seed": 0}, rows=[(0, 1.0)], header=("Epoch", "AverageEpRet"))
    (home / "runs").mkdir()
    made.rename(home / "runs" / "a_s0")
    assert cli("config", "data_dir", home / "runs").code == 0
    found = cli("ingest")
    assert f"no directory was named: {home}/runs is ingested" in found.err
    assert "1 new" in found.err


def test_ingest_without_a_directory_says_where_it_looked(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cli("ingest")
    assert found.code == 3
    assert "none is at data; $SPINDB_DATA_DIR and spindb config data_dir are not set" in found.err
    (home / "lib" / "spinup").mkdir(parents=True)
    (home / "lib" / "spinup" / "__init__.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(str(home / "lib"))
    with pytest.raises(NotFoundError, match=f"none is at data, {home}/lib/data"):
        data_to_ingest()
    (home / "lib" / "data").mkdir()
    assert data_to_ingest() == home / "lib" / "data"


def test_the_current_directory_is_no_installed_package(home: Path) -> None:
    here = Path.cwd()
    (here / "spinup").mkdir()
    (here / "spinup" / "__init__.py").touch()
    command = "from spindb.logger.places import _of_spinning_up as f; print(f())"
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"data_dir": 3}'])
def test_a_damaged_file_is_named(cli: Cli, text: str) -> None:
    place().parent.mkdir(parents=True)
    place().write_text(text)
    found = cli("config")
    assert found.code == 2
    assert str(place()) in found.err
    assert cli("ingest").code == 2


def test_only_what_can_be_set_is_set(cli: Cli) -> None:
    found = cli("config", "colour", "blue")
    assert (found.code, found.err.splitlines()[1]) == (2, "hint: settings: data_dir")
    assert cli("config", "--unset").code == 2
    assert cli("config", "data_dir", "x", "--unset").code == 2
