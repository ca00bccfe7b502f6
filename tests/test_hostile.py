"""Hostile and broken files: an ingest ends, says what is wrong with each, and has all that can be read."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hostile
import pytest
from conftest import PPO_CONFIG, REPOSITORY, Outcome, rows_of, settle

from spindb.cli.terminal.problems import _place
from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError, read_pickle
from spindb.disk.formats import read_run, recognise
from spindb.disk.regular import NotRegularError, TooLargeError, open_regular, read_regular
from spindb.disk.scan import scan
from spindb.disk.told import told
from spindb.ingest.deadline import TooSlowError, within_seconds
from spindb.ingest.pipeline import ingest
from spindb.ingest.reading import Reader, ToRead
from spindb.ingest.workers import Loss, Workers

Write = Callable[..., Path]
Run = Callable[..., Outcome]

MEMORY = 500 << 20
SECONDS = 300
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def _spindb(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spindb", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


@pytest.mark.slow
@pytest.mark.sqlite  # the command runs in a process of its own
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_j4_an_ingest_of_hostile_files_ends_and_hides_nothing(tmp_path: Path, database: Path, jobs: int) -> None:
    cases = hostile.write(tmp_path / "data")
    for number in range(300 if jobs > 1 else 0):  # so many that several processes read
        (tmp_path / "data" / "more" / str(number)).mkdir(parents=True)
        (tmp_path / "data" / "more" / str(number) / "progress.txt").write_bytes(hostile.PROGRESS)
    command = [sys.executable, "-m", "spindb", "--db", database, "ingest", tmp_path / "data", "--json", "--jobs", jobs]
    arguments = [sys.executable, "-c", MEASURED, *map(str, command)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, preexec_fn=_bounded, check=False)
    out, err = done.stdout, done.stderr
    assert (done.returncode, "Traceback" in err) == (1, False), err
    assert int(err.splitlines()[-1]) << 10 < MEMORY
    problems: dict[str, set[str]] = {}
    for problem in json.loads(out)["problems"]:
        problems.setdefault(Path(problem["directory"]).name, set()).add(problem["code"])
        assert len(problem["message"]) <= limits.MESSAGE
        assert "please report" not in problem["message"]
    wrong = {name: problems.get(name) for name, case in cases.items() if case.code not in problems.get(name, {""})}
    assert wrong == {}
    assert not [name for name in problems if name.startswith("good")]
    _require_parts(database, cases)


@pytest.mark.slow
def test_j4_no_database_refuses_what_hostile_files_hold(tmp_path: Path, database: Path) -> None:
    cases = hostile.write(tmp_path / "data")
    summary = ingest(database, [tmp_path / "data"])
    assert [p for p in summary.problems if "please report" in p.problem.message] == []
    _require_parts(database, cases)


def _require_parts(database: Path, cases: dict[str, hostile.Case]) -> None:
    """All parts of good runs, and of hostile ones those that are not hostile themselves."""
    leaves = "SELECT count(*) FROM configs WHERE run_id = runs.id AND key IN ('clip_ratio', 'ac_kwargs.hidden_sizes')"
    found = rows_of(database, f"SELECT name, path, status, rows, ({leaves}) FROM runs")
    good = [row[2:] for row in found if row[0].startswith("good_s")]
    assert good == [("ok", hostile.ROWS, 2)] * hostile.GOOD
    those = {name: (status, rows, keys) for name, path, status, rows, keys in found if path.startswith("hostile/")}
    wanted = {
        name: (case.status, hostile.ROWS if case.metrics else 0, 2 if case.config else 0)
        for name, case in cases.items()
    }
    assert those == wanted


LINKED = ["progress.txt", "config.json", "vars.pkl", "vars.pkl.problem", "pyt_save/model.pt", "tf1_save/saved_model.pb"]


@pytest.mark.parametrize("secret", ["/proc/self/environ", "secret"])
@pytest.mark.parametrize("name", LINKED)
def test_j4_a_link_out_of_the_root_is_not_read(
    tmp_path: Path,
    database: Path,
    cli: Run,
    run_directory: Write,
    name: str,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HIDDEN", "MARK")
    (tmp_path / "secret").write_text('{"MARK": "MARK"}\n' * 3)
    run = run_directory("a", config=PPO_CONFIG, rows=[(0, 1.0)])
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(tmp_path / secret)
    ingest(database, [tmp_path / "data"])
    codes = [code for (code,) in rows_of(database, "SELECT code FROM problems")]
    assert ("snapshot-unloadable" if "/" in name else "link-outside") in codes
    (said,) = [text for (text,) in rows_of(database, "SELECT message FROM problems") if "a link to" in text]
    assert f"a link to {tmp_path / secret}, outside {tmp_path / 'data'}" in said
    shown = cli("show", "1").out + cli("db", "check", "--deep").err + cli("test-policy", "1").err
    assert "MARK" not in shown.replace(str(tmp_path), "")
    assert not rows_of(database, "SELECT 1 FROM configs WHERE key = 'MARK'")
    assert "MARK" not in cli("test-policy", run).err


def test_j4_a_link_within_the_root_is_followed(tmp_path: Path, database: Path, cli: Run, run_directory: Write) -> None:
    run_directory("a", config=PPO_CONFIG, rows=[(0, 1.0)])
    b = run_directory("b", rows=[(0, 2.0)])
    (b / "config.json").symlink_to(Path("..", "a", "config.json"))
    (tmp_path / "way").symlink_to(tmp_path / "data")
    ingest(database, [tmp_path / "way"])
    assert rows_of(database, "SELECT count(*) FROM configs WHERE key = 'clip_ratio'") == [(2,)]
    assert not rows_of(database, "SELECT code FROM problems WHERE code = 'link-outside'")
    ingest(tmp_path / "other.db", [b])
    assert rows_of(tmp_path / "other.db", "SELECT code, path FROM problems")[0] == ("link-outside", "config.json")


@pytest.mark.parametrize("kind", ["fifo", "zero", "listening", "directory"])
def test_j4_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    getattr(hostile, kind)(path)
    for read in (open_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(NotRegularError, match="not a regular file"):
            read(path)


def test_j4_a_fifo_hangs_nothing(run_directory: Write, database: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run = run_directory(name, config=PPO_CONFIG)
    (run / "progress.txt").unlink()
    os.mkfifo(run / "progress.txt")
    summary = ingest(database, [tmp_path / "data"])
    (problem,) = [found.problem for found in summary.problems]
    assert (problem.code, problem.path) == ("not-a-regular-file", "progress.txt")
    assert "a FIFO" in problem.message
    assert rows_of(database, "SELECT name, status FROM runs ORDER BY name") == [("a", "ok"), ("b", "broken")]


def test_j4_a_file_has_a_limit_that_is_not_exceeded_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(TooLargeError, match="it has 5 bytes and may have 4"):
        read_regular(path, 4)
    if Path("/proc/self/status").exists():  # a file whose size is said to be 0
        assert b"Name:" in read_regular("/proc/self/status", 1 << 20)
        with pytest.raises(TooLargeError):
            read_regular("/proc/self/status", 10)


def test_j4_what_is_said_of_values_is_bounded() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value, value]
    assert len(told(value)) <= 200
    assert told(10**5000) == "a number of 16,610 bits"
    assert told((1,)) == "(1,)"
    assert told({"a": [1, None]}) == "{'a': [1, None]}"


def test_j4_keys_that_collide_take_no_longer_than_others() -> None:
    found = read_pickle(hostile.dictionary([i * hostile.PRIME for i in range(1, 60_000)]))
    assert len(found["env"]) == 59_999


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile.STATES)
def test_j5_a_bad_state_is_a_problem_of_the_state_alone(name: str, run_directory: Write, tmp_path: Path) -> None:
    run = run_directory("a", config=PPO_CONFIG, files={"vars.pkl": hostile.STATES[name]})
    record = _read(run)
    assert [(p.code, p.path) for p in record.problems] == [("state-unreadable", "vars.pkl")]
    assert (record.status, record.rows, record.seed, len(record.metrics)) == ("ok", 2, 0, 2)


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), KeyError("x" * 10_000), ZeroDivisionError()])
@pytest.mark.parametrize(
    ("place", "left_out"),
    [
        ("spindb.disk.formats.spinningup.environment_in_state", "environment"),
        ("spindb.disk.formats.snapshots.read_signature", "snapshots"),
        ("spindb.disk.configs.leaf", "config"),
        ("spindb.disk.tables.read_table", "metrics"),
    ],
)
def test_j5_each_part_is_read_within_its_own_guard(
    run_directory: Write, monkeypatch: pytest.MonkeyPatch, place: str, left_out: str, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    run = run_directory("a_s3", config=PPO_CONFIG, files={**_whole_save(), "vars.pkl": b"\x80\x03}."})
    monkeypatch.setattr(place, fail)
    record = _read(run)
    assert (bool(record.metrics), record.seed) == (left_out != "metrics", 0)
    assert bool(record.config) == (left_out != "config")
    (snapshot,) = record.snapshots
    assert (snapshot.unloadable is not None) == (left_out == "snapshots")
    paths = {"environment": "vars.pkl", "snapshots": "tf1_save", "config": "config.json", "metrics": "progress.txt"}
    found = [problem for problem in record.problems if problem.path == paths[left_out]]
    assert found
    assert all(len(problem.message) <= limits.MESSAGE for problem in record.problems)


def _whole_save() -> dict[str, bytes]:
    return {name: content for name, content in hostile.WHOLE.items() if isinstance(content, bytes)}


def _read(run: Path) -> Any:
    found = recognise(os.listdir(run))
    assert found is not None
    return read_run(found, run, run.name)


def test_j4_names_without_number_are_counted(
    run_directory: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_directory("a", config=PPO_CONFIG, files={f"vars{i}.pkl.problem": b"no" for i in range(20)})
    monkeypatch.setattr(limits, "ENTRIES", 10)
    monkeypatch.setattr(limits, "PROBLEMS", 5)
    codes = [problem.code for problem in _read(run).problems]
    assert codes[0] == "too-many-entries"
    assert codes[-1] == "more-problems"


def _busy(_: object) -> str:
    try:
        while True:
            try:
                time.process_time()
            except Exception:  # what a reader may have around anything
                return "caught"
    finally:
        time.process_time()


def test_j4_python_code_that_does_not_end_is_interrupted() -> None:
    began = time.process_time()
    with pytest.raises(TooSlowError):
        within_seconds(0.2, _busy, None)
    assert time.process_time() - began < 5
    assert within_seconds(0.2, len, "ab") == 2
    assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_j4_a_run_that_takes_too_long_is_broken_and_the_others_are_read(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Run
) -> None:
    from spindb.disk import tables

    as_it_is = tables.read_table

    def slow(data: bytes, path: str) -> Any:
        return as_it_is(data, path) if b"slow" not in data else _busy(None)

    for name in "abc":
        run_directory(name, header=("Epoch", "slow" if name == "b" else "x"))
    with monkeypatch.context() as patch:
        patch.setattr(tables, "read_table", slow)
        outcome = cli("--db", database, "ingest", tmp_path / "data", "--time-limit", "0.3")
    assert outcome.code == 1
    assert "takes more than 0.3 seconds to read: given up (--time-limit SECONDS allows more)" in outcome.err
    statuses = "SELECT name, status FROM runs ORDER BY name"
    assert rows_of(database, statuses) == [("a", "ok"), ("b", "broken"), ("c", "ok")]
    assert cli("--db", database, "ingest", tmp_path / "data").code == 0  # unchanged: not tried again
    assert cli("--db", database, "ingest", tmp_path / "data", "--time-limit", "60").code in (0, 1)
    assert rows_of(database, statuses) == [("a", "ok"), ("b", "ok"), ("c", "ok")]


# Processes.


def _do(item: str) -> str:
    """What a worker does with an item: as the item says."""
    word, _, place = item.partition(" ")
    if word == "die" or (word == "die-once" and not Path(place).exists()):
        if place:
            Path(place).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "hang":  # C code that does not return to the interpreter
        sum(range(10**12))
    if word == "eat":
        bytes(1 << 29)
    if word == "print":
        sys.stdout.write("no result")
        sys.stdout.flush()
    return f"done {item}"


def _lost(item: str, loss: Loss) -> str:
    return f"{'slow' if loss.slow else 'died'} {item} {loss.how}"


def _worked(items: list[str], jobs: int = 2, seconds: float = 20) -> list[str]:
    with Workers(_do, jobs, _lost, seconds, memory=1 << 28) as workers:
        return list(workers.map(items))


@pytest.mark.slow
def test_j8_a_worker_that_dies_costs_its_item_alone(tmp_path: Path) -> None:
    items = [f"item{i}" for i in range(100)]
    items[7], items[40], items[41] = "die", f"die-once {tmp_path / 'once'}", "print"
    assert _worked(items) == ["died die SIGKILL" if item == "die" else f"done {item}" for item in items]


@pytest.mark.slow
def test_j4_c_code_that_does_not_return_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    items = ["a", "hang", "b"]
    assert _worked(items, seconds=0.1) == ["done a", "slow hang SIGXCPU", "done b"]


def test_j4_the_memory_of_a_worker_is_limited() -> None:
    with Workers(_memory, 1, _lost, 20, memory=1 << 28) as workers:
        assert list(workers.map(["eat", "a"])) == ["refused", "done a"]


def _memory(item: str) -> str:
    try:
        return _do(item)
    except MemoryError:
        return "refused"


@pytest.mark.sqlite  # a server is a process, too
def test_j8_a_caller_that_stops_leaves_no_worker() -> None:
    before = _children(os.getpid())  # of other tests
    with Workers(_do, 2, _lost, 20) as workers:
        results = workers.map("item" for _ in range(10_000))
        assert next(results) == "done item"
        assert _children(os.getpid()) - before
        results.close()
    assert not _children(os.getpid()) - before


@pytest.mark.sqlite  # a server is a process, too
def test_j4_a_large_run_is_read_in_a_process_of_its_own(run_directory: Write, tmp_path: Path) -> None:
    run_directory("a", rows=[(i, "x" * 100) for i in range(30_000)])
    before = _children(os.getpid())
    reader = Reader(tmp_path / "data", "sqlite", 1)
    seen: list[set[int]] = []
    for (rows,) in reader.read_each([ToRead("a", "a", "spinningup", None, 3 << 20)]):
        seen.append(_children(os.getpid()) - before)
        assert rows.record.rows == 30_000
    assert len(seen[0]) == 1
    assert not _children(os.getpid()) - before


def _children(parent: int) -> set[int]:
    """Processes that the process started, and those that they started."""
    parents: dict[int, int] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                text = (place / "stat").read_text()
            except OSError:
                continue
            state, above = text.rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(place.name)] = int(above)
    found: set[int] = set()
    while more := {pid for pid, above in parents.items() if above in found | {parent}} - found:
        found |= more
    return found


@pytest.fixture
def many_runs(tmp_path: Path) -> Path:
    """Runs enough to be read by several processes for a while."""
    text = "Epoch\tA\tB\n" + "".join(f"{i}\t{i}.5\tx\n" for i in range(3000))
    for number in range(600):
        place = tmp_path / "data" / f"run_s{number}"
        place.mkdir(parents=True)
        (place / "progress.txt").write_text(text)
    settle(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def reading(many_runs: Path, database: Path) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """An ingest that has begun to write, and the processes that read for it."""
    # A shell that starts its tests in the background has SIGINT ignored, and what it starts too.
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = _spindb("--db", database, "ingest", many_runs, "--jobs", 2, preexec_fn=heard)
    deadline = time.monotonic() + 60
    while not (len(_children(process.pid)) == 2 and database.exists() and _written(database)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    yield process, _children(process.pid)
    process.kill()
    process.communicate()


def _written(database: Path) -> int:
    try:
        return int(rows_of(database, "SELECT count(*) FROM runs")[0][0])
    except Exception:  # its schema is being made
        return 0


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_j8_a_signal_ends_an_ingest_in_words(
    reading: tuple[subprocess.Popen[str], set[int]], database: Path, number: signal.Signals
) -> None:
    process, workers = reading
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name}" in err
    assert "Traceback" not in err
    assert _gone(workers)
    written = rows_of(database, "SELECT status, rows, (SELECT count(*) FROM metrics WHERE run_id = runs.id) FROM runs")
    assert 0 < len(written) < 600
    assert set(written) == {("ok", 3000, 3)}


@pytest.mark.slow
@pytest.mark.sqlite
def test_j8_an_ingest_that_is_killed_leaves_no_worker(
    reading: tuple[subprocess.Popen[str], set[int]],
) -> None:
    process, workers = reading
    process.kill()
    process.wait()
    assert _gone(workers)


@pytest.mark.slow
@pytest.mark.sqlite
def test_j8_a_worker_that_is_killed_ends_no_ingest(
    reading: tuple[subprocess.Popen[str], set[int]], database: Path
) -> None:
    process, workers = reading
    os.kill(min(workers), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    assert rows_of(database, "SELECT status, count(*) FROM runs GROUP BY status") == [("ok", 600)]


def _gone(processes: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(_lives(process) for process in processes):
            return True
        time.sleep(0.05)
    return False


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Signatures and paths.


@pytest.mark.sqlite
def test_runs_that_an_older_spindb_read_are_read_again(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spindb.disk import scan, tables

    run = run_directory("a", config=PPO_CONFIG)
    for age in (3600, 0):  # settled and not
        settle(run, age=age)
        monkeypatch.setattr(scan, "READERS", scan.READERS + 1)
        ingest(database, [tmp_path / "data"])
        as_it_is = tables.read_table
        with monkeypatch.context() as patch:
            patch.setattr(scan, "READERS", scan.READERS + 1)
            patch.setattr(
                tables,
                "read_table",
                lambda data, path, read=as_it_is: read(data.replace(b"AverageEpRet", b"Other"), path),
            )
            assert ingest(database, [tmp_path / "data"]).changed == 1
        assert rows_of(database, "SELECT name FROM metrics ORDER BY position") == [("Epoch",), ("Other",)]


def test_b8_a_directory_that_cannot_be_listed_is_named_once(
    run_directory: Write, database: Path, tmp_path: Path, unprivileged: None
) -> None:
    run_directory("a")
    closed = tmp_path / "data" / "closed"
    closed.mkdir()
    closed.chmod(0)
    odd = os.fsencode(tmp_path / "data") + b"/d\xff"
    os.makedirs(odd)
    Path(os.fsdecode(odd), "progress.txt").write_bytes(b"Epoch\tA\n0\t1\n")
    summary = ingest(database, [tmp_path / "data"])
    closed.chmod(0o700)
    found = {p.problem.code: (_place(p), p.problem.path) for p in summary.problems if p.directory.name != "a"}
    assert found == {
        "unreadable-directory": (str(closed), ""),
        "name-not-utf8": (str(tmp_path / "data" / "d\\xff"), ""),
    }


def test_j3_an_emptied_root_is_said(run_directory: Write, database: Path, tmp_path: Path, cli: Run) -> None:
    run = run_directory("a")
    assert cli("--db", database, "ingest", tmp_path / "data").code == 1
    run.rename(tmp_path / "a")
    outcome = cli("--db", database, "ingest", tmp_path / "data")
    assert "1 run marked as missing" in outcome.err
    assert "If a disk is not mounted there" in outcome.err


def test_j3_a_root_that_is_gone_marks_nothing_as_missing(
    run_directory: Write, database: Path, tmp_path: Path, cli: Run
) -> None:
    run_directory("a")
    ingest(database, [tmp_path / "data"])
    (tmp_path / "data").rename(tmp_path / "away")
    outcome = cli("--db", database, "ingest", tmp_path / "data")
    assert outcome.code == 3
    assert "no such directory" in outcome.err
    assert rows_of(database, "SELECT status FROM runs") == [("ok",)]


def test_j4_the_limits_are_documented() -> None:
    text = (REPOSITORY / "docs" / "formats.md").read_text()
    for name, value in vars(limits).items():
        if name.isupper() and isinstance(value, int) and not name.startswith("_"):
            assert re.search(rf"^\| {value:,}( \w+)? \|.*\| `{name}` \|$", text, re.MULTILINE), name


def test_j4_a_save_with_a_fifo_is_not_handed_to_a_library(tmp_path: Path) -> None:
    from spindb.errors import PolicyError
    from spindb.play.policies import load_snapshot
    from spindb.records import SnapshotRecord

    (tmp_path / "pyt_save").mkdir()
    (tmp_path / "tf1_save" / "variables").mkdir(parents=True)
    (tmp_path / "tf1_save" / "saved_model.pb").write_bytes(hostile.saved_model())
    os.mkfifo(tmp_path / "pyt_save" / "model.pt")
    os.mkfifo(tmp_path / "tf1_save" / "variables" / "variables.data-00000-of-00001")
    for kind, path in (("pyt_save", "pyt_save/model.pt"), ("tf1_save", "tf1_save")):
        with pytest.raises(PolicyError, match="a FIFO, not a regular file"):
            load_snapshot(tmp_path, SnapshotRecord(kind, path))


def test_a_link_to_the_whole_machine_is_not_followed(run_directory: Write, tmp_path: Path) -> None:
    run_directory("a")
    for name, target in (("root", "/"), ("proc", "/proc"), ("sys", "/sys/class")):
        (tmp_path / "data" / name).symlink_to(target)
    assert [found.path for found in scan(tmp_path / "data")] == ["a"]


def test_j4_numbers_in_pickles_are_no_python_settings() -> None:
    with pytest.raises(PickleError, match="a number in it has thousands of digits"):
        read_pickle(hostile.STATES["huge-memo"])
