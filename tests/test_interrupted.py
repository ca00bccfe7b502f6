"""Faults 10 and 12: a signal ends any command in words, by one rule, at whatever instant it comes."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import rows_of

pytestmark = pytest.mark.sqlite

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _heard() -> None:
    """Where a shell starts the tests in the background SIGINT is ignored, and in what they start too."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)


def _start(place: Path, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "spindb", *map(str, words)],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heard,
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.fixture
def place(tmp_path: Path, run_directory: Callable[..., Path]) -> Path:
    rows = [(epoch, epoch * 0.5) for epoch in range(500)]
    for seed in range(20):
        run_directory(f"a/a_s{seed}", config={"seed": seed, "exp_name": "a"}, rows=rows)
    assert _end(_start(tmp_path, "ingest", "data"))[0] == 0
    return tmp_path


COMMANDS = {
    "runs": ("runs",),
    "ingest": ("--db", "other.db", "ingest", "data"),
    "copy": ("db", "copy", "spindb.db", "copied.db"),
    "sql": ("sql", "SELECT count(*) FROM metric_points"),
    "help": ("--help",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_12_an_interrupt_at_any_instant_is_no_traceback(place: Path, command: str) -> None:
    for hundredth in range(0, 100, 7):
        for name in ("other.db", "copied.db"):
            for end in ("", "-wal", "-shm"):
                Path(place / (name + end)).unlink(missing_ok=True)
        process = _start(place, *COMMANDS[command])
        time.sleep(hundredth / 100)
        process.send_signal(signal.SIGINT)
        code, err = _end(process)
        # Before spindb has begun, Python answers: by dying, or by a traceback of its own modules.
        assert "Traceback" not in err or "spindb" not in err, err
        assert code in (0, 130, -signal.SIGINT, 1), err
        if code == 130:
            assert re.search(r"^interrupted by SIGINT(: .*)?$", err.strip().splitlines()[-1]), err


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("command", ["runs", "sweep", "ingest", "test-policy"])
def test_10_a_signal_while_modules_are_imported_is_answered_in_words(
    place: Path, command: str, number: signal.Signals
) -> None:
    slow = place / "slow"
    slow.mkdir()
    (slow / "typer.py").write_text("import sys, time\nprint('here', flush=True)\ntime.sleep(60)\n")
    code = f"import sys; sys.path.insert(0, {str(slow)!r}); sys.argv[1:] = [{command!r}]\n"
    code += "from spindb.__main__ import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=-1, stderr=-1, text=True, cwd=place, preexec_fn=_heard
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        ended, err = _end(process)
    assert (ended, err) == (128 + number, f"interrupted by {number.name}\n")


@pytest.mark.parametrize("number", ENDING)
def test_10_a_watch_ends_by_the_same_rule(place: Path, number: signal.Signals) -> None:
    process = _start(place, "ingest", "data", "--watch")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("watching"):
            break
    time.sleep(1)
    process.send_signal(number)
    code, err = _end(process)
    assert code == 128 + number
    assert err.startswith(f"interrupted by {number.name}: runs that were indexed so far are kept")
    assert err.count("\n") == 1
    assert rows_of(place / "spindb.db", "SELECT count(*) FROM runs") == [(20,)]


@pytest.mark.parametrize("number", ENDING)
def test_10_a_table_that_refreshes_ends_by_the_same_rule(place: Path, number: signal.Signals) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "spindb", "runs", "--watch"],
        cwd=place,
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heard,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(follower)
    seen = b""
    while b"Ctrl-C ends" not in seen:
        seen += os.read(leader, 65536)
    process.send_signal(number)
    assert _end(process) == (128 + number, f"interrupted by {number.name}\n")
    os.close(leader)


def test_10_an_interrupt_that_python_drops_comes_again() -> None:
    code = """
import os, signal, time
from spindb.signals import interrupts

class Closing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

with interrupts() as signals:
    try:
        Closing()
        time.sleep(30)
    except KeyboardInterrupt:
        print(signals.received)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, preexec_fn=_heard)
    assert (done.stdout, done.stderr) == ("SIGTERM\n", "")
