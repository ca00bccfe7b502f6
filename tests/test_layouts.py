"""Layouts other than Spinning Up's, from disk to plots: deep files, metrics with own steps, many runs in a file."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import layouts
import pytest
from conftest import EVALUATION, Outcome, rows_of, settle

from spindb.analysis.drawing.panels import PlotSpec, arranged
from spindb.disk import formats
from spindb.disk.sparse import SparseMetrics
from spindb.index.database.connect import connected
from spindb.index.query.reference import RunPath
from spindb.index.query.runs import find_run
from spindb.index.read.curves import RawCurve, curves
from spindb.index.write.annotations import tag_runs
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest
from spindb.ingest.summary import Summary
from spindb.ingest.watch import _affected, _changes
from spindb.play.locate import locate, policy_digest
from spindb.play.rollouts.value_trace import gamma_of
from spindb.play.verify.logged import log_of
from spindb.records import directory_of, file_of, part_of, path_of

Cli = Callable[..., Outcome]
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a layout of spindb's own is: by a place in `LAYOUTS`."""
    monkeypatch.setattr(formats, "LAYOUTS", (*formats.LAYOUTS, *layouts.ALL))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def put(place: Path, text: str, *, more: bool = False, age: float = 3600) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a" if more else "w") as file:
        file.write(text)
    os.utime(place, (place.stat().st_mtime - age,) * 2)
    return place


def counted(summary: Summary) -> dict[str, int]:
    names = ("new", "changed", "unchanged", "missing", "moved", "overwritten", "copies", "returned", "pruned")
    assert not summary.problems
    return {name: getattr(summary, name) for name in names if getattr(summary, name)}


def is_sound(cli: Cli, database: Path) -> bool:
    found = cli("--db", database, "db", "check", "--deep")
    assert found.code == 0, found.err
    return "is sound" in found.err


# A table three folders below the run, in files that grow and become more.


def deep(data: Path, name: str = "deep_run") -> Path:
    run = data / name
    put(run / "deep.json", json.dumps({"lr": 1e-3, "gamma": 0.9, "name": name}))
    put(run / "logs/w0/metrics/00.csv", "0,100,1.5\n1,200,2.5\n")
    put(run / "saves/7/policy.bin", "weights")
    return run


def test_files_three_folders_deep_are_seen_to_grow(data: Path, database: Path, cli: Cli) -> None:
    run = deep(data)
    assert counted(ingest(database, [data])) == {"new": 1}
    with connected(database, write=True) as connection:
        tag_runs(connection, [1], ["good"], [])
    assert counted(ingest(database, [data])) == {"unchanged": 1}
    put(run / "logs/w0/metrics/00.csv", "2,300,3.5\n", more=True)
    assert counted(ingest(database, [data])) == {"changed": 1}
    put(run / "logs/w1/metrics/00.csv", "3,400,4.5\n")
    assert counted(ingest(database, [data])) == {"changed": 1}
    assert counted(ingest(database, [data])) == {"unchanged": 1}
    kept = "SELECT id, path, rows, generation, format FROM runs ORDER BY id"
    assert rows_of(database, kept) == [(1, "deep_run", 4, 0, "deep")]
    assert is_sound(cli, database)
    with connected(database) as connection:
        (panel,) = arranged(connection, [1], PlotSpec()).panels
    assert (panel.xlabel, panel.ylabel) == ("interactions", "return")
    assert panel.lines[0].x.tolist() == [100, 200, 300, 400]
    assert panel.lines[0].y.tolist() == [1.5, 2.5, 3.5, 4.5]
    put(run / "logs/w0/metrics/00.csv", "0,100,9.5\n")
    assert counted(ingest(database, [data])) == {"changed": 1, "overwritten": 1}
    tagged = cli("--db", database, "runs", "tag:good", "--ids")
    assert tagged.out == "1\n"


def test_a_change_deep_below_is_one_of_the_run(data: Path) -> None:
    run = deep(data)
    assert _affected([run / "logs/w0/metrics/00.csv"], [data]) == [run]


def test_copies_and_moves_of_deep_runs(data: Path, database: Path) -> None:
    run = deep(data)
    ingest(database, [data])
    shutil.copytree(run, data / "again")
    assert counted(ingest(database, [data])) == {"new": 1, "unchanged": 1, "copies": 1}
    shutil.move(run, data / "elsewhere")
    put(data / "elsewhere/deep.json", json.dumps({"lr": 1e-3, "gamma": 0.9, "name": "deep_run"}))
    assert counted(ingest(database, [data])) == {"unchanged": 1, "moved": 1}
    assert rows_of(database, "SELECT id, path, copy_of FROM runs ORDER BY id") == [
        (1, "elsewhere", None),
        (2, "again", 1),
    ]


def test_what_is_played_is_named_by_the_layout(data: Path) -> None:
    run = deep(data)
    playable = locate(RunPath(run))
    assert (playable.snapshot.path, playable.snapshot.itr) == ("saves/7/policy.bin", 7)
    before = policy_digest(playable)
    assert before is not None
    put(run / "saves/7/policy.bin", "other")
    assert policy_digest(playable) not in (None, before)
    assert gamma_of(run) == 0.9


# Metrics of unequal length, each with its own steps.

SCALARS: Sequence[tuple[str, float, object]] = (
    ("loss", 0, 3.0), ("loss", 10, 2.0), ("eval/return", 10, 5.0), ("loss", 20, "NaN"), ("eval/return", 30, 7.0),
    ("loss", 30, 1.0), ("lr", 0, 0.5),
)  # fmt: skip


def scalars(data: Path, name: str = "scalars_0", points: Sequence[tuple[str, float, object]] = SCALARS) -> Path:
    return put(data / name / "scalars.jsonl", "".join(json.dumps(point) + "\n" for point in points)).parent


def test_metrics_of_unequal_length_are_kept_with_their_steps(data: Path, database: Path, cli: Cli) -> None:
    scalars(data)
    assert counted(ingest(database, [data])) == {"new": 1}
    assert is_sound(cli, database)
    points = "SELECT name, row, epoch, value, text, step FROM metric_points WHERE run_id = 1 ORDER BY name, row"
    assert rows_of(database, points) == [
        ("eval/return", 0, None, 5.0, None, 10),
        ("eval/return", 1, None, 7.0, None, 30),
        ("loss", 0, None, 3.0, None, 0),
        ("loss", 1, None, 2.0, None, 10),
        ("loss", 2, None, None, "NaN", 20),
        ("loss", 3, None, 1.0, None, 30),
        ("lr", 0, None, 0.5, None, 0),
    ]
    assert rows_of(database, "SELECT rows, axis, steps FROM runs") == [(4, None, None)]
    with connected(database) as connection:
        assert curves(connection, [1], "eval/return") == [RawCurve(1, "eval/return", "steps", [10, 30], [5, 7])]
        assert curves(connection, [1], "loss", "row")[0].x == [0, 1, 2, 3]
        over = curves(connection, [1], "loss", "eval/return")[0]
        assert [x for x in over.x if x == x] == [5, 7]
        assert [y for x, y in zip(over.x, over.y, strict=True) if x == x] == [2, 1]
        assert all(math.isnan(x) for x in curves(connection, [1], "loss", "epoch")[0].x)
    shown = cli("--db", database, "show", "1")
    assert shown.code == 0
    assert "eval/return" in shown.out


def test_plots_and_comparisons_use_the_steps_of_the_metric(
    data: Path, database: Path, run_directory: Write, cli: Cli
) -> None:
    scalars(data)
    header = ("Epoch", "TotalEnvInteracts", "eval/return")
    run_directory("ppo_s0", header=header, rows=[(0, 10, 1.0), (1, 20, 2.0), (2, 30, 3.0)])
    ingest(database, [data])
    with connected(database) as connection:
        (panel,) = arranged(connection, [1, 2], PlotSpec(values=("eval/return",), per_run=True)).panels
        found = arranged(connection, [1, 2], PlotSpec(values=("eval/return",), axis="epoch", per_run=True))
    assert panel.xlabel == "steps"
    assert sorted((line.x.tolist(), line.y.tolist()) for line in panel.lines) == [
        ([10, 20, 30], [1, 2, 3]),
        ([10, 30], [5, 7]),
    ]
    assert [line.y.tolist() for line in found.panels[0].lines] == [[1, 2, 3]]
    assert "1 run not drawn: no point of eval/return over epoch" in found.notes
    compared = json.loads(cli("--db", database, "compare", "--value", "eval/return", "--summary", "auc", "--json").out)
    assert sorted(row["mean"] for row in compared) == [2.0, 6.0]


def test_exports_have_the_steps(data: Path, database: Path, tmp_path: Path, cli: Cli) -> None:
    scalars(data)
    ingest(database, [data])
    text = cli("--db", database, "export", "metrics").out
    rows = [(r["metric"], r["row"], r["epoch"], r["steps"], r["value"]) for r in csv.DictReader(text.splitlines())]
    assert rows[:3] == [
        ("loss", "0", "NaN", "0.0", "3.0"),
        ("loss", "1", "NaN", "10.0", "2.0"),
        ("loss", "2", "NaN", "20.0", "NaN"),
    ]
    assert rows[4:6] == [("eval/return", "0", "NaN", "10.0", "5.0"), ("eval/return", "1", "NaN", "30.0", "7.0")]
    parquet = pytest.importorskip("pyarrow.parquet")
    assert cli("--db", database, "export", "metrics", "--out", tmp_path / "points.parquet").code == 0
    table = parquet.read_table(tmp_path / "points.parquet")
    assert table.column("steps").to_pylist() == [0, 10, 20, 30, 10, 30, 0]
    from spindb.api import Database

    frame = Database(database).curves(metrics="eval/return")
    assert frame["steps"].tolist() == [10, 30]
    assert frame["epoch"].isna().all()


def test_one_metric_alone_grows(data: Path, database: Path, cli: Cli) -> None:
    run = scalars(data)
    ingest(database, [data])
    put(run / "scalars.jsonl", json.dumps(("loss", 40, 0.5)) + "\n", more=True)
    assert counted(ingest(database, [data])) == {"changed": 1}
    # Written anew in another order, as by a flush of buffers: what was there is there at its steps.
    longer = [*sorted([*SCALARS, ("loss", 40, 0.5), ("lr", 40, 0.25)], key=lambda point: point[1])]
    scalars(data, points=longer)
    assert counted(ingest(database, [data])) == {"changed": 1}
    scalars(data, points=[(name, step + 1, value) for name, step, value in longer])
    assert counted(ingest(database, [data])) == {"changed": 1, "overwritten": 1}
    assert rows_of(database, "SELECT id, status, generation FROM runs ORDER BY id") == [
        (1, "ok", 1),
        (2, "superseded", 0),
    ]
    assert is_sound(cli, database)


@pytest.mark.sqlite
def test_copies_dumps_and_backups_carry_the_steps(data: Path, database: Path, tmp_path: Path, cli: Cli) -> None:
    run = scalars(data)
    ingest(database, [data])
    scalars(data, points=[("loss", 5, 9.0)])
    ingest(database, [data])
    assert cli("db", "copy", database, tmp_path / "other.db").code == 0
    steps = "SELECT name, steps FROM metrics WHERE run_id = 2 ORDER BY name"
    expected = [("eval/return", "[10,30]"), ("loss", "[0,10,20,30]"), ("lr", "[0]")]
    assert rows_of(tmp_path / "other.db", steps) == expected
    (tmp_path / "dump.yaml").write_text(cli("--db", database, "db", "dump").out)
    assert ingest(tmp_path / "new.db", [data]).new == 1
    assert cli("--db", tmp_path / "new.db", "db", "restore", tmp_path / "dump.yaml").code == 0
    assert rows_of(tmp_path / "new.db", steps) == expected
    assert "is sound" in cli("--db", tmp_path / "new.db", "db", "check").err
    assert run.is_dir()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("'[10]'", "series has 2 cells and 1 steps"),
        ("'[10,\"x\"]'", "steps is not a list of finite numbers"),
        ("'{}'", "steps is not a list of finite numbers"),
        ("NULL", "series has 2 cells, the run has 4 rows"),
    ],
)
def test_damaged_steps_are_found(wrong: str, said: str, data: Path, database: Path, cli: Cli) -> None:
    scalars(data)
    ingest(database, [data])
    with connected(database, write=True) as connection:
        connection.exec_driver_sql(f"UPDATE metrics SET steps = {wrong} WHERE name = 'eval/return'")
    found = cli("--db", database, "db", "check")
    assert found.code == 4
    assert f"metrics, run_id 1, name 'eval/return': {said}" in found.err
    for command in (("show", "1"), ("export", "metrics"), ("plot", "--text", "--width", "60")):
        assert "Traceback" not in cli("--db", database, *command).err


@pytest.mark.sqlite
def test_damaged_steps_are_found_beside_a_damaged_series(data: Path, database: Path, cli: Cli) -> None:
    scalars(data)
    ingest(database, [data])
    with connected(database, write=True) as connection:
        connection.exec_driver_sql("UPDATE metrics SET steps = '{}', series = '7' WHERE name = 'eval/return'")
    found = cli("--db", database, "db", "check").err
    for said in ("series is not a list of cells", "steps is not a list of finite numbers"):
        assert f"metrics, run_id 1, name 'eval/return': {said}" in found


def test_a_verdict_is_not_guessed_from_other_steps(data: Path) -> None:
    run = scalars(data)
    from spindb.records import SnapshotRecord

    log = log_of(run, SnapshotRecord("pyt_save", "x", 10))
    assert (log.lines, log.why) == ((), "eval/return was logged at steps of its own, not by epochs")


def test_steps_that_are_none_are_left_out() -> None:
    metrics = SparseMetrics()
    for step in (0, None, "1", math.nan, math.inf, True, 10**400, 2**60, 0.5):
        metrics.add("m", step, 1.0)
    (series,) = metrics.series()
    assert (series.steps, len(series.values), metrics.left_out) == ((0, 2.0**60, 0.5), 3, 6)


# Several runs in one file.


def line(run: str, step: int, value: float) -> str:
    return json.dumps({"run": run, "step": step, "return": value}) + "\n"


def several(data: Path, *runs: str, name: str = "study") -> Path:
    text = "".join(
        json.dumps({"run": run, "config": {"seed": place, "lr": 0.1}})
        + "\n"
        + line(run, 10, place)
        + line(run, 20, 7.5)
        for place, run in enumerate(runs)
    )
    return put(data / name / "runs.jsonl", text)


PLACES = "SELECT id, path, part, name, rows, status FROM runs ORDER BY id"


def test_each_run_of_a_file_is_a_run(data: Path, database: Path, cli: Cli) -> None:
    file = several(data, "a", "b/c", "d#1")
    assert counted(ingest(database, [data])) == {"new": 3}
    assert counted(ingest(database, [data])) == {"unchanged": 3}
    assert rows_of(database, PLACES) == [
        (1, "study/runs.jsonl#a", "runs.jsonl#a", "a", 2, "ok"),
        (2, "study/runs.jsonl#b%2Fc", "runs.jsonl#b%2Fc", "b/c", 2, "ok"),
        (3, "study/runs.jsonl#d%231", "runs.jsonl#d%231", "d#1", 2, "ok"),
    ]
    assert is_sound(cli, database)
    db = ("--db", database)
    assert cli(*db, "path", "2").out == f"{file}\n"
    assert cli(*db, "runs", file, "--ids").out == "1\n2\n3\n"
    assert cli(*db, "runs", file.parent, "--ids").out == "1\n2\n3\n"
    assert cli(*db, "runs", f"{file}#a", "--ids").out == "1\n"
    assert json.loads(cli(*db, "show", f"{file}#a", "--json").out)["id"] == 1
    several_there = cli(*db, "show", file)
    assert several_there.code == 2
    assert "holds 3 runs" in several_there.err
    assert "runs.jsonl#b%2Fc" in several_there.err
    with connected(database) as connection:
        found = find_run(connection, "3")
        assert (found.directory, found.place.name, found.files) == (file.parent, "runs.jsonl#d%231", file)
        lines = arranged(connection, [1, 2, 3], PlotSpec(per_run=True)).panels[0].lines
    assert [one.x.tolist() for one in lines] == [[10, 20]] * 3


def test_what_grows_in_a_file_is_read_on_and_the_rest_stays(data: Path, database: Path, cli: Cli) -> None:
    file = several(data, "a", "b")
    ingest(database, [data])
    with connected(database, write=True) as connection:
        tag_runs(connection, [2], ["good"], [])
        add_evaluation(connection, 2, EVALUATION)
    put(file, line("b", 30, 8.0) + line("new", 0, 1.0), more=True)
    assert counted(ingest(database, [data])) == {"new": 1, "changed": 1, "unchanged": 1}
    assert counted(ingest(database, [data])) == {"unchanged": 3}
    assert [(row[0], row[3], row[4]) for row in rows_of(database, PLACES)] == [(1, "a", 2), (2, "b", 3), (3, "new", 1)]
    assert rows_of(database, "SELECT generation FROM runs ORDER BY id") == [(0,), (0,), (0,)]
    assert is_sound(cli, database)

    put(file, line("a", 10, 0.0) + line("a", 20, 7.5))  # its config went, and the others
    assert counted(ingest(database, [data])) == {"changed": 1, "missing": 2}
    assert counted(ingest(database, [data])) == {"unchanged": 1, "missing": 2}
    several(data, "a", "b")
    assert counted(ingest(database, [data])) == {"changed": 1, "returned": 1, "missing": 1}
    assert cli("--db", database, "runs", "tag:good", "--ids").out == "2\n"
    assert counted(ingest(database, [data], prune=True)) == {"unchanged": 2, "pruned": 1}
    assert is_sound(cli, database)


def test_removed_copied_and_moved_runs_of_a_file(data: Path, database: Path, cli: Cli) -> None:
    file = several(data, "a", "b")
    ingest(database, [data])
    assert cli("--db", database, "rm", "1", "--yes").code == 0
    put(file, line("b", 30, 8.0), more=True)
    summary = ingest(database, [data])
    assert (summary.removed, summary.changed, summary.unchanged) == (1, 1, 0)
    assert ingest(database, [data]).removed == 1
    assert cli("--db", database, "rm", "--undo", "1").code == 0

    shutil.copytree(file.parent, data / "twin")
    assert counted(ingest(database, [data])) == {"new": 2, "copies": 2, "unchanged": 2}
    assert rows_of(database, "SELECT id, copy_of FROM runs ORDER BY id") == [(1, None), (2, None), (3, 1), (4, 2)]
    shutil.rmtree(data / "twin")
    ingest(database, [data], prune=True)
    shutil.move(file.parent, data / "moved")
    assert counted(ingest(database, [data])) == {"moved": 2}
    assert [row[:2] for row in rows_of(database, PLACES)] == [
        (1, "moved/runs.jsonl#a"),
        (2, "moved/runs.jsonl#b"),
    ]
    shutil.move(data, data.with_name("other"))
    told = cli("--db", database, "relocate", data, data.with_name("other"))
    assert told.code == 0
    assert counted(ingest(database, [data.with_name("other")])) == {"unchanged": 2}
    assert cli("--db", database, "path", "1").out == f"{data.with_name('other')}/moved/runs.jsonl\n"


def test_a_root_above_takes_the_runs_of_a_file_along(data: Path, database: Path) -> None:
    file = several(data, "a")
    ingest(database, [file.parent])
    assert rows_of(database, PLACES)[0][1:3] == ("runs.jsonl#a", "runs.jsonl#a")
    assert counted(ingest(database, [data])) == {"unchanged": 1}
    assert rows_of(database, PLACES)[0][1:3] == ("study/runs.jsonl#a", "runs.jsonl#a")


def test_a_file_that_breaks_keeps_what_was_read(data: Path, database: Path) -> None:
    file = several(data, "a", "b")
    ingest(database, [data])
    whole = file.read_text()
    put(file, whole + "{not json\n")
    summary = ingest(database, [data])
    assert [problem.problem.code for problem in summary.problems] == ["unreadable-run"] * 2
    assert [(row[0], row[4], row[5]) for row in rows_of(database, PLACES)] == [(1, 2, "broken"), (2, 2, "broken")]
    put(file, whole)
    assert counted(ingest(database, [data])) == {"changed": 2}
    assert [(row[0], row[4], row[5]) for row in rows_of(database, PLACES)] == [(1, 2, "ok"), (2, 2, "ok")]


def test_a_file_that_was_broken_from_the_start_leaves_nothing_behind(data: Path, database: Path) -> None:
    file = put(data / "study" / "runs.jsonl", "{not json\n")
    assert ingest(database, [data]).new == 1
    assert rows_of(database, PLACES) == [(1, "study", None, "study", 0, "broken")]
    several(data, "a")
    assert counted(ingest(database, [data])) == {"new": 1}
    assert [row[1] for row in rows_of(database, PLACES)] == ["study/runs.jsonl#a"]
    assert file.is_file()


@pytest.mark.sqlite
def test_an_ingest_that_is_killed_between_the_runs_of_a_file_is_taken_up(
    data: Path, database: Path, tmp_path: Path, cli: Cli
) -> None:
    several(data, *(f"run{number}" for number in range(250)))
    deep(data)
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import layouts\n"
        "from pathlib import Path\n"
        "from spindb.disk import formats\n"
        "from spindb.ingest.pipeline import ingest\n"
        "formats.LAYOUTS = (*formats.LAYOUTS, *layouts.ALL)\n"
        "ingest(sys.argv[1], [Path(sys.argv[2])], progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, script, database, data], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    ((before,),) = rows_of(database, "SELECT count(*) FROM runs")
    assert before == 100
    found = counted(ingest(database, [data]))
    assert found["new"] == 151
    assert found["unchanged"] == 100
    assert counted(ingest(database, [data])) == {"unchanged": 251}
    assert is_sound(cli, database)


def test_names_of_parts() -> None:
    assert part_of("runs.jsonl", "a/b#c%") == "runs.jsonl#a%2Fb%23c%25"
    assert part_of("events") == "events"
    assert [file_of(part_of(file, key)) for file in ("f", "f#1") for key in (None, "k", 3)] == ["f"] * 3 + ["f#1"] * 3
    for directory in (".", "a", "a/b"):
        for part in (None, part_of("x/f", "k")):
            assert directory_of(path_of(directory, part), part) == directory


def test_two_runs_of_one_name_are_refused(data: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "part_of", lambda *_: "the same")
    several(data, "a", "b")
    (problem,) = ingest(database, [data]).problems
    assert problem.problem.code == "unreadable-run"
    assert "two runs of one directory are 'the same'" in problem.problem.message


def test_layouts_side_by_side(data: Path, database: Path, run_directory: Write, cli: Cli) -> None:
    run_directory("ppo_s0", config={"seed": 0})
    deep(data)
    scalars(data)
    several(data, "a", "b")
    settle(data)
    assert counted(ingest(database, [data])) == {"new": 5}
    formats_there = rows_of(database, "SELECT DISTINCT format FROM runs ORDER BY format")
    assert formats_there == [("deep",), ("scalars",), ("several",), ("spinningup",)]
    assert is_sound(cli, database)
    for command in ("runs", "compare", "doctor", "best", "du", "params"):
        assert cli("--db", database, command).code == 0, command


def test_a_file_of_runs_is_followed_rebuilt_and_read_by_newer_readers(
    data: Path, database: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    deep(data)
    ingest(database, [data])
    file = several(data, "a", "b")
    assert counted(ingest(database, [data], dry_run=True)) == {"new": 2, "unchanged": 1}
    written: list[Path] = []
    ingest(database, [data], wrote=written.append)
    changes = _changes(database, written)
    assert [(change.run_id, change.name, change.rows, change.last) for change in changes] == [
        (2, "a", 2, 7.5),
        (3, "b", 2, 7.5),
    ]
    assert cli("--db", database, "db", "rebuild").code == 0
    assert [row[0] for row in rows_of(database, PLACES)] == [1, 2, 3]
    monkeypatch.setattr("spindb.disk.scan.READERS", 99)
    monkeypatch.setattr("spindb.ingest.tasks._READ_BY", "@99")
    assert counted(ingest(database, [data])) == {"changed": 3}
    assert counted(ingest(database, [data])) == {"unchanged": 3}
    assert file.is_file()


def test_a_file_written_just_now_is_read_again(data: Path, database: Path) -> None:
    file = several(data, "a", "b")
    os.utime(file)
    assert counted(ingest(database, [data])) == {"new": 2}
    assert {signature[:1] for (signature,) in rows_of(database, "SELECT signature FROM runs")} == {"?"}
    with file.open("a") as more:
        more.write(line("b", 30, 8.0))
    assert counted(ingest(database, [data])) == {"changed": 1, "unchanged": 1}
    put(file, "", more=True)
    assert counted(ingest(database, [data])) == {"unchanged": 2}
    assert {signature[:1] == "?" for (signature,) in rows_of(database, "SELECT signature FROM runs")} == {False}


def test_what_a_layout_can_not_watch_is_read_each_time(
    data: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Sequence[str]:
        raise RuntimeError("a defect")

    deep(data)
    scalars(data)
    monkeypatch.setattr(layouts.Scalars, "watched", fail)
    assert counted(ingest(database, [data])) == {"new": 2}
    assert counted(ingest(database, [data])) == {"unchanged": 2}
