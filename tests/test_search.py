"""Queries over one set of runs that holds every hard value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import settle
from sqlalchemy import Connection, insert, update

from spindb.errors import FilterError, NotFoundError, UsageError
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.database.models import runs, tags
from spindb.index.query.runs import find_run, pick_snapshot, shorten
from spindb.index.query.search import Query, run_ids, search
from spindb.index.read import overview
from spindb.ingest.pipeline import ingest
from spindb.records import SnapshotRecord

A = {
    "exp_name": "alpha",
    "seed": 0,
    "pi_lr": 0.001,
    "gamma": 1,
    "clip_ratio": 0.2,
    "ac_kwargs": {"hidden_sizes": [64, 32]},
}
B = {
    "exp_name": "alpha",
    "seed": 1,
    "pi_lr": 1e-4,
    "gamma": 1.0,
    "clip_ratio": 0.2,
    "flag": True,
    "env_name": "Hopper-v2",
}
C = {
    "exp_name": "beta",
    "seed": 0,
    "pi_lr": "0.001",
    "gamma": None,
    "lr": 1e-3,
    "polyak": 0.9,
    "word": "true",
    "inf": 1,
}
D = {
    "exp_name": "gamma%",
    "seed": None,
    "pi_lr": "fast",
    "ac_kwargs": {"activation": "tanh"},
    "q": {"activation": "relu"},
}


@pytest.fixture
def connection(run_directory: Callable[..., Path], database: Path, tmp_path: Path) -> Iterator[Connection]:
    """Five runs: ids 1 to 5 are A to D and an empty one."""
    head = ("Epoch", "AverageEpRet", "Loss/Pi", "rows")
    run_directory("a_s0", config=A, header=head, rows=[(0, 10, 1.0, 7), (1, 300, 0.5, 7), (2, 200, 0.25, 7)])
    run_directory("b_s1", config=B, header=head, rows=[(0, 50, 1.0, 8), (1, "nan", "inf", 8)])
    off = ("Epoch", "AverageTestEpRet", "AverageEpRet", "Note")
    run_directory("c_s0", config=C, header=off, rows=[(1, -100.5, 1, "two words")])
    run_directory("d", config=D, header=("Epoch", "X"), rows=[(0, 1)])
    run_directory("e", config="{", progress=b"")
    settle(tmp_path / "data")
    ingest(database, [tmp_path / "data"])
    engine = open_engine(database, write=True)
    with engine.begin() as writing:
        writing.execute(insert(tags).values(run_id=1, tag="good"))
    with open_engine(database).connect() as reading:
        yield reading


EXAMPLES = [
    ("", [1, 2, 3, 4, 5]),
    ("id=2", [2]),
    ("seed=0", [1, 3]),
    ("seed!=0", [2]),
    ("not seed=0", [2, 4, 5]),
    ("seed:none", [4, 5]),
    ("seed:any", [1, 2, 3]),
    ("exp_name=alpha", [1, 2]),
    ("exp=alpha", [1, 2]),
    ("exp~*A%", [4]),
    ("exp~al*", [1, 2]),
    ("exp~?lpha", [1, 2]),
    ("name~*_s0", [1, 3]),
    ("name in (a_s0, d)", [1, 4]),
    ("algo=ppo", [1, 2]),
    ("env=Hopper-v2", [1, 2]),
    ("status=empty", [5]),
    ("rows>=2", [1, 2]),
    ("metric.rows=7", [1]),
    ("archived=false", [1, 2, 3, 4, 5]),
    ("started>2000 updated<=2999-12-31", [1, 2, 3, 4, 5]),
    ("started<2000-01", []),
    ("started=2000..2999", [1, 2, 3, 4, 5]),
    ("problems>0", [3, 5]),
    ("snapshots=0", [1, 2, 3, 4, 5]),
    # hyperparameters
    ("pi_lr=0.001", [1, 3]),
    ("pi_lr=1e-3", [1, 3]),
    ("pi_lr=.001", [1, 3]),
    ("pi_lr='0.001'", [1, 3]),
    ("pi_lr!=1e-3", [2, 4]),
    ("pi_lr<1e-3", [2]),
    ("pi_lr<=1e-3", [1, 2, 3]),
    ("pi_lr=1e-4..1e-3", [1, 2, 3]),
    ("pi_lr=..1e-4", [2]),
    ("pi_lr=5e-4..", [1, 3]),
    ("pi_lr!=5e-4..", [2, 4]),
    ("pi_lr=fast", [4]),
    ("pi_lr in (fast, 1e-4)", [2, 4]),
    ("gamma=1", [1, 2]),
    ("gamma=1.0", [1, 2]),
    ("gamma=null", [3]),
    ("gamma=none", [3]),
    ("gamma:any", [1, 2, 3]),
    ("gamma:none", [4, 5]),
    ("flag=true", [2]),
    ("word=true", [3]),
    ("word='true'", [3]),
    ("config.seed=0", [1, 3]),
    ("config.exp_name=beta", [3]),
    ("ac_kwargs.hidden_sizes=[64,32]", [1]),
    ("ac_kwargs:hidden_sizes=[64, 32]", [1]),
    ("hidden_sizes=[64,32]", [1]),
    ("hidden_sizes~*32*", [1]),
    ("config.hidden_sizes=[64,32]", [1]),
    ("q.activation=relu", [4]),
    ("activation=tanh", [4]),  # of two paths as short, the first by the alphabet
    ("activation=relu", []),
    ("q.activation~RE*", [4]),
    ("env_name~hop*", [2]),
    # metrics
    ("AverageEpRet>100", [1]),
    ("AverageEpRet.max>=50", [1, 2]),
    ("AverageEpRet.min=10", [1]),
    ("AverageEpRet.count=1", [2, 3]),
    ("AverageEpRet.argmax=1", [1]),
    ("AverageEpRet=nan", [2]),
    ("AverageEpRet!=nan", [1, 3]),
    ("AverageEpRet=100..250", [1]),
    ("metric.AverageEpRet.mean=170", [1]),
    ("Loss/Pi<1", [1]),
    ("Loss/Pi>1e300", [2]),
    ("'Loss/Pi'=inf", [2]),
    ("Performance<0", [3]),
    ("Performance.max>250", [1]),
    ("Performance:none", [4, 5]),
    # words together
    ("tag:good", [1]),
    ("not tag:good", [2, 3, 4, 5]),
    ("seed=0 or seed=1", [1, 2, 3]),
    ("(seed=0 or seed=1) pi_lr<1e-3", [2]),
    ("pi_lr<1e-3 or AverageEpRet>100", [1, 2]),
    ("not (pi_lr=1e-3 or gamma=1)", [4, 5]),
    ("not pi_lr<1e-3", [1, 3, 4, 5]),
    ("algo=ppo not seed=0 AverageEpRet.max>0", [2]),
    ("pi_lr>1e-5 pi_lr<5e-4", [2]),
]


@pytest.mark.parametrize(("query", "ids"), EXAMPLES)
def test_examples(connection: Connection, query: str, ids: list[int]) -> None:
    assert run_ids(connection, query) == ids


ERRORS = [
    ("pi_l<3", 0, 4, "pi_lr"),
    ("hidden_size=3", 0, 11, "ac_kwargs.hidden_sizes"),
    ("AvgEpRet>1", 0, 8, "AverageEpRet"),
    ("config.pi=3", 0, 9, "config.pi_lr"),
    ("metric.Averag>3", 0, 13, "metric.AverageEpRet"),
    ("seed=abc", 5, 8, None),
    ("seed~*", 5, 6, None),
    ("AverageEpRet~x", 13, 14, None),
    ("AverageEpRet=high", 13, 17, None),
    ("AverageEpRet.max=nan", 17, 20, None),
    ("pi_lr<fast", 6, 10, None),
    ("hidden_sizes=[64", 13, 14, None),
    ("hidden_sizes=[a,b]", 13, 18, "quote it"),
    ("started>soon", 8, 12, "2026-11-22"),
    ("archived=maybe", 9, 14, None),
    ("zzzzzzzz=1", 0, 8, "spindb params"),
]


@pytest.mark.parametrize(("query", "start", "end", "hint"), ERRORS)
def test_errors(connection: Connection, query: str, start: int, end: int, hint: str | None) -> None:
    with pytest.raises(FilterError) as caught:
        run_ids(connection, query)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert hint is None or hint in str(caught.value.hint)


def test_columns_keep_their_types(connection: Connection) -> None:
    names = ("id", "pi_lr", "gamma", "ac_kwargs.hidden_sizes", "AverageEpRet", "Note", "env")
    rows = search(connection, Query(columns=names)).rows
    assert rows[0] == (1, 0.001, 1, [64, 32], 200.0, None, "Hopper-v2")
    assert rows[2] == (3, "0.001", None, None, 1.0, "two words", None)
    assert math.isnan(rows[1][4])
    assert rows[4] == (5, None, None, None, None, None, None)


def test_order_limit_and_total(connection: Connection) -> None:
    found = search(connection, Query("seed:any", sort=("-AverageEpRet.max",), limit=2))
    assert ([row[0] for row in found.rows], found.total) == ([1, 2], 3)
    assert [row[0] for row in search(connection, Query(sort=("AverageEpRet.max",))).rows] == [3, 2, 1, 4, 5]
    assert [row[0] for row in search(connection, Query(sort=("-seed", "-id"))).rows] == [2, 3, 1, 5, 4]
    assert [row[0] for row in search(connection, Query(sort=("pi_lr",))).rows] == [2, 1, 3, 4, 5]
    with pytest.raises(FilterError):
        search(connection, Query(sort=("-nonsense",)))


def test_archived_and_missing_runs_are_out_unless_asked_for(connection: Connection, database: Path) -> None:
    with open_engine(database, write=True).begin() as writing:
        writing.execute(update(runs).where(runs.c.id == 1).values(archived=True))
        writing.execute(update(runs).where(runs.c.id == 2).values(status="missing"))
    connection.rollback()
    assert run_ids(connection, "") == [3, 4, 5]
    assert run_ids(connection, "", everything=True) == [1, 2, 3, 4, 5]
    assert run_ids(connection, "archived=true") == [1]
    assert run_ids(connection, "status=missing") == [2]


def test_run_by_id_path_name_and_prefix(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_run(connection, "1").name == "a_s0"
    assert find_run(connection, "b_s1").id == 2
    assert find_run(connection, "b").id == 2
    assert find_run(connection, str(tmp_path / "data" / "c_s0")).id == 3
    monkeypatch.chdir(tmp_path / "data")
    assert find_run(connection, "c_s0/").id == 3
    with pytest.raises(NotFoundError, match="ids here: 1-5"):
        find_run(connection, "99")
    with pytest.raises(NotFoundError) as caught:
        find_run(connection, "a_s9")
    assert "a_s0" in str(caught.value.hint)


def test_an_ambiguous_name_lists_its_runs(run_directory: Callable[..., Path], database: Path, tmp_path: Path) -> None:
    run_directory("x/run_s0")
    run_directory("y/run_s0", rows=[(0, 7.0)])
    ingest(database, [tmp_path / "data"])
    with open_engine(database).connect() as reading, pytest.raises(UsageError, match="means 2 runs") as caught:
        find_run(reading, "run_s0")
    lines = [line.split() for line in str(caught.value).splitlines()[1:]]
    assert lines == [["1", "x/run_s0"], ["2", "y/run_s0"]]


def test_an_itr_that_was_not_saved_lists_those_that_were() -> None:
    saved = [SnapshotRecord("tf1_save", f"tf1_save{i}", i) for i in (0, 10, 20, 25)]
    assert pick_snapshot(saved, 10, Path("d")).path == "tf1_save10"
    assert pick_snapshot(saved, None, Path("d")).path == "tf1_save25"
    with pytest.raises(NotFoundError, match=r"no snapshot with itr 5; saved itrs: 0-20 by 10, 25"):
        pick_snapshot(saved, 5, Path("d"))
    with pytest.raises(NotFoundError, match="only the unnumbered"):
        pick_snapshot([SnapshotRecord("tf1_save", "tf1_save")], 5, Path("d"))
    with pytest.raises(NotFoundError, match="no saved policy"):
        pick_snapshot([], None, Path("d"))


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([1, 2], "1, 2"), ([1, 2, 3, 7], "1-3, 7"), ([0, 5, 10, 11, 12], "0-10 by 5, 11, 12")],
)
def test_lists_of_numbers(numbers: list[int], text: str) -> None:
    assert shorten(numbers) == text


def test_keys_and_metrics_over_runs(connection: Connection) -> None:
    keys = {row.key: row for row in overview.keys_over(connection, [1, 2, 3, 4])}
    assert keys["exp_name"].values == (("alpha", 2), ("beta", 1), ("gamma%", 1))
    assert keys["gamma"].types == ("float", "int", "null")
    metrics = {row.name: row for row in overview.metrics_over(connection, [1, 2, 3])}
    found = metrics["AverageEpRet"]
    assert (found.runs, found.points, found.min, found.max) == (3, 5, 1.0, 300.0)


def test_points_view_tells_every_cell_apart(connection: Connection) -> None:
    statement = "SELECT row, epoch, value, text FROM metric_points WHERE run_id = {} AND name = '{}' ORDER BY row"
    assert connection.exec_driver_sql(statement.format(2, "AverageEpRet")).all() == [
        (0, 0, 50, None),
        (1, 1, None, "NaN"),
    ]
    assert connection.exec_driver_sql(statement.format(2, "Loss/Pi")).all() == [
        (0, 0, 1.0, None),
        (1, 1, math.inf, None),
    ]
    assert connection.exec_driver_sql(statement.format(3, "Note")).all() == [(0, 1, None, "two words")]


def test_i4_pages_by_performance_read_off_several_indexes_are_whole(
    run_directory: Callable[..., Path], database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spindb.index.query.search._MANY", 3)
    metrics = ("AverageEpRet", "AverageTestEpRet", "EpRet", "eval/mean_reward")
    for number in range(20):
        rows = [(epoch, 100.0 * epoch + 7 * number % 20) for epoch in range(2)]
        run_directory(f"r{number:02}", config={"seed": number}, header=("Epoch", metrics[number % 4]), rows=rows)
    ingest(database, [tmp_path / "data"])
    with connected(database) as reading:
        assert {row[1] for row in search(reading, Query(columns=("id", "Performance"))).rows} >= {100.0, 119.0}
        for sort in ("Performance", "-Performance", "-Performance.max"):
            whole = [row[0] for row in search(reading, Query(sort=(sort,), limit=None)).rows]
            for limit, offset in ((5, 0), (7, 6), (20, 0)):
                page = search(reading, Query(sort=(sort,), limit=limit, offset=offset)).rows
                assert [row[0] for row in page] == whole[offset : offset + limit], (sort, limit, offset)
