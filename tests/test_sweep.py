"""Every snapshot evaluated, once for equal flags; the best one named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome, rows_of, settle

from spindb.play import evaluating

Cli = Callable[..., Outcome]
RUN = "cartpole-ppo_lr0-003/cartpole-ppo_lr0-003_s0"


@pytest.fixture
def study(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with two snapshots, and one with a save that can't be played."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    shutil.copytree(REPOSITORY / "examples" / "data" / RUN, tmp_path / "data" / "good_s0")
    shutil.copytree(REPOSITORY / "examples" / "data" / RUN, tmp_path / "data" / "odd_s0")
    shutil.rmtree(tmp_path / "data" / "odd_s0" / "tf1_save10")
    config = tmp_path / "data" / "odd_s0" / "config.json"
    config.write_text(config.read_text().replace("CartPole-v1", "Pendulum-v1"))
    settle(tmp_path)
    cli("ingest", "data")
    return tmp_path


def test_a_sweep_goes_on_where_it_ended(study: Path, cli: Cli) -> None:
    first = cli("sweep", "good_s0", "-n", "3", "--jobs", "2", "--out", "sweep.png")
    assert first.code == 0
    assert "2 snapshots of 1 run, 0 evaluated so already" in first.err
    assert [line.split()[2:4] for line in first.out.splitlines()[2:]] == [["0", "3"], ["10", "3"]]
    assert Path("sweep.png").stat().st_size > 10000
    kept = rows_of(
        study / "spindb.db", "SELECT itr, seed, episodes, engine, snapshot_digest FROM evaluations ORDER BY itr"
    )
    assert [row[:4] for row in kept] == [(0, 0, 3, "numpy"), (10, 0, 3, "numpy")]
    assert all(row[4] for row in kept)
    again = cli("sweep", "good_s0", "-n", "3")
    assert "2 snapshots of 1 run, 2 evaluated so already" in again.err
    assert again.out == first.out
    assert "0 evaluated so already" in cli("sweep", "good_s0", "-n", "3", "-d", "--jobs", "1").err
    assert len(rows_of(study / "spindb.db", "SELECT id FROM evaluations")) == 4
    index = study / "data" / "good_s0" / "tf1_save10" / "variables" / "variables.index"
    data = next(index.parent.glob("variables.data*"))
    data.write_bytes(data.read_bytes() + b"\0")  # another save under the same name
    assert "1 evaluated so already" in cli("sweep", "good_s0", "-n", "3", "--jobs", "1").err


def test_one_broken_snapshot_ends_nothing(study: Path, cli: Cli) -> None:
    outcome = cli("sweep", "id:any", "-n", "2", "--jobs", "2", "--env", "CartPole-v1")
    assert outcome.code == 0
    pendulum = cli("sweep", "id:any", "-n", "2", "--jobs", "1", "--env", "Pendulum-v1")
    assert pendulum.code == 1
    assert pendulum.err.count("takes observations of shape (4,)") == 3
    assert cli("sweep", "--env", "a", "--env-factory", "b:c").code == 2


def test_the_best_is_named(study: Path, cli: Cli) -> None:
    assert cli("best").err.startswith("no evaluation was recorded")
    cli("sweep", "good_s0", "-n", "4", "--jobs", "1")
    named = cli("best", "good_s0")
    assert "the best: spindb test-policy 1 --itr 10\n" in named.err
    rows = json.loads(cli("best", "--json").out)
    assert [row["itr"] for row in rows] == [10, 0]
    assert rows[0]["mean_return"] > rows[1]["mean_return"]
    assert cli("best", "--least", "5").err.startswith("no evaluation")
    assert cli("best", "--csv", "--limit", "1").out.count("\n") == 2


def test_an_interruption_keeps_what_was_done(study: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluating.sweep

    def interrupted(*arguments: object) -> object:
        for number, item in enumerate(whole(*arguments)):  # type: ignore[arg-type]
            if number:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(evaluating, "sweep", interrupted)
    cli("sweep", "good_s0", "-n", "2", "--jobs", "1")
    assert len(rows_of(study / "spindb.db", "SELECT id FROM evaluations")) == 1
    monkeypatch.setattr(evaluating, "sweep", whole)
    assert "1 evaluated so already" in cli("sweep", "good_s0", "-n", "2", "--jobs", "1").err


def test_a_filter_that_finds_no_run_is_said(study: Path, cli: Callable[..., Outcome]) -> None:
    for command in ("best", "sweep"):
        outcome = cli(command, "env=Nowhere-v0")
        assert outcome.code == 3
        assert "no run matches\nhint: spindb runs 'env=Nowhere-v0' says why" in outcome.err
