"""How the databases go about a question: by indexes, never through all metrics or hyperparameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import REPOSITORY
from servers import Server
from sqlalchemy import event

from spindb.index.database.connect import connected
from spindb.index.query.search import Query, search

pytestmark = [pytest.mark.sqlite, pytest.mark.slow]

sys.path.insert(0, str(REPOSITORY / "bench"))
RUNS = 4000
NARROW = "h0=3 h1=7 AverageEpRet.max>60"
BROAD = "h2<5 AverageEpRet.max>20"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from filled import fill

    if request.param == "sqlite":
        place = str(tmp_path_factory.mktemp("plans") / "spindb.db")
        fill(place, RUNS, 3)
        yield place
        return
    server: Server = request.getfixturevalue("server")
    server.execute("CREATE DATABASE plans")
    fill(server.url(database="plans"), RUNS, 3)
    yield server.url(database="plans")
    server.execute("DROP DATABASE plans WITH (FORCE)")


def plans(location: str, query: Query) -> list[str]:
    """The plan of each statement of a search that reads runs, as the database tells it."""
    statements: list[tuple[str, Any]] = []
    with connected(location) as connection:
        event.listen(connection, "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
        assert search(connection, query).rows
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        cursor = connection.connection.cursor()
        found = []
        for statement, parameters in statements[:]:
            if "FROM runs" in statement:
                cursor.execute(explain + statement, parameters)
                found.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    return found


@pytest.mark.parametrize("text", [NARROW, BROAD, "h0=3 or h1=7 or AverageEpRet.max>90", "not h0=3"])
def test_nothing_is_read_through(location: str, text: str) -> None:
    for plan in plans(location, Query(text, ("id", "AverageEpRet.max"), ("-AverageEpRet.max",), limit=20)):
        for table in ("metric", "config"):
            assert f"SCAN {table}" not in plan, plan
            assert f"Seq Scan on {table}" not in plan, plan


def test_a_narrow_question_is_one_statement_off_covering_indexes(location: str) -> None:
    (plan,) = plans(location, Query(NARROW, ("id", "AverageEpRet.max"), ("-AverageEpRet.max",), limit=20))
    assert "ix_configs_key_canonical_run_id" in plan
    assert "COVERING INDEX" in plan or "Index Only Scan" in plan


def test_the_first_of_many_are_read_off_the_index_that_they_are_sorted_by(location: str) -> None:
    *_, page = plans(location, Query("", ("id", "AverageEpRet.max"), ("-AverageEpRet.max",), limit=20))
    assert "ix_metrics_name_max_run_id" in page
    assert "USE TEMP B-TREE FOR ORDER BY" not in page


@pytest.mark.parametrize("sort", ["AverageEpRet.max", "-AverageEpRet.max", "lr", "-h3", "-AverageEpRet"])
@pytest.mark.parametrize("text", ["", BROAD, "h0=3", "seed<5"])
def test_every_way_gives_the_same_order(location: str, text: str, sort: str) -> None:
    """A page of many is read off an index; without a limit all are sorted."""
    with connected(location) as connection:
        whole = search(connection, Query(text, ("id",), (sort,))).rows
        for offset in (0, 40):
            page = search(connection, Query(text, ("id",), (sort,), limit=20, offset=offset))
            assert page.rows == whole[offset : offset + 20]
            assert page.total == len(whole)


def test_runs_without_what_they_are_sorted_by_stand_last(location: str) -> None:
    with connected(location) as connection:
        page = search(connection, Query("", ("id",), ("-AverageEpRet.max",), limit=RUNS + 5))
        assert len(page.rows) == page.total == RUNS
