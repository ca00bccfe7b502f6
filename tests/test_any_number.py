"""Any number of ids, terms, columns, sort keys and groups; filters as deep as the language allows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome, rows_of
from sqlalchemy import Connection

from spindb.errors import FilterError
from spindb.index.database.connect import connected
from spindb.index.query import saved
from spindb.index.query.search import Query, count, explain, fields_of, run_ids, search
from spindb.index.query.selection import selected

sys.path.insert(0, str(REPOSITORY / "bench"))
RUNS = 60
Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of sixty runs with thirty hyperparameters and twenty metrics."""
    from filled import fill

    found = tmp_path_factory.mktemp("any_number") / "spindb.db"
    fill(str(found), RUNS, 3)
    return found


@pytest.fixture(scope="module")
def connection(place: Path) -> Iterator[Connection]:
    with connected(place) as reading:
        yield reading


def value_of(connection: Connection, key: str) -> dict[int, int]:
    return {run_id: value for run_id, (value,) in fields_of(connection, range(1, RUNS + 1), [key]).items()}


@pytest.mark.parametrize("number", [1001, 20_000])
def test_d6_any_number_of_ids(connection: Connection, number: int) -> None:
    everyone = list(range(1, RUNS + 1))
    listed = ",".join(map(str, range(1, number)))
    assert run_ids(connection, f"id in ({listed})") == everyone
    assert run_ids(connection, f"not id in ({listed})") == []
    assert run_ids(connection, " or ".join(f"id={n}" for n in range(2, number))) == everyone[1:]
    assert run_ids(connection, " or ".join(f"id={n}..{n + 1}" for n in range(3, number, 9))) == [
        n for n in everyone if n % 9 in (3, 4)
    ]
    assert run_ids(connection, " ".join(f"id!={n}" for n in range(3, number))) == [1, 2]


def test_d6_any_number_of_words_that_are_ids(connection: Connection) -> None:
    assert selected(connection, [str(n % RUNS + 1) for n in range(5000)]) == list(range(1, RUNS + 1))
    assert selected(connection, [f"{n}-{n + 1}" for n in range(1, RUNS, 2)] * 100) == list(range(1, RUNS + 1))


@pytest.mark.slow
@pytest.mark.parametrize("terms", [500, 3000])
def test_d6_any_number_of_terms(connection: Connection, terms: int) -> None:
    h0, h1 = value_of(connection, "h0"), value_of(connection, "h1")
    either = " or ".join(f"h{n % 2}>{8 + n}" for n in range(terms))
    assert run_ids(connection, either) == [n for n in h0 if h0[n] > 8 or h1[n] > 9]
    every = " ".join(f"h{n % 2}<={8 + n}" for n in range(terms))
    assert run_ids(connection, every) == [n for n in h0 if h0[n] <= 8]
    mixed = " or ".join(f"(h0={n} not h1={n + 1})" for n in range(terms // 5))
    assert run_ids(connection, mixed) == [n for n in h0 if h1[n] != h0[n] + 1]
    words = ", ".join(f"v{n}" for n in range(terms))
    assert run_ids(connection, f"h0 in ({words}, 3)") == [n for n in h0 if h0[n] == 3]
    assert run_ids(connection, f"exp_name in ({words}, exp1)") == list(range(11, 21))
    assert explain(connection, every) == []


def test_d6_any_number_of_fields_that_must_hold(connection: Connection) -> None:
    keys = [f"h{n}<=9" for n in range(28)] + [f"Metric{n}.{s}<2" for n in range(17) for s in ("min", "max", "last")]
    assert count(connection, " ".join(keys)) == RUNS
    assert len(run_ids(connection, " ".join(keys) + " h0=3")) == count(connection, "h0=3")


@pytest.mark.slow
@pytest.mark.parametrize("number", [65, 500])
def test_d6_any_number_of_columns(connection: Connection, number: int) -> None:
    known = [*(f"h{n}" for n in range(28)), *(f"Metric{n}" for n in range(17)), *(f"Metric{n}.max" for n in range(17))]
    known += ["id", "name", "lr", "tags", "AverageEpRet.mean"]
    columns = [known[n % len(known)] for n in range(number)]
    found = search(connection, Query("h0<5", columns, ("-h1", "id"), limit=7, offset=2))
    each = [search(connection, Query("h0<5", (name,), ("-h1", "id"), limit=7, offset=2)).rows for name in columns]
    assert found.titles == tuple(columns)
    assert found.rows == tuple(zip(*([row[0] for row in rows] for rows in each), strict=True))
    assert fields_of(connection, [3, 5], columns)[5][:2] == fields_of(connection, [5], columns[:2])[5]


@pytest.mark.parametrize("number", [65, 500])
@pytest.mark.parametrize("down", [False, True])
def test_d6_any_number_of_sort_keys(connection: Connection, number: int, down: bool) -> None:
    """A constant key decides nothing, however often it is asked for: the last one does."""
    sign = "-" if down else ""
    metrics = [f"Metric{n}.{s}" for n in range(17) for s in ("count", "max", "min", "last", "argmin")]
    keys = ["h0", *["Metric0.count", "Epoch.max"] * (number // 2)]
    keys += [name for name in metrics if name.endswith(".count")] + [f"{sign}AverageEpRet.max"]
    few = search(connection, Query("", ("id",), ("h0", f"{sign}AverageEpRet.max"))).rows
    assert search(connection, Query("", ("id",), keys)).rows == few
    assert search(connection, Query("", ("id",), keys, limit=5, offset=3)).rows == few[3:8]
    assert search(connection, Query("", ("id",), keys, limit=5, offset=3)).total == RUNS


def deep(levels: int) -> str:
    text = "h0=3"
    for level in range(levels):
        text = f"not (h1={level} or {text})" if level % 2 else f"(h1={level} or lr>1 not {text})"
    return text


@pytest.mark.parametrize("levels", [3, 10, 30, 48])
def test_d6_deep_filters(connection: Connection, levels: int) -> None:
    answer = run_ids(connection, deep(levels))
    assert sorted(answer + run_ids(connection, f"not {deep(levels)}")) == list(range(1, RUNS + 1))
    assert count(connection, deep(levels)) == len(answer)


@pytest.mark.parametrize("text", ["(" * 10_000 + "h0=1" + ")" * 10_000, "not " * 10_000 + "h0=1", "(" * 10_000])
def test_d6_filters_that_are_too_deep_are_an_error_in_words(connection: Connection, text: str) -> None:
    with pytest.raises(FilterError, match="more than 100 levels") as caught:
        run_ids(connection, text)
    assert len(str(caught.value)) < 2000


def _chain(writing: Connection, letter: str, text: str) -> None:
    """Queries that stand for the one before them."""
    for n in range(1, 60):
        saved.save_query(writing, f"{letter}{n}", text.format(f"{letter}{n - 1}"))


def test_d6_saved_queries_that_grow_are_an_error_in_words(place: Path) -> None:
    with connected(place, write=True) as writing:
        saved.save_query(writing, "q0", "h0=1 or h1=2")
        with pytest.raises(FilterError, match="10000 times"):
            _chain(writing, "q", "@{0} or @{0} h2=3")
        saved.save_query(writing, "d0", "h0=1")
        with pytest.raises(FilterError, match="more than 100 levels"):
            _chain(writing, "d", "not @{0}")
        assert run_ids(writing, "@d40") == run_ids(writing, "h0=1")
        writing.rollback()


@pytest.mark.slow
def test_d6_the_documented_pipe_with_5000_runs(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from filled import fill

    database = tmp_path / "spindb.db"
    fill(str(database), 5000, 1)
    monkeypatch.setenv("SPINDB_URL", str(database))
    ids = cli("runs", "--ids").out
    assert len(ids.split()) == 5000
    monkeypatch.setattr("sys.stdin", StringIO(ids))
    assert cli("tag", "+x", "-").code == 0
    assert rows_of(database, "SELECT count(*) FROM tags WHERE tag = 'x'") == [(5000,)]
    columns = ",".join([f"h{n}" for n in range(28)] + [f"Metric{n}.{s}" for n in range(17) for s in ("max", "min")])
    assert cli("runs", "--columns", columns, "--limit", "3", "--csv").code == 0
