"""What Tab offers: through the shell's own protocol, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, Outcome, settle

from spindb.cli import completion
from spindb.index.query.fields import RUN_FIELDS, STATISTICS

pytestmark = pytest.mark.sqlite


@pytest.fixture
def place(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two runs with tags and a saved query."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for seed in (0, 1):
        run_directory(f"ppo_s{seed}", config=PPO_CONFIG | {"seed": seed, "env": f"CartPole-v{seed}", "mode": "fast"})
    settle(tmp_path)
    cli("ingest", "data")
    cli("tag", "+good", "+grand", "1")
    cli("query", "save", "mine", "tag:good")
    return tmp_path


def offered(place: Path, *words: str) -> list[str]:
    """What bash would be offered for the last of these words."""
    line = ["spindb", *words]
    environment = {
        **{k: v for k, v in os.environ.items() if k != "SPINDB_URL"},
        "_SPINDB_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    code = "import sys; from spindb.cli.app import run; sys.exit(run([]))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    return result.stdout.split("\n")


CASES = [
    (("ru",), "runs", "rm"),
    (("runs", "clip"), "clip_ratio", "pi_lr"),
    (("runs", "hidden"), None, "ac_kwargs.hidden_sizes"),
    (("runs", "env="), "env=CartPole-v0", "env=Hopper"),
    (("runs", "mode="), "mode=fast", None),
    (("runs", "tag:g"), "tag:grand", "tag:bad"),
    (("runs", "@"), "@mine", None),
    (("runs", "AverageEpRet.m"), "AverageEpRet.max", "AverageEpRet.first"),
    (("runs", "--sort", "id,-pi"), "id,-pi_lr", "id,pi_lr"),
    (("runs", "--columns", "id,+Aver"), "id,+AverageEpRet", None),
    (("show", "p"), "ppo_s0", None),
    (("show", "1"), "1", "2"),
    (("tag", "+g"), "+good", "good"),
    (("plot", "--value", "Perf"), "Performance", None),
    (("query", "rm", "m"), "mine", None),
    (("--db", "nowhere.db", "runs", "tag:"), None, "tag:good"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "there", "absent"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_offers(place: Path, words: tuple[str, ...], there: str | None, absent: str | None) -> None:
    found = offered(place, *words)
    assert there is None or there in found
    assert absent not in found


def test_a_filter_in_quotes_goes_on_after_its_last_blank(place: Path) -> None:
    import typer

    context = typer.Context.__new__(typer.Context)
    context.params = {"db": str(place / "spindb.db")}
    assert completion.of_filter(context, "seed=0 (algo=ppo or cli") == ["seed=0 (algo=ppo or clip_ratio"]


def test_completion_imports_no_database(place: Path) -> None:
    code = (
        "import sys, typer; from spindb.cli import app, completion; context = typer.Context.__new__(typer.Context); "
        "context.params = {'db': 'spindb.db'}; assert completion.of_filter(context, 'tag:go') == ['tag:good']; "
        "print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True)
    assert set(result.stdout.split()).isdisjoint({"sqlalchemy", "alembic", "numpy", "rich"})


def test_its_fields_are_those_of_the_query_language() -> None:
    assert set(completion._RUN_FIELDS) == set(RUN_FIELDS)
    assert set(completion._STATISTICS) == set(STATISTICS) - {"last"}
