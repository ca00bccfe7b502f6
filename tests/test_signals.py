"""Signals that end a command, and workers that end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from spindb.signals import interrupts

ENDING = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def _send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # Python runs handlers between two instructions of the main thread


@pytest.mark.parametrize("number", ENDING)
def test_j8_a_signal_that_ends_a_job_is_an_interrupt(number: int) -> None:
    before = {n: signal.getsignal(n) for n in ENDING}
    with pytest.raises(KeyboardInterrupt), interrupts() as signals:
        _send(number)
    assert signals.received == signal.Signals(number).name
    assert {n: signal.getsignal(n) for n in ENDING} == before


def test_j8_sigterm_and_sighup_together_are_one_request() -> None:
    with interrupts():
        with pytest.raises(KeyboardInterrupt):
            _send(signal.SIGTERM)
        _send(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            _send(signal.SIGINT)  # a person who presses Ctrl-C again means it


def test_j8_signals_wait_while_results_are_written() -> None:
    with interrupts() as signals, signals.held():
        _send(signal.SIGTERM)
        assert signals.received == "SIGTERM"
        with pytest.raises(KeyboardInterrupt), signals.released():
            pytest.fail("what was noted before is raised at once")
        _send(signal.SIGINT)


def test_j8_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with interrupts() as signals:
            _send(signal.SIGHUP)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_j8_another_thread_changes_no_handler() -> None:
    found = []

    def work() -> None:
        with interrupts():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


PARENT = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from spindb.signals import die_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=die_with_parent) as pool:
        print(*{pool.submit(os.getpid).result() for _ in range(20)}, flush=True)
        list(pool.map(time.sleep, [600, 600]))
"""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(") ")[2][0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_j8_workers_do_not_outlive_their_parent(tmp_path: Path, number: int) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=-1, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert workers
        parent.send_signal(number)
        parent.wait(10)
    until = time.monotonic() + 10
    while any(map(_alive, workers)):
        assert time.monotonic() < until, "a worker is still there"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("number", [*ENDING, signal.SIGKILL])
def test_j8_no_training_outlives_the_demo(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "spindb", "demo", str(tmp_path / "demo"), "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        _until(lambda: len(_training(tmp_path)) == 2)
        demo.send_signal(number)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == (-9 if number == signal.SIGKILL else 128 + number), err
    _until(lambda: not _training(tmp_path))


def _training(directory: Path) -> list[int]:
    """Processes that train into a directory."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if b"spindb.demo.study" in words and os.fsencode(directory / "demo" / "data") in words:
                found.append(int(place.name))
    return found


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
