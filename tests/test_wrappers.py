"""Environments as they were: saved with real wrappers, built anew, and played to the same returns."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torchlike
from conftest import Outcome, rows_of
from gymlike import state_of

np = pytest.importorskip("numpy")
gymnasium = pytest.importorskip("gymnasium")
cloudpickle = pytest.importorskip("cloudpickle")
joblib = pytest.importorskip("joblib")

import own_wrappers  # noqa: E402 - needs gym

from spindb.disk.environments import environment_in_state  # noqa: E402
from spindb.errors import EnvironmentBuildError  # noqa: E402
from spindb.play.environments.build import BuiltEnvironment, Choices, build_environment  # noqa: E402
from spindb.play.environments.quiet import import_quietly  # noqa: E402
from spindb.play.environments.state import saved_of  # noqa: E402

gym = import_quietly("gym")
Write = Callable[..., Path]
Cli = Callable[..., Outcome]
OWN = Choices(imports=("own_wrappers",))
pytestmark = pytest.mark.filterwarnings("ignore")


def pendulum(**arguments: Any) -> Any:
    return gymnasium.make("Pendulum-v1", **arguments)


def old_pendulum(**arguments: Any) -> Any:
    return gym.make("Pendulum-v1", disable_env_checker=True, **arguments)


def built_from(data: bytes, directory: Path, choices: Choices = OWN) -> BuiltEnvironment:
    (directory / "vars.pkl").write_bytes(data)
    return build_environment(environment_in_state(data), choices, saved=saved_of(directory, "vars.pkl"))


def played(env: Any, steps: int = 250) -> list[tuple[list[float], float, bool]]:
    """Observations, rewards and ends of an episode of actions that a seed draws."""
    rng, result = np.random.default_rng(0), []
    env.reset(seed=3)
    for _ in range(steps):
        space = env.action_space
        action = rng.uniform(-1, 1, space.shape).astype("f4") if space.shape else int(rng.integers(space.n))
        observation, reward, terminated, truncated, _ = env.step(action)
        result.append((np.asarray(observation).tolist(), float(reward), terminated or truncated))
        if terminated or truncated:
            break
    return result


def frozen(env: Any) -> Any:
    """The environment with its running statistics as they are."""
    own_wrappers.Centred.frozen = True
    layer = env
    while hasattr(layer, "env"):
        for name in ("obs_rms", "return_rms"):
            if name in vars(layer):
                vars(layer)[name].update = lambda values: None
        layer = layer.env
    return env


NEW = gymnasium.wrappers
OLD = gym.wrappers
MADE: dict[str, Callable[[], Any]] = {
    "gravity": lambda: pendulum(g=1.0),
    "wind": lambda: gymnasium.make("LunarLander-v3", continuous=True, gravity=-5.0),
    "limit": lambda: gymnasium.make("CartPole-v1", max_episode_steps=7),
    "no limit, then one": lambda: NEW.TimeLimit(NEW.RescaleAction(pendulum().unwrapped, -1, 1), 7),
    "rescaled": lambda: NEW.RescaleAction(pendulum(), -1.0, np.ones(1, "f4")),
    "clipped": lambda: NEW.ClipAction(pendulum()),
    "normalised": lambda: NEW.NormalizeReward(NEW.NormalizeObservation(NEW.RescaleAction(pendulum(), -1, 1))),
    "stacked": lambda: NEW.FlattenObservation(NEW.FrameStackObservation(pendulum(), 3)),
    "ufunc": lambda: NEW.TransformReward(pendulum(), np.tanh),
    "function": lambda: NEW.TransformReward(pendulum(), own_wrappers.doubled),
    "clipped reward": lambda: NEW.ClipReward(pendulum(), -3.0, 0.0),
    "timed": lambda: NEW.TimeAwareObservation(pendulum()),
    "recorded": lambda: NEW.RecordEpisodeStatistics(pendulum()),
    "own": lambda: own_wrappers.Scaled(NEW.ClipAction(pendulum()), 0.25),
    "own, other name": lambda: own_wrappers.Weighted(pendulum(), 3.0),
    "own statistics": lambda: NEW.NormalizeObservation(own_wrappers.Centred(pendulum())),
    "old gravity": lambda: old_pendulum(g=1.0),
    "old normalised": lambda: OLD.NormalizeReward(OLD.NormalizeObservation(OLD.RescaleAction(old_pendulum(), -1, 1))),
    "old stacked": lambda: OLD.FlattenObservation(OLD.FrameStack(OLD.ClipAction(old_pendulum()), 4)),
    "old ufunc": lambda: OLD.TransformObservation(OLD.TransformReward(old_pendulum(), np.tanh), np.sin),
    "old timed": lambda: OLD.TimeAwareObservation(old_pendulum()),
    "old own": lambda: own_wrappers.OldScaled(old_pendulum(), 0.25),
}


@pytest.mark.parametrize("name", MADE)
def test_c2_what_was_saved_plays_as_it_did(name: str, tmp_path: Path) -> None:
    if name == "wind":
        pytest.importorskip("Box2D", reason="Box2D is not installed")
    own_wrappers.Centred.frozen = False
    env = MADE[name]()
    env.reset(seed=1)
    for _ in range(6):
        env.step(env.action_space.sample())
    (tmp_path / "joblib").touch()
    if name.startswith("old"):
        joblib.dump({"env": env}, tmp_path / "joblib")
        data = (tmp_path / "joblib").read_bytes()
    else:
        data = cloudpickle.dumps({"env": env})
    built = built_from(data, tmp_path)
    assert built.substituted is None
    expected = played(frozen(env))
    assert played(built.environment.env) == expected


def test_c2_statistics_are_frozen(tmp_path: Path) -> None:
    env = NEW.NormalizeObservation(pendulum())
    played(env)
    for data in (cloudpickle.dumps({"env": env}),):
        again = built_from(data, tmp_path)
        assert played(again.environment.env) == played(again.environment.env)
        assert again.wrappers == ("NormalizeObservation (statistics of 201 steps, frozen)",)


SWING = "gym.envs.classic_control.pendulum.PendulumEnv"
LIMIT = ("gym.wrappers.time_limit.TimeLimit", {"_max_episode_steps": 50})


def spec(env_id: str, **kwargs: Any) -> Any:
    return _Spec(env_id, kwargs)


class _Spec:
    """As gym before 0.22 pickled it."""

    def __init__(self, env_id: str, kwargs: dict[str, Any]) -> None:
        self.id, self._kwargs = env_id, kwargs


OF_OLD_GYM = {
    "0.10": (
        (LIMIT, (SWING, {"g": 4.0, "spec": spec("Pendulum-v0")})),
        lambda: pendulum(g=4.0, max_episode_steps=50),
    ),
    "0.10 without attributes": (
        (LIMIT, (SWING, {"spec": spec("Pendulum-v0")})),
        lambda: pendulum(max_episode_steps=50),
    ),
    "0.15": (
        (
            ("gym.wrappers.monitor.Monitor", {"videos": []}),
            ("gym.wrappers.frame_stack.FrameStack", {"num_stack": 2, "lz4_compress": False}),
            ("gym.wrappers.clip_action.ClipAction", {}),
            ("gym.wrappers.rescale_action.RescaleAction", {"a": -1.0, "b": 1.0}),
            LIMIT,
            (SWING, {"spec": spec("Pendulum-v0", g=4.0)}),
        ),
        lambda: NEW.FrameStackObservation(
            NEW.ClipAction(NEW.RescaleAction(pendulum(g=4.0, max_episode_steps=50), -1.0, 1.0)), 2
        ),
    ),
    "0.15, rewards": (
        (
            ("gym.wrappers.transform_reward.TransformReward", {"f": np.tanh}),
            ("gym.wrappers.clip_reward.ClipReward", {"min_r": -1.0, "max_r": -0.5}),
            LIMIT,
            (SWING, {"spec": spec("Pendulum-v0")}),
        ),
        lambda: NEW.TransformReward(NEW.ClipReward(pendulum(max_episode_steps=50), -1.0, -0.5), np.tanh),
    ),
}


@pytest.mark.parametrize("name", OF_OLD_GYM)
def test_c2_old_class_paths_play_too(name: str, tmp_path: Path) -> None:
    layers, alike = OF_OLD_GYM[name]
    built = built_from(state_of(*layers), tmp_path)
    mine, its = played(built.environment.env), played(alike())
    assert len(mine) == len(its) == 50
    np.testing.assert_allclose([step[1] for step in mine], [step[1] for step in its], rtol=1e-6)


def test_c2_what_cannot_be_rebuilt_is_named_and_refused(tmp_path: Path) -> None:
    for made in (
        NEW.TransformReward(NEW.RescaleAction(pendulum(), -1, 1), lambda reward: reward + 1),
        own_wrappers.Scaled(pendulum(), 2.0),
    ):
        name = type(made).__name__
        data = cloudpickle.dumps({"env": made})
        with pytest.raises(EnvironmentBuildError) as caught:
            built_from(data, tmp_path, Choices())
        assert name in caught.value.message
        hint = str(caught.value.hint)
        assert "--without-wrappers" in hint
        assert ("--import own_wrappers" in hint) == (name == "Scaled")
        without = built_from(data, tmp_path, Choices(without_wrappers=True))
        assert [path.rpartition(".")[2] for path in without.left_out] == [name]
        assert name in str(without.substituted)
        assert len(without.wrappers) == (name != "Scaled"), "what can be rebuilt is"
        assert name in without.recorded_source
    bare = built_from(
        cloudpickle.dumps({"env": NEW.RescaleAction(pendulum(), -1, 1)}), tmp_path, Choices("Pendulum-v1")
    )
    assert bare.wrappers, "--env names the environment inside the wrappers"


def test_c2_a_state_that_is_cut_off_names_its_wrappers_only(tmp_path: Path) -> None:
    """Their values are lost: nothing is played without them in silence, and --trust can't help."""
    data = pickle.dumps({"env": OLD.RescaleAction(old_pendulum(), -1, 1)})
    classes = environment_in_state(data).classes
    (tmp_path / "vars.pkl").write_bytes(data[:-40])
    saved = saved_of(tmp_path, "vars.pkl", classes)
    hint = environment_in_state(data)
    with pytest.raises(EnvironmentBuildError, match=r"RescaleAction: its min_action was not saved") as caught:
        build_environment(hint, saved=saved)
    assert "--trust" not in str(caught.value.hint)


def test_c2_another_state_of_the_run_serves(tmp_path: Path) -> None:
    data = pickle.dumps({"env": OLD.NormalizeObservation(old_pendulum())})
    (tmp_path / "vars3.pkl").write_bytes(data[:100])
    (tmp_path / "vars.pkl").write_bytes(data)
    built = build_environment(environment_in_state(data), saved=saved_of(tmp_path, "vars3.pkl"))
    assert any("not saved together with this policy" in note for note in built.notes)


def test_limits_that_the_training_kept_itself(tmp_path: Path) -> None:
    """Saved without a time limit, the training ended episodes by max_ep_len."""
    (tmp_path / "config.json").write_text(json.dumps({"max_ep_len": 30}))
    data = cloudpickle.dumps({"env": pendulum().unwrapped})
    built = built_from(data, tmp_path)
    assert len(played(built.environment.env)) == 30
    assert "max_ep_len=30" in built.notes[0]
    (tmp_path / "config.json").unlink()
    assert len(played(built_from(data, tmp_path).environment.env)) == 200


def policy(inputs: int, seed: int = 0) -> bytes:
    """A deterministic policy of one number, as PyTorch saves it."""
    weight = np.random.default_rng(seed).normal(size=(1, inputs)).astype("f4")
    stack = torchlike.sequence(torchlike.linear(weight, np.zeros(1, "f4")), torchlike.activation("Tanh"))
    return torchlike.zipped(
        torchlike.Network("a.Critic", {"pi": torchlike.Network("a.Actor", {"pi": stack}, act_limit=1.0)})
    )


def test_c2_at_the_command_line(
    run_directory: Write, cli: Cli, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = own_wrappers.Scaled(NEW.RescaleAction(pendulum(g=1.0), -1, 1), 0.5)
    files = {"vars.pkl": cloudpickle.dumps({"env": env}), "pyt_save/model.pt": policy(3)}
    run_directory(config={"seed": 0}, files=files)
    assert cli("ingest", tmp_path / "data").code == 0
    play = ("test-policy", "1", "-nr", "-n", "2", "--seed", "0")
    refused = cli(*play)
    assert refused.code == 5
    assert "own_wrappers.Scaled" in refused.err
    assert "Traceback" not in refused.err
    warned = cli(*play, "--without-wrappers")
    assert warned.code == 0
    assert "warning: played without own_wrappers.Scaled" in warned.err
    whole = cli(*play, "--import", "own_wrappers", "--json")
    assert whole.code == 0
    told = json.loads(whole.out)
    assert told["wrappers"] == ["own_wrappers.Scaled(factor=0.5)", "RescaleAction(min_action=-1, max_action=1)"]
    assert told["wrappers_left_out"] == []
    assert rows_of(database, "SELECT env_source FROM evaluations ORDER BY id") == [
        ("state id; with g=1.0; without own_wrappers.Scaled",),
        ("state id; with g=1.0",),
    ]
    weight = np.random.default_rng(0).normal(size=(1, 3)).astype("f4")
    observation, total = env.reset(seed=0)[0], 0.0
    for _ in range(200):
        observation, reward, *_ = env.step(np.tanh(weight @ observation))
        total += float(reward)
    assert told["episodes"][0]["return"] == pytest.approx(total, rel=1e-5)


def test_c2_sweeps_tell_evaluations_apart(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = NEW.TransformReward(NEW.RescaleAction(pendulum(), -1, 1), lambda reward: reward * 2)
    files = {"vars.pkl": cloudpickle.dumps({"env": env}), "pyt_save/model.pt": policy(3)}
    run_directory(config={"seed": 0}, files=files)
    assert cli("ingest", tmp_path / "data").code == 0
    assert cli("sweep", "-n", "1", "--jobs", "1").code == 1
    assert cli("sweep", "-n", "1", "--jobs", "1", "--without-wrappers").code == 0
    assert "1 evaluated so already" in cli("sweep", "-n", "1", "--jobs", "1", "--without-wrappers").err
    assert "0 evaluated so already" in cli("sweep", "-n", "1", "--jobs", "1").err


def test_c5_a_broken_save_is_said_first(run_directory: Write, cli: Cli) -> None:
    state = state_of(LIMIT, ("shop.Grid", {"spec": spec("ShopGrid-v0")}))
    run = run_directory(files={"vars.pkl": state, "pyt_save/model.pt": b"nothing"})
    refused = cli("test-policy", run, "-nr", "-n", "1")
    assert refused.code == 5
    assert "model.pt" in refused.err
    assert "ShopGrid" not in refused.err


HINTS = [
    (state_of(("shop_env.envs.grid.ShopGrid", {"spec": spec("ShopGrid-v0")})), "--import shop_env.envs.grid", ""),
    (
        state_of(("pybullet_envs.gym_locomotion_envs.HopperBulletEnv", {"spec": spec("HopperBulletEnv-v0")})),
        "pip install 'pybullet_envs_gymnasium', then --import pybullet_envs_gymnasium",
        "Did you mean",
    ),
    (
        state_of(("pybullet_envs.x.H", {"spec": spec("HumanoidBulletEnv-v0")})),
        "pybullet_envs_gymnasium",
        "Did you mean",
    ),
    (state_of(("__main__.Grid", {})), "--env-factory your_module:make_env", "--import __main__"),
    (
        state_of(("gym.envs.robotics.fetch.reach.FetchReachEnv", {"spec": spec("FetchReach-v1")})),
        "gymnasium-robotics",
        "",
    ),
    (state_of(("somewhere.Maze", {})), "--import somewhere", ""),
]


@pytest.mark.parametrize(("state", "hint", "not_this"), HINTS)
def test_c5_hints_name_what_helps(state: bytes, hint: str, not_this: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        built_from(state, tmp_path, Choices())
    assert hint in str(caught.value.hint)
    assert not not_this or not_this not in f"{caught.value.message}\n{caught.value.hint}"


def test_c5_classes_without_an_id_are_built_with_their_arguments(tmp_path: Path) -> None:
    pytest.importorskip("Box2D", reason="Box2D is not installed")
    around = (LIMIT[0], {"_max_episode_steps": 300})
    state = state_of(
        around,
        ("gym.envs.box2d.lunar_lander.LunarLander", {"_ezpickle_args": (), "_ezpickle_kwargs": {"gravity": -3.0}}),
    )
    built = built_from(state, tmp_path)
    assert (built.id, built.environment.env.unwrapped.gravity) == ("LunarLander-v3", -3.0)
    assert "gravity=-3.0" in built.recorded_source


def test_c5_the_cars_have_a_successor(tmp_path: Path) -> None:
    pytest.importorskip("Box2D", reason="Box2D is not installed")
    state = state_of(
        (LIMIT[0], {"_max_episode_steps": 1000}),
        ("gym.envs.box2d.car_racing.CarRacing", {"_ezpickle_args": (), "_ezpickle_kwargs": {}}),
    )
    built = built_from(state, tmp_path)
    assert re.match("CarRacing-v[23]", str(built.id))
    assert (built.substituted is None) == (built.id == "CarRacing-v2")


def test_from_python_a_substitute_is_a_warning(run_directory: Write) -> None:
    import spindb

    env = NEW.TransformReward(NEW.RescaleAction(pendulum(), -1, 1), lambda reward: reward * 2)
    run = run_directory(files={"vars.pkl": cloudpickle.dumps({"env": env}), "pyt_save/model.pt": policy(3)})
    with pytest.raises(EnvironmentBuildError):
        spindb.load_policy_and_env(run)
    with pytest.warns(UserWarning, match="played without"):
        spindb.load_policy_and_env(run, without_wrappers=True)


HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("gymnasium.wrappers.transform_action.RescaleAction", {"_saved_kwargs": {"min_action": "x", "max_action": None}}),
    ("gymnasium.wrappers.stateful_observation.NormalizeObservation", {"_saved_kwargs": {}, "obs_rms": 3}),
    ("gymnasium.wrappers.common.RecordVideo", {"_saved_kwargs": {"video_folder": "pwned"}, "func": print}),
    ("gym.wrappers.transform_reward.TransformReward", {"f": exec}),
    ("gym.wrappers.transform_reward.TransformReward", {"f": np.save}),
    ("gym.wrappers.frame_stack.FrameStack", {"num_stack": -1}),
    ("gym.wrappers.frame_stack.FrameStack", {"num_stack": 10**9}),
    ("gymnasium.wrappers.stateful_observation.FrameStackObservation", {"_saved_kwargs": {"stack_size": 10**9}}),
    ("subprocess.Popen", {"args": ["touch", "pwned"]}),
    ("gym.wrappers.nothing.Nothing", {}),
]


@pytest.mark.parametrize(("path", "attributes"), HOSTILE)
def test_c2_hostile_values_run_nothing(path: str, attributes: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    data = state_of((path, attributes), LIMIT, (SWING, {"spec": spec("Pendulum-v1")}))
    if path.endswith("RecordVideo"):
        assert built_from(data, tmp_path).wrappers == (), "it shows, and changes nothing"
    else:
        with pytest.raises(EnvironmentBuildError, match="can't be rebuilt from the saved state"):
            built_from(data, tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_c2_a_state_that_repeats_itself_is_read_in_bounds(tmp_path: Path) -> None:
    inner: Any = [1] * 50
    for _ in range(10):
        inner = [inner] * 50
    data = state_of(("mine.Wrap", {"deep": inner}), LIMIT, (SWING, {"spec": spec("Pendulum-v1"), "deep": inner}))
    with pytest.raises(EnvironmentBuildError, match=r"mine\.Wrap"):
        built_from(data, tmp_path)
