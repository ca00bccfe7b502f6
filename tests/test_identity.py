"""No curve is ever destroyed, removed runs stay removed, each content and each directory counts once."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import EVALUATION, PPO_CONFIG, Outcome, rows_of, settle

from spindb.disk.content import digest_of
from spindb.index.database.connect import connected
from spindb.index.database.damage import damage
from spindb.index.write import batch as store
from spindb.index.write.copies import DIGEST_OF_NOTHING
from spindb.ingest.pipeline import ingest
from spindb.ingest.reading import Reader
from spindb.ingest.verify import deviations_from_disk

Write = Callable[..., Path]
Cli = Callable[..., Outcome]

X = [(0, 1.5), (1, 2.5), (2, 3.5)]
Y = [(0, 9.0), (1, 8.0)]
RUNS = "SELECT id, path, status, superseded_by, generation, rows FROM runs ORDER BY id"
CURVE = "SELECT value FROM metric_points WHERE run_id = {} AND name = 'AverageEpRet' ORDER BY row"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs are written; the working directory is above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    return tmp_path / "data"


@pytest.fixture
def take(database: Path, data: Path) -> Callable[..., Any]:
    """Ingests all, each time as if the files had been written at another time."""
    ages = itertools.count(90_000, -60)

    def once(*paths: Path, **options: Any) -> Any:
        settle(data, age=next(ages))
        return ingest(database, list(paths) or [data], **options)

    return once


def curve(database: Path, run_id: int) -> list[float]:
    return [value for (value,) in rows_of(database, CURVE.format(run_id))]


def visible(database: Path) -> list[tuple[Any, ...]]:
    """The contents that are there by default."""
    hidden = "removed_at IS NULL AND copy_of IS NULL AND status NOT IN ('missing', 'superseded')"
    return rows_of(database, f"SELECT fingerprint FROM runs WHERE {hidden} ORDER BY fingerprint")


def sound(database: Path) -> None:
    with connected(database) as connection:
        assert list(damage(connection)) == []
        assert list(deviations_from_disk(connection)) == []


# F1: what was overwritten.


def test_f1_an_overwritten_run_keeps_its_old_curve(run_directory: Write, take: Any, database: Path) -> None:
    run_directory("a", config=PPO_CONFIG, rows=X, files={"tf1_save3/saved_model.pb": b""})
    take()
    with connected(database, write=True) as connection:
        store.add_evaluation(connection, 1, EVALUATION)
        connection.exec_driver_sql("INSERT INTO tags (run_id, tag) VALUES (1, 'mine')")
    run_directory("a", config={**PPO_CONFIG, "pi_lr": 0.5}, rows=Y)
    summary = take()
    assert (summary.changed, summary.overwritten, summary.kept) == (1, 1, [(1, 2)])
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 1, 2), (2, "a", "superseded", 1, 0, 3)]
    assert (curve(database, 1), curve(database, 2)) == ([9.0, 8.0], [1.5, 2.5, 3.5])
    rates = "SELECT run_id, number FROM configs WHERE key = 'pi_lr' ORDER BY run_id"
    assert rows_of(database, rates) == [(1, 0.5), (2, 3e-4)]
    ((why,),) = rows_of(database, "SELECT unloadable FROM snapshots WHERE run_id = 2")
    assert why.startswith("overwritten")
    assert rows_of(database, "SELECT run_id, generation FROM evaluations") == [(1, 0)]
    assert rows_of(database, "SELECT run_id FROM tags") == [(1,)]
    assert rows_of(database, "SELECT count(*) FROM superseded") == [(0,)]
    assert take().unchanged + take().changed >= 1
    assert len(rows_of(database, RUNS)) == 2
    sound(database)


@pytest.mark.parametrize(
    ("before", "after", "overwritten"),
    [
        pytest.param(X, [*X, (3, 4.5)], False, id="grown"),
        pytest.param(X, X[:2], True, id="shortened by a resume"),
        pytest.param(X, [*X[:1], (1, 7.0), (2, 7.5), (3, 8.0)], True, id="truncated, then grown"),
        pytest.param([], X, False, id="nothing was there"),
        pytest.param(X, [], True, id="begun again, no row yet"),
        pytest.param(X, Y, True, id="another training"),
    ],
)
def test_f1_what_an_overwrite_is(
    run_directory: Write, take: Any, database: Path, before: Any, after: Any, overwritten: bool
) -> None:
    run_directory("a", config=PPO_CONFIG, rows=before)
    take()
    run_directory("a", config=PPO_CONFIG, rows=after)
    assert take().overwritten == overwritten
    kept = [(2, "a", "superseded", 1, 0, len(before))] if overwritten else []
    assert rows_of(database, RUNS)[1:] == kept
    if overwritten:
        assert curve(database, 2) == [value for _, value in before]
    sound(database)


def test_f1_a_config_that_is_rewritten_overwrites_no_curve(run_directory: Write, take: Any, database: Path) -> None:
    run_directory("a", config=PPO_CONFIG, rows=X)
    take()
    run_directory("a", config={**PPO_CONFIG, "pi_lr": 0.5}, rows=X)
    assert (take().overwritten, len(rows_of(database, RUNS))) == (0, 1)


@pytest.mark.parametrize(
    ("header", "rows", "overwritten"),
    [
        (("Epoch", "AverageEpRet", "New"), [(0, 1.5, ""), (1, 2.5, ""), (2, 3.5, ""), (3, 4.5, 1.0)], False),
        (("New", "AverageEpRet", "Epoch"), [("", 1.5, 0), ("", "2.50", 1), (1, 3.5, 2)], False),
        (("Epoch", "AverageEpRet", "New"), [(0, 1.5, ""), (1, 2.25, ""), (2, 3.5, ""), (3, 4.5, 1.0)], True),
        (("Epoch", "Other"), X, True),
    ],
)
def test_f1_growth_is_judged_by_rows_under_their_columns(
    run_directory: Write, take: Any, database: Path, header: Any, rows: Any, overwritten: bool
) -> None:
    run_directory("a", config=PPO_CONFIG, rows=X)
    take()
    run_directory("a", config=PPO_CONFIG, header=header, rows=rows)
    assert take().overwritten == overwritten
    assert len(rows_of(database, RUNS)) == 1 + overwritten


def test_f1_a_last_line_that_was_cut_off_is_no_other_training(run_directory: Write, take: Any, database: Path) -> None:
    run_directory("a", config=PPO_CONFIG, progress=b"Epoch\tAverageEpRet\n0\t1.5\n1\t2")
    take()
    run_directory("a", config=PPO_CONFIG, header=("Epoch", "AverageEpRet", "New"), rows=[(0, 1.5, ""), (1, 25.5, 3.0)])
    assert take().overwritten == 0
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 0, 2)]


def test_f1_a_content_that_comes_back_is_kept_once(run_directory: Write, take: Any, database: Path) -> None:
    run_directory("a", config=PPO_CONFIG, rows=X)
    take()
    run_directory("a", config=PPO_CONFIG, rows=Y)
    take()
    with connected(database, write=True) as connection:
        connection.exec_driver_sql("INSERT INTO tags (run_id, tag) VALUES (2, 'old')")
    run_directory("a", config=PPO_CONFIG, rows=X)
    assert take().kept == [(1, 3)]
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 0, 3), (3, "a", "superseded", 1, 1, 2)]
    assert rows_of(database, "SELECT run_id, tag FROM tags") == [(1, "old")]
    run_directory("a", config=PPO_CONFIG, rows=[*Y, (2, 7.0)])  # grown meanwhile
    take()
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 1, 3), (4, "a", "superseded", 1, 0, 3)]
    run_directory("a", config=PPO_CONFIG, rows=[])
    take()
    run_directory("a", config=PPO_CONFIG, rows=X)
    take()
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 0, 3), (5, "a", "superseded", 1, 1, 3)]
    run_directory("a", config=PPO_CONFIG, rows=[(0, 5.0)])
    take()
    assert [row[4] for row in rows_of(database, RUNS)] == [2, 1, 0]
    sound(database)


def test_f1_an_overwrite_within_many_runs(run_directory: Write, take: Any, database: Path) -> None:
    for seed in range(120):
        run_directory(f"a_s{seed}", config={**PPO_CONFIG, "seed": seed}, rows=[(0, seed), (1, 2.0)])
    take()
    for seed in range(0, 120, 3):
        run_directory(f"a_s{seed}", config={**PPO_CONFIG, "seed": seed}, rows=[(0, -1 - seed)])
    for seed in range(120, 130):
        run_directory(f"a_s{seed}", config={**PPO_CONFIG, "seed": seed}, rows=[(0, seed), (1, 2.0)])
    summary = take()
    assert (summary.new, summary.overwritten, len(summary.kept)) == (10, 40, 40)
    assert len({new for _, new in summary.kept}) == 40
    for run, kept in summary.kept:
        (first,), (last,) = (
            rows_of(database, f"SELECT first FROM metrics WHERE name = 'AverageEpRet' AND run_id = {i}")
            for i in (run, kept)
        )
        assert first[0] == -1 - last[0]
    sound(database)


@pytest.mark.sqlite
def test_f1_files_that_can_not_be_read_take_no_curve(
    run_directory: Write, take: Any, database: Path, unprivileged: None
) -> None:
    run = run_directory("a", config=PPO_CONFIG, rows=X)
    take()
    (run / "progress.txt").chmod(0)
    os.utime(run / "progress.txt", (1, 1))
    summary = take()
    assert "unreadable-file" in [found.problem.code for found in summary.problems]
    assert rows_of(database, RUNS) == [(1, "a", "broken", None, 0, 3)]
    assert curve(database, 1) == [1.5, 2.5, 3.5]
    (run / "progress.txt").chmod(0o644)
    assert take().changed == 1
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 0, 3)]
    run_directory("a", config=PPO_CONFIG, rows=Y)
    assert take().overwritten == 1


@pytest.mark.parametrize(("code", "again"), [("too-slow", 0), ("reader-died", 0), ("unreadable-run", 1)])
def test_f1_a_reader_that_fails_takes_no_curve(
    run_directory: Write, take: Any, database: Path, data: Path, monkeypatch: pytest.MonkeyPatch, code: str, again: int
) -> None:
    run_directory("a", config=PPO_CONFIG, rows=X)
    take()
    with monkeypatch.context() as patch:
        fail = lambda reader, runs: (reader.broken(run, code, "it failed") for run in runs)  # noqa: E731
        patch.setattr(Reader, "read_each", fail)
        assert take().changed == 1
        assert rows_of(database, RUNS) == [(1, "a", "broken", None, 0, 3)]
        assert curve(database, 1) == [1.5, 2.5, 3.5]
        assert rows_of(database, "SELECT code FROM problems") == [(code,)]
        assert ingest(database, [data]).changed == again  # what costs much is not tried before files change
    assert take().changed == 1
    assert rows_of(database, RUNS) == [(1, "a", "ok", None, 0, 3)]


def test_f1_what_was_overwritten_moves_with_its_run(
    run_directory: Write, take: Any, database: Path, data: Path
) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=X)
    take()
    run_directory("a/a_s0", config=PPO_CONFIG, rows=Y)
    take()
    run.rename(run.with_name("b_s0"))
    assert take().moved == 1
    run_directory("a/a_s0", config=PPO_CONFIG, rows=[(0, 5.0)])  # a new run where they lay
    assert take().new == 1
    paths = "SELECT path, generation, superseded_by FROM runs ORDER BY id"
    assert rows_of(database, paths) == [("a/b_s0", 1, None), ("a/b_s0", 0, 1), ("a/a_s0", 0, None)]
    shutil.rmtree(data / "a" / "b_s0")
    summary = take(prune=True)
    assert (summary.missing, summary.pruned, summary.spared) == (1, 0, 1)
    assert curve(database, 2) == [1.5, 2.5, 3.5]
    run_directory("c/b_s0", config=PPO_CONFIG, rows=X)  # an old content elsewhere is no move
    assert take().new == 1


def test_f1_superseded_runs_are_hidden_until_asked_for(
    run_directory: Write, take: Any, database: Path, cli: Cli
) -> None:
    run_directory("a_s0", config=PPO_CONFIG, rows=X, files={"tf1_save3/saved_model.pb": b""})
    take()
    run_directory("a_s0", config=PPO_CONFIG, rows=Y)
    take()
    assert cli("runs", "--ids").out == "1\n"
    assert cli("runs", "rows>0", "--ids").out == "1\n"
    assert cli("runs", "--all", "--ids").out == "1\n2\n"
    assert cli("runs", "status=superseded", "--ids").out == "2\n"
    assert "superseded   by run 1" in cli("show", "2").out
    assert "run          1" in cli("show", "a_s0").out
    shown = cli("show", "1", "--superseded")
    assert (shown.code, "run          2  a_s0" in shown.out) == (0, True)
    assert [run["id"] for run in json.loads(cli("show", "1", "--superseded", "--json").out)] == [2]
    assert [row["id"] for row in json.loads(cli("show", "1", "--json").out)["superseded"]] == [2]
    assert cli("show", "2", "--superseded").err == "run 2 was never overwritten\n"
    exported = cli("export", "metrics", "2", "--out", "old.csv")
    assert exported.code == 0, exported.err
    assert "3.5" in Path("old.csv").read_text()
    played = cli("test-policy", "2")
    assert played.code != 0
    assert json.loads(cli("db", "info", "--json").out)["superseded"] == 1
    assert json.loads(cli("db", "info", "--json").out)["runs"] == 1


# Survival.


@pytest.fixture
def history(run_directory: Write, take: Any, database: Path, cli: Cli) -> Path:
    """A run that was overwritten, with a tag on each content; a removed run; one of both."""
    text = ("nan", "text", 2**60)
    run_directory("a_s0", config={**PPO_CONFIG, "odd": "\u0085 '\"\n"}, rows=[(0, 1.5), *enumerate(text, 1)])
    run_directory("b_s0", config={**PPO_CONFIG, "seed": 1}, rows=X)
    run_directory("c_s0", config={**PPO_CONFIG, "seed": 2}, rows=X)
    take()
    with connected(database, write=True) as connection:
        store.add_evaluation(connection, 1, EVALUATION)
    run_directory("a_s0", config=PPO_CONFIG, rows=Y)
    cli("rm", "3", "--yes")
    run_directory("c_s0", config={**PPO_CONFIG, "seed": 2}, rows=Y)
    take()
    cli("tag", "+old", "4")
    cli("tag", "+mine", "2")
    cli("note", "1", "here")
    cli("rm", "2", "--yes")
    return database


KEPT = (
    "SELECT path, status, generation, rows, removed_at IS NULL, fingerprint, performance FROM runs ORDER BY 1, 3",
    "SELECT r.path, r.generation, c.key, c.type, c.value, c.canonical, c.number, c.internal FROM configs c"
    " JOIN runs r ON r.id = c.run_id ORDER BY 1, 2, 3",
    "SELECT r.path, r.generation, p.name, p.row, p.value, p.text FROM metric_points p"
    " JOIN runs r ON r.id = p.run_id ORDER BY 1, 2, 3, 4",
    "SELECT r.path, r.generation, t.tag FROM tags t JOIN runs r ON r.id = t.run_id ORDER BY 1, 2, 3",
    "SELECT r.path, r.generation, e.generation FROM evaluations e JOIN runs r ON r.id = e.run_id",
)


def all_of(database: Path) -> list[list[tuple[Any, ...]]]:
    return [rows_of(database, statement) for statement in KEPT]


def test_7_history_survives_dump_and_restore(history: Path, data: Path, tmp_path: Path, cli: Cli) -> None:
    before = all_of(history)
    assert len(before[0]) == 5
    assert cli("db", "dump", "--out", "kept.yaml").code == 0
    os.rename(data, tmp_path / "moved")
    ingest(tmp_path / "new.db", [tmp_path / "moved"])
    restored = cli("--db", tmp_path / "new.db", "db", "restore", "kept.yaml")
    assert restored.code == 0, restored.err
    assert "2 overwritten contents put back" in restored.err
    assert all_of(tmp_path / "new.db") == before
    again = cli("--db", tmp_path / "new.db", "db", "restore", "kept.yaml")
    assert "put back" not in again.err
    assert "0 tags, 0 notes, 0 evaluations" in again.err
    assert all_of(tmp_path / "new.db") == before
    sound(tmp_path / "new.db")
    first, second = (yaml.safe_load(cli("--db", db, "db", "dump").out) for db in (history, tmp_path / "new.db"))
    for dump in (first, second):
        for run in dump["runs"]:
            del run["root"]
            for past in run.get("superseded", []):
                assert past["metrics"]
    assert first == second
    assert cli("db", "restore", "kept.yaml").code == 0
    assert all_of(history) == before


def test_7_history_survives_rebuild_copy_and_prune(history: Path, data: Path, tmp_path: Path, cli: Cli) -> None:
    before = all_of(history)
    if not os.environ.get("PYTEST_POSTGRESQL"):
        assert cli("db", "copy", history, tmp_path / "other.db").code == 0
        assert all_of(tmp_path / "other.db") == before
    ingest(history, [data], prune=True)
    assert cli("db", "rebuild").code == 0
    assert all_of(history) == before
    shutil.rmtree(data / "b_s0")
    shutil.rmtree(data / "a_s0")
    assert ingest(history, [data], prune=True).pruned == 0
    assert [row[0] for row in rows_of(history, "SELECT path FROM runs ORDER BY id")] == [
        row[0] for row in rows_of(history, "SELECT path FROM runs ORDER BY id")
    ]
    assert len(rows_of(history, RUNS)) == 5


@pytest.mark.sqlite
def test_7_history_survives_a_backup(history: Path, tmp_path: Path, cli: Cli) -> None:
    assert cli("db", "backup", tmp_path / "backup.db").code == 0
    assert all_of(tmp_path / "backup.db") == all_of(history)


def test_7_a_dump_of_format_1_is_restored(run_directory: Write, take: Any, database: Path, cli: Cli) -> None:
    run_directory("a_s0", config=PPO_CONFIG, rows=X)
    take()
    ((fingerprint,),) = rows_of(database, "SELECT fingerprint FROM runs")
    Path("old.yaml").write_text(
        f"spindb: 1\nruns:\n- {{run: a_s0, root: /gone, host: there, fingerprint: {fingerprint}, tags: [a]}}\n"
    )
    assert cli("db", "restore", "old.yaml").code == 0
    assert rows_of(database, "SELECT run_id, tag FROM tags") == [(1, "a")]


@pytest.mark.parametrize("change", ["rows: 2", "rows: two", "metrics: []\n    name: 3", "until: then", "seed: 1.5"])
def test_7_a_damaged_content_is_refused_whole(history: Path, cli: Cli, tmp_path: Path, change: str) -> None:
    name, _, value = change.partition(": ")
    content = yaml.safe_load(cli("db", "dump").out)
    past = content["runs"][0]["superseded"][0]
    past.update(yaml.safe_load(f"{name}: {value}".replace("\n    ", "\n")))
    Path("bad.yaml").write_text(yaml.safe_dump(content))
    ingest(tmp_path / "new.db", [tmp_path / "data"])
    before = all_of(tmp_path / "new.db")
    refused = cli("--db", tmp_path / "new.db", "db", "restore", "bad.yaml")
    assert (refused.code, "damaged" in refused.err) == (2, True)
    assert all_of(tmp_path / "new.db") == before


# D7: what was removed.


def test_d7_removed_runs_stay_removed_with_their_notes(
    run_directory: Write, take: Any, database: Path, cli: Cli
) -> None:
    for seed in range(3):
        run_directory(f"a_s{seed}", config={**PPO_CONFIG, "seed": seed}, rows=[(0, seed)])
    take()
    cli("tag", "+mine", "2")
    cli("note", "2", "kept")
    assert cli("rm", "2", "--yes").err.endswith("1 run removed: spindb rm --undo brings them back\n")
    for _ in range(2):
        summary = take()
        assert (summary.new, summary.total, summary.removed) == (0, 2, 1)
    said = cli("ingest", "data").err
    assert "2 runs: 0 new" in said
    assert "1 removed run left out: spindb rm --list" in said
    run_directory("a_s1", config={**PPO_CONFIG, "seed": 1}, rows=[(0, 1), (1, 2.0)])  # grown
    assert take().removed == 1
    for words in ((), ("--all",), ("id:any",), ("status=ok",), ("tag:mine",)):
        assert "2" not in cli("runs", *words, "--ids").out.split()
    assert cli("show", "2").code == 3
    assert "spindb rm --undo 2" in cli("show", "2").err
    assert "spindb rm --undo 2" in cli("tag", "+x", "1-3,2").err
    assert cli("show", "a_s1").code == 3
    assert cli("tag", "--json").out == "[]\n"
    assert "run 2 was removed already" in cli("rm", "2", "--yes").err
    assert [row["id"] for row in json.loads(cli("rm", "--list", "--json").out)] == [2]
    assert "a_s1" in cli("rm", "--list").out
    assert cli("rm", "--undo", "1").code == 3
    assert cli("rm", "--undo", "data/a_s1").err.startswith("run 2 is back")
    assert cli("runs", "--ids").out == "1\n2\n3\n"
    assert "kept" in cli("show", "2").out
    assert rows_of(database, "SELECT rows FROM runs WHERE id = 2") == [(2,)]
    assert cli("rm", "--list").err == "no run is removed\n"


def test_d7_a_removed_run_stays_so_where_it_is_moved_or_copied(
    run_directory: Write, take: Any, database: Path, data: Path, cli: Cli
) -> None:
    run = run_directory("a/a_s0", config=PPO_CONFIG, rows=X)
    take()
    cli("rm", "1", "--yes")
    run.rename(run.with_name("b_s0"))
    summary = take()
    assert (summary.total, summary.removed, summary.missing) == (0, 1, 0)
    shutil.copytree(data / "a" / "b_s0", data / "c_s0")
    summary = take()
    assert (summary.total, summary.removed) == (0, 2)
    assert rows_of(database, "SELECT path, copy_of, removed_at IS NULL FROM runs ORDER BY id") == [
        ("a/b_s0", None, False),
        ("c_s0", 1, False),
    ]
    copy = rows_of(database, "SELECT max(id) FROM runs")[0][0]  # a moved run may have cost an id
    shutil.rmtree(data / "a")
    assert take(prune=True).pruned == 0
    assert (cli("runs", "--all", "--ids").out, visible(database)) == ("", [])
    assert cli("rm", "--undo", "1").code == 0
    assert cli("runs", "--ids").out == f"{copy}\n"  # its copy is there, and came back with it
    assert take().total == 1


def test_d7_the_copy_of_a_removed_run_stands_for_it(
    run_directory: Write, take: Any, database: Path, data: Path, cli: Cli
) -> None:
    run = run_directory("a_s0", config=PPO_CONFIG, rows=X)
    shutil.copytree(run, data / "b_s0")
    take()
    assert cli("runs", "--ids").out == "1\n"
    cli("rm", "1", "--yes")
    assert cli("runs", "--ids").out == "2\n"
    shutil.copytree(run, data / "c_s0")
    summary = take()
    assert (summary.new, summary.copies, summary.removed) == (1, 1, 1)
    assert cli("runs", "--all", "--ids").out == "2\n3\n"
    cli("rm", "--undo", "1")
    assert cli("runs", "--ids").out == "1\n"


def test_d7_a_new_training_in_a_removed_runs_directory_is_a_new_run(
    run_directory: Write, take: Any, database: Path, cli: Cli
) -> None:
    run_directory("a_s0", config=PPO_CONFIG, rows=X)
    take()
    cli("tag", "+mine", "1")
    cli("rm", "1", "--yes")
    run_directory("a_s0", config=PPO_CONFIG, rows=Y)
    summary = take()
    assert (summary.changed, summary.overwritten, summary.removed, summary.kept) == (1, 1, 0, [(2, 1)])
    assert rows_of(database, RUNS) == [(1, "a_s0", "superseded", 2, 0, 3), (2, "a_s0", "ok", None, 1, 2)]
    assert cli("runs", "--all", "--ids").out == "2\n"
    assert rows_of(database, "SELECT run_id FROM tags") == [(1,)]
    run_directory("a_s0", config=PPO_CONFIG, rows=X)  # the removed one again
    assert take().removed == 1
    assert rows_of(database, RUNS) == [(1, "a_s0", "ok", None, 0, 3), (2, "a_s0", "superseded", 1, 1, 2)]
    assert cli("runs", "--ids").out == ""
    assert cli("rm", "--undo", "1").code == 0
    assert cli("runs", "--all", "--ids").out == "1\n2\n"
    sound(database)


def test_d7_an_empty_run_that_was_removed_and_has_rows_is_there(
    run_directory: Write, take: Any, database: Path, cli: Cli
) -> None:
    run_directory("a_s0", config=PPO_CONFIG, rows=[])
    take()
    cli("rm", "status=empty", "--yes")
    assert take().removed == 1
    run_directory("a_s0", config=PPO_CONFIG, rows=X)
    assert (take().removed, cli("runs", "--ids").out) == (0, "1\n")


@pytest.fixture
def pair(run_directory: Write, take: Any, data: Path) -> tuple[Path, Path]:
    """Runs 1 and 2, ingested, of one setting and two seeds."""
    a = run_directory("a", config=PPO_CONFIG, rows=X)
    b = run_directory("b", config={**PPO_CONFIG, "seed": 7}, rows=Y)
    take()
    return a, b


def test_6_a_removed_run_stays_so_in_the_directory_of_another(
    pair: tuple[Path, Path], run_directory: Write, take: Any, database: Path, cli: Cli
) -> None:
    a, b = pair
    for run in ("1", "2"):
        cli("note", run, f"of {run}")
    with connected(database, write=True) as connection:
        store.add_evaluation(connection, 1, EVALUATION)
    run_directory("a", config={**PPO_CONFIG, "seed": 8}, rows=[(0, 4.0)])  # run 1 has an earlier content
    assert take().overwritten == 1
    cli("rm", "1", "--yes")
    shutil.rmtree(b)
    a.rename(b)
    for _ in range(2):
        summary = take()
        assert (summary.total, summary.removed) == (0, 1)
        assert cli("runs", "--ids").out == ""
        assert cli("runs", "--all", "--ids").out == "2\n"
    assert rows_of(database, "SELECT id, path, status, superseded_by FROM runs ORDER BY id") == [
        (1, "b", "ok", None),
        (2, "b", "superseded", 1),
        (3, "b", "superseded", 1),
    ]
    assert rows_of(database, "SELECT text FROM notes ORDER BY run_id") == [("of 1",), ("of 2",)]
    of = "SELECT r.id FROM evaluations e JOIN runs r ON r.generation = e.generation AND r.superseded_by = 1"
    assert rows_of(database, of) == [(3,)]
    run_directory("b", config={**PPO_CONFIG, "seed": 7}, rows=Y)  # the kept one, from a backup
    assert take().removed == 0
    assert cli("runs", "--ids").out == "2\n"
    shutil.rmtree(b)
    run_directory("b", config={**PPO_CONFIG, "seed": 8}, rows=[(0, 4.0)])
    take()
    assert cli("runs", "--ids").out == ""
    assert cli("rm", "--undo", "1").code == 0
    assert cli("runs", "--ids").out == "1\n"
    assert "of 1" in cli("show", "1").out
    sound(database)


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("kept", ["rows", "empty", "nothing", "removed"])
@pytest.mark.parametrize("how", ["moved", "copied"])
def test_6_removed_content_never_reappears(
    run_directory: Write, take: Any, database: Path, data: Path, cli: Cli, grown: bool, kept: str, how: str
) -> None:
    a = run_directory("a", config=PPO_CONFIG, rows=X)
    b = data / "b"
    if kept != "nothing":
        run_directory("b", config={**PPO_CONFIG, "seed": 7}, rows=[] if kept == "empty" else Y)
    take()
    cli("rm", "1,2" if kept == "removed" else "1", "--yes")
    shutil.rmtree(b, ignore_errors=True)
    if how == "moved":
        a.rename(b)
    else:
        shutil.copytree(a, b)
    if grown and how == "moved":
        run_directory("b", config=PPO_CONFIG, rows=[*X, (3, 9.5)])
    for _ in range(2):
        summary = take()
        assert (summary.total, cli("runs", "--ids").out) == (0, "")
    assert cli("rm", "--undo", "b").code == 0
    shown = cli("runs", "--ids").out.split()
    assert len(shown) == 1
    assert take().total == 1 + (how == "copied")
    assert cli("runs", "--ids").out.split() == shown


def test_6_a_kept_run_in_a_removed_runs_directory_is_there_with_its_notes(
    pair: tuple[Path, Path], take: Any, database: Path, cli: Cli
) -> None:
    a, b = pair
    cli("note", "2", "good")
    cli("rm", "1", "--yes")
    shutil.rmtree(a)
    b.rename(a)
    summary = take()
    assert (summary.moved, summary.removed, summary.missing) == (1, 0, 0)
    assert cli("runs", "--ids").out == "2\n"
    assert "good" in cli("show", "data/a").out
    cli("rm", "--undo", "1")
    assert cli("runs", "--all", "--ids").out == "1\n2\n"
    sound(database)


@pytest.mark.parametrize("batch", [100, 1])
def test_6_removed_and_kept_run_swap_their_directories(
    run_directory: Write, take: Any, database: Path, data: Path, cli: Cli, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spindb.ingest.pipeline._BATCH", batch)
    for first, second, removed in (("a", "b", 1), ("d", "c", 4)):
        run_directory(first, config={**PPO_CONFIG, "seed": removed}, rows=X)
        run_directory(second, config={**PPO_CONFIG, "seed": removed + 10}, rows=Y)
    take()
    cli("rm", "1,4", "--yes")
    for first, second in (("a", "b"), ("d", "c")):
        (data / first).rename(data / "t")
        (data / second).rename(data / first)
        (data / "t").rename(data / second)
    assert take().removed == 2
    there = "removed_at IS NULL AND copy_of IS NULL AND status = 'ok'"
    assert rows_of(database, f"SELECT path, rows FROM runs WHERE {there} ORDER BY path") == [("a", 2), ("d", 2)]
    sound(database)


def test_6_what_was_removed_and_then_overwritten_stays_so_where_a_backup_is_put(
    run_directory: Write, take: Any, database: Path, data: Path, cli: Cli
) -> None:
    a = run_directory("a", config=PPO_CONFIG, rows=X)
    shutil.copytree(a, data.parent / "backup")
    take()
    cli("rm", "1", "--yes")
    run_directory("a", config=PPO_CONFIG, rows=Y)
    take()
    assert cli("runs", "--ids").out == "2\n"
    shutil.copytree(data.parent / "backup", data / "restored")
    summary = take()
    assert (summary.new, summary.removed) == (0, 1)
    assert cli("runs", "--all", "--ids").out == "2\n"
    cli("rm", "--undo", "1")
    assert len(cli("runs", "--ids").out.split()) == 2
    sound(database)


# A2: copies and links.


def test_a2_what_disk_says_of_nothing_is_known() -> None:
    assert digest_of(b"") == DIGEST_OF_NOTHING


def test_a2_the_first_copy_that_is_there_is_the_original(
    run_directory: Write, take: Any, database: Path, data: Path
) -> None:
    run = run_directory("a_s0", config=PPO_CONFIG, rows=X)
    take()
    for name in ("b_s0", "c_s0"):
        shutil.copytree(run, data / name)
    assert take().copies == 2
    copies = "SELECT id, copy_of, status FROM runs ORDER BY id"
    shutil.rmtree(run)
    take()
    assert rows_of(database, copies) == [(1, 2, "missing"), (2, None, "ok"), (3, 2, "ok")]
    assert len(visible(database)) == 1
    shutil.copytree(data / "b_s0", run)
    take()
    assert rows_of(database, copies) == [(1, None, "ok"), (2, 1, "ok"), (3, 1, "ok")]
    run_directory("b_s0", config=PPO_CONFIG, rows=[*X, (3, 4.5)])  # a copy that went on
    take()
    assert rows_of(database, copies) == [(1, None, "ok"), (2, None, "ok"), (3, 1, "ok")]
    run_directory("a_s0", config=PPO_CONFIG, rows=Y)
    take()
    assert rows_of(database, copies)[:3] == [(1, None, "ok"), (2, None, "ok"), (3, None, "ok")]
    run_directory("a_s0", config=PPO_CONFIG, rows=[*X, (3, 4.5)])
    take()
    assert rows_of(database, copies)[:3] == [(1, None, "ok"), (2, 1, "ok"), (3, None, "ok")]


def test_a2_runs_without_rows_are_told_by_their_config(
    run_directory: Write, take: Any, database: Path, data: Path
) -> None:
    run_directory("a_s0", config=PPO_CONFIG, progress=b"")
    run_directory("a_s1", config={**PPO_CONFIG, "seed": 1}, progress=b"")
    run_directory("bare", progress=b"")
    run_directory("bare2", progress=b"")
    run_directory("void", config="{}", progress=b"")
    run_directory("void2", config="{}", progress=b"")
    run_directory("policy", config=PPO_CONFIG, progress=b"", files={"tf1_save/saved_model.pb": b"a"})
    take()
    shutil.copytree(data / "a_s0", data / "copy")
    shutil.copytree(data / "policy", data / "policy2")
    run_directory("policy3", config=PPO_CONFIG, progress=b"", files={"tf1_save/saved_model.pb": b"b"})
    assert take().copies == 2
    (data / "a_s1").rename(data / "moved")
    assert take().moved == 1
    assert rows_of(database, "SELECT id, path, copy_of FROM runs ORDER BY id") == [
        (1, "a_s0", None),
        (2, "moved", None),
        (3, "bare", None),
        (4, "bare2", None),
        (5, "policy", None),
        (6, "void", None),
        (7, "void2", None),
        (8, "copy", 1),
        (9, "policy2", 5),
        (10, "policy3", None),
    ]


@pytest.mark.sqlite
def test_a2_order_makes_no_difference(run_directory: Write, data: Path, tmp_path: Path) -> None:
    for name, rows in (("a/x_s0", X), ("a/y_s0", Y), ("b/x_s0", X), ("b/z_s0", [(0, 1.0)]), ("c/y_s0", Y)):
        run_directory(name, config={**PPO_CONFIG, "name": name[2]}, rows=rows)
    parts = [data / name for name in "abc"]
    found = []
    for number, order in enumerate([*itertools.permutations(parts), (data,), (*parts, *parts), (data / "b", data)]):
        for together in (True, False):
            place = tmp_path / f"{number}-{together}.db"
            for some in [order] if together else [(one,) for one in order]:
                ingest(place, list(some))
            found.append(visible(place))
            assert rows_of(place, "SELECT count(*) FROM runs") == [(5,)]
            chains = "SELECT count(*) FROM runs c JOIN runs o ON o.id = c.copy_of WHERE o.copy_of IS NOT NULL"
            assert rows_of(place, chains) == [(0,)]
    assert len(found[0]) == 3
    assert all(one == found[0] for one in found)


def test_a2_a_root_is_its_real_path(
    run_directory: Write, take: Any, database: Path, data: Path, tmp_path: Path, cli: Cli
) -> None:
    run_directory("a/a_s0", config=PPO_CONFIG, rows=X)
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "deep").symlink_to(data / "a")
    assert take(tmp_path / "link").new == 1
    assert take(data).unchanged + take(data).changed >= 1
    for path in (tmp_path / "link" / "a", tmp_path / "elsewhere" / "deep", tmp_path / "elsewhere"):
        assert take(path).new == 0
    summary = take(data, tmp_path / "link", data / "a")
    assert summary.total == 1
    assert rows_of(database, "SELECT count(*) FROM runs") == [(1,)]
    assert (str(data),) in rows_of(database, "SELECT path FROM roots")
    assert "run          1" in cli("show", tmp_path / "link" / "a" / "a_s0").out
    assert cli("runs", tmp_path / "link", "--ids").out == "1\n"
    assert cli("runs", "elsewhere/deep", "--ids").out == "1\n"


def test_a2_a_run_reached_by_links_from_two_roots_is_one(
    run_directory: Write, take: Any, database: Path, data: Path, tmp_path: Path
) -> None:
    run_directory("a/a_s0", config=PPO_CONFIG, rows=X)
    other = tmp_path / "other"
    shutil.copytree(data / "a", other / "b")
    (other / "b" / "a_s0" / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t7\n")
    settle(other)
    (data / "link").symlink_to(other)
    (data / "link2").symlink_to(other / "b")
    (other / "back").symlink_to(data)
    assert take(data).total == 2
    assert take(other).total == 2  # back leads to the other
    assert take(other, data).total == 2
    assert take(data, dry_run=True).total == 2
    assert rows_of(database, "SELECT count(*) FROM runs") == [(2,)]
    shutil.rmtree(other)
    assert ingest(database, [data]).missing == 1


def test_a2_a_link_to_what_lies_above_another_root_counts_it_once(
    run_directory: Write, take: Any, database: Path, data: Path, tmp_path: Path
) -> None:
    run_directory("inner/a_s0", config=PPO_CONFIG, rows=X)
    run_directory("b_s0", config=PPO_CONFIG, rows=Y)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(data)
    for _ in range(2):
        assert take(data / "inner", tmp_path / "other").total == 2
        assert rows_of(database, "SELECT path, status FROM runs ORDER BY path") == [
            ("b_s0", "ok"),
            ("inner/a_s0", "ok"),
        ]


def test_a2_links_that_can_not_be_are_damage(run_directory: Write, take: Any, database: Path) -> None:
    for name, rows in (("a_s0", X), ("b_s0", X), ("c_s0", Y)):
        run_directory(name, config=PPO_CONFIG, rows=rows)
    take()
    for change in (
        "UPDATE runs SET copy_of = 2 WHERE id = 3",
        "UPDATE runs SET superseded_by = 2 WHERE id = 3",
        "UPDATE runs SET status = 'superseded' WHERE id = 3",
    ):
        with connected(database, write=True) as connection:
            assert list(damage(connection)) == []
            connection.exec_driver_sql(change)
            assert next(line.partition(":")[0] for line in iter(damage(connection))) == "run 3"
            connection.rollback()


def test_a2_roots_of_older_databases_are_known_by_where_links_lead(
    run_directory: Write, take: Any, database: Path, data: Path, tmp_path: Path, cli: Cli
) -> None:
    run_directory("a/a_s0", config=PPO_CONFIG, rows=X)
    other = tmp_path / "other"
    shutil.copytree(data / "a", other / "b")
    (other / "b" / "a_s0" / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t7\n")
    settle(other)
    take(data)
    take(other)
    (tmp_path / "link").symlink_to(data)
    (data / "linked").symlink_to(other)
    with connected(database, write=True) as connection:
        connection.exec_driver_sql(f"UPDATE roots SET path = '{tmp_path / 'link'}' WHERE id = 1")
        connection.exec_driver_sql("UPDATE runs SET root_id = 1, path = 'linked/b/a_s0', signature = NULL WHERE id = 2")
        connection.exec_driver_sql("DELETE FROM roots WHERE id = 2")
        connection.exec_driver_sql("INSERT INTO tags (run_id, tag) VALUES (2, 'mine')")
    assert "run          1" in cli("show", data / "a" / "a_s0").out
    summary = take(data)
    assert (summary.new, summary.missing, summary.moved) == (0, 0, 1)
    places = "SELECT r.id, o.path, r.path FROM runs r JOIN roots o ON o.id = r.root_id ORDER BY r.id"
    assert rows_of(database, places) == [(1, str(data), "a/a_s0"), (2, str(other), "b/a_s0")]


def test_a2_two_roots_of_one_directory_become_one(
    run_directory: Write, take: Any, database: Path, data: Path, tmp_path: Path
) -> None:
    run_directory("a_s0", config=PPO_CONFIG, rows=X)
    run_directory("b_s0", config=PPO_CONFIG, rows=X)
    take(data)
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "other").mkdir()
    shutil.copytree(data, tmp_path / "other" / "data")
    (tmp_path / "other" / "data" / "b_s0" / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t7\n")
    ingest(database, [tmp_path / "other" / "data"])
    with connected(database, write=True) as connection:  # as an older spindb stored them
        connection.exec_driver_sql(f"UPDATE roots SET path = '{tmp_path / 'link'}' WHERE id = 2")
        connection.exec_driver_sql("INSERT INTO tags (run_id, tag) VALUES (3, 'mine')")
    shutil.rmtree(tmp_path / "other")
    take(data)
    assert rows_of(database, "SELECT path FROM roots") == [(str(data),)]
    assert rows_of(database, "SELECT run_id, tag FROM tags") == [(1, "mine")]
    assert rows_of(database, RUNS) == [
        (1, "a_s0", "ok", None, 0, 3),
        (2, "b_s0", "ok", None, 0, 3),
        (4, "b_s0", "superseded", 2, 1, 1),
    ]
    sound(database)


@pytest.mark.sqlite
def test_a2_the_look_for_copies_takes_the_index(run_directory: Write, take: Any, database: Path) -> None:
    from spindb.index.write.copies import link_copies

    run_directory("a_s0", config=PPO_CONFIG, rows=X)
    take()
    with connected(database) as connection:
        assert link_copies(connection, dry_run=True) == 0
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT fingerprint FROM runs GROUP BY fingerprint HAVING count(*) > 1"
        ).all()
    assert "COVERING INDEX ix_runs_fingerprint" in str(plan)


_KILLED = """
import os, signal, sys
from spindb.index.write import batch
from spindb.index.write.contents import Contents
from spindb.ingest import sinks
from spindb.ingest.pipeline import ingest
name = sys.argv[3]
owner = next(one for one in (Contents, sinks, batch) if hasattr(one, name))
done = getattr(owner, name)
def killed(*arguments, **options):
    if sys.argv[4] == "late":
        done(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, killed)
ingest(sys.argv[1], [sys.argv[2]])
"""


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("step", ["before", "insert_rows", "after", "set_signatures"])
def test_f1_a_kill_within_an_overwrite_leaves_it_as_before(
    run_directory: Write, take: Any, database: Path, data: Path, step: str, when: str
) -> None:
    for seed in range(3):
        run_directory(f"a_s{seed}", config={**PPO_CONFIG, "seed": seed}, rows=[*X, (3, seed)])
    take()
    before = all_of(database)
    for seed in range(2):
        run_directory(f"a_s{seed}", config={**PPO_CONFIG, "seed": seed}, rows=Y)
    settle(data, age=50)
    killed = subprocess.run([sys.executable, "-c", _KILLED, database, data, step, when], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert all_of(database) == before
    sound_but_for_changes = [d.what for d in deviations_of(database)]
    assert sound_but_for_changes == ["its files changed since they were read"] * 2
    summary = take()
    assert (summary.overwritten, len(summary.kept)) == (2, 2)
    assert sorted(curve(database, kept)[-1] for _, kept in summary.kept) == [0.0, 1.0]
    sound(database)


def deviations_of(database: Path) -> list[Any]:
    with connected(database) as connection:
        assert list(damage(connection)) == []
        return list(deviations_from_disk(connection))


def test_a2_broken_runs_are_copies_of_nothing(run_directory: Write, take: Any, database: Path) -> None:
    for name in ("a", "b"):
        run_directory(
            name, config=PPO_CONFIG, progress=b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 9\n"
        )
    take()
    assert rows_of(database, "SELECT status, copy_of FROM runs") == [("broken", None)] * 2


def test_a2_a_broken_run_is_not_known_again_by_its_config(run_directory: Write, take: Any, database: Path) -> None:
    made = run_directory(
        "a", config=PPO_CONFIG, progress=b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 9\n"
    )
    take()
    made.rename(made.with_name("b"))
    take()
    assert rows_of(database, "SELECT id, path, status FROM runs ORDER BY id") == [
        (1, "a", "missing"),
        (2, "b", "broken"),
    ]
