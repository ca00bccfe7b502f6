"""Training that is followed as it happens, by a real watcher of real files."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, rows_of

from spindb.ingest.pipeline import ingest
from spindb.ingest.watch import RunChange, _affected, watch

Write = Callable[..., Path]


@pytest.mark.slow
def test_rows_arrive_as_they_are_written(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=[(0, 1.0)])
    data = tmp_path / "data"
    ingest(database, [data])
    changes: queue.Queue[RunChange] = queue.Queue()
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(database, [data], changes.put), kwargs={"stop": stop})
    watcher.start()
    try:
        stop.wait(1)  # the system needs a moment before it reports changes
        with (run / "progress.txt").open("a") as file:
            file.write("1\t2.5\n")
            file.flush()
            assert _until(changes, lambda change: change.rows == 2).last == 2.5
            file.write("2\t3.5\n")
            file.flush()
            assert _until(changes, lambda change: change.rows == 3).last == 3.5
        run_directory("b/b_s0", rows=[(0, 9.0)])
        assert _until(changes, lambda change: change.name == "b_s0").run_id == 2
    finally:
        stop.set()
        watcher.join(timeout=30)
    assert not watcher.is_alive()
    assert rows_of(database, "SELECT name, rows, generation FROM runs ORDER BY id") == [("a_s0", 3, 0), ("b_s0", 1, 0)]


def _until(changes: queue.Queue[RunChange], wanted: Callable[[RunChange], bool]) -> RunChange:
    while True:
        change = changes.get(timeout=60)
        if wanted(change):
            return change


def test_what_a_changed_path_belongs_to(run_directory: Write, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run = run_directory("a/a_s0", files={"tf1_save3/variables/x": b""})
    inner = run_directory("a/a_s0/backup")
    assert _affected([run / "tf1_save3" / "variables" / "x"], [data]) == [run]
    assert _affected([inner / "progress.txt", run / "config.json"], [data]) == [run]
    assert _affected([data / "gone" / "progress.txt"], [data]) == [data]
    if sys.platform == "linux":  # names of files are UTF-8 elsewhere
        odd = run_directory(os.fsdecode(b"a/odd\xff"))
        assert _affected([odd / "progress.txt"], [data]) == [data / "a"]
    assert _affected([data / "a" / "gone_s1"], [data]) == [data / "a"]
    assert _affected([tmp_path / "elsewhere"], [data]) == []


def test_j3_nothing_above_a_root_is_looked_at(run_directory: Write, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_directory("a")
    data.rename(tmp_path / "away")
    assert _affected([data / "a" / "progress.txt", data], [data]) == []


@pytest.mark.slow
@pytest.mark.parametrize("emptied", [False, True])
def test_j3_a_root_that_vanishes_is_waited_for(
    run_directory: Write, database: Path, tmp_path: Path, emptied: bool
) -> None:
    run_directory("a", rows=[(0, 1.0)])
    other = tmp_path / "other" / "other_s0"
    other.mkdir(parents=True)
    (other / "progress.txt").write_text("Epoch\tA\n0\t1\n")
    data, away = tmp_path / "data", tmp_path / "away"
    ingest(database, [data])
    changes: queue.Queue[RunChange] = queue.Queue()
    notes: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    arguments = {"note": notes.put, "stop": stop}
    watcher = threading.Thread(target=watch, args=(database, [data], changes.put), kwargs=arguments)
    watcher.start()
    try:
        stop.wait(1)
        data.rename(away)
        if emptied:  # as the mount point of a disk that is unmounted
            data.mkdir()
        assert notes.get(timeout=30) == f"{data} is gone: waiting for it; its runs stay as they are"
        stop.wait(2.5)
        assert rows_of(database, "SELECT name, status FROM runs") == [("a", "ok")]
        with (away / "a" / "progress.txt").open("a") as file:
            file.write("1\t2.5\n")
        if emptied:
            data.rmdir()
        away.rename(data)
        assert notes.get(timeout=30) == f"{data} is back"
        assert _until(changes, lambda change: change.rows == 2).last == 2.5
        with (data / "a" / "progress.txt").open("a") as file:
            file.write("2\t3.5\n")
        assert _until(changes, lambda change: change.rows == 3).last == 3.5
        assert notes.empty()  # each is said once
    finally:
        stop.set()
        watcher.join(timeout=30)
    assert not watcher.is_alive()
    assert rows_of(database, "SELECT name, status, rows FROM runs") == [("a", "ok", 3)]
    assert [row[0] for row in rows_of(database, "SELECT path FROM roots")] == [str(data)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of files are UTF-8 elsewhere")
def test_j12_a_name_that_is_no_utf8_ends_no_watch(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=[(0, 1.0)])
    data = tmp_path / "data"
    ingest(database, [data])
    changes: queue.Queue[RunChange] = queue.Queue()
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(database, [data], changes.put), kwargs={"stop": stop})
    watcher.start()
    try:
        stop.wait(1)
        run_directory(os.fsdecode(b"odd\xff"), rows=[(0, 9.0)])
        for rows in range(2, 5):  # beside the odd name, while the watcher begins anew, and afterwards
            with (run / "progress.txt").open("a") as file:
                file.write(f"{rows}\t2.5\n")
            assert _until(changes, lambda change, rows=rows: change.rows == rows).name == "a_s0"  # type: ignore[misc]
    finally:
        stop.set()
        watcher.join(timeout=30)
    assert not watcher.is_alive()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
def test_j12_too_many_watchers_are_said(tmp_path: Path) -> None:
    script = """
import ctypes, resource, sys, threading
from pathlib import Path
from spindb.ingest.watch import watch
from spindb.errors import SpindbError
import watchfiles
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
inotify = ctypes.CDLL(None).inotify_init
while inotify() >= 0:
    pass
import os
os.close(19)  # the scan needs one
try:
    watch(sys.argv[1], [Path(sys.argv[2])], print)
except SpindbError as error:
    print(error)
"""
    data = tmp_path / "data"
    data.mkdir()
    found = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "w.db", data], capture_output=True, text=True, check=False
    )
    assert found.stdout.startswith("the directories can't be watched: "), found
