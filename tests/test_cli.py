"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import EVALUATION, PPO_CONFIG, REPOSITORY, Outcome, settle
from torchlike import SMALLEST as WHOLE

from spindb.index.database.models import REVISIONS

Write = Callable[..., Path]
Cli = Callable[..., Outcome]


@pytest.fixture
def filled(run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a database of three runs, which is also where the commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    run_directory("ppo/ppo_s0", config=PPO_CONFIG, rows=[(0, 10.0), (1, 200.5)])
    run_directory("ppo/ppo_s10", config=PPO_CONFIG | {"seed": 10, "pi_lr": 0.01}, rows=[(0, 20.0), (1, "nan")])
    run_directory("vpg/vpg_s0", config={"train_v_iters": 80, "seed": 0}, files={"pyt_save/model5.pt": WHOLE})
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    return tmp_path


def test_ingest_reports_on_stderr_and_json_on_stdout(filled: Path, cli: Cli, run_directory: Write) -> None:
    again = cli("ingest", "data")
    assert (again.code, again.out) == (0, "")
    assert "3 runs: 0 new, 0 changed, 3 unchanged, 0 missing\nno new problems\n" in again.err
    run_directory("crash/crash_s0", progress=b"")
    settle(filled)
    odd = cli("ingest", "data", "--json")
    assert odd.code == 1
    found = json.loads(odd.out)
    assert (found["runs"], found["new"]) == (4, 1)
    assert [p["code"] for p in found["problems"]] == ["progress-empty", "config-missing"]
    assert "crash/crash_s0/progress.txt: the file is empty" in odd.err


def test_ingest_where_there_is_nothing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    outcome = cli("ingest", "empty")
    assert outcome.code == 0
    assert "no runs under empty: a run is a directory with a progress.txt" in outcome.err
    (tmp_path / "file").touch()
    assert cli("ingest", "file").code == 2
    assert cli("ingest", "nowhere").code == 3
    monkeypatch.setenv("SPINDB_DATA_DIR", str(tmp_path / "nothere"))
    missing = cli("ingest")
    assert missing.code == 3
    assert "nothere" in missing.err


def test_runs_table(filled: Path, cli: Cli) -> None:
    outcome = cli("runs")
    assert outcome.code == 0
    assert outcome.err == "3 runs\n"
    lines = [line.split() for line in outcome.out.splitlines() if line.strip()]
    assert lines[0] == ["id", "name", "algo", "pi_lr", "seed", "rows", "perf", "curve", "age"]
    assert lines[2] == ["1", "ppo_s0", "ppo", "0.0003", "0", "2", "200.5", "▁█", "1", "h"]
    assert lines[3] == ["2", "ppo_s10", "ppo", "0.01", "10", "2", "nan", "▁·", "1", "h"]


def test_runs_as_data(filled: Path, cli: Cli) -> None:
    (first, second) = json.loads(cli("runs", "algo=ppo", "--json").out)
    assert (first["id"], first["name"], first["seed"], first["Performance"]) == (1, "ppo_s0", 0, 200.5)
    assert (second["Performance"], second["Performance.max"]) == ("NaN", 20.0)
    assert first["updated"].endswith("Z")
    table = list(csv.reader(io.StringIO(cli("ls", "--csv", "--columns", "id,pi_lr,ac_kwargs.hidden_sizes").out)))
    assert table[0] == ["id", "pi_lr", "ac_kwargs.hidden_sizes"]
    assert table[1:] == [["1", "0.0003", "[64, 32]"], ["2", "0.01", "[64, 32]"], ["3", "", ""]]
    assert cli("runs", "--json", "--csv").code == 2


def test_runs_filters_sorts_limits(filled: Path, cli: Cli) -> None:
    outcome = cli("runs", "algo=ppo", "pi_lr<1e-3", "--columns", "id")
    assert outcome.out.split()[-1] == "1"
    outcome = cli("runs", "--sort", "-seed", "--limit", "1", "--columns", "id,seed")
    assert outcome.out.split()[-2:] == ["2", "10"]
    assert "runs 1-1 of 3" in outcome.err
    assert cli("runs", "--sort=-id", "--columns", "-env,-curve,+pi_lr").code == 0
    assert cli("runs", "--", "seed=-1").err == ("no run matches 'seed=-1'\n  seed=-1  holds for 0 of 3 runs\n")


def test_a_bad_filter_shows_the_place(filled: Path, cli: Cli) -> None:
    outcome = cli("runs", "algo=ppo pi_lrr<1e-3")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines() == [
        "error: nothing here is called 'pi_lrr'",
        "  algo=ppo pi_lrr<1e-3",
        "           ^^^^^^",
        "hint: did you mean pi_lr?",
    ]


def test_show(filled: Path, cli: Cli) -> None:
    outcome = cli("show", "ppo_s0")
    assert outcome.code == 0
    for words in ("run          1  ppo_s0", "ppo (from config keys)", "ac_kwargs.hidden_sizes", "AverageEpRet", "▁█"):
        assert words in outcome.out
    found = json.loads(cli("show", "1", "--json").out)
    assert found["config"]["ac_kwargs.hidden_sizes"] == [64, 32]
    assert found["metrics"]["AverageEpRet"]["max"] == 200.5
    assert found["problems"] == []
    problems = cli("show", "3").out
    assert "pyt_save/model5.pt" in problems
    assert cli("show", "99").code == 3


def test_path_and_snapshots(filled: Path, cli: Cli) -> None:
    run = filled / "data" / "vpg" / "vpg_s0"
    assert cli("path", "3").out == f"{run}\n"
    assert cli("path", "3", "--itr", "5").out == f"{run / 'pyt_save' / 'model5.pt'}\n"
    missed = cli("path", "3", "--itr", "6")
    assert missed.code == 3
    assert "saved itrs: 5" in missed.err
    (snapshot,) = json.loads(cli("snapshots", "3", "--json").out)
    assert (snapshot["itr"], snapshot["kind"]) == (5, "pyt_save")
    assert "latest" in cli("snapshots", "3").out
    assert "pyt_save" in cli("snapshots", "3", "--csv").out
    assert "no saved policy" in cli("snapshots", "1").err
    os.rename(run, filled / "gone")
    assert cli("path", "3").code == 3


def test_params_metrics_diff(filled: Path, cli: Cli) -> None:
    assert "0.0003 (1), 0.01 (1)" in cli("params").out
    keys = {row["key"]: row for row in json.loads(cli("params", "algo=ppo", "--json").out)}
    assert keys["seed"]["values"] == [{"value": 0, "runs": 1}, {"value": 10, "runs": 1}]
    assert "seed,0,1" in cli("params", "1", "--csv").out
    ranges = {row["metric"]: row for row in json.loads(cli("metrics", "--json").out)}
    assert (ranges["AverageEpRet"]["min"], ranges["AverageEpRet"]["max"]) == (1.0, 200.5)
    assert cli("metrics", "1").code == 0
    assert "AverageEpRet,1,2,10.0,200.5" in cli("metrics", "1", "--csv").out
    outcome = cli("diff", "1", "2")
    assert [line.split()[0] for line in outcome.out.splitlines()[2:] if line.strip()] == [
        *("metric.AverageEpRet", "metric.AverageEpRet.max", "pi_lr", "seed")
    ]
    rows = {row["key"]: row["values"] for row in json.loads(cli("diff", "1", "2", "3", "--json").out)}
    assert rows["pi_lr"] == {"1": "0.0003", "2": "0.01", "3": None}
    assert "gamma" not in rows
    assert "clip_ratio,0.2,0.2" in cli("diff", "1", "2", "--all", "--csv").out
    assert cli("diff", "1", "1").err == "no difference\n"
    assert cli("diff", "1").code == 2


@pytest.mark.sqlite
def test_database_commands(filled: Path, cli: Cli) -> None:
    facts = json.loads(cli("db", "info", "--json").out)
    assert (facts["runs"], facts["schema"], facts["roots"][0]["runs"]) == (3, REVISIONS[-1], 3)
    assert "roots" not in cli("db", "info").out
    assert cli("db", "check").code == 0
    assert "up to date" in cli("db", "upgrade").err
    assert f"schema none -> {REVISIONS[-1]}" in cli("--db", "new.db", "db", "upgrade").err
    (filled / "text.db").write_text("no database " * 200)
    for command in (["runs"], ["show", "1"], ["db", "check"], ["db", "upgrade"], ["ingest", "data"]):
        outcome = cli("--db", "text.db", *command)
        assert outcome.code == 4, command
        assert "not a SQLite database" in outcome.err
    assert cli("runs", "--db", "nowhere.db").code == 4
    assert cli("runs", "--db", "data").code == 4


@pytest.mark.sqlite
def test_damage_ends_with_the_database_code(filled: Path, cli: Cli) -> None:
    import sqlite3

    with closing(sqlite3.connect(filled / "spindb.db")) as connection, connection:
        connection.execute("UPDATE metrics SET last = 1e9")
    outcome = cli("db", "check", "--json")
    assert outcome.code == 4
    assert len(json.loads(outcome.out)["damage"]) == 6


@pytest.mark.sqlite
def test_the_database_is_found_upward_and_by_variable(
    filled: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(filled / "data" / "ppo")
    assert cli("runs").err == "3 runs\n"
    monkeypatch.setenv("SPINDB_URL", f"sqlite:///{filled}/other.db")
    assert cli("runs").code == 4
    assert cli("runs", "--db", str(filled / "spindb.db")).code == 0


@pytest.mark.sqlite
def test_nothing_else_is_in_the_directory(filled: Path, cli: Cli) -> None:
    cli("runs")
    assert sorted(os.listdir(filled)) == ["data", "spindb.db"]


def test_relocate(filled: Path, cli: Cli) -> None:
    os.rename(filled / "data", filled / "archive")
    assert cli("path", "1").code == 3
    outcome = cli("relocate", "data", "archive")
    assert (outcome.code, outcome.err) == (0, "3 runs are now under archive\n")
    assert cli("path", "1").out == f"{filled / 'archive' / 'ppo' / 'ppo_s0'}\n"
    assert "0 new, 0 changed, 3 unchanged, 0 missing" in cli("ingest", "archive").err
    gone = cli("relocate", "data", "archive")
    lines = f"error: {filled / 'data'} is not a root; roots here: {filled / 'archive'}\n"
    assert (gone.code, gone.err) == (3, lines)
    assert cli("relocate", "archive", "nowhere").code == 3
    (filled / "other").mkdir()
    assert cli("ingest", "other").code == 0
    assert cli("relocate", "archive", "other").code in (0, 2)


def test_show_tells_of_earlier_runs_and_copies(filled: Path, cli: Cli, run_directory: Write) -> None:
    import shutil

    from spindb.index.database.engine import open_engine
    from spindb.index.write.batch import add_evaluation

    with open_engine(filled / "spindb.db", write=True).begin() as connection:
        add_evaluation(connection, 1, EVALUATION)
    shutil.copytree(filled / "data" / "ppo" / "ppo_s10", filled / "data" / "copy")
    run_directory("ppo/ppo_s0", config=PPO_CONFIG, rows=[(0, 5.0)])
    settle(filled, age=60)
    assert "(1 overwritten)" in cli("ingest", "data").err
    shown = cli("show", "1").out
    assert "overwritten: this directory held other runs before" in shown
    assert "of the earlier run here" in shown
    assert json.loads(cli("show", "1", "--json").out)["superseded"][0]["max"] == 200.5
    assert "copy of      run 2" in cli("show", "copy").out


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out.startswith("spindb ")
    assert "test-policy" in cli("--help").out
    assert cli("nonsense").code == 2
    for command in ("ingest", "runs", "show", "path", "snapshots", "params", "metrics", "diff", "test-policy", "demo"):
        assert cli(command, "-h").code == 0


def test_test_policy_says_what_is_wrong_before_anything_is_loaded(filled: Path, cli: Cli) -> None:
    def error(*arguments: object) -> str:
        outcome = cli("test-policy", *arguments)
        assert outcome.out == ""
        return f"{outcome.code} {outcome.err}"

    assert error().startswith("2 error: name one run")
    assert error("1", "--run-id", "1").startswith("2 error: name one run")
    assert "ids here: 1-3" in error("--run-id", "7")
    assert error("nowhere/at/all").startswith("3 error: no such directory")
    assert error("ppo_s").startswith("2 error: 'ppo_s' means 2 runs")
    assert error("1").startswith("3 error: ")
    assert "has no saved policy" in error("1")
    assert "saved itrs: 5" in error("3", "--itr", "4")
    assert error("3", "--itr", "-2").startswith("2 error: --itr -2")
    assert error("3", "--env", "X-v0", "--env-factory", "a:b").startswith("2 error: --env and --env-factory")
    assert "output directories below it" in error("data")
    assert error("data/ppo/ppo_s0/progress.txt").startswith("2 error: ")
    assert "its run is" in error("data/vpg/vpg_s0/pyt_save")


def in_a_new_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_module_adds_the_commands_that_are_said_of_it() -> None:
    from importlib import import_module

    import typer

    from spindb.cli.app import COMMANDS

    for module, commands in COMMANDS.items():
        app = typer.Typer()
        import_module(f"spindb.cli.commands.{module}").register(app)
        added = [command.name for command in app.registered_commands] + [group.name for group in app.registered_groups]
        assert sorted(map(str, added)) == sorted(commands)
    modules = {path.stem for path in (REPOSITORY / "spindb" / "cli" / "commands").glob("*.py")}
    assert modules - {"__init__"} == set(COMMANDS)


HEAVY = (
    "tensorflow",
    "torch",
    "gym",
    "gymnasium",
    "pandas",
    "matplotlib",
    "pyarrow",
    "scipy",
    "numpy",
    "alembic",
    "joblib",
    "cloudpickle",
)


LIGHT = [
    *(["runs"], ["runs", "--json"], ["show", "1"], ["params", "--varying"], ["diff", "1", "2"], ["snapshots", "3"]),
    *(["doctor"], ["tag", "+a", "1"], ["note", "1", "x"], ["archive", "1"], ["query", "list"], ["sql", "SELECT 1"]),
    *(["export", "metrics"], ["db", "dump"]),
]


@pytest.mark.slow
@pytest.mark.parametrize("command", LIGHT, ids=" ".join)
def test_querying_imports_nothing_heavy(filled: Path, command: list[str]) -> None:
    code = f"import sys; from spindb.cli.app import run; run({command!r}); print(*sys.modules, file=sys.stdout)"
    loaded = set(in_a_new_process(code).split("\n")[-2].split(" "))
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint({*HEAVY, "rich.table"})


WITHOUT_PYDANTIC = [
    ["runs", "seed=0", "--limit", "3", "--sort", "-id"],
    ["show", "1"],
    ["ingest", "data", "--jobs", "1"],
]


@pytest.mark.parametrize("command", WITHOUT_PYDANTIC, ids=" ".join)
def test_text_numbers_and_paths_are_read_without_pydantic(filled: Path, command: list[str]) -> None:
    code = f"import sys; from spindb.cli.app import run; run({command!r}); print(*sys.modules)"
    loaded = set(in_a_new_process(code).split("\n")[-2].split(" "))
    assert "typer" in loaded
    assert "pydantic" not in loaded


def test_help_imports_no_database() -> None:
    code = "import sys; from spindb.cli.app import run; run(['runs', '--help']); print(*sys.modules)"
    loaded = set(in_a_new_process(code).split("\n")[-2].split(" "))
    assert "typer" in loaded
    assert loaded.isdisjoint({"sqlalchemy", *HEAVY})


def test_the_package_alone_imports_nothing_heavy() -> None:
    loaded = set(in_a_new_process("import sys, spindb; dir(spindb); print(*sys.modules)").split())
    assert loaded.isdisjoint({"sqlalchemy", "typer", *HEAVY})


def test_the_public_names_exist() -> None:
    import spindb

    assert all(getattr(spindb, name) is not None for name in spindb.__all__)
    assert set(spindb.__all__) <= set(dir(spindb))
    with pytest.raises(AttributeError):
        _ = spindb.nonsense


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["runs", "--limit", "9" * 20], 0, "3 runs"),
        (["runs", "--limit", "2", "--page", "9" * 20], 0, "3 runs match"),
        (["show", "9" * 20], 3, "no run has the id"),
        (["path", "9" * 20], 3, "no run has the id"),
        (["tag", "+x", "9" * 20], 3, "no run has the id"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, list) else "",
)
def test_numbers_that_no_database_counts_to(filled: Path, cli: Cli, command: list[str], code: int, words: str) -> None:
    outcome = cli(*command)
    assert outcome.code == code
    assert words in outcome.err
