"""What a type checker sees of spindb in somebody's project: ``py.typed`` is there, and the public names have types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = """
import spindb
from spindb.logger import EpochLogger, setup_logger_kwargs

db = spindb.open("spindb.db")
ids: list[int] = db.ids("env=CartPole-v1")
policy = spindb.load_policy(3, itr=10)
action = policy([0.0, 0.0, 0.0, 0.0])
logger = EpochLogger(**setup_logger_kwargs("mine", seed=0))
logger.log_tabular("Epoch", 0)
"""
WRONG = """
import spindb

spindb.load_policy(3, iteration=10)
number: int = spindb.open("spindb.db").ids("")
"""


def checked(text: str, place: Path) -> tuple[int, str]:
    (place / "client.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", str(place), "client.py"]
    result = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.sqlite
def test_a_client_is_checked_strictly(tmp_path: Path) -> None:
    assert checked(CLIENT, tmp_path) == (0, "Success: no issues found in 1 source file\n")
    code, said = checked(WRONG, tmp_path)
    assert code == 1
    assert 'Unexpected keyword argument "iteration" for "load_policy"' in said
    assert "Incompatible types in assignment" in said
