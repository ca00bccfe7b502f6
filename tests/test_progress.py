"""The line under a rollout, in a terminal of its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from test_engines import EXAMPLE

from spindb.cli.terminal.progress import mean_and_error

PLAY = ("-m", "spindb", "test-policy", str(EXAMPLE), "-nr", "-n", "40", "--no-record", "--seed", "1")


def test_a_mean_and_its_standard_error() -> None:
    assert mean_and_error([3.0]) == "3"
    assert mean_and_error([1.0, 2.0, 3.0, 4.0]) == "2.5 ± 0.65"  # s = 1.29099, by √4


def in_a_terminal(*, stdout_too: bool) -> tuple[str, str]:
    """What a terminal shows of it, and what stdout got where that is none."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *PLAY], stderr=slave, stdout=slave if stdout_too else subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += (more := os.read(master, 65536))
            except OSError:  # what a terminal says at its end
                break
            if not more:
                break
        out = process.stdout.read().decode() if process.stdout else ""
    os.close(master)
    assert process.returncode == 0
    return shown.decode(), out


@pytest.mark.slow
def test_episodes_pass_above_the_line() -> None:
    shown, _ = in_a_terminal(stdout_too=True)
    assert "40/40" in shown
    assert " ± " in shown
    assert shown.count("EpRet ") >= 40
    assert "AverageEpRet" in shown


@pytest.mark.slow
def test_a_stdout_that_is_no_terminal_stays_as_it_was() -> None:
    shown, out = in_a_terminal(stdout_too=False)
    assert " ± " in shown
    plain = subprocess.run([sys.executable, *PLAY], capture_output=True, text=True, check=True)
    assert out == plain.stdout
    assert "40/40" not in plain.stderr
