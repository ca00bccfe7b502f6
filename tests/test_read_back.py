"""What the index gives back of runs: keys, metrics, curves, evaluations, whole runs; beside what the files hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import EVALUATION
from sqlalchemy import Connection

from spindb.errors import DatabaseError, FilterError, UsageError
from spindb.index.database import batches, engine, migrate
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.maintenance.copy import copy_all, differing_tables, verified_copy
from spindb.index.read import curves, overview
from spindb.index.read import run as browse
from spindb.index.read.evaluations import evaluated
from spindb.index.read.exports import TypedColumn
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest
from spindb.records import EpisodeResult

Write = Callable[..., Path]
NAN = math.nan


@pytest.fixture
def filled(run_directory: Write, database: Path, tmp_path: Path) -> Path:
    """Runs 1 and 2 of one algorithm and environment, run 3 of another, run 4 without interactions or numbers."""
    head = ("Epoch", "AverageEpRet", "TotalEnvInteracts", "Note")
    config = {"exp_name": "ppo", "env": "A-v0", "clip_ratio": 0.2, "pi_lr": 1e-3}
    own = {"seed": 0, "gamma": 1, "size": [64, 64], "only": None}
    run_directory("a", config=config | own, header=head, rows=[(0, 5, 10, "x"), (1, "nan", 20, ""), (2, 7, 30, "y")])
    own = {"seed": 1, "gamma": 1.0, "size": [32], "act": "<function f>"}
    run_directory("b", config=config | own, header=head, rows=[(0, -1, 100, ""), (1, 9, 200, "")])
    config = {"exp_name": "sac", "env": "A-v0", "alpha": 0.1, "lr": 1, "polyak": 0.9, "gamma": "0.9", "seed": 0}
    off = ("Epoch", "AverageTestEpRet", "AverageEpRet", "TotalEnvInteracts")
    run_directory("c", config=config, header=off, rows=[(1, 3, 4, 50)])
    run_directory("d", config={"exp_name": "d"}, header=("Epoch", "Loss"), rows=[(4, "inf"), (6, 1)])
    ingest(database, [tmp_path / "data"])
    return database


@pytest.fixture
def connection(filled: Path) -> Iterator[Connection]:
    with connected(filled) as connection:
        yield connection


@pytest.fixture(params=[500, 2], ids=["one portion", "several"])
def portion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are asked for by portions: what they add up to must not depend on how many there are."""
    monkeypatch.setattr(batches, "_BATCH", request.param)


def test_portions_are_in_order_and_hold_each_once() -> None:
    ids = list(range(1, 1203))
    cut = batches.batches(ids)
    assert [len(part) for part in cut] == [500, 500, 202]
    assert [run_id for part in cut for run_id in part] == ids
    assert batches.batches([]) == []
    assert [list(part) for part in batches.batches([7])] == [[7]]


# Hyperparameters.


def test_keys_are_counted_by_equal_values(connection: Connection, portion: None) -> None:
    keys = {row.key: row for row in overview.keys_over(connection, [1, 2, 3, 4])}
    assert list(keys) == sorted(keys)
    gamma = keys["gamma"]
    assert (gamma.runs, gamma.types, gamma.values) == (3, ("float", "int", "str"), ((1, 2), (0.9, 1)))
    assert keys["exp_name"].values == (("ppo", 2), ("d", 1), ("sac", 1))
    assert keys["size"].values == (([32], 1), ([64, 64], 1))
    assert (keys["only"].runs, keys["only"].values) == (1, ((None, 1),))
    assert {row.key for row in overview.keys_over(connection, [4])} == {"exp_name"}
    assert overview.keys_over(connection, []) == []


def test_keys_that_vary(connection: Connection, portion: None) -> None:
    """First those with several values, the fewest runs without them first; then those that only some have."""
    found = overview.varying_keys(connection, [1, 2, 3])
    assert [(row.key, row.absent) for row in found] == [
        *(("exp_name", 0), ("gamma", 0), ("seed", 0), ("size", 1)),
        *(("clip_ratio", 1), ("pi_lr", 1)),
        *(("act", 2), ("alpha", 2), ("lr", 2), ("only", 2), ("polyak", 2)),
    ]
    opaque = {row.key for row in found if row.opaque}
    assert opaque == {"act"}
    assert overview.varying_keys(connection, [1]) == []


def test_metrics_over_runs(connection: Connection, portion: None) -> None:
    found = {row.name: row for row in overview.metrics_over(connection, [1, 2, 3, 4])}
    assert list(found) == sorted(found)
    returns = found["AverageEpRet"]
    assert (returns.runs, returns.points, returns.min, returns.max) == (3, 5, -1, 9)
    loss = found["Loss"]
    assert (loss.runs, loss.points, loss.min, loss.max) == (1, 2, 1, math.inf)
    note = found["Note"]
    assert (note.runs, note.points, note.min, note.max) == (2, 0, None, None)
    assert overview.metrics_over(connection, []) == []


# Curves.


def plain(value: Any) -> str:
    """As text, in which NaN is equal to itself. Numbers as doubles: that is how PostgreSQL keeps a series."""
    if isinstance(value, (int, float)):
        return repr(float(value))
    if isinstance(value, dict):
        return repr({key: plain(item) for key, item in value.items()})
    return repr([plain(item) for item in value]) if isinstance(value, (list, tuple)) else repr(value)


def test_curves_over_interactions_else_over_epochs(connection: Connection, portion: None) -> None:
    found = curves.curves(connection, [1, 2, 3, 4], "AverageEpRet")
    assert plain(found) == plain(
        [
            (1, "AverageEpRet", "TotalEnvInteracts", [10, 20, 30], [5.0, NAN, 7.0]),
            (2, "AverageEpRet", "TotalEnvInteracts", [100, 200], [-1, 9]),
            (3, "AverageEpRet", "TotalEnvInteracts", [50], [4]),
        ]
    )
    (loss,) = curves.curves(connection, [1, 4], "Loss")
    assert (loss.run_id, loss.axis, loss.x, loss.y) == (4, "Epoch", [4, 6], [math.inf, 1])


def test_curves_over_other_axes(connection: Connection) -> None:
    def axis(name: str, run_id: int = 1) -> tuple[str | None, list[float]]:
        (found,) = curves.curves(connection, [run_id], "AverageEpRet", name)
        return found.axis, found.x

    assert axis(curves.EPOCH) == ("Epoch", [0, 1, 2])
    assert axis(curves.ROW) == (None, [0.0, 1.0, 2.0])
    assert axis("TotalEnvInteracts") == ("TotalEnvInteracts", [10, 20, 30])
    assert axis("metric.AverageEpRet", 3) == ("AverageEpRet", [4])
    assert axis("Performance", 3) == ("AverageTestEpRet", [3])
    assert curves.curves(connection, [1, 2], "AverageEpRet", "AverageTestEpRet") == []
    with pytest.raises(FilterError, match="nothing here is called 'Epochs'"):
        curves.curves(connection, [1], "AverageEpRet", "Epochs")


def test_performance_is_each_runs_own(connection: Connection) -> None:
    found = curves.performance_curves(connection, [1, 2, 3, 4])
    assert plain(found) == plain({1: [5.0, NAN, 7.0], 2: [-1, 9], 3: [3]})
    by_id = curves.curves_by_id(connection, [2, 3], "Performance")
    assert {run_id: curve.metric for run_id, curve in by_id.items()} == {2: "AverageEpRet", 3: "AverageTestEpRet"}


def test_a_metric_that_is_not_there_is_an_error_with_the_nearest(connection: Connection) -> None:
    with pytest.raises(FilterError) as caught:
        curves.curves(connection, [1], "AvgEpRet")
    assert "AverageEpRet" in str(caught.value.hint)
    assert (caught.value.start, caught.value.end) == (0, len("AvgEpRet"))


# Whole runs.


def test_a_whole_run(connection: Connection) -> None:
    whole = browse.whole(connection, 1)
    assert [leaf.key for leaf in whole.config] == sorted(leaf.key for leaf in whole.config)
    values = {leaf.key: (leaf.type, leaf.value, leaf.number) for leaf in whole.config}
    assert values["size"] == ("list", "[64, 64]", None)
    assert values["gamma"] == ("int", "1", 1.0)
    assert values["only"] == ("null", "null", None)
    names = ["Epoch", "AverageEpRet", "TotalEnvInteracts", "Note"]
    assert [metric.name for metric in whole.metrics] == names
    returns = whole.metrics[1]
    assert (returns.count, returns.first, returns.last, returns.last_text) == (2, 5, 7, None)
    assert (returns.min, returns.max, returns.mean, returns.argmin, returns.argmax) == (5, 7, 6, 0, 2)
    assert [browse.last_value(metric) for metric in whole.metrics] == [2, 7, 30, "y"]
    assert repr(whole.curves["AverageEpRet"]) == repr([5.0, NAN, 7.0])
    assert list(whole.curves) == names or set(whole.curves) == set(names)


def test_siblings_share_root_algorithm_and_environment(connection: Connection) -> None:
    assert browse.siblings_of(connection, 1) == [2]
    assert browse.siblings_of(connection, 2) == [1]
    assert browse.siblings_of(connection, 3) == []


# Evaluations.


def test_evaluations_by_run_itr_and_time(filled: Path, portion: None) -> None:
    numbered = [(2, 5), (1, None), (1, 10), (1, 3), (1, 3), (3, 1)]
    with connected(filled, write=True) as connection:
        for number, (run_id, itr) in enumerate(numbered):
            episodes = (EpisodeResult(float(number), 10, "terminated"),) * (number + 1)
            add_evaluation(
                connection, run_id,
                replace(EVALUATION, itr=itr, mean_return=float(number), std_return=2.0, episodes=episodes),
            )  # fmt: skip
        add_evaluation(connection, 1, replace(EVALUATION, itr=0, mean_return=None, std_return=None))
    with connected(filled) as connection:
        found = evaluated(connection, [1, 2, 3])
        assert [(it.run_id, it.itr, it.mean_return) for it in found] == [
            *((1, 3, 3.0), (1, 3, 4.0), (1, 10, 2.0), (1, None, 1.0)),
            *((2, 5, 0.0), (3, 1, 5.0)),
        ]
        assert {it.run_id for it in evaluated(connection, [2])} == {2}
        last = found[-1]
        assert (last.name, last.episodes, last.std_return) == ("c", 6, 2.0)
        assert last.standard_error == pytest.approx(2.0 * math.sqrt(6 / 5) / math.sqrt(6))
        assert next(it for it in found if it.episodes == 1).standard_error is None
        assert next(it for it in found if it.episodes == 2).standard_error == pytest.approx(2.0)
        shown = browse.evaluations_of(connection, 1)
        assert [(it.itr, it.episodes) for it in shown] == [(None, 2), (10, 3), (3, 4), (3, 5), (0, 0)]


# What was overwritten.


def test_a_superseded_run_has_the_evaluations_of_its_time(run_directory: Write, database: Path, tmp_path: Path) -> None:
    """Run 1 is played, overwritten twice and played between; each content has its own line."""
    for number, rows in enumerate([[(0, 1.0), (1, 5.0), (2, 3.0)], [(0, 7.0)], [(0, 9.0), (1, 2.0)]]):
        run_directory("a", config={"seed": 0, "exp_name": "a"}, rows=rows)
        ingest(database, [tmp_path / "data"])
        with connected(database, write=True) as connection:
            add_evaluation(connection, 1, replace(EVALUATION, mean_return=float(number)))
    with connected(database) as connection:
        first, second = browse.superseded_of(connection, 1)
        assert (first.generation, first.rows, first.performance, first.last, first.max) == (0, 3, "AverageEpRet", 3, 5)
        assert (second.generation, second.rows, second.performance, second.last, second.max) == (
            *(1, 1, "AverageEpRet"),
            *(7, 7),
        )
        assert first.superseded_at <= second.superseded_at
        assert first.id is not None
        assert second.id is not None
        assert [it.mean_return for it in browse.evaluations_of(connection, first.id)] == [0.0]
        assert [it.mean_return for it in browse.evaluations_of(connection, second.id)] == [1.0]
        assert [it.mean_return for it in browse.evaluations_of(connection, 1)] == [0.0, 1.0, 2.0]
        assert [it.mean_return for it in evaluated(connection, [1])] == [2.0]
        assert browse.superseded_of(connection, first.id) == []


# Copies.


def test_a_copy_counts_what_it_holds(filled: Path, tmp_path: Path) -> None:
    target = open_engine(tmp_path / "copy.db", write=True)
    migrate.upgrade(target, "copy")
    with connected(filled) as source, target.begin() as connection:
        counts = verified_copy(source, connection)
        for table, count in counts.items():
            assert source.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == count
    assert (counts["runs"], counts["roots"], counts["tags"], counts["evaluations"]) == (4, 1, 0, 0)
    with connected(filled) as source, target.begin() as connection:
        with pytest.raises(UsageError, match=r"^the target already holds roots: copy into an empty database$"):
            copy_all(source, connection)
        assert differing_tables(source, connection) == []
    with target.begin() as changing:
        changing.exec_driver_sql("UPDATE metrics SET mean = 1234.5 WHERE run_id = 2 AND name = 'Epoch'")
    with connected(filled) as source, target.begin() as connection:
        (line,) = differing_tables(source, connection)
    assert line.startswith("metrics: row ")
    target.dispose()


# Files of Parquet.


def test_parquet_keeps_types_and_meanings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime, timezone

    import pyarrow as pa
    import pyarrow.parquet as pq

    from spindb.analysis import parquet

    kinds: tuple[Any, ...] = ("int", "float", "text", "bool", "time")
    columns = [TypedColumn(kind, kind, f"a column of {kind}") for kind in kinds]
    noon = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
    rows = [(1, 0.5, "a", True, noon), (None, NAN, None, False, None), (3, None, "ü", None, noon)]
    monkeypatch.setattr(parquet, "_ROWS_AT_ONCE", 2)
    assert parquet.write_parquet(tmp_path / "a.parquet", columns, iter(rows)) == 3
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.timestamp("us", tz="UTC")]
    assert [field.metadata for field in table.schema] == [
        {b"meaning": f"a column of {kind}".encode()} for kind in kinds
    ]
    found = repr([tuple(row.values()) for row in table.to_pylist()])
    for spelled in ("zoneinfo.ZoneInfo(key='UTC')", "<UTC>"):  # the second is pytz's
        found = found.replace(spelled, "UTC")
    assert found == repr(rows).replace("datetime.timezone.utc", "UTC")
    assert parquet.write_parquet(tmp_path / "b.parquet", columns, []) == 0
    assert pq.read_table(tmp_path / "b.parquet").num_rows == 0


@pytest.mark.sqlite
def test_an_error_of_sqlite_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatabaseError) as caught, connected(tmp_path / "folder"):
        pass
    assert str(caught.value).startswith(f"{tmp_path / 'folder'}")
    assert (
        str(engine._explained(OSError("disk I/O error"), tmp_path / "a.db")) == f"{tmp_path / 'a.db'}: disk I/O error"
    )
