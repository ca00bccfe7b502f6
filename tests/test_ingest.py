"""Ingest: incremental, never changing a file, keeping ids and what people added."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import EVALUATION, PPO_CONFIG, rows_of, settle
from sqlalchemy import event, insert

from spindb.errors import NotFoundError, SchemaError, UsageError
from spindb.index.database.connect import connected
from spindb.index.database.damage import damage
from spindb.index.database.engine import open_engine
from spindb.index.database.models import tags
from spindb.index.database.planner import statistics_behind
from spindb.index.write.batch import Batch, add_evaluation
from spindb.index.write.identity import Recogniser
from spindb.index.write.roots import RootPlace
from spindb.index.write.rows import RunRows
from spindb.index.write.rows import rows_of as rows_of_record
from spindb.ingest.pipeline import _Ingest, ingest
from spindb.ingest.summary import Summary
from spindb.records import Content, EpisodeResult, RunRecord

Write = Callable[..., Path]
Cli = Callable[..., Any]


def counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.new, summary.changed, summary.unchanged, summary.missing


def tree(root: Path) -> dict[str, tuple[str, int, int]]:
    """Content, mtime and mode of everything under a directory."""
    found = {}
    for path in sorted((root, *root.rglob("*"))):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b"\n".join(sorted(os.fsencode(p) for p in os.listdir(path)))
        found[str(path)] = (hashlib.sha256(content).hexdigest(), status.st_mtime_ns, status.st_mode)
    return found


def test_new_unchanged_changed(run_directory: Write, database: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_directory("a/a_s0", config=PPO_CONFIG)
    run_directory("a/a_s1", config=PPO_CONFIG)
    before = tree(data)
    assert counts(ingest(database, [data])) == (2, 0, 0, 0)
    assert counts(ingest(database, [data])) == (0, 0, 2, 0)
    assert tree(data) == before
    run_directory("a/a_s1", config=PPO_CONFIG, rows=[(0, 1), (1, 2), (2, 3)])
    settle(data, age=1800)
    assert counts(ingest(database, [data])) == (0, 2, 0, 0)  # both have new times
    present = "SELECT name, rows FROM runs WHERE superseded_by IS NULL ORDER BY id"
    assert rows_of(database, present) == [("a_s0", 2), ("a_s1", 3)]
    assert rows_of(database, "SELECT count(*) FROM metrics WHERE run_id <= 2") == [(4,)]


def test_files_written_just_now_are_read_again_and_found_the_same(
    run_directory: Write, database: Path, tmp_path: Path
) -> None:
    run = run_directory(config=PPO_CONFIG)
    (run / "progress.txt").write_text("Epoch\tX\n0\t1\n")
    assert counts(ingest(database, [tmp_path])) == (1, 0, 0, 0)
    (signature,) = rows_of(database, "SELECT signature FROM runs")[0]
    assert signature.startswith("?")
    status = (run / "progress.txt").stat()
    (run / "progress.txt").write_text("Epoch\tX\n0\t2\n")  # same size, and within the same tick of a coarse clock:
    os.utime(run / "progress.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(ingest(database, [tmp_path])) == (0, 1, 0, 0)
    assert counts(ingest(database, [tmp_path])) == (0, 0, 1, 0)


def test_a_deleted_run_is_missing_and_comes_back(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a/a_s0")
    run_directory("b/b_s0")
    ingest(database, [tmp_path / "data"])
    shutil.move(run, tmp_path / "elsewhere")
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 0, 1, 1)
    assert rows_of(database, "SELECT status FROM runs ORDER BY id") == [("missing",), ("ok",)]
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 0, 1, 1)
    shutil.move(tmp_path / "elsewhere", run)
    summary = ingest(database, [tmp_path / "data"])
    assert (summary.returned, summary.missing) == (1, 0)
    assert rows_of(database, "SELECT id, status FROM runs ORDER BY id") == [(1, "ok"), (2, "ok")]


def test_prune_keeps_what_people_added_to(run_directory: Write, database: Path, tmp_path: Path) -> None:
    runs = [run_directory(f"a/a_s{seed}") for seed in range(3)]
    ingest(database, [tmp_path / "data"])
    with open_engine(database, write=True).begin() as connection:
        connection.execute(insert(tags).values(run_id=1, tag="paper"))
    for run in runs[:2]:
        shutil.rmtree(run)
    summary = ingest(database, [tmp_path / "data"], prune=True)
    assert (summary.pruned, summary.missing) == (1, 1)
    assert rows_of(database, "SELECT id, status FROM runs ORDER BY id") == [(1, "missing"), (3, "ok")]
    run_directory("a/a_s9", rows=[(0, 99.0)])
    ingest(database, [tmp_path / "data"])
    assert rows_of(database, "SELECT max(id) FROM runs") == [(4,)]  # an id is never given twice


def test_only_what_was_scanned_can_be_missing(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("a/a_s0")
    gone = run_directory("ab/ab_s0")
    ingest(database, [tmp_path / "data"])
    shutil.rmtree(gone)
    assert counts(ingest(database, [tmp_path / "data" / "a"])) == (0, 0, 1, 0)
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 0, 1, 1)


def test_one_directory_is_never_two_runs(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("x/a/a_s0")
    run_directory("x/b_s0")
    data = tmp_path / "data"
    ingest(database, [data / "x" / "a"])
    with open_engine(database, write=True).begin() as connection:
        connection.execute(insert(tags).values(run_id=1, tag="keep"))
    assert counts(ingest(database, [data / "x" / "b_s0"])) == (1, 0, 0, 0)
    assert counts(ingest(database, [data])) == (0, 0, 2, 0)
    assert counts(ingest(database, [data / "x"])) == (0, 0, 2, 0)
    assert rows_of(database, "SELECT count(*) FROM roots") == [(1,)]
    assert rows_of(database, "SELECT id, path FROM runs ORDER BY id") == [(1, "x/a/a_s0"), (2, "x/b_s0")]
    assert rows_of(database, "SELECT * FROM tags") == [(1, "keep")]


def test_what_people_added_survives_a_changed_run(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory()
    ingest(database, [tmp_path / "data"])
    episodes = [EpisodeResult(10.0, 10, "terminated"), EpisodeResult(float("nan"), 5, "cut")]
    result = replace(EVALUATION, episodes=episodes, mean_return=float("nan"), std_return=None, mean_length=7.5)
    with open_engine(database, write=True).begin() as connection:
        add_evaluation(connection, 1, result)
        connection.execute(insert(tags).values(run_id=1, tag="keep"))
    run_directory(rows=[(0, 5.0)])
    settle(tmp_path, age=100)
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 1, 0, 0)
    assert rows_of(database, "SELECT run_id, itr, mean_return, mean_length FROM evaluations") == [(1, 3, None, 7.5)]
    assert rows_of(database, "SELECT number, ep_return, ending FROM episodes ORDER BY number") == [
        (0, 10.0, "terminated"),
        (1, None, "cut"),
    ]
    assert rows_of(database, "SELECT * FROM tags") == [(1, "keep")]


def test_an_odd_run_hides_no_other(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("a", config="{", progress=b"\0\0\xff\t\n" * 3, files={"vars.pkl": b"garbage"})
    directory = run_directory("b")
    (directory / "config.json").mkdir()
    (directory / "simple_save").write_bytes(b"a file, not a directory")
    (directory / "pyt_save").write_bytes(b"a file, not a directory")
    run_directory("c", config=PPO_CONFIG)
    summary = ingest(database, [tmp_path / "data"])
    assert counts(summary) == (3, 0, 0, 0)
    assert {found.directory.name for found in summary.problems} == {"a", "b"}
    assert rows_of(database, "SELECT name, status FROM runs ORDER BY id") == [("a", "empty"), ("b", "ok"), ("c", "ok")]


def test_a_reader_that_fails_is_a_broken_run(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spindb.disk import tables

    run_directory("a")
    run_directory("b")

    def fail(data: bytes, path: str) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(tables, "read_table", fail)
    summary = ingest(database, [tmp_path / "data"])
    codes = [(p.problem.code, p.problem.path) for p in summary.problems if p.problem.code != "config-missing"]
    assert codes == [("unreadable-file", "progress.txt")] * 2
    assert rows_of(database, "SELECT DISTINCT status FROM runs") == [("broken",)]
    assert "please report" in summary.problems[0].problem.message
    monkeypatch.undo()
    settle(tmp_path, age=50)
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 2, 0, 0)
    assert rows_of(database, "SELECT DISTINCT status FROM runs") == [("ok",)]


def test_names_and_values_that_no_database_takes(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory(
        "a_s99999999999999999999", config='{"seed": 1e400, "big": 1' + "0" * 400 + ', "text": "\\ud800", "\\udfff": 1}'
    )
    run_directory("b", config={"seed": 2**70})
    run_directory("c", config={}, files={"tf1_save99999999999999999999/x": b"", "pyt_save/model.pt": b"\x80"})
    odd = os.fsencode(tmp_path / "data") + b"/d\xff"
    os.makedirs(odd)
    shutil.copy(tmp_path / "data" / "b" / "progress.txt", odd + b"/progress.txt")
    summary = ingest(database, [tmp_path / "data"])
    assert counts(summary) == (3, 0, 0, 0)
    assert [p.problem.code for p in summary.problems] == ["name-not-utf8", "snapshot-unloadable"]
    assert rows_of(database, "SELECT name, seed, status FROM runs ORDER BY id") == [
        ("a_s99999999999999999999", None, "ok"),
        ("b", None, "ok"),
        ("c", None, "ok"),
    ]
    assert rows_of(database, "SELECT value FROM configs WHERE key = 'text'") == [('"\\ud800"',)]


def test_a_run_that_the_database_refuses_hides_no_other(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        run_directory(name)
    add = Batch.add

    def refuse(batch: Batch, rows: RunRows, signature: str, **more: Any) -> int:
        if rows.record.name == "b" and rows.record.status != "broken":
            raise OverflowError("Python int too large")
        return add(batch, rows, signature, **more)

    monkeypatch.setattr(Batch, "add", refuse)
    summary = ingest(database, [tmp_path / "data"])
    assert counts(summary) == (3, 0, 0, 0)
    assert rows_of(database, "SELECT name, status FROM runs ORDER BY name") == [
        ("a", "ok"),
        ("b", "broken"),
        ("c", "ok"),
    ]
    assert "Python int too large" in summary.problems[-1].problem.message or len(summary.problems) == 3


@pytest.mark.sqlite
def test_what_runs_may_be_is_looked_up_by_indexes(run_directory: Write, database: Path, tmp_path: Path) -> None:
    """A look through all runs for each batch would make an ingest take the square of its size."""
    run_directory("a/a_s0", rows=ROWS)
    ingest(database, [tmp_path / "data"])
    asked: list[tuple[str, Any]] = []
    record = RunRecord("b/a_s0", "a_s0", "spinningup", "ok", rows=3, content=Content("whole", 9, "metrics", "config"))
    place = RootPlace(1, tmp_path / "data", ".")
    with connected(database) as connection:
        event.listen(connection, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
        Recogniser(connection, place, [rows_of_record(record, "sqlite")], removed={})  # looked up once an ingest
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", v).all() for s, v in asked[:]]
    assert len(plans) == 3
    for plan in plans:
        assert not [step for *_, step in plan if step.startswith("SCAN runs")]


def tag(database: Path, run_id: int) -> None:
    with open_engine(database, write=True).begin() as connection:
        connection.execute(insert(tags).values(run_id=run_id, tag=f"of {run_id}"))


ROWS = [(0, 1.5), (1, 2.5), (2, 3.5)]


def test_a_renamed_run_keeps_its_id(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=ROWS)
    run_directory("a/a_s1", config=PPO_CONFIG, rows=[(0, 7.0)])
    ingest(database, [tmp_path / "data"])
    tag(database, 1)
    run.rename(run.with_name("best"))
    summary = ingest(database, [tmp_path / "data"])
    assert (summary.moved, *counts(summary)) == (1, 0, 0, 1, 0)
    assert rows_of(database, "SELECT id, path, name FROM runs ORDER BY id") == [
        (1, "a/best", "best"),
        (2, "a/a_s1", "a_s1"),
    ]
    assert rows_of(database, "SELECT run_id FROM tags") == [(1,)]
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 0, 2, 0)


def test_a_run_that_grew_while_it_was_moved_keeps_its_id(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=ROWS[:1])
    ingest(database, [tmp_path / "data"])
    (tmp_path / "data" / "b").mkdir()
    run.rename(tmp_path / "data" / "b" / "a_s0")
    run_directory("b/a_s0", config=PPO_CONFIG, rows=ROWS)
    assert ingest(database, [tmp_path / "data"]).moved == 1
    assert rows_of(database, "SELECT id, path, rows, generation FROM runs") == [(1, "b/a_s0", 3, 0)]


def test_a_moved_root_is_recognised_run_by_run(run_directory: Write, database: Path, tmp_path: Path) -> None:
    for seed in range(3):
        run_directory(f"a/a_s{seed}", config=PPO_CONFIG, rows=[(0, seed)])
    run_directory("a/crashed", progress=b"")
    ingest(database, [tmp_path / "data"])
    tag(database, 2)
    (tmp_path / "data").rename(tmp_path / "archive")
    summary = ingest(database, [tmp_path / "archive"])
    assert (summary.moved, summary.new) == (3, 1)  # all empty runs look alike
    moved = rows_of(database, "SELECT r.id, r.path, o.path FROM runs r JOIN roots o ON o.id = r.root_id ORDER BY r.id")
    assert moved[:3] == [(seed + 1, f"a/a_s{seed}", str(tmp_path / "archive")) for seed in range(3)]
    assert rows_of(database, "SELECT run_id FROM tags") == [(2,)]


def test_copies_are_runs_of_their_own_and_linked(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=ROWS)
    ingest(database, [tmp_path / "data"])
    shutil.copytree(run, run.with_name("a_s0 (copy)"))
    shutil.copytree(run, tmp_path / "data" / "backup" / "a_s0")
    settle(tmp_path / "data")
    summary = ingest(database, [tmp_path / "data"])
    assert (summary.new, summary.copies) == (2, 2)
    assert rows_of(database, "SELECT id, path, copy_of FROM runs ORDER BY id") == [
        (1, "a/a_s0", None),
        (2, "a/a_s0 (copy)", 1),
        (3, "backup/a_s0", 1),
    ]


def test_an_overwritten_run_keeps_its_id_and_what_it_was(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("a", config=PPO_CONFIG, rows=ROWS)
    ingest(database, [tmp_path / "data"])
    tag(database, 1)
    for content in ([(0, 9.0)], [(0, 9.0), (1, 8.0)], [(0, 5.0), (1, 8.0)]):  # overwritten, grown, overwritten
        run_directory("a", config=PPO_CONFIG, rows=content)
        settle(tmp_path, age=1000 + 10 * content[0][1])
        ingest(database, [tmp_path / "data"])
    assert rows_of(database, "SELECT id, rows, generation, status, superseded_by FROM runs ORDER BY id") == [
        (1, 2, 2, "ok", None),
        (2, 3, 0, "superseded", 1),
        (3, 2, 1, "superseded", 1),
    ]
    kept = "SELECT run_id, last, max FROM metrics WHERE name = 'AverageEpRet' AND run_id > 1 ORDER BY run_id"
    assert rows_of(database, kept) == [(2, 3.5, 3.5), (3, 8.0, 9.0)]
    assert rows_of(database, "SELECT run_id FROM tags") == [(1,)]


def test_a_rerun_that_crashed_at_once_overwrites_too(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("a", config=PPO_CONFIG, rows=ROWS)
    ingest(database, [tmp_path / "data"])
    run_directory("a", config=PPO_CONFIG, progress=b"")
    settle(tmp_path, age=900)
    summary = ingest(database, [tmp_path / "data"])
    assert (summary.changed, summary.overwritten) == (1, 1)
    states = "SELECT status, generation, rows FROM runs ORDER BY id"
    assert rows_of(database, states) == [("empty", 1, 0), ("superseded", 0, 3)]


@pytest.mark.sqlite
def test_a_half_written_line_is_completed_later(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run = run_directory("a", config=PPO_CONFIG, progress=b"Epoch\tAverageEpRet\n0\t1.5\n1\t2")
    summary = ingest(database, [tmp_path / "data"])
    assert [p.problem.code for p in summary.problems] == ["no-final-newline"]
    with (run / "progress.txt").open("ab") as file:
        file.write(b"5.5\n2\t3.5\n")
    summary = ingest(database, [tmp_path / "data"])
    assert (summary.changed, summary.overwritten, summary.problems) == (1, 0, [])
    assert rows_of(database, "SELECT series FROM metrics WHERE name = 'AverageEpRet'") == [("[1.5,25.5,3.5]",)]


def test_siblings_tell_the_environment(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("x_s0", config={"exp_name": "x", "env": "Hopper-v2"})
    run_directory("x_s1", config={"exp_name": "x"}, rows=[(0, 3.0)])
    run_directory("y_s0", config={"exp_name": "y", "env": "Hopper-v2"}, rows=[(0, 4.0)])
    run_directory("y_s1", config={"exp_name": "y", "env": "Ant-v2"}, rows=[(0, 5.0)])
    run_directory("y_s2", config={"exp_name": "y"}, rows=[(0, 6.0)])
    run_directory("ppo_halfcheetah-v2_s0", config={}, rows=[(0, 7.0)])
    ingest(database, [tmp_path / "data"])
    assert rows_of(database, "SELECT name, env_id, env_source FROM runs ORDER BY name") == [
        ("ppo_halfcheetah-v2_s0", "HalfCheetah-v2", "name"),
        ("x_s0", "Hopper-v2", "config"),
        ("x_s1", "Hopper-v2", "siblings"),
        ("y_s0", "Hopper-v2", "config"),
        ("y_s1", "Ant-v2", "config"),
        ("y_s2", None, None),
    ]


@pytest.mark.sqlite
def test_dry_run_writes_nothing(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("a")
    assert counts(ingest(database, [tmp_path / "data"], dry_run=True)) == (1, 0, 0, 0)
    assert not database.exists()
    ingest(database, [tmp_path / "data"])
    content = database.read_bytes()
    run_directory("b")
    assert counts(ingest(database, [tmp_path / "data"], dry_run=True)) == (1, 0, 1, 0)
    assert database.read_bytes() == content


@pytest.mark.slow
def test_many_runs_are_read_by_several_processes(run_directory: Write, database: Path, tmp_path: Path) -> None:
    for seed in range(320):
        run_directory(f"a/a_s{seed}", config=PPO_CONFIG | {"seed": seed}, rows=[(0, seed)])
    reported: list[tuple[int, int]] = []
    summary = ingest(database, [tmp_path / "data"], jobs=2, progress=lambda *numbers: reported.append(numbers))
    assert counts(summary) == (320, 0, 0, 0)
    assert reported[-1] == (320, 320)
    assert rows_of(database, "SELECT count(*), sum(last) FROM metrics WHERE name = 'AverageEpRet'") == [(320, 51040.0)]
    with open_engine(database).connect() as connection:
        assert damage(connection) == []


def test_paths_that_are_none_leave_no_database(database: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        ingest(database, [tmp_path / "nowhere"])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        ingest(database, [tmp_path, tmp_path / "file"])
    assert not database.exists()


def test_an_older_or_foreign_database_is_refused(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spindb.index.database import migrate

    run_directory()
    ingest(database, [tmp_path / "data"])
    monkeypatch.setattr(migrate, "REVISIONS", (*migrate.REVISIONS, "9999"))
    with pytest.raises(SchemaError, match="older"):
        ingest(database, [tmp_path / "data"])


@pytest.mark.sqlite
def test_a_large_ingest_that_dies_leaves_its_indexes_to_the_next(
    run_directory: Write, database: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def indexes() -> set[str]:
        found = rows_of(database, "SELECT name FROM sqlite_master WHERE tbl_name IN ('configs', 'metrics')")
        return {name for (name,) in found if name.startswith("ix_")}

    count = _Ingest.count

    def add(*names: str) -> None:
        for number, name in enumerate(names):
            run_directory(f"{name}/{name}_s{number}", config=PPO_CONFIG | {"seed": number, "part": name})

    data = tmp_path / "data"
    add("a")
    ingest(database, [data])
    monkeypatch.setattr("spindb.index.database.deferred_indexes._WORTH_SORTING", 2)
    monkeypatch.setattr("spindb.ingest.pipeline._Ingest.count", die)
    add("b", "c")
    with pytest.raises(KeyboardInterrupt):
        ingest(database, [data])
    assert rows_of(database, "SELECT count(*) FROM runs") == [(3,)]
    assert indexes() == set()
    assert "an ingest was interrupted" in cli("db", "check", "--db", database).err
    assert cli("runs", "pi_lr=3e-4 AverageEpRet.max>0", "--ids", "--db", database).out == "1\n2\n3\n"

    add("d", "e")  # no more than there are: what is missing is made, and stays
    with pytest.raises(KeyboardInterrupt):
        ingest(database, [data])
    assert len(indexes()) == 4
    assert "interrupted" not in cli("db", "check", "--db", database).err

    monkeypatch.setattr("spindb.ingest.pipeline._Ingest.count", count)
    add("f", "g", "h", "i", "j", "k")
    assert counts(ingest(database, [data])) == (6, 0, 5, 0)
    assert len(indexes()) == 4


def test_statistics_are_taken_after_an_ingest_that_died(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind() -> bool:
        with connected(database) as connection:
            return statistics_behind(connection, 0)

    run_directory("a/a_s0", config=PPO_CONFIG)
    run_directory("b/b_s0", config=PPO_CONFIG)
    monkeypatch.setattr("spindb.index.database.planner._WORTH_STATISTICS", 2)
    with monkeypatch.context() as killed:
        killed.setattr("spindb.ingest.sinks._behind", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(database, [tmp_path / "data"])
    assert behind()
    assert counts(ingest(database, [tmp_path / "data"])) == (0, 0, 2, 0)
    assert not behind()
    run_directory("c/c_s0", config=PPO_CONFIG)
    ingest(database, [tmp_path / "data"])
    assert not behind()  # one more is not worth it


def die(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.sqlite
def test_damage_is_found(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory()
    ingest(database, [tmp_path / "data"])
    with open_engine(database, write=True).begin() as connection:
        assert damage(connection) == []
        connection.exec_driver_sql("UPDATE metrics SET last = 99 WHERE name = 'AverageEpRet'")
        assert damage(connection) == ["metrics, run_id 1, name 'AverageEpRet': last is 99.0, the series says 2.5"]
        connection.exec_driver_sql("UPDATE metrics SET series = '[' WHERE name = 'AverageEpRet'")
        assert damage(connection) == ["metrics, run_id 1, name 'AverageEpRet': series is not a list of cells: '['"]
