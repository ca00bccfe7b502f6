"""The benchmarks run, on very little: figures of a test mean nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

COMMANDS = {
    "versus": ("--runs", "20", "--rounds", "1", "--growth", "20", "--no-peers"),
    "filled": ("200", "1", "3"),
    "start": ("1",),
    "rescan": ("50", "1"),
    "grown": ("1",),
    "piles": ("30", "20", "200", "1"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bench_runs(name: str) -> None:
    command = [sys.executable, REPOSITORY / "bench" / f"{name}.py", *COMMANDS[name]]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
