"""The filter compiler against the naive evaluator of `naive`, over generated databases full of hostile names."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import naive
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import Records, RefusedError, Run, Tree, Typed
from sqlalchemy import Connection, insert, update

from spindb.disk.configs import leaf
from spindb.errors import FilterError
from spindb.index.database import migrate, models
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.database.models import runs as table
from spindb.index.query import saved
from spindb.index.query.search import Query, count, run_ids, search
from spindb.index.write.batch import Batch
from spindb.index.write.roots import place_of
from spindb.index.write.rows import rows_of
from spindb.machine import now
from spindb.records import Content, EnvironmentHint, MetricSeries, Problem, RunRecord

NAN, INF = float("nan"), float("inf")
KEYS = (
    *("lr", "a.lr", "b.lr", "a.b.lr", "logger.lr", "AverageEpRet", "AverageEpRet.max", "Performance", "x.Performance"),
    *("Performance.max", "seed", "config.lr", "metric.Loss", "Loss.max", "a:b", "a.b", "c.a.b", "id", "my key", "ключ"),
    *("x.ключ", "LR", "x%y", "x_y", "env", "tag", "problem", "count"),
)
METRICS = (
    *("AverageEpRet", "AverageEpRet.max", "AverageTestEpRet", "Loss", "Loss.max", "Performance", "lr", "metric.Loss"),
    *("Epoch", "x_y", "ключ", "count", "my key"),
)
VALUES: tuple[Any, ...] = (
    *(
        0,
        1,
        2,
        -3,
        0.001,
        1e-3,
        0.5,
        1e300,
        INF,
        NAN,
        2**53 + 1,
        2**63,
        True,
        False,
        None,
        "",
        "0",
        "1",
        "1.0",
        "0.001",
    ),
    *("1e-3", ".5", "fast", "Fast", "FAST", "null", "None", "true", "True", "nan", "NaN", "inf", [64, 64], [64.0, 32]),
    *("[64, 64]", [], {}, {"b": 1, "a": [1]}, '{"a": [1.0], "b": "1"}', "a b", 'say "hi"', "back\\slash", "new\nline"),
    *("%", "_", "x%y", "Ä", "ä", "1..2", "0x…", "*", "1_0", " 1", "１"),
)
CELLS: tuple[Any, ...] = (0.0, 1.0, 2.0, -3.0, 0.5, 0.001, 1e300, INF, -INF, NAN, "two words", "7", None)
COLUMNS = (*naive.TEXTS, *naive.NUMBERS, "exp", "env_id", "archived", "problem")
TYPED = (
    *("0", "1", "2", "-3", "1.0", "0.001", "1e-3", ".5", "5e-1", "1e300", "inf", "-inf", "nan", "NaN", "NAN", "true"),
    *("TRUE", "false", "null", "none", "None", "fast", "FAST", "Fast", "[64,64]", "[64.0,32]", "[]", "{}", "[a]"),
    *(
        "1..2",
        "0..",
        "..1",
        "-3..1e-3",
        "a..b",
        "..",
        "nan..1",
        "*",
        "f*",
        "?ast",
        "*s*",
        "%",
        "*%*",
        "_",
        "x_y",
        "Ä",
        "ä",
    ),
    *("9007199254740993", "9223372036854775808", "3000000000", "yes", "no", "run1", "run*", "ok", "missing", "t1", "e"),
    *("0.5", "2.5", "1_0", "１", '{"a":[1],"b":1}', "ragged-row", "rag*", "exp", "x%y"),
)
QUOTED = (*TYPED, "", " 1", "a b", 'say "hi"', "*\\*", 'say*"', "new?line", "1..2", "*\n*", "back\\slash", "t1, t2")


def some_run(number: int, dice: random.Random) -> tuple[Run, RunRecord]:
    """A run as both sides know it."""
    config = {key: dice.choice(VALUES) for key in dice.sample(KEYS, dice.randrange(len(KEYS)))}
    metrics = {
        name: [dice.choice(CELLS) for _ in range(dice.randrange(4))]
        for name in dice.sample(METRICS, dice.randrange(len(METRICS)))
    }
    own = [name for name in ("AverageTestEpRet", "AverageEpRet") if name in metrics]
    problems = tuple(dice.choice(("ragged-row", "encoding", "e")) for _ in range(dice.choice((0, 0, 1, 3))))
    tags = frozenset(dice.sample(("t1", "t2", "e"), dice.choice((0, 0, 1, 2))))
    columns: dict[str, Any] = {
        "id": number,
        "name": dice.choice((f"run{number}", "1", "Fast", "x_y")),
        "exp_name": dice.choice((None, "exp", "0", "null", "1..2")),
        "seed": dice.choice((None, 0, 1, -3, 2**53 + 1)),
        "algo": dice.choice((None, "ppo", "fast")),
        "env": dice.choice((None, "e", "Ä")),
        "status": dice.choice(("ok", "ok", "ok", "empty", "policy", "missing", "superseded")),
        "rows": dice.choice((0, 1, 2)),
        "format": "spinningup",
        "path": f"d{number}",
        "copy_of": dice.choice((None, None, None, 1)) if number > 1 else None,
        "superseded_by": None,
    }
    if columns["status"] == "superseded":
        columns["superseded_by"] = 1
    run = Run(
        columns, config, metrics, own[0] if own else None, tags, problems, dice.random() < 0.15, dice.random() < 0.1
    )
    record = RunRecord(
        columns["path"], columns["name"], "spinningup", "ok", exp_name=columns["exp_name"], seed=columns["seed"],
        algo=columns["algo"], env=EnvironmentHint(columns["env"], "config"), rows=columns["rows"],
        performance=run.performance,
        content=Content(f"w{number}", 1, f"m{number}", f"c{number}"),
        config=tuple(leaf(key, value) for key, value in sorted(config.items())),
        metrics=tuple(MetricSeries(name, cells) for name, cells in metrics.items()),
        problems=tuple(Problem(code, "odd", "progress.txt", 1) for code in problems),
    )  # fmt: skip
    return run, record


SAVED: dict[str, Tree] = {
    "good": ("or", [("test", "lr", False, ">", [Typed("0")]), ("tag", "t1")]),
    "better": ("and", [("saved", "good"), ("not", ("test", "seed", False, "=", [Typed("0")]))]),
}


def filled(place: Path, numbers: range, dice: random.Random) -> Records:
    """A database and the records that it holds."""
    engine = open_engine(place, write=True)
    migrate.upgrade(engine, str(place))
    pairs = [some_run(number, dice) for number in numbers]
    with engine.begin() as connection:
        batch = Batch(connection, place_of(connection, Path("/naive")).root_id, len(pairs))
        for _, record in pairs:
            batch.add(rows_of(record, engine.name), "s")
        batch.write()
        for run, _ in pairs:
            columns = run.columns
            marks = {name: columns[name] for name in ("status", "copy_of", "superseded_by")}
            marks |= {"archived": run.archived, "removed_at": now() if run.removed else None}
            connection.execute(update(table).where(table.c.id == columns["id"]).values(marks))
            for tag in run.tags:
                connection.execute(insert(models.tags).values(run_id=columns["id"], tag=tag))
        for name, tree in SAVED.items():
            saved.save_query(connection, name, naive.text(tree))
    return Records([run for run, _ in pairs], SAVED)


class Both:
    """A small database, and a larger one that holds its runs and others."""

    def __init__(self, place: Path, seed: int) -> None:
        self.less = filled(place / "less.db", range(1, 13), random.Random(seed))
        self.more = filled(place / "more.db", range(1, 31), random.Random(seed))
        assert [run.columns for run in self.less.runs] == [run.columns for run in self.more.runs[:12]]
        self._readers = [connected(place / name) for name in ("less.db", "more.db")]
        self.few, self.many = (reader.__enter__() for reader in self._readers)

    def close(self) -> None:
        for reader in self._readers:
            reader.__exit__(None, None, None)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Both]]:
    found = [Both(tmp_path_factory.mktemp("naive"), seed) for seed in range(3)]
    yield found
    for both in found:
        both.close()


def names() -> st.SearchStrategy[tuple[str, bool]]:
    known = [*KEYS, *METRICS, *(f"{metric}.{statistic}" for metric in METRICS for statistic in naive.STATISTICS)]
    known += ["Performance", "Performance.max", "Performance.count", "a:lr", "b", "c:a:b", "lr.max", "nothing"]
    bare = [name for name in known if " " not in name and not name.endswith((":any", ":none"))]
    looked_up = st.sampled_from(bare) | st.sampled_from([f"config.{key}" for key in KEYS if " " not in key])
    looked_up |= st.sampled_from([f"metric.{name}" for name in METRICS if " " not in name]) | st.sampled_from(COLUMNS)
    return st.tuples(looked_up, st.just(False)) | st.tuples(st.sampled_from(known), st.just(True))


def typed(*, listed: bool = False) -> st.SearchStrategy[Typed]:
    bare = [word for word in TYPED if not (listed and "," in word and word[0] not in "[{")]
    return (
        st.builds(Typed, st.sampled_from(TYPED[:11]))
        | st.builds(Typed, st.sampled_from(bare))
        | st.builds(Typed, st.sampled_from(QUOTED), st.just(True))
    )


def comparisons() -> st.SearchStrategy[Tree]:
    comparators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~", "="])
    one = st.builds(lambda name, c, value: ("test", *name, c, [value]), names(), comparators, typed())
    several = st.builds(
        lambda name, values: ("test", *name, "in", values),
        names(),
        st.lists(typed(listed=True), min_size=1, max_size=4),
    )
    unquoted = names().filter(lambda name: not name[1])
    there = st.builds(lambda name, is_there: ("there", *name, is_there), unquoted, st.booleans())
    others = st.sampled_from([("tag", "t1"), ("tag", "e"), ("saved", "good"), ("saved", "better")])
    return one | one | several | there | others


def trees() -> st.SearchStrategy[Tree]:
    return st.recursive(
        comparisons(),
        lambda inner: (
            st.tuples(st.just("not"), inner)
            | st.tuples(st.just("and"), st.lists(inner, min_size=2, max_size=4))
            | st.tuples(st.just("or"), st.lists(inner, min_size=2, max_size=4))
        ),
        max_leaves=8,
    )


def found(connection: Connection, tree: Tree, *, everything: bool = False) -> list[int] | None:
    """What the compiler answers, None where it refuses."""
    try:
        return run_ids(connection, naive.text(tree), everything=everything)
    except FilterError:
        return None


def expected(records: Records, tree: Tree, *, everything: bool = False) -> list[int] | None:
    try:
        return naive.answer(records, tree, everything=everything)
    except RefusedError:
        return None


FILTERS = int(os.environ.get("SPINDB_FILTERS", "400"))
"""Generated filters of each of the first two tests."""

thorough = settings(max_examples=FILTERS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
shorter = settings(thorough, max_examples=FILTERS // 3)


@thorough
@given(which=st.integers(0, 2), tree=comparisons())
def test_each_test_says_what_the_page_says(three: list[Both], which: int, tree: Tree) -> None:
    both = three[which]
    assert found(both.many, tree) == expected(both.more, tree)


@thorough
@given(which=st.integers(0, 2), tree=trees(), everything=st.booleans())
def test_filters_say_what_the_page_says(three: list[Both], which: int, tree: Tree, everything: bool) -> None:
    both = three[which]
    answer = found(both.many, tree, everything=everything)
    assert answer == expected(both.more, tree, everything=everything)
    if answer is not None:
        assert count(both.many, naive.text(tree), everything=everything) == len(answer)


@shorter
@given(which=st.integers(0, 2), tree=trees())
def test_a_filter_and_its_not_part_the_runs(three: list[Both], which: int, tree: Tree) -> None:
    both = three[which]
    answer, rest = found(both.many, tree), found(both.many, ("not", tree))
    assert (answer is None) == (rest is None)
    if answer is not None and rest is not None:
        shown = found(both.many, ("or", [tree, ("not", tree)]))
        assert shown == sorted(answer + rest)
        assert set(answer).isdisjoint(rest)


@shorter
@given(which=st.integers(0, 2), tree=trees())
def test_a15_adding_runs_takes_none_out_of_an_answer(three: list[Both], which: int, tree: Tree) -> None:
    both = three[which]
    before, after = found(both.few, tree), found(both.many, tree)
    if before is not None:
        assert after is not None
        assert [run_id for run_id in after if run_id <= 12] == before


@shorter
@given(which=st.integers(0, 2), one=trees(), other=trees(), dice=st.randoms(use_true_random=False))
def test_filters_follow_the_laws_of_sets(
    three: list[Both], which: int, one: Tree, other: Tree, dice: random.Random
) -> None:
    both = three[which]
    together, either = found(both.many, ("and", [one, other])), found(both.many, ("or", [one, other]))
    if together is None or either is None:
        return
    assert set(together) <= set(either)
    neither = found(both.many, ("not", ("or", [one, other])))
    assert neither == found(both.many, ("and", [("not", one), ("not", other)]))
    assert found(both.many, ("not", ("and", [one, other]))) == found(both.many, ("or", [("not", one), ("not", other)]))
    parts = [one, other, one]
    dice.shuffle(parts)
    assert found(both.many, ("and", parts)) == together
    assert found(both.many, ("or", parts)) == either


@shorter
@given(which=st.integers(0, 2), name=names(), down=st.booleans())
def test_columns_and_order_take_the_value_that_filters_take(
    three: list[Both], which: int, name: tuple[str, bool], down: bool
) -> None:
    """A column is empty where the filter says that there is none, and equal to itself."""
    both = three[which]
    word = name[0]
    try:
        rows = search(both.many, Query("", ("id", word), (f"-{word}" if down else word,))).rows
    except FilterError:
        assert expected(both.more, ("there", word, False, True)) is None
        return
    by_id = {run.columns["id"]: run for run in both.more.runs}
    assert sorted(row[0] for row in rows) == run_ids(both.many, "")
    if naive._column(word, False) is None:
        for run_id, value in rows:
            run = by_id[run_id]
            one = next((one for one in naive._meant(both.more, word) if naive._is_there(run, one)), None)
            if one is not None and one[0] == "config":
                assert naive.same(value, run.config[one[1]]), (word, value)
            elif one is not None:
                cells = run.metrics[run.performance or "" if one[0] == "own" else one[1]]
                assert naive.same(value, naive.statistic(cells, one[-1])) or value is None
            else:
                assert value is None
