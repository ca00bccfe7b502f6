"""What ``--len`` says and does beside the environment's own time limit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome
from test_carried import actor, lived
from test_wrappers import NEW, pendulum

from spindb.play.environments.adapter import Environment
from spindb.play.environments.wrapping import Limit, around

Cli = Callable[..., Outcome]
pytestmark = pytest.mark.filterwarnings("ignore")
TOLD = "note: --len 2000: the environment itself ends an episode after 200 steps"


def test_the_time_limit_is_that_of_the_shortest_wrapper() -> None:
    class Bare:
        pass

    assert Environment(pendulum()).time_limit == 200
    assert Environment(NEW.TimeLimit(NEW.RescaleAction(pendulum(), -1, 1), 7)).time_limit == 7
    assert Environment(around(pendulum(), Limit, 20)).time_limit == 20
    assert Environment(pendulum().unwrapped).time_limit is None
    assert Environment(Bare()).time_limit is None


def test_a_length_beyond_the_time_limit_is_said_before_playing(run_directory: Any, cli: Cli) -> None:
    run = run_directory(
        files={"vars.pkl": lived(NEW.RescaleAction(pendulum(), -1, 1)), "pyt_save/model.pt": actor(3, 1)}
    )
    play = ("test-policy", run, "-nr", "-n", "1", "--seed", "0", "--json")
    beyond = cli(*play, "-l", "2000")
    assert (beyond.code, TOLD in beyond.err) == (0, True), beyond.err
    found = json.loads(beyond.out)
    assert (found["time_limit"], found["episodes"][0]["length"], found["episodes"][0]["ending"]) == (
        *(200, 200),
        "truncated",
    )
    assert beyond.err.index(TOLD) < beyond.err.index("Using ")
    for length, steps in ((0, 200), (200, 200), (20, 20)):
        within = cli(*play, "-l", length)
        assert "itself ends an episode" not in within.err
        assert json.loads(within.out)["episodes"][0]["length"] == steps


@pytest.mark.sqlite
def test_a_sweep_says_it_once(run_directory: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"vars.pkl": lived(NEW.RescaleAction(pendulum(), -1, 1)), "pyt_save/model.pt": actor(3, 1)}
    run_directory(config={"seed": 0}, files={**files, "pyt_save/model1.pt": actor(3, 1)})
    assert cli("ingest", tmp_path / "data").code == 0
    swept = cli("sweep", "-n", "1", "--jobs", "1", "-l", "2000")
    assert swept.err.count("note: --len 2000: Pendulum-v1 itself ends an episode after 200 steps") == 1
    assert "itself ends" not in cli("sweep", "-n", "1", "--jobs", "1", "-l", "100").err
