"""A little of what `make torture` does at length: kills, full disks, crowds."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.sqlite


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "amount", "figure"), [("kill", "6", "6 kills"), ("full", "4", "4 limits"), ("crowd", "5", "18 at once")]
)
def test_nothing_is_lost(what: str, amount: str, figure: str) -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / "torture.py"), what, amount]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert figure in result.stdout
    assert "nothing lost" in result.stdout
