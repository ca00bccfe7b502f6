"""What is decided of a filter before any SQL is written, and that the SQL follows from that alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from spindb.errors import FilterError
from spindb.index.database.backend import backend_named
from spindb.index.database.connect import connected
from spindb.index.query import language, saved
from spindb.index.query.analysis import (
    MAX_JOINS,
    AllOf,
    Compared,
    Condition,
    Ids,
    Negated,
    QueryPlan,
    Separate,
    analyse,
)
from spindb.index.query.compiler import to_sql
from spindb.index.query.fields import ConfigField, MetricField, Names, RunField
from spindb.index.query.question import Question, question
from spindb.ingest.pipeline import ingest

DIALECTS = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}
KEYS = 25


@pytest.fixture
def plan(run_directory: Callable[..., Path], database: Path, tmp_path: Path) -> Callable[[str], QueryPlan]:
    keys = {f"h{number}": number for number in range(KEYS)}
    run_directory("ppo_s0", config={"lr": 0.1, "seed": 0, "a.lr": 1, **keys})
    ingest(database, [tmp_path / "data"])

    def of(text: str) -> QueryPlan:
        with connected(database) as connection:
            return analyse(saved.expanded(connection, language.parse(text)), Names(connection))

    return of


def conditions(plan: QueryPlan) -> list[Condition]:
    return list(plan.condition.items) if isinstance(plan.condition, AllOf) else [plan.condition]


def compared(plan: QueryPlan) -> list[tuple[object, str, bool]]:
    """Field, comparator and whether it is joined, of the tests that every result must pass."""
    return [(c.field, c.comparator, c.joined) for c in conditions(plan) if isinstance(c, Compared)]


def test_what_every_result_must_pass_is_joined(plan: Callable[[str], QueryPlan]) -> None:
    assert compared(plan("AverageEpRet>1 h1<3")) == [
        (MetricField("AverageEpRet"), ">", True),
        (ConfigField(("h1",)), "<", True),
    ]
    assert not plan("AverageEpRet>1 h1<3").selective


def test_equality_of_a_hyperparameter_is_selective_wherever_it_stands(plan: Callable[[str], QueryPlan]) -> None:
    found = plan("AverageEpRet>1 (h1=3 (seed=0 h2>1))")
    assert found.selective
    assert compared(found) == [
        (ConfigField(("h1",)), "=", False),
        (RunField("seed", "number"), "=", False),
        (MetricField("AverageEpRet"), ">", True),
        (ConfigField(("h2",)), ">", True),
    ]
    assert plan("h1 in (1, 2)").selective
    assert not plan("seed=0").selective
    assert not plan("not h1=3").selective
    assert not plan("h1=3 or h2=3").selective


def test_nothing_is_joined_under_or_and_not(plan: Callable[[str], QueryPlan]) -> None:
    for text in ("AverageEpRet>1 or h1<3", "not AverageEpRet>1", "not (AverageEpRet>1 h1<3)"):
        sql = to_sql(plan(text), backend_named("sqlite"))
        assert sql.sources.joins == {}


def test_more_joins_than_a_statement_takes_are_sets(plan: Callable[[str], QueryPlan]) -> None:
    found = plan(" ".join(f"h{number}<99" for number in range(KEYS)))
    assert [joined for _, _, joined in compared(found)] == [True] * MAX_JOINS + [False] * (KEYS - MAX_JOINS)


def test_several_statistics_of_a_metric_are_one_join(plan: Callable[[str], QueryPlan]) -> None:
    found = plan("AverageEpRet>1 AverageEpRet.max>1 AverageEpRet.min<9")
    assert [joined for _, _, joined in compared(found)] == [True] * 3
    assert len(to_sql(found, backend_named("sqlite")).sources.joins) == 1


def test_what_is_counted_is_not_joined_unless_few_are_left(plan: Callable[[str], QueryPlan]) -> None:
    for text, joins in (("AverageEpRet>1", 0), ("AverageEpRet>1 h1=1", 1)):
        assert len(to_sql(plan(text), backend_named("sqlite"), counting=True).sources.joins) == joins


def test_a_double_negation_is_none(plan: Callable[[str], QueryPlan]) -> None:
    assert compared(plan("not not h1<3")) == compared(plan("h1<3")) == [(ConfigField(("h1",)), "<", True)]
    (once,), (thrice,) = conditions(plan("not h1<3")), conditions(plan("not not not h1<3"))
    assert isinstance(once, Negated)
    assert isinstance(thrice, Negated)
    assert isinstance(once.item, Compared)
    assert isinstance(thrice.item, Compared)
    assert (thrice.item.field, thrice.item.joined) == (once.item.field, False)


def test_values_of_one_name_are_one_test(plan: Callable[[str], QueryPlan]) -> None:
    (one,) = conditions(plan("h1!=1 (h1!=2)"))
    assert isinstance(one, Compared)
    assert (one.comparator, [value.text for value in one.values]) == ("!=", ["1", "2"])


def test_what_is_left_out_follows_from_the_names(plan: Callable[[str], QueryPlan]) -> None:
    assert plan("h1=1").left_out == ("overwritten", "missing", "archived", "copies")
    assert plan("not (archived=true or copy_of:any)").left_out == ("overwritten", "missing")
    assert plan("id=1").left_out == ()


def test_names_stand_in_the_order_of_the_filter(plan: Callable[[str], QueryPlan]) -> None:
    assert list(plan("lr>0 seed=0 AverageEpRet>1").fields) == ["lr", "seed", "AverageEpRet"]


def test_parts_that_are_too_deep_are_answered_first(plan: Callable[[str], QueryPlan], database: Path) -> None:
    text = "h1=1"
    for number in range(12):
        text = f"not (h{number}=99 or {text})"
    found = plan(text)
    assert found.deep
    with connected(database) as connection:
        asked = question(connection, text)
    assert not asked.plan.deep
    assert "Separate" in repr(found)
    assert "Separate" not in repr(asked.plan)


@pytest.mark.parametrize("backend", DIALECTS)
def test_the_sql_follows_from_the_plan(backend: str, plan: Callable[[str], QueryPlan]) -> None:
    found = plan("lr>0 seed=0 (AverageEpRet>1 or h1~'a*') tag:good not problem:any started<7d")
    first, second = (
        str(to_sql(found, backend_named(backend)).selected.compile(dialect=DIALECTS[backend]())) for _ in range(2)
    )
    assert first == second
    long = str(
        to_sql(QueryPlan(Ids(tuple(range(1000)))), backend_named(backend)).selected.compile(dialect=DIALECTS[backend]())
    )
    assert ("jsonb_array_elements_text" in long) == (backend == "postgresql")
    assert ("json_each" in long) == (backend == "sqlite")


def test_errors_show_the_text_that_they_are_about(database: Path, plan: Callable[[str], QueryPlan]) -> None:
    with connected(database, write=True) as connection:
        saved.save_query(connection, "mine", "seed=0 h1<abc")
    with connected(database) as connection:
        asked: Question = question(connection, "lr=0.1 (@mine or lr=2)")
        with pytest.raises(FilterError) as caught:
            to_sql(asked.plan, backend_named("sqlite"))
    assert caught.value.text == "seed=0 h1<abc"
    assert caught.value.text[caught.value.start : caught.value.end] == "abc"


def test_a_part_that_was_not_answered_has_no_sql() -> None:
    with pytest.raises(AssertionError):
        to_sql(QueryPlan(Separate(Ids((1,)))), backend_named("sqlite"))
