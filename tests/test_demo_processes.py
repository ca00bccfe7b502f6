"""No training of the demo outlives the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("gymnasium")


def _trainings(directory: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"spindb.demo.study" in command and os.fsencode(directory) in command:
            found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_5_no_training_outlives_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "spindb", "demo", str(tmp_path / "d"), "--jobs", "2"]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        _wait(lambda: len(_trainings(tmp_path)) == 2, 60)
        time.sleep(1)
        demo.send_signal(number)
        assert demo.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
        _wait(lambda: not _trainings(tmp_path), 3)  # a training takes longer
    finally:
        demo.kill()
        for pid in _trainings(tmp_path):
            os.kill(pid, signal.SIGKILL)


def _wait(done: object, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.1)
