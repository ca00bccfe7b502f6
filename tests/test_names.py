"""What names in a query stand for, run by run, and which values are equal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, settle
from sqlalchemy import Connection

from spindb.errors import FilterError
from spindb.index.database.connect import connected
from spindb.index.query import saved
from spindb.index.query.search import Query, fields_of, run_ids, search
from spindb.index.read.curves import curves
from spindb.ingest.pipeline import ingest

Write = Callable[..., Path]
Cli = Callable[..., Outcome]
HEAD = ("Epoch", "AverageEpRet")


@pytest.fixture
def asked(database: Path, tmp_path: Path) -> Callable[..., list[int]]:
    """Ingests what lies there now and answers a filter."""

    def ask(text: str, **options: bool) -> list[int]:
        settle(tmp_path / "data")
        ingest(database, [tmp_path / "data"])
        with connected(database) as connection:
            return run_ids(connection, text, **options)

    return ask


def _with(database: Path, question: Callable[[Connection], object]) -> object:
    with connected(database) as connection:
        return question(connection)


def test_a15_unrelated_runs_take_nothing_out_of_an_answer(
    run_directory: Write, asked: Callable[..., list[int]], database: Path
) -> None:
    for number in range(3):
        run_directory(f"a{number}", config={"ac_kwargs": {"hidden_sizes": [64, 64]}, "seed": number})
    assert asked("hidden_sizes=[64,64]") == [1, 2, 3]
    run_directory("z0", config={"hidden_sizes": [64, 64]}, rows=[(0, 5.0)])
    run_directory("z1", config={"hidden_sizes": [8], "q": {"hidden_sizes": [64, 64]}}, rows=[(0, 6.0)])
    assert asked("hidden_sizes=[64,64]") == [1, 2, 3, 4]
    assert asked("hidden_sizes!=[8]") == [1, 2, 3, 4]
    assert asked("hidden_sizes:any") == [1, 2, 3, 4, 5]
    assert asked("not hidden_sizes=[64,64]") == [5]
    with connected(database) as connection:
        found = search(connection, Query("", ("id", "hidden_sizes"), ("hidden_sizes",)))
        assert dict(found.rows) == {1: [64, 64], 2: [64, 64], 3: [64, 64], 4: [64, 64], 5: [8]}
        assert found.meaning == {"hidden_sizes": ("hidden_sizes", "ac_kwargs.hidden_sizes")}
        page = search(connection, Query("", ("id", "hidden_sizes"), limit=1))
        assert page.meaning == found.meaning  # of all that match, not of the page
        assert search(connection, Query("id=4", ("hidden_sizes",))).meaning == {}
        for spelled in ("config.ac_kwargs.hidden_sizes", "config.seed"):
            assert search(connection, Query("", (spelled,))).meaning == {}
        assert search(connection, Query("id=1", ("hidden_sizes",))).meaning == {
            "hidden_sizes": ("ac_kwargs.hidden_sizes",)
        }
        assert fields_of(connection, [1, 5], ["hidden_sizes"]) == {1: ([64, 64],), 5: ([8],)}


def test_a15_where_a_run_has_several_the_shorter_path_counts(
    run_directory: Write, asked: Callable[..., list[int]]
) -> None:
    run_directory("a", config={"b": {"c": {"lr": 1}}, "z": {"lr": 2}, "y": {"lr": 3}})
    run_directory("b", config={"logger": {"lr": 4}, "b": {"c": {"lr": 5}}}, rows=[(0, 2.0)])
    run_directory("c", config={"logger": {"lr": 6}}, rows=[(0, 3.0)])
    assert [asked(f"lr={value}") for value in range(1, 7)] == [[], [], [1], [], [2], [3]]
    assert asked("c.lr=1") == [1]
    assert asked("c:lr=1") == [1]


def test_a7_performance_is_each_runs_own_whatever_is_called_so(
    run_directory: Write, asked: Callable[..., list[int]], database: Path
) -> None:
    run_directory("a", config={"seed": 0}, header=HEAD, rows=[(0, 300)])
    assert asked("Performance>200") == [1]
    run_directory("b", config={"Performance": 7}, header=HEAD, rows=[(0, 400)])
    run_directory("c", config={"x": {"Performance": 8}}, header=(*HEAD, "Performance"), rows=[(0, 100, 9000)])
    run_directory("d", config={}, header=("Epoch", "AverageTestEpRet", "AverageEpRet"), rows=[(0, 500, 1)])
    assert asked("Performance>200") == [1, 2, 4]
    assert asked("Performance.max<=100") == [3]
    assert asked("config.Performance=7") == [2]
    assert asked("config.Performance=8") == [3]
    assert asked("metric.Performance=9000") == [3]
    assert asked("metric.Performance.max>1") == [3]
    with connected(database) as connection:
        found = search(connection, Query("", ("id", "Performance"), ("-Performance",)))
        assert found.rows == ((4, 500.0), (2, 400.0), (1, 300.0), (3, 100.0))
        assert found.meaning == {"Performance": ("AverageEpRet", "AverageTestEpRet")}
        assert [curve.y for curve in curves(connection, [1, 2, 3, 4], "Performance")] == [[300], [400], [100], [500]]
        assert [curve.y for curve in curves(connection, [1, 2, 3, 4], "metric.Performance")] == [[9000]]


def test_a7_there_is_no_metric_performance_unless_one_is_called_so(
    run_directory: Write, asked: Callable[..., list[int]], database: Path
) -> None:
    run_directory("a", header=HEAD)
    with pytest.raises(FilterError):
        asked("metric.Performance>1")
    with connected(database) as connection, pytest.raises(FilterError):
        curves(connection, [1], "metric.Performance")


def test_a_key_and_a_metric_of_one_name_are_told_apart_run_by_run(
    run_directory: Write, asked: Callable[..., list[int]], database: Path
) -> None:
    run_directory("a", config={"Loss": 3}, header=HEAD)
    run_directory("b", config={}, header=(*HEAD, "Loss"), rows=[(0, 1, 3)])
    run_directory("c", config={"Loss": "mse"}, header=(*HEAD, "Loss"), rows=[(0, 2, 3)])
    assert asked("Loss=3") == [1, 2]
    assert asked("Loss=mse") == [3]  # an error where only metrics are called so
    assert asked("Loss!=mse") == [1, 2]
    assert asked("Loss in (3, mse)") == [1, 2, 3]
    assert asked("Loss~m*") == [3]
    assert asked("metric.Loss=3") == [2, 3]
    with pytest.raises(FilterError):
        asked("metric.Loss=mse")
    with pytest.raises(FilterError):
        asked("Loss<mse")
    with connected(database) as connection:
        found = search(connection, Query("", ("id", "Loss"), ("Loss",)))
        assert found.rows == ((1, 3), (2, 3.0), (3, "mse"))
        assert found.meaning == {"Loss": ("config.Loss", "metric.Loss")}


def test_what_a_quoted_name_is_called_hides_nothing(run_directory: Write, asked: Callable[..., list[int]]) -> None:
    """A name in quotes is no run column: it does not bring hidden runs in."""
    run_directory("a", config={"status": "x"})
    run_directory("b", config={"status": "x"}, rows=[(0, 3.0)])
    assert asked("'status'=x") == [1, 2]
    (Path(run_directory("b", config={"status": "x"}, rows=[(0, 3.0)])) / "progress.txt").unlink()
    assert asked("'status'=x") in ([1], [1, 2])  # a directory without a table may still be a run


SPELLINGS = [
    (0.001, ["1e-3", "0.001", ".001", "'0.001'", '"1e-3"', "1.0e-3"], ["0.0010001", "true", "'[0.001]'"]),
    ("0.001", ["1e-3", "0.001", ".001", "'0.001'"], ["0.002"]),
    (0, ["0", "0.0", "'0'", '"0"', "-0.0", "0e5"], ["false", "none", "''"]),
    ("0", ["0", "0.0", "'0'"], ["false"]),
    ([64, 64], ["[64,64]", "[64.0, 64]", "'[64, 64]'", '["64", "64"]'], ["[64]", "64"]),
    ("[64, 64]", ["[64,64]", "'[64, 64]'"], ["[64]"]),
    (None, ["null", "none", "None", "NULL", "'null'"], ["0", "''", "false"]),
    ("null", ["null", "none", "None"], ["0"]),
    (True, ["true", "True", "TRUE", "'true'"], ["1", "yes"]),
    ("True", ["true", "True"], ["1"]),
    (1, ["1", "1.0", "'1'"], ["true"]),
    (float("nan"), ["nan", "NaN", "'nan'"], ["null", "0"]),
    ([{"b": 1, "a": "2"}], ['[{"a": 2, "b": 1.0}]', '\'[{"b": "1", "a": 2}]\''], ["[{}]"]),
    ("two words", ["'two words'", '"two words"'], ["two"]),
    (2**53 + 1, ["9007199254740993"], ["9007199254740992"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("value", "equal", "different"), SPELLINGS, ids=[repr(row[0]) for row in SPELLINGS])
def test_a9_one_rule_of_equality(
    value: object, equal: list[str], different: list[str], run_directory: Write, asked: Callable[..., list[int]]
) -> None:
    run_directory("a", config={"x": value})
    run_directory("b", config={}, rows=[(0, 3.0)])
    for word in equal:
        assert (word, asked(f"x={word}")) == (word, [1])
        assert asked(f"x!={word}") == []
        assert asked(f"not x={word}") == [2]
        assert asked(f"x in (other, {word})") == [1]
        assert asked(f"x=other or x={word}") == [1]
    for word in different:
        assert (word, asked(f"x={word}")) == (word, [])
        assert asked(f"x!={word}") == [1]
    assert asked("x:any") == [1]
    assert asked("x:none") == [2]


def test_a9_run_columns_take_numbers_in_any_notation(run_directory: Write, asked: Callable[..., list[int]]) -> None:
    run_directory("a", config={"seed": 0, "exp_name": "0"})
    run_directory("b", config={"seed": 2**53 + 1}, rows=[(0, 3.0)])
    for word in ("0", "0.0", "'0'", '"0"', "-0", "0e9"):
        assert asked(f"seed={word}") == [1]
    assert asked("seed=9007199254740993") == [2]
    assert asked("seed=9007199254740992") == []
    assert asked("seed<0.5") == [1]
    assert asked("seed=0.5") == []
    assert asked("seed<1e300") == [1, 2]
    assert asked("rows<3000000000 id in (1, 3000000000)") == [1]
    assert asked("exp_name=0") == [1]
    assert asked("exp_name=0.0") == []
    with pytest.raises(FilterError, match="can't be compared with 'null'"):
        asked("seed=null")


def test_a9_completion_offers_values_of_all_that_a_name_stands_for(
    run_directory: Write, database: Path, tmp_path: Path
) -> None:
    import typer

    from spindb.cli import completion

    run_directory("a", config={"kwargs": {"lr": "0.1"}})
    run_directory("b", config={"lr": 1e-3})
    ingest(database, [tmp_path / "data"])
    context = typer.Context.__new__(typer.Context)
    context.params = {"db": str(database)}
    if database.exists():  # on PostgreSQL paths are schemas
        assert completion.of_filter(context, "lr=") == ["lr=0.001", "lr=0.1"]


def test_globs_compare_the_text_as_it_is_written(run_directory: Write, asked: Callable[..., list[int]]) -> None:
    run_directory("a", config={"x": 'say "hi"', "y": [1, 2]})
    run_directory("b", config={"x": "back\\slash", "y": "Ünïcode"}, rows=[(0, 3.0)])
    assert asked("x~'say \"hi\"'") == [1]
    assert asked("x~'say ?hi?'") == [1]
    assert asked("x~'*\\\\*'") == [2]
    assert asked("x~'back?slash'") == [2]
    assert asked("y~'[1, *]'") == [1]
    assert asked("y~ünïc*") == []
    assert asked("y~Ünïc*") == [2]
    with pytest.raises(FilterError, match="at most 10000"):
        asked(f"x~{'*' * 20000}")


def test_i5_problems_are_a_filter(run_directory: Write, asked: Callable[..., list[int]], database: Path) -> None:
    run_directory("a", config={})
    run_directory("b", config="{", rows=[(0, 2.0)])
    run_directory("c", config={}, progress=b"Epoch\tAverageEpRet\n0\t1\n1\n2\t3\t4\t5\n")
    with connected_after(asked, database) as connection:
        rows = search(connection, Query("", ("id", "problem", "problems"))).rows
    codes = {row[0]: row[1] for row in rows}
    assert codes[1] == ()
    assert "config-broken" in codes[2]
    assert len(codes[3]) <= rows[2][2]
    (code, *_) = codes[3]
    assert asked(f"problem={code}") == [3]
    assert asked(f"problem in ({code}, config-broken)") == [2, 3]
    assert asked(f"problem!={code}") == [2]
    assert asked("problem~config*") == [2]
    assert asked("problem:any") == [2, 3]
    assert asked("problem:none") == [1]
    assert asked("not problem=config-broken") == [1, 3]
    assert asked("problem=no-such-code") == []
    with pytest.raises(FilterError, match="=, !=, ~ and in"):
        asked("problem<x")


def connected_after(asked: Callable[..., list[int]], database: Path):  # type: ignore[no-untyped-def]
    asked("")
    return connected(database)


def test_i5_a_code_that_no_run_has_lists_those_that_there_are(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_directory("a", config="{")
    assert cli("ingest", "data").code in (0, 1)
    outcome = cli("runs", "problem=ragged-rwo")
    assert outcome.code == 0
    assert "no run has the problem ragged-rwo; codes here: config-broken" in outcome.err


def test_a15_runs_says_which_keys_were_meant(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_directory("a", config={"ac_kwargs": {"hidden_sizes": [64]}})
    run_directory("b", config={"hidden_sizes": [64]}, rows=[(0, 5.0)])
    assert cli("ingest", "data").code == 0
    line = "hidden_sizes: hidden_sizes, ac_kwargs.hidden_sizes"
    assert line in cli("runs", "hidden_sizes=[64]").err.splitlines()
    outcome = cli("runs", "hidden_sizes=[64]", "--json")
    assert line in outcome.err.splitlines()
    assert [row["id"] for row in json.loads(outcome.out)] == [1, 2]
    assert line not in cli("runs", "hidden_sizes=[64] id=2").err


def test_an_error_in_a_saved_query_shows_its_own_text(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_directory("a", config={"lr": 1})
    assert cli("ingest", "data").code == 0
    with connected("spindb.db", write=True) as connection:
        saved.save_query(connection, "mine", "lr<3 seed=abc")
    outcome = cli("runs", "algo=ppo @mine")
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert lines[1:3] == ["  lr<3 seed=abc", "            ^^^"]
