"""Playing: environments old and new, and policies that were really saved."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, plain_pickle, rows_of

import spindb
from spindb.errors import EnvironmentBuildError, NotFoundError, PolicyError, UsageError
from spindb.ingest.pipeline import ingest
from spindb.play.environments import making
from spindb.play.environments.adapter import Environment
from spindb.play.environments.build import Choices, build_environment
from spindb.play.environments.of_snapshot import earlier_ways
from spindb.play.environments.own import import_environments
from spindb.play.environments.state import RunState
from spindb.play.locate import Playable
from spindb.play.rollouts.rollout import Episode, Rollout, run_policy
from spindb.records import EnvironmentHint, SnapshotRecord

np = pytest.importorskip("numpy")
gymnasium = pytest.importorskip("gymnasium")

Write = Callable[..., Path]
Cli = Callable[..., Outcome]


class OldWalk:
    """An environment of a user's own, written for old gym: reset gives an observation, step four things."""

    def __init__(self) -> None:
        self.seeded: int | None = None

    def seed(self, seed: int) -> None:
        self.seeded = seed

    def reset(self) -> Any:
        self.steps = 0
        return np.zeros(2, dtype=np.float32)

    def step(self, action: Any) -> tuple[Any, Any, bool, dict[str, bool]]:
        self.steps += 1
        done = self.steps == 4
        return np.full(2, self.steps, dtype=np.float32), np.float64(action), done, {"TimeLimit.truncated": done}


class NewWalk(OldWalk):
    """The same for gym 0.26 and gymnasium."""

    def reset(self, *, seed: int | None = None) -> Any:  # type: ignore[override]
        self.seeded = seed
        return super().reset(), {}

    def step(self, action: Any) -> Any:
        observation, reward, done, _ = super().step(action)
        return observation, reward, done, False, {}


@pytest.mark.parametrize(("walk", "ending"), [(OldWalk, "truncated"), (NewWalk, "terminated")])
def test_old_and_new_environments_play_alike(walk: type[OldWalk], ending: str) -> None:
    env, lines = walk(), []
    rollout = run_policy(env, lambda observation: 0.5, 0, 2, False, seed=3, write=lines.append)
    assert [(e.ep_return, e.length, e.ending) for e in rollout.episodes] == [(2.0, 4, ending)] * 2
    assert lines[0] == "Episode 0 \t EpRet 2.000 \t EpLen 4"
    assert lines[2].splitlines()[1] == "|    AverageEpRet |               2 |"
    assert env.seeded == (3 if walk is OldWalk else None)  # at the first reset alone


def test_a_length_cuts_episodes() -> None:
    rollout = run_policy(OldWalk(), lambda observation: 1.0, 3, 1, False, write=lambda line: None)
    assert [(e.length, e.ending) for e in rollout.episodes] == [(3, "cut")]


def test_the_printed_lines(capsys: pytest.CaptureFixture[str]) -> None:
    rollout = spindb.run_policy(OldWalk(), lambda observation: 1.0, num_episodes=1, render=False)
    assert capsys.readouterr().out == (
        "Episode 0 \t EpRet 4.000 \t EpLen 4\n"
        "-------------------------------------\n"
        "|    AverageEpRet |               4 |\n"
        "|        StdEpRet |               0 |\n"
        "|        MaxEpRet |               4 |\n"
        "|        MinEpRet |               4 |\n"
        "|           EpLen |               4 |\n"
        "-------------------------------------\n"
    )
    assert rollout.mean_length == 4


def test_nan_returns_are_never_hidden() -> None:
    rollout = Rollout([Episode(1.0, 1, "cut"), Episode(math.nan, 1, "cut"), Episode(3.0, 1, "cut")], 0.0)
    for value in (rollout.mean_return, rollout.std_return, rollout.max_return, rollout.min_return):
        assert math.isnan(value)


def test_misuse_is_said() -> None:
    with pytest.raises(UsageError, match="0 episodes"):
        run_policy(OldWalk(), print, num_episodes=0)
    with pytest.raises(UsageError, match="length of -1"):
        run_policy(OldWalk(), print, -1)
    with pytest.raises(EnvironmentBuildError, match="NoneType"):
        run_policy(None, print)


BUILDS = [
    ("CartPole-v0", 200, "CartPole-v"),
    ("CartPole-v1", 500, "CartPole-v1"),
    ("Pendulum-v0", 200, "Pendulum-v1"),
    ("MountainCar-v0", 200, "MountainCar-v0"),
    ("MountainCarContinuous-v0", 999, "MountainCarContinuous-v0"),
    ("Acrobot-v1", 500, "Acrobot-v1"),
    ("LunarLander-v2", 1000, "LunarLander-v"),
    ("LunarLanderContinuous-v2", 1000, "LunarLander"),
    ("BipedalWalker-v2", 1600, "BipedalWalker-v3"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "limit", "built_id"), BUILDS)
def test_old_ids_are_built_anew(env_id: str, limit: int, built_id: str) -> None:
    built = build_environment(EnvironmentHint(env_id, "state id", (), limit))
    try:
        assert built.id is not None
        assert built.id.startswith(built_id)
        world = built.environment
        assert np.asarray(world.reset(seed=0)).shape == world.observation_shape
        for _ in range(limit):
            step = world.step(world.env.action_space.sample())
            if step.terminated or step.truncated:
                break
        assert step.terminated or step.truncated
        assert "continuous" not in env_id.lower() or world.env.action_space.shape != ()
    finally:
        built.environment.close()


def test_the_trained_time_limit_is_kept() -> None:
    world = build_environment(EnvironmentHint("MountainCar-v0", "state id", (), 7)).environment
    world.reset(seed=0)
    steps = [world.step(0) for _ in range(7)]
    assert [s.truncated for s in steps] == [False] * 6 + [True]


def test_gym_comes_last_beside_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, both = ("Pendulum-v0", "Pendulum-v1"), ["gymnasium", "gym"]
    monkeypatch.setattr(making.metadata, "version", lambda package: "1.26.4")
    assert making._attempts(both, ids) == [(library, env_id) for env_id in ids for library in both]
    monkeypatch.setattr(making.metadata, "version", lambda package: "2.1.0")
    assert making._attempts(both, ids) == [(library, env_id) for library in both for env_id in ids]


def test_what_cannot_be_built_says_what_was_tried() -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        build_environment(EnvironmentHint("Nonsense-v7", "config"))
    assert "Nonsense-v7 (known from config) can't be built" in str(caught.value)
    assert "Nonsense-v7 in gymnasium: " in str(caught.value)
    assert "--env-factory" in str(caught.value.hint)


UNKNOWN = [
    (EnvironmentHint(None, None), "your_module:make_env"),
    (EnvironmentHint(None, None, ("grid_walk.GridWalk",)), "grid_walk:GridWalk"),
    (EnvironmentHint(None, None, ("gym.envs.x.Y",), 3), "your_module:"),
]


@pytest.mark.parametrize(("hint", "typed"), UNKNOWN)
def test_an_unknown_environment_says_what_to_type(hint: EnvironmentHint, typed: str) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        build_environment(hint, earlier=("vars.pkl is gone", "the config names none"))
    assert "is not known: vars.pkl is gone, and the config names none" in str(caught.value)
    assert typed in str(caught.value.hint)


def state_of(value: object, directory: Path) -> Playable:
    (directory / "vars.pkl").write_bytes(pickle.dumps({"env": value}))
    return Playable(directory, SnapshotRecord("pyt_save", "model.pt", None, state_path="vars.pkl"), NOTHING)


NOTHING = EnvironmentHint(None, None)


def test_ways_that_did_not_serve_are_told(tmp_path: Path) -> None:
    class_of_this_file = __name__ + ".Maze"
    playable = state_of(Maze(), tmp_path)
    assert earlier_ways(playable) == (
        f"vars.pkl holds {class_of_this_file}, of which no id is known",
        "the config names none",
    )
    by_config = replace(playable, env=EnvironmentHint("CartPole-v1", "config"))
    assert len(earlier_ways(by_config)) == 1
    (tmp_path / "vars.pkl").write_bytes(b"\x80\x04")
    assert "vars.pkl: cut off" in earlier_ways(by_config)[0]
    assert earlier_ways(replace(by_config, env=EnvironmentHint("CartPole-v1", "state id"))) != ()
    without = replace(by_config, snapshot=replace(playable.snapshot, state_path=None))
    assert earlier_ways(without) == ("no environment was saved beside this snapshot (vars.pkl)",)
    built = build_environment(EnvironmentHint("Pendulum-v0", "config"), earlier=("no state",))
    assert built.failed[0] == "no state"
    assert "Pendulum-v0 in gymnasium: " in built.failed[1]


class Maze:
    """An environment of one's own, as far as a saved state knows."""

    def __init__(self) -> None:
        self.size = 5


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, ("touch pwned",)


def test_a_state_that_calls_is_told_and_never_called(tmp_path: Path) -> None:
    told = earlier_ways(state_of(Hostile(), tmp_path))
    assert "vars.pkl: holds no environment: unpickling it would call posix.system('touch pwned')" in told


@pytest.mark.parametrize("named", ["subprocess.Popen", "os.system", "subprocess.nothing"])
def test_nothing_but_an_environments_class_is_called_for_a_state(named: str) -> None:
    """A state can name any class and any attributes; --import of its module must not call that."""
    hint = EnvironmentHint(None, None, (named,))
    import_environments(named.partition(".")[0])
    with pytest.raises(EnvironmentBuildError, match="is not a class with reset and step: it was not called"):
        build_environment(
            hint, Choices(imports=(named.partition(".")[0],)), saved=RunState(attributes={"args": ["touch", "pwned"]})
        )
    assert not Path("pwned").exists()


def test_factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_envs.py").write_text(
        "import gymnasium\n"
        "def make(render_mode=None):\n    return gymnasium.make('CartPole-v1', render_mode=render_mode)\n"
        "def broken():\n    raise ValueError('no simulator')\n"
        "def number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    nothing = EnvironmentHint(None, None)
    assert build_environment(nothing, Choices(factory="own_envs:make")).environment.observation_shape == (4,)
    for factory, message in [
        ("own_envs:broken", "ValueError: no simulator"),
        ("own_envs:number", "made a int, which has no reset and step"),
        ("own_envs:absent", "AttributeError"),
        ("no_such_module:make", "ModuleNotFoundError"),
        ("own_envs", "not of the form module:function"),
    ]:
        with pytest.raises(EnvironmentBuildError, match=message):
            build_environment(nothing, Choices(factory=factory))


def test_no_display_is_said_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EnvironmentBuildError, match="no display") as caught:
        build_environment(EnvironmentHint("CartPole-v1", "config"), render="human")
    assert caught.value.hint == "-nr plays without rendering"


def test_a_file_that_is_none_of_pytorchs_is_said(run_directory: Write, cli: Cli) -> None:
    run = run_directory(config={"env": "CartPole-v1"}, files={"pyt_save/model.pt": b"\x80\x02."})
    outcome = cli("test-policy", run, "-nr")
    assert outcome.code == 5
    assert "model.pt can't be loaded: cut off" in outcome.err


def test_a_save_that_is_not_whole_says_why(run_directory: Write, cli: Cli) -> None:
    run = run_directory(config={"env": "CartPole-v1"}, files={"tf1_save/variables/x": b""})
    outcome = cli("test-policy", run, "-nr")
    assert outcome.code == 5
    assert "saved_model.pb is missing" in outcome.err


# From here on: policies that the demo trained.


def trained(demo: Path, name: str) -> Path:
    (run,) = (demo / "data").glob(f"*/{name}")
    return run


@pytest.mark.slow
def test_a_trained_policy_plays_and_is_better_later(demo: Path, cli: Cli, database: Path) -> None:
    ingest(database, [demo / "data"])
    run = trained(demo, "pendulum-td3_h64-64_s0")
    means = {}
    for itr in (0, 7):
        options = ("--db", database, "test-policy", run, "--itr", itr, "-nr", "-n", 5, "--seed", 1)
        found = json.loads(cli(*options, "--json").out)
        means[itr] = found["mean_return"]
        assert found["environment"] == "Pendulum-v1"
        assert found["evaluation_id"] is not None
        assert [e["length"] for e in found["episodes"]] == [200] * 5
        assert found["episodes"][0]["ending"] == "truncated"
    assert means[7] > means[0] + 300
    recorded = rows_of(database, "SELECT itr, mean_return, episodes, seed FROM evaluations ORDER BY id")
    assert recorded == [(0, means[0], 5, 1), (7, means[7], 5, 1)]
    assert rows_of(database, "SELECT count(*) FROM episodes") == [(10,)]
    run_id = rows_of(database, "SELECT run_id FROM evaluations")[0][0]
    assert "evaluations" in cli("--db", database, "show", run_id).out


@pytest.mark.slow
@pytest.mark.parametrize("screen", ["dummy", "Xvfb"])
def test_rendering_in_a_window(demo: Path, screen: str, tmp_path: Path) -> None:
    """In a process of its own: what draws and TensorFlow must get along in one."""
    run = trained(demo, "cartpole-ppo_lr0-003_s0")
    command = [sys.executable, "-m", "spindb", "test-policy", str(run), "-i", "5", "-n", "2", "-l", "20", "--no-record"]
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    if screen == "Xvfb":
        if shutil.which("xvfb-run") is None:
            pytest.skip("no xvfb-run here")
        command = ["xvfb-run", "-a", *command]
    else:
        environment["SDL_VIDEODRIVER"] = "dummy"
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Episode ") == 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_episodes(demo: Path, cli: Cli) -> None:
    run = trained(demo, "cartpole-ppo_lr0-003_s0")
    options = ("test-policy", run, "--itr", 5, "-nr", "-n", 3, "--seed", 4, "--no-record")
    first, second = cli(*options), cli(*options)
    assert first.code == 0
    assert first.out == second.out
    assert first.out.splitlines()[0] == "Using default action op."
    assert len([line for line in first.out.splitlines() if line.startswith("Episode ")]) == 3


@pytest.mark.slow
def test_from_python(demo: Path, database: Path) -> None:
    ingest(database, [demo / "data"])
    run = trained(demo, "cartpole-ppo_lr0-003_s0")
    policy = spindb.load_policy(run, itr=5)
    by_name = spindb.load_policy(run.name, itr=5, db=database)
    run_id = rows_of(database, f"SELECT id FROM runs WHERE name = '{run.name}'")[0][0]
    by_id = spindb.load_policy(run_id, 5, db=database)
    observation = np.array([0.01, 0.02, -0.03, 0.04])
    values = [p.outputs(observation) for p in (policy, by_name, by_id)]
    assert set(values[0]) == {"pi", "v"}
    assert values[0]["v"] == values[1]["v"] == values[2]["v"]
    assert policy.observation_shape == (4,)
    assert policy(observation) in (0, 1)
    with pytest.raises(PolicyError, match=r"shape \(4,\), not \(3,\)"):
        policy(np.zeros(3))
    rollout = spindb.run_policy(gymnasium.make("CartPole-v1"), policy, num_episodes=2, render=False)
    assert all(e.ep_return == e.length for e in rollout.episodes)
    env, again = spindb.load_policy_and_env(run)
    assert env.spec.id == "CartPole-v1"
    assert again.act(env.reset()[0]) in (0, 1)
    for loaded in (policy, by_name, by_id, again):
        loaded.close()
    with pytest.raises(NotFoundError, match="saved itrs: 0-15 by 5, 19"):
        spindb.load_policy(run, itr=3)
    with pytest.raises(NotFoundError):
        spindb.load_policy("no-such-run", db=database)


@pytest.mark.slow
def test_the_wrong_environment_is_refused_before_the_first_step(demo: Path, cli: Cli) -> None:
    outcome = cli("test-policy", trained(demo, "cartpole-ppo_lr0-003_s0"), "--env", "Pendulum-v1", "-nr")
    assert (outcome.code, outcome.out) == (5, "")
    assert "the policy takes observations of shape (4,), Pendulum-v1 (from --env) gives (3,)" in outcome.err


def _break_states(run: Path) -> None:
    for state in run.glob("vars*.pkl"):
        state.write_bytes(b"\x80\x03}")


@pytest.mark.slow
def test_damaged_saves_of_a_trained_policy(demo: Path, cli: Cli, tmp_path: Path) -> None:
    whole = trained(demo, "cartpole-ppo_lr0-003_s0")

    def damaged(name: str, harm: Callable[[Path], object]) -> Outcome:
        run = tmp_path / name
        shutil.copytree(whole, run)
        harm(run)
        return cli("test-policy", run, "--itr", 5, "-nr", "-n", 1, "--seed", 0)

    data = "variables/variables.data-00000-of-00001"
    outcome = damaged("variables", lambda run: shutil.rmtree(run / "tf1_save5" / "variables"))
    assert (outcome.code, "variables.index is missing" in outcome.err) == (5, True)
    outcome = damaged("data", lambda run: (run / "tf1_save5" / data).unlink())
    assert (outcome.code, "no variables to load" in outcome.err) == (5, True)
    outcome = damaged("half", lambda run: os.truncate(run / "tf1_save5" / data, 100))
    assert (outcome.code, "100 of" in outcome.err) == (5, True)
    outcome = damaged("noise", lambda run: (run / "tf1_save5" / "saved_model.pb").write_bytes(b"\xff" * 50))
    assert (outcome.code, "cut off or damaged" in outcome.err) == (5, True)
    outcome = damaged("info", lambda run: (run / "tf1_save5" / "model_info.pkl").unlink())
    assert outcome.code == 0  # the signature tells the tensors
    lies = plain_pickle({"inputs": {"x": "nope:0"}, "outputs": {"pi": "nope:0"}})
    outcome = damaged("lies", lambda run: (run / "tf1_save5" / "model_info.pkl").write_bytes(lies))
    assert (outcome.code, "has no node 'nope'" in outcome.err) == (5, True)
    nameless = plain_pickle({"inputs": {"obs": "x:0"}, "outputs": {"pi": "pi:0"}})
    outcome = damaged("names", lambda run: (run / "tf1_save5" / "model_info.pkl").write_bytes(nameless))
    assert (outcome.code, "names no input 'x'; inputs there: obs" in outcome.err) == (5, True)
    outcome = damaged("state", lambda run: (run / "vars5.pkl").write_bytes(b"\x80\x03}"))
    assert outcome.code == 0  # another state of the run tells the environment
    outcome = damaged("states", _break_states)
    assert outcome.code == 0  # the config names the environment
    assert "CartPole-v1 in gymnasium (from config)" in outcome.err


@pytest.mark.slow
def test_what_the_logger_saved_is_what_the_original_reads(demo: Path) -> None:
    """The original's own steps: joblib for state and names, the SavedModel loader with the tag 'serve'."""
    joblib = pytest.importorskip("joblib")
    tensorflow = pytest.importorskip("tensorflow")
    run = trained(demo, "pendulum-td3_h64-64_s0")
    assert joblib.load(run / "vars7.pkl")["env"].spec.id == "Pendulum-v1"
    info = joblib.load(run / "tf1_save7" / "model_info.pkl")
    assert set(info["inputs"]) == {"x", "a"}
    assert set(info["outputs"]) == {"pi", "q1", "q2"}
    graph = tensorflow.Graph()
    with tensorflow.compat.v1.Session(graph=graph) as session:
        tensorflow.compat.v1.saved_model.loader.load(session, ["serve"], str(run / "tf1_save7"))
        model = {name: graph.get_tensor_by_name(tensor) for part in info.values() for name, tensor in part.items()}
        action = session.run(model["pi"], {model["x"]: np.zeros((1, 3))})[0]
    # What TensorFlow 1.15 does not know of these operations, and refuses (tried with 1.15.5 on Python 3.7).
    refused = {"VarHandleOp": "debug_name", "MatMul": "grad_a", "AssignVariableOp": "validate_shape"}
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((run / "tf1_save7" / "saved_model.pb").read_bytes())
    nodes = saved.meta_graphs[0].graph_def.node
    assert {node.op for node in nodes} >= refused.keys()
    assert not [node.name for node in nodes if refused.get(node.op, "") in node.attr]
    policy = spindb.load_policy(run, itr=7)
    assert policy.act(np.zeros(3)).tolist() == action.tolist()
    assert set(policy.outputs(np.zeros(3))) == {"pi"}
    policy.close()


def test_environment_adapter_closes_what_can_be_closed() -> None:
    Environment(OldWalk()).close()
    assert Environment(OldWalk()).observation_shape is None
