"""TensorFlow evaluates strangers' graphs in a process of its own: what hangs, crashes or grows there ends there."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.errors import PolicyError
from spindb.play.engine import evaluator
from spindb.play.engine.wire import WireError, receive, send
from spindb.play.policies import Policy, load_snapshot
from spindb.records import SnapshotRecord

OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 4)).astype("f4")
LINUX = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="looks at processes, and their memory, in /proc"
)


def save(place: Path, kind: str) -> None:
    """A run whose policy does what `kind` says, made in a process of its own."""
    (place / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t1.0\n")
    (place / "config.json").write_text(json.dumps({"env": "CartPole-v1", "exp_name": kind}))
    # Last, as when training: a save more than two seconds older than the config counts as an earlier run's.
    code = Path(__file__).with_name("saves") / "troublesome.py"
    subprocess.run([sys.executable, code, place / "tf1_save", kind], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    pytest.importorskip("tensorflow")
    root = tmp_path_factory.mktemp("graphs")

    def make(kind: str) -> Path:
        run = root / kind
        if not run.exists():
            run.mkdir()
            save(run, kind)
        return run

    return make


def load(run: Path, **options: Any) -> Policy:
    names = {"inputs": {"x": "x:0"}, "outputs": {"pi": "pi:0"}}
    return load_snapshot(run, SnapshotRecord("tf1_save", "tf1_save", None, **names), **options)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "spindb", *map(str, words)]


def evaluating(parent: int) -> list[int]:
    """The processes with TensorFlow that a process started, directly or by others."""
    parents, found = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            words = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(place.name)] = int(fields[1])
            if b"tensorflow_process" in words:
                found.append(int(place.name))

    def below(process: int) -> bool:
        while process in parents and process != parent:
            process = parents[process]
        return process == parent

    return [process for process in found if below(process)]


def gone(process: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_j1_a_kernel_that_does_not_return_is_stopped(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "SECONDS", 3)
    policy = load(made("long"))
    began = time.monotonic()
    with pytest.raises(PolicyError, match=r"tf1_save can't be evaluated: .* did not end within 3 seconds") as caught:
        policy.act(OBSERVATIONS)
    assert time.monotonic() - began < 6
    assert "while it evaluated pi" in caught.value.message
    with pytest.raises(PolicyError, match="did not end within 3 seconds"):
        policy.act(OBSERVATIONS)
    policy.close()


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("words", [("test-policy", "-nr", "-n", 1), ("sweep", "-n", 1, "--jobs", 1)])
def test_j1_signals_end_an_evaluation_and_its_process(
    made: Callable[[str], Path], tmp_path: Path, number: signal.Signals, words: tuple[Any, ...]
) -> None:
    run, database = made("long"), tmp_path / "spindb.db"
    subprocess.run(command("--db", database, "ingest", run.parent / "long"), check=True, capture_output=True)
    first, *rest = words
    line = command("--db", database, first, run if first == "test-policy" else "id=1", *rest)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = evaluating(process.pid)
            if found and _cpu(found[0]) > 6:  # TensorFlow's import takes less
                break
            time.sleep(0.1)
        assert found, process.stderr and process.stderr.read()
        began = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=25)
    assert time.monotonic() - began < (5 if first == "test-policy" else 20)
    assert b"Traceback" not in errors
    assert all(map(gone, found))


def _cpu(process: int) -> float:
    """Seconds of CPU time."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_j9_a_graph_that_crashes_tensorflow_is_a_message(made: Callable[[str], Path], tmp_path: Path) -> None:
    run = made("crash")
    with pytest.raises(PolicyError, match=r"tf1_save can't be \w+: TensorFlow ended with SIG\w+ while it "):
        load(run).act(OBSERVATIONS)
    played = subprocess.run(command("test-policy", run, "-nr", "-n", 1), capture_output=True, text=True, check=False)
    assert played.returncode == 5, played.stderr
    assert "TensorFlow ended with SIG" in played.stderr
    assert str(run / "tf1_save") in played.stderr
    database = tmp_path / "spindb.db"
    subprocess.run(command("--db", database, "ingest", run), check=True, capture_output=True)
    swept = subprocess.run(command("--db", database, "sweep", 1, "-n", 1), capture_output=True, text=True, check=False)
    assert swept.returncode == 1
    assert "TensorFlow ended with SIG" in swept.stderr


@LINUX
@pytest.mark.slow
def test_j9_a_graph_that_grows_takes_no_more_than_its_memory(made: Callable[[str], Path]) -> None:
    policy = load(made("large"))
    process = policy._evaluator._process.pid  # type: ignore[attr-defined]
    with pytest.raises(PolicyError, match=r"can't be evaluated"):
        policy.act(OBSERVATIONS)
    policy.close()
    assert gone(process, 0.1) or _peak(process) < 3 << 30


def _peak(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@LINUX
@pytest.mark.slow
def test_j1_processes_are_kept_for_the_next_graph_and_left_by_none(made: Callable[[str], Path]) -> None:
    with_gamma = made("plain")
    before = load(with_gamma)
    process = before._evaluator._process.pid  # type: ignore[attr-defined]
    first = before.act(OBSERVATIONS)
    assert first.dtype == np.float32
    other = load(with_gamma)
    assert other._evaluator._process.pid != process  # type: ignore[attr-defined]
    assert (other.act(OBSERVATIONS) == first).all()
    before.close()
    before.close()
    with pytest.raises(PolicyError, match="it was closed"):
        before.act(OBSERVATIONS)
    after = load(with_gamma)
    assert after._evaluator._process.pid == process  # type: ignore[attr-defined]
    assert (after.act(OBSERVATIONS) == first).all()
    dropped = [other._evaluator._process.pid, process]  # type: ignore[attr-defined]
    del before, after, other  # nobody closed them
    gc.collect()
    assert all(gone(process) for process in dropped)


@pytest.mark.slow
def test_j1_this_process_does_without_tensorflow(made: Callable[[str], Path]) -> None:
    code = """if True:
        import sys, numpy as np
        from pathlib import Path
        from spindb.play.policies import load_snapshot
        from spindb.records import SnapshotRecord
        names = {"inputs": {"x": "x:0"}, "outputs": {"pi": "pi:0"}}
        policy = load_snapshot(Path(sys.argv[1]), SnapshotRecord("tf1_save", "tf1_save", None, **names))
        assert policy.engine == "tensorflow"
        policy.act(np.zeros(4))
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code, made("plain")], check=True)


def test_j1_an_answer_that_is_none_is_refused() -> None:
    for words in (
        b"",
        b"[",
        b"[" * 100_000,
        b"1",
        b"[{}]",
        b"[1, []]",
        b'[{}, [["|O", [1]]]]',
        b'[{}, [["<f4", [-1]]]]',
        b'[{}, [["<f4", [1e3]]]]' * 2,
        b'[{}, [["<f8", [1048576, 1048576]]]]',
        b'[{}, [["<f4,<f4", [1]]]]',
        b"[{}, 3]",
    ):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(struct.pack("<I", len(words)) + words)
            with pytest.raises(WireError):
                receive(ours, 5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\xff" * 4)
        with pytest.raises(WireError):
            receive(ours, 5)
        with pytest.raises(TimeoutError):
            receive(ours, 0.05)


def test_j1_arrays_arrive_as_they_were_sent() -> None:
    arrays = [np.arange(6.0).reshape(2, 3).T, np.float32(2.5).reshape(()), np.zeros((0, 3), "i8"), np.array([True])]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, {"name": "ä"}, arrays)
        words, found = receive(theirs, 5)
    assert words == {"name": "ä"}
    for sent, got in zip(arrays, found, strict=True):
        assert (sent.dtype, sent.shape) == (got.dtype, got.shape)
        assert (sent == got).all()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_gets_no_answers_to_questions_of_others(made: Callable[[str], Path]) -> None:
    policy = load(made("plain"), engine="tensorflow")
    before = policy(OBSERVATIONS)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            policy(OBSERVATIONS)
        except PolicyError as error:
            policy.close()  # which ends nothing of the other's
            code = 0 if "forked" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(policy(OBSERVATIONS), before)
    policy.close()
