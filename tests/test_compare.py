"""Settings, summaries and their comparison."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, Outcome, settle
from sqlalchemy import Connection

import spindb
from spindb.analysis import summaries
from spindb.analysis.compare import compare
from spindb.errors import FilterError, UsageError
from spindb.index.database.connect import connected
from spindb.index.query.search import run_ids
from spindb.index.read.groups import Group, groups_of
from spindb.ingest.pipeline import ingest

X = [10.0, 20.0, 40.0]
NAN = math.nan


@pytest.mark.parametrize(
    ("summary", "y", "expected"),
    [
        ("last", [1.0, 2.0, 3.0], 3.0),
        ("last", [1.0, 2.0, NAN], NAN),
        ("last", [], NAN),
        ("first", [NAN, 2.0, 3.0], 2.0),
        ("min", [4.0, NAN, 3.0], 3.0),
        ("max", [4.0, NAN, 3.0], 4.0),
        ("mean", [4.0, NAN, 3.0], 3.5),
        ("mean", [NAN, NAN, NAN], NAN),
        ("tail:2", [9.0, 1.0, 3.0], 2.0),
        ("tail:99", [9.0, 1.0, 2.0], 4.0),
        ("auc", [0.0, 2.0, 4.0], (1.0 * 10 + 3.0 * 20) / 30),
        ("auc", [5.0, NAN, 5.0], 5.0),
        ("auc", [NAN, 7.0, NAN], 7.0),
        ("reach:2", [0.0, 2.0, 4.0], 20.0),
        ("reach:-1e3", [0.0, 2.0, 4.0], 10.0),
        ("reach:5", [0.0, 2.0, 4.0], NAN),
    ],
)
def test_summary(summary: str, y: list[float], expected: float) -> None:
    assert summaries.summary_named(summary)(X[: len(y)], y) == pytest.approx(expected, nan_ok=True)


def test_reach_from_above() -> None:
    assert summaries.summary_named("reach:1", lower=True)(X, [5.0, 1.0, 0.5]) == 20.0


def test_reach_takes_the_first_known_place() -> None:
    assert summaries.summary_named("reach:2")([0.0, NAN, 20.0], [0.0, 3.0, 4.0]) == 20.0


@pytest.mark.parametrize("summary", ["", "median", "tail", "tail:0", "tail:x", "reach:", "reach:high", "last:3"])
def test_unknown_summaries(summary: str) -> None:
    with pytest.raises(UsageError) as caught:
        summaries.summary_named(summary)
    assert caught.value.message == f"unknown summary {summary!r}"
    assert caught.value.hint == "summaries: last, first, min, max, mean, tail:K, auc, reach:VALUE"


def settings_of(connection: Connection, ids: Sequence[int], group_by: Sequence[str] = ()) -> tuple[Group, ...]:
    return groups_of(connection, ids, group_by).groups


@pytest.fixture
def grid(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Three settings of three seeds in one environment, one of two seeds in another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    header = ("Epoch", "AverageEpRet", "TotalEnvInteracts")
    for number, rate in enumerate((1e-2, 1e-3, 1e-4)):
        for seed in (0, 10, 20):
            config = PPO_CONFIG | {
                "seed": seed, "pi_lr": rate, "env": "CartPole-v1", "out": f"/x/{number}/{seed}",
                "exp_name": f"exp_seed{seed}", "env_fn": f"<function at 0x{seed:x}>",
            }  # fmt: skip
            rows = [(e, 100.0 * number + e + seed / 10, 1000 * (e + 1)) for e in range(4)]
            run_directory(f"e{number}_s{seed}", config=config, header=header, rows=rows)
    for seed in (0, 1):
        config = PPO_CONFIG | {"seed": seed, "env": "Pendulum-v1", "exp_name": "p"}
        rows = [(0, "nan" if seed else -5.0, 1000)]
        run_directory(f"p_s{seed}", config=config, header=header, rows=rows)
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    return tmp_path / "spindb.db"


def test_settings_are_everything_but_the_seed(grid: Path) -> None:
    """What follows from the seed, or is another in every run, is no setting of its own."""
    with connected(grid) as connection:
        found = settings_of(connection, run_ids(connection, "env=CartPole-v1"))
        assert [s.runs for s in found] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
        assert [dict(s.values) for s in found] == [{"pi_lr": 1e-2}, {"pi_lr": 1e-3}, {"pi_lr": 1e-4}]
        assert found[0].label == "pi_lr=0.01"
        assert found[0].seeds == (0, 10, 20)
        everything = settings_of(connection, run_ids(connection, ""))
        assert len(everything) == 4
        assert "env" in everything[0].values
        (alone,) = settings_of(connection, [10, 11])
        assert (alone.label, dict(alone.values)) == ("p", {})


def test_settings_by_fields(grid: Path) -> None:
    with connected(grid) as connection:
        ids = run_ids(connection, "")
        by_env = settings_of(connection, ids, ["env"])
        assert [(s.label, len(s.runs)) for s in by_env] == [("env=CartPole-v1", 9), ("env=Pendulum-v1", 2)]
        assert settings_of(connection, []) == ()
        with pytest.raises(FilterError):
            settings_of(connection, ids, ["nonsense"])


def test_settings_are_ranked_within_their_environment(grid: Path) -> None:
    with connected(grid) as connection:
        found = compare(connection, run_ids(connection, ""))
    labels = [(row.setting.values["env"], row.setting.values["pi_lr"], row.verdict) for row in found.rows]
    assert labels == [
        ("CartPole-v1", 1e-4, "best"),
        ("CartPole-v1", 1e-3, "worse"),
        ("CartPole-v1", 1e-2, "worse"),
        ("Pendulum-v1", 3e-4, "one seed"),
    ]
    first, *_, last = found.rows
    assert first.statistics is not None
    assert (first.statistics.n, first.statistics.mean) == (3, 204.0)
    assert (last.left_out, last.values) == (1, (-5.0,))
    assert found.keys == ["env", "pi_lr"]
    assert found.metrics == ("AverageEpRet",)


def test_lower_is_better_where_that_is_said(grid: Path) -> None:
    with connected(grid) as connection:
        found = compare(connection, run_ids(connection, "env=CartPole-v1"), lower=True)
        assert [row.setting.label for row in found.rows] == ["pi_lr=0.01", "pi_lr=0.001", "pi_lr=0.0001"]
        reached = compare(connection, run_ids(connection, "env=CartPole-v1"), summary="reach:103")
    assert [(row.left_out, row.verdict) for row in reached.rows] == [
        (0, "best"),
        (0, reached.rows[1].verdict),
        (3, "no value"),
    ]


def test_one_seed_tells_nothing_and_short_runs_are_named(grid: Path, cli: Callable[..., Outcome]) -> None:
    one = cli("compare", "seed=0 env=CartPole-v1")
    assert one.out.count("one seed") == 3
    assert "best" not in one.out
    pooled = cli("compare", "--group-by", "algo")
    assert "warning: algo=ppo pools 2 environments" in pooled.err
    assert "warning: shorter than other seeds of their setting: 2 runs (10, 11)" in pooled.err
    assert cli("compare", "id=-1").err == "no run to compare\n"
    assert cli("compare", "--value", "AvgEpRet").code == 2
    assert "did you mean" in cli("compare", "--value", "AvgEpRet").err
    assert cli("compare", "--summary", "median").code == 2


def test_n_stands_beside_every_mean(grid: Path, cli: Callable[..., Outcome]) -> None:
    header = cli("compare", "env=CartPole-v1").out.splitlines()[0].split()
    assert header.index("n") < header.index("mean")
    assert "1 of 2" in cli("compare").out
    for row in json.loads(cli("compare", "--json").out):
        assert row["n"] == len(row["values"])
        assert row["n"] + row["left_out"] == len(row["runs"])


def test_tables_of_several_environments_are_apart_by_an_empty_line(
    run_directory: Callable[..., Path], database: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    for env in ("CartPole-v1", "Pendulum-v1"):
        for seed in (0, 1):
            config = {"exp_name": env, "env": env, "seed": seed, "clip_ratio": 0.2}
            run_directory(f"{env}_s{seed}", config=config, rows=[(0, 1.0), (1, seed)])
    ingest(database, [tmp_path / "data"])
    lines = cli("--db", database, "compare").out.splitlines()
    assert lines[0].startswith("CartPole-v1")
    assert lines[lines.index("") + 1].startswith("Pendulum-v1")


def test_hyperparameters_that_are_called_like_statistics(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No column takes the place of another: neither in CSV nor in data frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for n in (10, 20):
        for seed in (0, 1):
            config = {
                "exp_name": "e",
                "seed": seed,
                "env": "CartPole-v1",
                "n": n,
                "metric": f"m{n}",
                "status": n,
                "id": n,
            }
            run_directory(f"r{n}_{seed}", config=config, header=("Epoch", "AverageEpRet"), rows=[(0, n + seed)])
    settle(tmp_path / "data")
    assert cli("ingest", "data").code in (0, 1)
    rows = list(csv.DictReader(cli("compare", "--csv").out.splitlines()))
    assert [(row["config.n"], row["config.metric"], row["status"], row["n"], row["metric"]) for row in rows] == [
        ("20", "m20", "20", "2", "AverageEpRet"),
        ("10", "m10", "10", "2", "AverageEpRet"),
    ]
    db = spindb.open("spindb.db")
    frame = db.compare()
    assert frame[["config.n", "config.metric", "status", "n", "metric"]].to_numpy().tolist() == [
        [20, "m20", 20, 2, "AverageEpRet"],
        [10, "m10", 10, 2, "AverageEpRet"],
    ]
    runs = db.runs()
    assert (runs["status"].tolist(), runs["config.status"].tolist()) == (["ok"] * 4, [10, 10, 20, 20])
    assert (runs["n"].tolist(), runs["config.id"].tolist()) == ([10, 10, 20, 20], [10, 10, 20, 20])


def test_each_value_goes_with_its_seed(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for seed in (0, 10, 2):
        config = {"exp_name": "e", "seed": seed, "env": "CartPole-v1"}
        rows = [(0, "nan" if seed == 10 else seed)]
        run_directory(f"r_s{seed}", config=config, header=("Epoch", "AverageEpRet"), rows=rows)
    settle(tmp_path / "data")
    assert cli("ingest", "data").code in (0, 1)
    (row,) = json.loads(cli("compare", "--json").out)
    assert (row["seeds"], row["values"], row["value_seeds"]) == ([0, 10, 2], [0.0, 2.0], [0, 2])
