"""The original's functions: a script for Spinning Up changes its import and runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from test_engines import EXAMPLE

import spindb
from spindb.errors import EnvironmentBuildError, NotFoundError
from spindb.spinup import load_policy, restore_tf_graph, run_policy


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_policy_runs_as_the_manual_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    env, get_action = load_policy(EXAMPLE)
    assert env is not None
    run_policy(env, get_action, num_episodes=2, render=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Using default action op."
    assert lines[1].startswith("Logging data to ")
    assert lines[1].endswith("progress.txt")
    assert [line.split(" \t ")[0] for line in lines[2:4]] == ["Episode 0", "Episode 1"]
    assert "AverageEpRet" in lines[5]
    logged = Path(lines[1].removeprefix("Logging data to ")).read_text().splitlines()
    assert logged[0].split("\t") == ["AverageEpRet", "StdEpRet", "MaxEpRet", "MinEpRet", "EpLen"]


def test_the_environment_is_one_of_the_old_gym() -> None:
    env, get_action = load_policy(str(EXAMPLE), itr=0, deterministic=True)
    assert env is not None
    observation, steps = env.reset(), 0
    done = False
    while not done:
        observation, reward, done, info = env.step(get_action(observation))
        steps += 1
        assert reward == 1.0
    assert info == {"TimeLimit.truncated": False}
    assert observation.shape == env.observation_space.shape == (4,)
    assert env.spec.max_episode_steps == 500
    assert 5 < steps < 200, "a policy that did not learn yet"
    with pytest.raises(EnvironmentBuildError, match="not built to be shown"):
        env.render()


def test_an_environment_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    import gymnasium

    _, get_action = load_policy(EXAMPLE)
    run_policy(gymnasium.make("CartPole-v1"), get_action, 20, 1, False)
    assert "EpLen 20" in capsys.readouterr().out


def test_environment_not_found() -> None:
    """As the original: whoever caught its AssertionError catches ours."""
    with pytest.raises(AssertionError, match="Environment not found!") as caught:
        run_policy(None, lambda observation: 0)
    assert isinstance(caught.value, EnvironmentBuildError)
    assert caught.value.hint is not None
    assert "docs/experiment-outputs.md" in caught.value.hint


def test_an_environment_that_was_not_saved_is_none(tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "own_s0"
    shutil.copytree(EXAMPLE, place)
    for state in place.glob("vars*.pkl"):
        state.unlink()
    config = place / "config.json"
    config.write_text('{"exp_name": "own", "env": "<function make at 0x7f0000000000>"}')
    env, get_action = load_policy(place)
    assert env is None
    assert get_action(np.zeros(4)) in (0, 1)


def test_the_tensors_of_a_saved_model() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    saves = sorted(name for name in os.listdir(EXAMPLE) if name.startswith(("tf1_save", "simple_save")))
    policy = spindb.load_policy(EXAMPLE)
    observations = np.random.default_rng(0).normal(size=(5, 4))
    with tensorflow.compat.v1.Session(graph=tensorflow.Graph()) as session:
        model = restore_tf_graph(session, EXAMPLE / saves[-1])
        assert {"x", "pi", "v"} <= model.keys()
        values = session.run(model["v"], {model["x"]: observations})
        assert session.run(model["pi"], {model["x"]: observations}).shape == (5,)
    assert values == pytest.approx(policy.value(observations), rel=1e-5)
    with pytest.raises(NotFoundError):
        restore_tf_graph(None, EXAMPLE / "variables")
