"""A filter is read once, however much is asked of it, and all of that of one state of the database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

import spindb
from spindb.index.database import connect
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.query import language
from spindb.index.query.question import question
from spindb.index.query.search import Query, count, explain, run_ids, search
from spindb.ingest.pipeline import ingest

Cli = Callable[..., Outcome]
FILTER = "exp_name=ppo (seed=0 or seed=1) AverageEpRet>0"
NOTHING = "exp_name=ppo seed=99 problem=torn"
COMMANDS: list[tuple[list[str], int]] = [
    *((["runs", FILTER, *more], 1) for more in ([], ["--json"], ["--csv"], ["--ids"], ["--limit", "1", "--json"])),
    (["runs", FILTER, "--limit", "1"], 1),
    (["runs", FILTER, "--columns", "+lr"], 1),
    (["params", FILTER], 1),
    (["metrics", FILTER], 1),
    (["compare", FILTER], 1),
    (["compare", FILTER, "--group-by", "lr"], 1),
    (["plot", FILTER, "--terminal"], 1),
    (["plot", FILTER, "--scatter", "lr", "--out", "scatter.png"], 1),
    (["doctor", FILTER], 1),
    (["best", FILTER], 1),
    (["du", FILTER], 1),
    (["diff", FILTER], 1),
    *((["export", table, FILTER], 1) for table in ("runs", "configs", "metrics", "evaluations")),
    (["tag", "+good", FILTER], 1),
    (["tag", FILTER], 1),
    (["note", FILTER, "a text"], 1),
    (["note", FILTER, "--list"], 1),
    (["archive", FILTER], 1),
    (["archive", "--dry-run", FILTER], 1),
    (["unarchive", FILTER], 1),
    (["query", "save", "mine", FILTER], 1),
    (["verify", FILTER], 1),
    (["rm", "--yes", FILTER], 2),  # none is held while a person is asked
    (["sweep", FILTER], 2),  # none is held while policies play
]


@pytest.fixture
def study(run_directory: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed in range(3):
        run_directory(f"ppo_s{seed}", config={"exp_name": "ppo", "seed": seed, "lr": 10.0**-seed})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    ingest("spindb.db", [tmp_path / "data"])
    return tmp_path


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The filters that are parsed from now on."""
    found: list[str] = []
    parse = language.parse

    def noted(query: str) -> language.Filter:
        found.append(query)
        return parse(query)

    monkeypatch.setattr(language, "parse", noted)
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The databases that are opened from now on."""
    found: list[object] = []

    def noted(location: str | Path, *, write: bool = False) -> object:
        found.append(location)
        return open_engine(location, write=write)

    monkeypatch.setattr(connect, "open_engine", noted)
    return found


@pytest.mark.parametrize(
    ("command", "connections"),
    COMMANDS,
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, list) else "",
)
def test_a_command_reads_its_filter_once(
    command: list[str], connections: int, study: Path, cli: Cli, texts: list[str], opened: list[object]
) -> None:
    outcome = cli(*command)
    assert "Traceback" not in outcome.err
    assert outcome.code in (0, 3), outcome.err
    assert texts == [FILTER]
    assert len(opened) == connections


def test_why_nothing_matches_is_said_of_what_was_read(
    study: Path, cli: Cli, texts: list[str], opened: list[object]
) -> None:
    outcome = cli("runs", NOTHING)
    assert "seed=99" in outcome.err
    assert "no run has the problem torn" in outcome.err
    assert texts == [NOTHING]
    assert len(opened) == 1


def test_each_saved_query_is_read_once(study: Path, cli: Cli, texts: list[str]) -> None:
    cli("query", "save", "mine", "exp_name=ppo")
    texts.clear()
    cli("runs", "@mine (@mine or seed=0)")
    assert texts == ["@mine (@mine or seed=0)", "exp_name=ppo"]


def test_runs_that_are_named_take_no_filter(study: Path, cli: Cli, texts: list[str]) -> None:
    for words in (["1", "2"], ["1-2"], ["ppo_s0"], ["data"]):
        assert cli("runs", *words).code == 0
        assert cli("runs", "--json", *words).code == 0
        assert cli("compare", *words).code == 0
    assert texts == []


@pytest.mark.parametrize("call", ["ids", "runs", "curves", "compare", "plot", "configs", "evaluations"])
def test_a_call_in_python_reads_its_filter_once(call: str, study: Path, texts: list[str], opened: list[object]) -> None:
    pytest.importorskip("matplotlib")
    database = spindb.open(study / "spindb.db")
    opened.clear()
    getattr(database, call)(FILTER)
    assert texts == [FILTER]
    assert len(opened) == 1


def test_a_page_and_its_count_are_of_one_plan(study: Path, texts: list[str]) -> None:
    with connected(study / "spindb.db") as connection:
        asked = question(connection, FILTER)
        page = search(connection, Query(asked, ("id", "lr"), ("-lr",), limit=1))
        assert (page.rows, page.total) == (((1, 1.0),), 2)
        assert run_ids(connection, asked) == [1, 2]
        assert count(connection, asked) == 2
        assert [term.term for term in explain(connection, asked)] == [
            "exp_name=ppo",
            "(seed=0 or seed=1)",
            "AverageEpRet>0",
        ]
    assert texts == [FILTER]
