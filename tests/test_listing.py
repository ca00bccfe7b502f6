"""`spindb runs`: which columns, how many rows, and why there are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, Outcome, settle

from spindb.ingest.pipeline import ingest

Write = Callable[..., Path]
Cli = Callable[..., Outcome]


@pytest.fixture
def study(run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six runs: two learning rates, three seeds, one of another experiment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for number in range(6):
        config = PPO_CONFIG | {"seed": number % 3, "pi_lr": (1e-3, 1e-4)[number // 3], "env": "CartPole-v1"}
        rows = [(0, 1.0 * number), (1, 10.0 * number)]
        run_directory(f"ppo{number // 3}/ppo{number // 3}_s{number % 3}", config=config, rows=rows)
    settle(tmp_path, age=3 * 86400)
    assert cli("ingest", "data").code == 0
    return tmp_path


def head(text: str) -> list[str]:
    return text.splitlines()[0].split()


def test_columns_are_what_varies(study: Path, cli: Cli) -> None:
    outcome = cli("runs")
    assert head(outcome.out) == ["id", "name", "pi_lr", "seed", "rows", "perf", "curve", "age"]
    assert "3 d" in outcome.out.splitlines()[2]
    assert outcome.err == "6 runs, all algo=ppo env=CartPole-v1\n"
    assert "pi_lr" not in cli("runs", "pi_lr=1e-3").out


def test_columns_can_be_changed(study: Path, cli: Cli) -> None:
    changed = head(cli("runs", "--columns", "+Performance.max,-age,-rows").out)
    assert changed == ["id", "name", "pi_lr", "seed", "best", "perf", "curve"]
    assert head(cli("runs", "--columns", "id,curve,age,hidden_sizes").out) == ["id", "curve", "age", "hidden_sizes"]
    assert cli("runs", "--columns", "nonsense").code == 2


def test_sorting_by_several_keys(study: Path, cli: Cli) -> None:
    assert cli("runs", "--sort", "pi_lr,-seed", "--ids").out.split() == ["6", "5", "4", "3", "2", "1"]
    assert cli("runs", "--sort=-pi_lr,-Performance", "--ids").out.split() == ["3", "2", "1", "6", "5", "4"]


def test_pages(study: Path, cli: Cli) -> None:
    first = cli("runs", "--limit", "4")
    assert "runs 1-4 of 6 (--page 2 shows more)" in first.err
    second = cli("runs", "--limit", "4", "--page", "2")
    assert second.err.startswith("runs 5-6 of 6,")
    assert cli("runs", "--limit", "4", "--page", "2", "--ids").out.split() == ["5", "6"]
    assert cli("runs", "--limit", "4", "--page", "9").err == "no page 9: 6 runs match\n"
    assert cli("runs", "--page", "2").code == 2
    assert cli("runs", "--limit", "0", "--ids").out.split() == list("123456")


def test_narrow_terminals_lose_columns_and_say_so(study: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    outcome = cli("runs")
    assert head(outcome.out) == ["id", "name", "pi_lr", "seed", "perf", "curve"]
    assert max(map(len, outcome.out.splitlines())) <= 40
    asked = cli("runs", "--columns", "+hidden_sizes,-curve")
    assert head(asked.out)[4].startswith("hidden")


def test_formats(study: Path, cli: Cli) -> None:
    rows = json.loads(cli("runs", "seed=0", "--json").out)
    lines = [json.loads(line) for line in cli("runs", "seed=0", "--jsonl").out.splitlines()]
    assert rows == lines
    assert [row["id"] for row in rows] == [1, 4]
    assert rows[0]["tags"] == []
    assert cli("runs", "--json", "--ids").code == 2
    assert cli("runs", "--watch").code == 2  # no terminal here


def test_no_result_says_why(study: Path, cli: Cli) -> None:
    outcome = cli("runs", "pi_lr<1e-3 and Performance>40 seed=0")
    assert outcome.err.splitlines() == [
        "no run matches 'pi_lr<1e-3 and Performance>40 seed=0'",
        "  pi_lr<1e-3      holds for 3 of 6 runs; without it 0 runs",
        "  Performance>40  holds for 1 of 6 runs; without it 1 run",
        "  seed=0          holds for 2 of 6 runs; without it 1 run",
    ]
    assert "holds for 0 of 6 runs" in cli("runs", "seed=7 or seed=8").err
    cli("archive", "1-3")
    assert cli("runs", "pi_lr>5e-4").err.endswith("3 archived not shown: --all\n")
    assert cli("runs", "1", "--ids").out == "1\n"  # named outright


def test_runs_by_id_name_and_directory(study: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("runs", "1,3-5", "--ids").out.split() == ["1", "3", "4", "5"]
    assert cli("runs", "2", "6", "--ids").out.split() == ["2", "6"]
    assert cli("runs", "data/ppo1", "--ids").out.split() == ["4", "5", "6"]
    assert cli("runs", "data/ppo0/ppo0_s1", "data/ppo1", "--ids").out.split() == ["2", "4", "5", "6"]
    assert cli("runs", "ppo1_s2", "--ids").out.split() == ["6"]
    assert cli("runs", "77", "1").code == 3
    assert cli("runs", ".", "--ids").out.split() == list("123456")
    Path("elsewhere").mkdir()
    assert cli("runs", "elsewhere").code == 3
    from io import StringIO

    monkeypatch.setattr("sys.stdin", StringIO("3\n1\n"))
    assert cli("runs", "-", "--ids").out.split() == ["1", "3"]
    monkeypatch.setattr("sys.stdin", StringIO("3 seed=1"))
    assert cli("runs", "-").code == 2
    monkeypatch.setattr("sys.stdin", StringIO(""))
    assert cli("runs", "-").code == 2


def test_times_ago_and_annotations_are_fields(study: Path, cli: Cli) -> None:
    assert cli("runs", "updated>4d", "--ids").out.split() == list("123456")
    assert cli("runs", "updated>2d", "--ids").out == ""
    assert cli("runs", "updated<60h", "--ids").out.split() == list("123456")
    cli("tag", "+good", "+new", "2")
    cli("note", "2", "a strange one")
    assert cli("runs", "tags~*goo* notes~*strange*", "--ids").out == "2\n"
    assert json.loads(cli("runs", "2", "--json").out)[0]["tags"] == ["good", "new"]
    assert "good, new" in cli("runs", "2", "--columns", "id,tags,notes,evaluations,copy_of").out


def test_commands_are_suggested(study: Path, cli: Cli) -> None:
    outcome = cli("rnus")
    assert outcome.code == 2
    assert "runs" in outcome.err


def test_show_tells_what_differs_and_what_launched_it(study: Path, cli: Cli) -> None:
    text = cli("show", "4").out
    assert "hyperparameters that differ from 5 other runs of ppo in CartPole-v1" in text
    row = next(line for line in text.splitlines() if line.startswith("pi_lr"))
    assert row.split() == ["pi_lr", "0.0001", "0.0001", "(2),", "0.001", "(3)"]
    assert "launched by  python -m spinup.run ppo --env CartPole-v1 --exp_name ppo --seed 0" in text
    assert "--ac_kwargs:hidden_sizes '[64,32]'" in text
    assert "(rebuilt from the config)" in text


def test_diff_takes_filters_and_breaks_into_blocks(study: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("diff", "pi_lr=1e-3", "--csv").out.splitlines()[0] == "key,1,2,3"
    assert cli("diff", "2", "1", "--csv").out.splitlines()[0] == "key,2,1"
    assert cli("diff", "seed=99").code == 2
    monkeypatch.setenv("COLUMNS", "50")
    lines = cli("diff", "1-6").out.splitlines()
    assert max(map(len, lines)) <= 50
    assert sum(line.startswith("─") for line in lines) > 1


@pytest.fixture
def mixed(run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight runs: four of ppo with one learning rate each, then four of td3."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for number in range(8):
        config = {"algo": ("ppo", "td3")[number // 4], "env": "CartPole-v1", "seed": 0, "lr": number % 4, "width": 8}
        run_directory(f"r{number}", config=config | {"width": 9 if number == 7 else 8}, rows=[(0, 1.0 * number)])
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    return tmp_path


def test_d2_the_footer_speaks_of_the_whole_result(mixed: Path, cli: Cli) -> None:
    """The first page holds nothing but ppo, the result td3 as well."""
    outcome = cli("runs", "--limit", "2")
    assert outcome.err == "runs 1-2 of 8 (--page 2 shows more), all env=CartPole-v1\n"
    heads = [head(cli("runs", "--limit", "2", "--page", page).out) for page in ("1", "2", "3", "4")]
    assert heads == [["id", "name", "algo", "lr", "width", "seed", "rows", "perf", "curve", "age"]] * 4
    assert cli("runs", "algo=ppo", "--limit", "2").err.endswith("all algo=ppo env=CartPole-v1\n")
    assert "width" not in head(cli("runs", "algo=ppo", "--limit", "2").out)


def test_d2_what_is_hidden_is_counted(mixed: Path, cli: Cli) -> None:
    import shutil

    shutil.copytree("data/r3", "data/r3copy")
    settle(mixed)
    cli("ingest", "data")
    assert cli("archive", "1", "2").code == 0
    assert cli("runs").err.splitlines()[-1] == "2 archived, 1 copy not shown: --all"
    assert cli("runs", "--limit", "2").err.splitlines()[-1] == "2 archived, 1 copy not shown: --all"
    assert cli("runs", "algo=td3").err.splitlines() == ["4 runs, all algo=td3 env=CartPole-v1"]
    assert cli("runs", "lr=3 algo=ppo").err.splitlines()[-1] == "1 copy not shown: --all"
    assert cli("runs", "--all").err.splitlines() == ["9 runs, all env=CartPole-v1"]
    assert cli("runs", "archived=true").err.splitlines()[0].startswith("2 runs")
    assert cli("runs", "id<4").err.splitlines() == ["3 runs, all algo=ppo env=CartPole-v1"]
    assert cli("runs", "id=1 archived=false").err.splitlines()[0] == "no run matches 'id=1 archived=false'"


def test_d2_columns_of_many_runs_are_chosen_by_a_sample_and_this_is_said(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from conftest import REPOSITORY

    monkeypatch.syspath_prepend(str(REPOSITORY / "bench"))
    from filled import fill

    monkeypatch.setenv("SPINDB_URL", str(tmp_path / "spindb.db"))
    fill(str(tmp_path / "spindb.db"), 1200, 1)
    first, last = cli("runs", "--limit", "3"), cli("runs", "--limit", "3", "--page", "400")
    assert head(first.out) == head(last.out)
    assert "algo" in head(first.out)
    line = next(line for line in first.err.splitlines() if line.startswith("columns: "))
    assert 300 < int(line.split()[5]) < 700
    assert cli("runs", "h0=1 h1=2", "--limit", "3").err.count("columns:") == 0
    del sys.modules["filled"]


def test_i4_the_first_of_each_performance_metric_make_the_page(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many runs of two performance metrics: a page is what sorting them all gives."""
    from conftest import REPOSITORY
    from sqlalchemy import event, update

    from spindb.index.database.connect import connected
    from spindb.index.database.models import runs
    from spindb.index.query.search import Query, search

    monkeypatch.syspath_prepend(str(REPOSITORY / "bench"))
    from filled import fill

    place = tmp_path / "spindb.db"
    fill(str(place), 2200, 2)
    with connected(place, write=True) as writing:
        writing.execute(update(runs).where(runs.c.id % 3 == 0).values(performance="Metric3"))
        writing.execute(update(runs).where(runs.c.id % 50 == 0).values(performance=None))
    with connected(place) as connection:
        for sort in (("-Performance.max",), ("Performance", "-seed"), ("-Performance.max", "h1")):
            whole = search(connection, Query("", ("id",), sort)).rows
            for offset in (0, 30, 2190):
                page = search(connection, Query("", ("id",), sort, limit=7, offset=offset))
                assert page.rows == whole[offset : offset + 7]
        statements: list[str] = []
        event.listen(connection, "before_cursor_execute", lambda *a: statements.append(a[2]))
        search(connection, Query("", ("id",), ("-Performance.max",), limit=7))
        assert sum("metrics_1.name = " in statement for statement in statements) == 2


@pytest.mark.sqlite
def test_i4_an_engine_is_made_once_for_each_database(tmp_path: Path) -> None:
    from spindb.index.database.engine import open_engine

    place = tmp_path / "a.db"
    place.touch()
    assert open_engine(place) is open_engine(str(place))
    assert open_engine(place) is not open_engine(place, write=True)
    place.unlink()
    from spindb.errors import DatabaseError

    with pytest.raises(DatabaseError, match="no database"):
        open_engine(place)


def test_a10_hyperparameters_are_shown_with_the_digits_that_tell_them_apart(
    run_directory: Callable[..., Path], database: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    for number, value in enumerate((0.00012345678, 0.00012345679, 123456789.123)):
        run_directory(f"r{number}", config={"k": value}, rows=[(0, number / 3)])
    ingest(database, [tmp_path / "data"])
    shown = cli("--db", database, "runs").out
    assert "0.00012345678 " in shown
    assert "0.00012345679 " in shown
    assert "123456789.123 " in shown
    assert "0.33333" in shown  # metrics have five digits
    assert cli("--db", database, "runs", "k=0.00012345679", "--ids").out == "2\n"
