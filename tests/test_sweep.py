"""Every snapshot evaluated, once for equal flags; the best one named."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Outcome, rows_of, settle

from spindb.play import workers

pytestmark = pytest.mark.slow

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
    whole = workers.evaluate_all

    def interrupted(*arguments: object) -> object:
        for number, item in enumerate(whole(*arguments)):  # type: ignore[arg-type]
            if number:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(workers, "evaluate_all", interrupted)
    cli("sweep", "good_s0", "-n", "2", "--jobs", "1")
    assert len(rows_of(study / "spindb.db", "SELECT id FROM evaluations")) == 1
    monkeypatch.setattr(workers, "evaluate_all", whole)
    assert "1 evaluated so already" in cli("sweep", "good_s0", "-n", "2", "--jobs", "1").err


def test_a_filter_that_finds_no_run_is_said(study: Path, cli: Callable[..., Outcome]) -> None:
    for command in ("best", "sweep"):
        outcome = cli(command, "env=Nowhere-v0")
        assert outcome.code == 3
        assert "no run matches\nhint: spindb runs 'env=Nowhere-v0' says why" in outcome.err


ENVIRONMENT = """
import os, signal, time
import numpy as np


class Walk:
    def __init__(self, steps=3, seconds=0.0):
        self.steps, self.seconds = steps, seconds

    def reset(self):
        self.step_count = 0
        return np.zeros(4)

    def step(self, action):
        self.step_count += 1
        time.sleep(self.seconds)
        return np.zeros(4), 1.0, self.step_count >= self.steps, {}


def slow():
    with open(f"worker-{os.getpid()}", "w"):
        return Walk(5, 0.1)


def deadly():
    if not os.path.exists("died"):
        open("died", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)


def deadly_once():
    if not os.path.exists("died"):
        deadly()
    return Walk()
"""


def _start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spindb", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _workers(count: int) -> list[int]:
    until = time.monotonic() + 60
    while len(found := list(Path().glob("worker-*"))) < count:
        assert time.monotonic() < until
        time.sleep(0.05)
    return [int(path.name.partition("-")[2]) for path in found]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.sqlite
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_j8_a_sweep_that_is_ended_keeps_what_was_played(study: Path, number: int) -> None:
    Path("walks.py").write_text(ENVIRONMENT)
    with _start("sweep", "good_s0", "-n", "1000", "--jobs", "2", "--env-factory", "walks:slow") as parent:
        workers = _workers(2)
        time.sleep(1.5)
        parent.send_signal(number)
        _, err = parent.communicate(timeout=30)
    assert parent.returncode == 128 + number
    assert f"interrupted by {signal.Signals(number).name}" in err
    assert "Traceback" not in err
    kept = rows_of(study / "spindb.db", "SELECT itr, partial, episodes > 0 FROM evaluations ORDER BY itr")
    assert kept == [(0, 1, 1), (10, 1, 1)]
    assert all(map(_gone, workers))


@pytest.mark.sqlite
def test_j8_workers_of_a_sweep_end_when_it_is_killed(study: Path) -> None:
    Path("walks.py").write_text(ENVIRONMENT)
    with _start("sweep", "good_s0", "-n", "1000", "--jobs", "2", "--env-factory", "walks:slow") as parent:
        workers = _workers(2)
        parent.kill()
        parent.communicate(timeout=30)
    until = time.monotonic() + 10
    while not all(map(_gone, workers)):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_j8_a_worker_that_is_killed_costs_its_snapshot_alone(study: Path, cli: Cli) -> None:
    Path("walks.py").write_text(ENVIRONMENT)
    once = cli("sweep", "good_s0", "-n", "2", "--jobs", "2", "--env-factory", "walks:deadly_once")
    assert once.code == 0, once.err
    assert [line.split()[2:4] for line in once.out.splitlines()[2:]] == [["0", "2"], ["10", "2"]]
    always = cli("sweep", "good_s0", "-n", "3", "--jobs", "2", "--env-factory", "walks:deadly")
    assert always.code == 1
    assert always.err.count("the process that played it ended without a word") == 2


def test_c4_a_seed_below_zero_is_refused(study: Path, cli: Cli) -> None:
    assert cli("sweep", "good_s0", "--seed", "-1").code == 2


@pytest.mark.sqlite
def test_j12_workers_import_nothing_from_the_current_directory(study: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 starts workers in the current directory")
    for name in ("pickle", "json", "numpy", "gymnasium", "sqlalchemy", "selectors", "struct"):
        Path(f"{name}.py").write_text("open('executed', 'a').write(__name__)\n")
    with _start("sweep", "good_s0", "-n", "2", "--jobs", "2") as parent:
        out, err = parent.communicate(timeout=60)
    assert parent.returncode == 0, err
    assert not Path("executed").exists()
    assert len(out.splitlines()) == 4


def test_the_best_is_played_again_as_it_was_played(
    run_directory: Any, cli: Cli, tmp_path: Path, monkeypatch: Any
) -> None:
    """The command has every flag that the evaluation was made with."""
    import cloudpickle
    from test_carried import actor
    from test_wrappers import NEW, pendulum

    monkeypatch.chdir(tmp_path)
    env = NEW.TransformReward(NEW.RescaleAction(pendulum(), -1, 1), lambda reward: reward * 2)
    files = {"vars.pkl": cloudpickle.dumps({"env": env}), "pyt_save/model.pt": actor(3, 1, last=None, name="policy")}
    run_directory(config={"seed": 0}, files=files)
    assert cli("ingest", tmp_path / "data").code == 0
    play = ("test-policy", "1", "-nr", "-n", "1", "--seed", "0", "--without-wrappers")
    for flags in (("--action", "tanh"), ("--action", "clip", "--len", "50"), ("--action", "clip", "-d")):
        assert cli(*play, *flags).code == 0
    rows = json.loads(cli("best", "--json").out)
    assert sorted((row["action"], row["rank"]) for row in rows) == [("clip", 1), ("clip", 1), ("tanh", 1)]
    assert {row["command"] for row in rows} == {
        "spindb test-policy 1 --action tanh --without-wrappers",
        "spindb test-policy 1 --len 50 --action clip --without-wrappers",
        "spindb test-policy 1 -d --action clip --without-wrappers",
    }
    for row in rows:
        again = cli(*row["command"].split()[1:], "-nr", "-n", "1", "--seed", "0", "--json")
        assert json.loads(again.out)["mean_return"] == row["mean_return"]
        assert f"the best in {row['env']}" in cli("best").err


def test_what_an_evaluation_was_asked_for_is_read_back() -> None:
    from spindb.index.read.evaluation_options import EvaluationOptions, engine_text, options_of

    found = options_of(
        "Ant-v4", "--env; with g=1.0; contact forces zero; without a.B, c.D", engine_text("numpy", "clip")
    )
    assert found == EvaluationOptions("Ant-v4", None, "clip", True, "zero")
    assert found.flags == ("--env Ant-v4", "--action clip", "--contact-forces zero", "--without-wrappers")
    assert options_of(None, "--env-factory my envs:make", "numpy").flags == ("--env-factory 'my envs:make'",)
    assert options_of("Pendulum-v1", "state id", "tensorflow") == EvaluationOptions(None, None, None, False, None)
