"""Predicted values beside realised returns; saved random states; the pendulum of old."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, Outcome, plain_pickle

import spindb
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.saved_state import saved_state
from spindb.errors import EnvironmentBuildError, PolicyError, UsageError
from spindb.play.environments.replay import OldPendulum, replayed_environment
from spindb.play.locate import Playable, latest_by_number
from spindb.play.rollouts.value_trace import Point, ValueTrace, gamma_of
from spindb.records import EnvironmentHint, SnapshotRecord

EXAMPLE = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-003" / "cartpole-ppo_lr0-003_s0"


class Oracle:
    """Knows what follows: a reward of 1 for three steps, discounted by a half."""

    def has(self, name: str) -> bool:
        return name == "v"

    def value(self, observation: Any) -> float:
        return (1.75, 1.5, 1.0)[observation]


def test_a_trace_sets_predictions_beside_what_followed() -> None:
    trace = ValueTrace(Oracle(), gamma=0.5)  # type: ignore[arg-type]
    for _ in range(2):
        for step in range(3):
            trace.step(step, None, 1.0)
        trace.end()
    assert trace.points[3:] == [Point(1, 0, 1.75, 1.75), Point(1, 1, 1.5, 1.5), Point(1, 2, 1.0, 1.0)]
    assert trace.explained_variance == 1.0
    with pytest.raises(UsageError, match="can't be written"):
        trace.write_csv(Path("/nowhere/values.csv"))


def test_the_explained_variance_is_of_what_varies(tmp_path: Path) -> None:
    """By numpy, for returns far from 0."""
    rewards = [100.0, 103.0, 98.0]
    trace = ValueTrace(Oracle(), gamma=0.0)  # type: ignore[arg-type]
    for step, reward in enumerate(rewards):
        trace.step(step, None, reward)
    trace.end()
    predicted = np.array([1.75, 1.5, 1.0])
    expected = 1 - np.var(np.array(rewards) - predicted) / np.var(rewards)
    assert trace.explained_variance == pytest.approx(expected)
    assert trace.episodes == 1
    trace.write_csv(tmp_path / "values.csv")
    assert (tmp_path / "values.csv").read_text() == (
        "episode,step,predicted,realised\n0,0,1.75,100.0\n0,1,1.5,103.0\n0,2,1.0,98.0\n"
    )
    empty = ValueTrace(Oracle(), gamma=0.5)  # type: ignore[arg-type]
    assert np.isnan(empty.explained_variance)


def test_a_policy_without_values_is_said() -> None:
    class Bare:
        def has(self, name: str) -> bool:
            return False

    with pytest.raises(PolicyError, match="no value function"):
        ValueTrace(Bare(), 0.9)  # type: ignore[arg-type]


def test_values_from_the_command_line(
    cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE, "run")
    assert gamma_of(Path("run")) == 0.99
    assert gamma_of(tmp_path) is None
    options = ("test-policy", "run", "--itr", "10", "-nr", "-n", "2", "--seed", "0")
    outcome = cli(*options, "--values", "values.csv")
    assert outcome.code == 0
    assert "explained variance of v: " in outcome.err
    rows = list(csv.DictReader(Path("values.csv").read_text().splitlines()))
    lengths = [int(line.rpartition("EpLen ")[2]) for line in outcome.out.splitlines() if line.startswith("Episode")]
    assert len(rows) == sum(lengths)
    assert float(rows[lengths[0] - 1]["realised"]) == 1.0
    assert cli(*options, "--values", "values.txt").code == 2
    assert cli(*options, "--values", "values.png").code == 0
    assert Path("values.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg's pipes
@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_video_without_a_display(
    suffix: str, cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read again: a frame per step, with a picture on it and the caption in its corner."""
    import imageio.v2 as imageio

    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"played.{suffix}"
    options = ("test-policy", EXAMPLE, "--itr", "10", "-n", "1", "-l", "20", "--seed", "0", "--no-record")
    outcome = cli(*options, "--record", path, "--captions")
    assert outcome.code == 0, outcome.err
    assert f"video written to {path}" in outcome.err
    with imageio.get_reader(path) as reader:
        frames = [np.asarray(frame)[..., :3] for frame in reader]
    assert len(frames) == 20
    assert frames[0].shape == (400, 600, 3)
    assert frames[10][10:16, 8:120].min() < 100  # dark letters
    assert cli(*options, "--record", "played.avi").code == 2
    assert cli(*options, "--record", "nowhere/played.mp4").code == 2


class Env:
    def __init__(self, random: Any) -> None:
        self.np_random = random


class Wrapper:
    def __init__(self, env: Env) -> None:
        self.env = env


def test_random_states_are_read_and_not_executed() -> None:
    random = np.random.RandomState(7)
    random.normal()  # leaves a second number in store
    found = saved_state(plain_pickle({"env": Wrapper(Env(random))})).random
    assert found is not None
    again = np.random.RandomState()
    again.set_state(("MT19937", np.frombuffer(found.key, "<u4"), found.position, found.has_gauss, found.gauss))
    assert (again.normal(size=5) == random.normal(size=5)).all()
    assert saved_state(plain_pickle({"env": Wrapper(Env(None))})).random is None
    assert saved_state(plain_pickle({"env": Wrapper(Env(np.random.default_rng(0)))})).random is None
    with pytest.raises(PickleError, match="holds no environment"):
        saved_state(plain_pickle([1]))


def test_the_pendulum_of_old() -> None:
    """Against its equations, and against today's, from which it differs only where the speed is limited."""
    from spindb.play.environments.libraries import import_quietly

    gymnasium = import_quietly("gymnasium")
    new = gymnasium.make("Pendulum-v1", disable_env_checker=True).unwrapped
    new.reset(seed=0)
    old = OldPendulum(np.random.RandomState(0), 200)
    assert old.reset().shape == old.observation_space.shape
    for angle, speed, torque in ((0.3, 0.5, 1.0), (-2.0, -3.0, 5.0), (3.0, 7.9, 2.0)):
        old._state, new.state = np.array([angle, speed]), np.array([angle, speed])
        observation, reward, *_ = old.step(np.array([torque]))
        expected, cost, *_ = new.step(np.array([torque]))
        assert reward == pytest.approx(cost)
        is_limited = abs(old._state[1]) == 8.0
        assert np.allclose(observation, expected, atol=1e-6) != is_limited
    steps = [old.step(np.zeros(1)) for _ in range(197)]
    assert [step[2] for step in steps] == [False] * 196 + [True]
    assert steps[-1][3] == {"TimeLimit.truncated": True}


def test_a_replay_needs_a_random_state_and_takes_the_originals_snapshot(
    tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    saves = tuple(SnapshotRecord("tf1_save", f"tf1_save{itr}", itr) for itr in (3, 9))
    playable = Playable(tmp_path, saves[0], EnvironmentHint("CartPole-v1", "config"), None, saves)
    assert latest_by_number(playable).snapshot.itr == 9
    with pytest.raises(EnvironmentBuildError, match="no state was saved beside it") as caught:
        replayed_environment(playable)
    assert caught.value.hint == "without --faithful it plays"
    for extra in (("--seed", "1"), ("--env", "CartPole-v1"), ("--engine", "numpy")):
        outcome = cli("test-policy", EXAMPLE, "-nr", "--faithful", *extra)
        assert outcome.code == 2
        assert "--faithful replays" in outcome.err


def test_every_tensor_and_weight_is_within_reach() -> None:
    policy = spindb.load_policy(EXAMPLE, itr=10)
    weights = policy.weights()
    assert {array.dtype.kind for array in weights.values()} <= {"f", "i"}
    assert any(array.shape == (4, 32) for array in weights.values())
    observations = np.random.default_rng(0).normal(size=(3, 4))
    values = policy.outputs(observations)["v"]
    named = policy.graph.outputs["v"]  # type: ignore[attr-defined]
    assert np.allclose(policy.tensor(named, observations), values)
    assert np.allclose(policy.tensor(named, observations[0]), values[0])
    with pytest.raises(PolicyError, match="no node 'nowhere'"):
        policy.tensor("nowhere:0", observations)


def test_batches_are_rows() -> None:
    policy = spindb.load_policy(EXAMPLE, itr=10, deterministic=True)
    observations = np.random.default_rng(0).normal(size=(7, 4))
    assert [policy.act(row) for row in observations] == policy.act(observations).tolist()
    assert np.allclose([policy.value(row) for row in observations], policy.value(observations))
    assert {name: value.shape for name, value in policy.outputs(observations).items()} == {"pi": (7,), "v": (7,)}


WALK = """
class Walk:
    def __init__(self, goal=5.0, size=(1, 2), name=None):
        self.goal, self.size, self.name, self.place = goal, size, name, 0.0

    def reset(self):
        self.place = 0.0
        return [self.place, self.goal]

    def step(self, action):
        self.place += 1
        return [self.place, self.goal], 1.0, self.place >= self.goal, {}
"""


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_directory: Callable[..., Path]) -> Path:
    """A run whose saved state holds an environment of the user's own, made with another goal than usual."""
    import importlib
    import sys

    import torchlike

    (tmp_path / "my_walk.py").write_text(WALK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    state = plain_pickle({"env": importlib.import_module("my_walk").Walk(goal=3.0)})
    monkeypatch.delitem(sys.modules, "my_walk")
    weights = torchlike.linear(np.ones((2, 2), "f4"), np.zeros(2, "f4"))
    actor = torchlike.Network("a.Actor", {"logits_net": torchlike.sequence(weights)})
    model = torchlike.zipped(torchlike.Network("a.Critic", {"pi": actor}))
    return run_directory("walk_s0", config={"seed": 0}, files={"vars.pkl": state, "pyt_save/model.pt": model})


@pytest.mark.parametrize(
    ("option", "source"),
    [
        (("--import", "my_walk"), "state class my_walk.Walk"),
        (("--env-factory", "my_walk:Walk"), "--env-factory my_walk:Walk"),
        (("--trust",), "vars.pkl, unpickled"),
    ],
)
def test_an_environment_of_ones_own_is_as_it_was(
    walk: Path, cli: Callable[..., Outcome], option: tuple[str, ...], source: str
) -> None:
    outcome = cli("test-policy", walk, "-nr", "-n", "1", "--no-record", *option)
    assert outcome.code == 0, outcome.err
    assert f"from {source})" in outcome.err
    assert "Episode 0 \t EpRet 3.000 \t EpLen 3" in outcome.out
    assert ("note: made with goal=3.0, size=(1, 2), name=None" in outcome.err) == ("--trust" not in option)


def test_nothing_is_executed_without_trust(walk: Path, cli: Callable[..., Outcome]) -> None:
    import os

    class Hostile:
        def __reduce__(self) -> Any:
            return os.system, ("touch executed",)

    refused = cli("test-policy", walk, "-nr", "-n", "1")
    assert refused.code == 5
    assert "--import my_walk" in refused.err
    assert "--trust" in refused.err
    (walk / "vars.pkl").write_bytes(plain_pickle({"env": Hostile()}))
    for options in ((), ("--import", "my_walk"), ("--faithful",)):
        assert cli("test-policy", walk, "-nr", "-n", "1", *options).code == 5
    assert not Path("executed").exists()
    trusted = cli("test-policy", walk, "-nr", "-n", "1", "--trust")
    assert trusted.code == 5
    assert "holds a int, which has no reset and step" in trusted.err
    (walk / "vars.pkl").write_bytes(b"\x80\x03.")
    assert "can't be unpickled" in cli("test-policy", walk, "-nr", "-n", "1", "--trust").err
