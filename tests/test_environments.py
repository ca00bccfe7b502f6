"""Which environment a run had: by class, limit and arguments, by siblings, and when nothing is said."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import rows_of, settle
from gymlike import TIME_LIMIT, limited, state_of

from spindb.disk.configs import environment_id
from spindb.disk.environments import environment_in_name, environment_in_state
from spindb.disk.formats import layout_named, read_run
from spindb.disk.gymarguments import DEFAULTS, WITHOUT_EFFECT
from spindb.disk.gymclasses import REGISTERED, identify
from spindb.ingest.pipeline import ingest
from spindb.records import RunRecord

Write = Callable[..., Path]
NEW_GYM = "gym.wrappers.order_enforcing.OrderEnforcing"
GYMNASIUM_1 = "gymnasium.wrappers.common.TimeLimit"
GYMNASIUM_0 = "gymnasium.wrappers.time_limit.TimeLimit"


def read(directory: Path) -> RunRecord:
    return read_run(layout_named("spinningup"), directory, "x")


HOPPER_3 = {
    "xml_file": "hopper.xml",
    "forward_reward_weight": 1.0,
    "ctrl_cost_weight": 1e-3,
    "healthy_reward": 1.0,
    "terminate_when_unhealthy": True,
    "healthy_state_range": (-100.0, 100.0),
    "healthy_z_range": (0.7, float("inf")),
    "healthy_angle_range": (-0.2, 0.2),
    "reset_noise_scale": 5e-3,
    "exclude_current_positions_from_observation": True,
}
LANDER = (None, False, -10.0, False, 15.0, 1.5)
BY_CLASS: list[tuple[bytes, str | None]] = [
    (limited("gym.envs.mujoco.hopper_v3.HopperEnv", 1000), "Hopper-v3"),
    (limited("gym.envs.mujoco.hopper_v3.HopperEnv", 1000, kwargs=HOPPER_3), "Hopper-v3"),
    (limited("gym.envs.mujoco.hopper_v3.HopperEnv", 1000, kwargs=HOPPER_3 | {"healthy_reward": 2.0}), None),
    (limited("gym.envs.mujoco.ant_v3.AntEnv", 1000, kwargs={}), "Ant-v3"),
    (limited("gym.envs.mujoco.swimmer_v3.SwimmerEnv", 1000), "Swimmer-v3"),
    (limited("gym.envs.mujoco.humanoid_v3.HumanoidEnv", 1000), "Humanoid-v3"),
    (limited("gym.envs.mujoco.walker2d_v3.Walker2dEnv", 1000), "Walker2d-v3"),
    (limited("gym.envs.mujoco.half_cheetah_v3.HalfCheetahEnv", 1000), "HalfCheetah-v3"),
    (limited("gym.envs.mujoco.hopper.HopperEnv", 1000), "Hopper-v2"),
    (limited("gym.envs.mujoco.thrower.ThrowerEnv", 100), "Thrower-v2"),
    (limited("gymnasium.envs.mujoco.hopper_v4.HopperEnv", 1000, kwargs={"render_mode": "human"}), "Hopper-v4"),
    (limited("gymnasium.envs.mujoco.reacher_v5.ReacherEnv", 50, wrapper=GYMNASIUM_1), "Reacher-v5"),
    (limited("gymnasium.envs.mujoco.ant_v4.AntEnv", 1000, kwargs={"use_contact_forces": True}), None),
    (limited("gym.envs.mujoco.hopper_v3.HopperEnv", 500), None),
    (limited("gym.envs.box2d.lunar_lander.LunarLander", 1000), "LunarLander-v2"),
    (limited("gym.envs.box2d.lunar_lander.LunarLander", 1000, LANDER), "LunarLander-v2"),
    (limited("gym.envs.box2d.lunar_lander.LunarLander", 1000, (None, True, *LANDER[2:])), "LunarLanderContinuous-v2"),
    (limited("gym.envs.box2d.lunar_lander.LunarLander", 1000, (True,)), "LunarLanderContinuous-v2"),
    (limited("gym.envs.box2d.lunar_lander.LunarLander", 1000, kwargs={"continuous": True}), "LunarLanderContinuous-v2"),
    (limited("gym.envs.box2d.lunar_lander.LunarLander", 1000, kwargs={"gravity": -5.0}), None),
    (limited("gymnasium.envs.box2d.lunar_lander.LunarLander", 1000, LANDER, wrapper=GYMNASIUM_1), "LunarLander-v3"),
    (limited("gymnasium.envs.box2d.lunar_lander.LunarLander", 1000, LANDER, wrapper=GYMNASIUM_0), "LunarLander-v2"),
    (limited("gym.envs.box2d.bipedal_walker.BipedalWalker", 2000, (None, True)), "BipedalWalkerHardcore-v3"),
    (limited("gym.envs.box2d.bipedal_walker.BipedalWalkerHardcore", 2000, ()), "BipedalWalkerHardcore-v2"),
    (limited("gym.envs.box2d.car_racing.CarRacing", 1000, ()), "CarRacing-v0"),
    (limited("gym.envs.box2d.car_racing.CarRacing", 1000, (None, False, 0.95, False, True)), "CarRacing-v2"),
    (limited("gym.envs.robotics.fetch.reach.FetchReachEnv", 50, ()), "FetchReach-v1"),
    (limited("gym.envs.robotics.fetch.reach.FetchReachEnv", 50, kwargs={"reward_type": "dense"}), "FetchReachDense-v1"),
    (limited("gym.envs.robotics.hand.manipulate.HandBlockEnv", 100, ("ignore", "z")), "HandManipulateBlockRotateZ-v0"),
    (limited("mine.envs.mujoco.hopper_v3.HopperEnv", 1000), None),
]  # fmt: skip


@pytest.mark.parametrize(("state", "env_id"), BY_CLASS)
def test_b5_the_id_follows_from_class_limit_and_arguments(state: bytes, env_id: str | None) -> None:
    hint = environment_in_state(state)
    assert hint.id == env_id
    assert hint.source == ("state class" if env_id else None)


def test_b5_arguments_that_no_id_stands_for_are_said(run_directory: Write) -> None:
    state = limited("gym.envs.box2d.lunar_lander.LunarLander", 1000, kwargs={"continuous": True, "gravity": -5.0})
    record = read(run_directory("lunarlander-v2_s0", config={}, files={"vars.pkl": state}))
    assert (record.env.id, record.env.classes[-1]) == (None, "gym.envs.box2d.lunar_lander.LunarLander")
    (problem,) = [p for p in record.problems if p.code == "environment-unclear"]
    assert "made with continuous=True, gravity=-5.0" in problem.message
    assert problem.path == "vars.pkl"


# In a process of its own: Box2D's bindings warn when they are imported, and end a process where warnings are errors.
LIST = """
import json, sys, warnings
warnings.simplefilter("ignore")
from importlib import import_module
found = []
for env_id, spec in import_module(sys.argv[1] + ".envs.registration").registry.items():
    if isinstance(spec.entry_point, str) and "/" not in env_id:
        module, _, name = spec.entry_point.partition(":")
        try:
            cls = getattr(import_module(module), name)
            path = f"{cls.__module__}.{cls.__name__}"
        except Exception:  # MuJoCo is not installed: the entry point names the class's own module
            path = f"{module}.{name}"
        found.append([env_id, path, spec.max_episode_steps, dict(spec.kwargs)])
print(json.dumps(found))
"""
SAVE = """
import pickle, sys, warnings
warnings.simplefilter("ignore")
import gym
open(sys.argv[2], "wb").write(pickle.dumps({"env": gym.make(sys.argv[1], disable_env_checker=True)}))
"""


def run(code: str, *arguments: str) -> str:
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"can't be made here: {result.stderr[-200:]}")
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "wrapper"), [("gym", NEW_GYM), ("gymnasium", GYMNASIUM_1)])
def test_b5_the_table_is_that_of_the_packages(name: str, wrapper: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"no {name} here")
    import_name = f"import {name}; {name}.envs"
    known = json.loads(run(import_name + LIST, name))
    # The other texts and toys carry a spec with their id, and their arguments are not known.
    known = [entry for entry in known if "toy_text" not in entry[1] or "blackjack" in entry[1]]
    assert len(known) > 20
    for env_id, path, limit, arguments in known:
        spelled_out = tuple({**DEFAULTS.get(path.partition(".envs.")[2], {}), **arguments}.values())
        state = {"_ezpickle_args": spelled_out, "_ezpickle_kwargs": {"render_mode": None}}
        assert identify((wrapper, path), limit, state).id == env_id, path


def signatures(package: str) -> dict[str, dict[str, Any]]:
    """Arguments with defaults of each environment of an installed package, read from its source."""
    found: dict[str, dict[str, Any]] = {}
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return found
    base = Path(spec.origin).parent / "envs"
    for file in base.glob("*/*.py"):
        for cls in ast.parse(file.read_text()).body:
            if not isinstance(cls, ast.ClassDef):
                continue
            path = ".".join((*file.relative_to(base).with_suffix("").parts, cls.name))
            inits = [node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
            for init in inits:
                names = [argument.arg for argument in init.args.args]
                values = [ast.unparse(value) for value in init.args.defaults]
                found[path] = dict(zip(names[len(names) - len(values) :], values, strict=True))
    return found


def test_b5_the_classes_that_only_the_oldest_gym_had() -> None:
    assert [found.id for found in REGISTERED["mujoco.striker.StrikerEnv"]] == ["Striker-v2"]
    assert [found.id for found in REGISTERED["mujoco.thrower.ThrowerEnv"]] == ["Thrower-v2"]
    standing = {f"mujoco.humanoidstandup{tail}.HumanoidStandupEnv" for tail in ("", "_v4", "_v5")}
    assert standing == {path for path in REGISTERED if "standup" in path}


@pytest.mark.parametrize("package", ["gym", "gymnasium"])
def test_b5_the_defaults_are_those_of_the_packages(package: str) -> None:
    pytest.importorskip(package)
    compared = 0
    for path, arguments in signatures(package).items():
        for name, text in arguments.items():
            if path in DEFAULTS and name not in WITHOUT_EFFECT and name in DEFAULTS[path]:
                value = eval(text.replace("np.inf", "float('inf')"), {"float": float})  # noqa: S307 - the package's own
                assert DEFAULTS[path][name] == value, (path, name)
                compared += 1
    assert compared > 80
    assert set(DEFAULTS) <= set(REGISTERED)


@pytest.mark.parametrize("package", ["gym", "gymnasium"])
def test_b5_time_limits_are_those_of_the_packages(package: str) -> None:
    registry = pytest.importorskip(f"{package}.envs.registration").registry
    compared = set()
    for path, ids in REGISTERED.items():
        for one in ids:
            spec = registry.get(one.id)
            if spec is not None and isinstance(spec.entry_point, str) and path.split(".")[0] in spec.entry_point:
                assert spec.max_episode_steps == one.limit, one
                compared.add(one.id)
    assert len(compared) > 20


def test_b5_every_argument_is_one_of_its_class() -> None:
    pytest.importorskip("gym")
    pytest.importorskip("gymnasium")
    known: dict[str, set[str]] = {}
    for package in ("gym", "gymnasium"):
        for path, arguments in signatures(package).items():
            known.setdefault(path, set()).update(arguments)
    unknown = {path: set(DEFAULTS[path]) - names for path, names in known.items() if path in DEFAULTS}
    assert len(unknown) > 20
    assert {path: names for path, names in unknown.items() if names} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "env_id", ["LunarLander-v2", "LunarLanderContinuous-v2", "BipedalWalkerHardcore-v3", "CarRacing-v2", "Pendulum-v1"]
)
def test_b5_environments_of_gym_itself(env_id: str, tmp_path: Path) -> None:
    run(SAVE, env_id, str(tmp_path / "vars.pkl"))
    assert environment_in_state((tmp_path / "vars.pkl").read_bytes()).id == env_id


def test_h6_the_text_of_an_object_is_no_id() -> None:
    for text in (
        "functools.partial(<function make at 0x7f00>, 'x')",
        "<TimeLimit<CartPole>>",
        "<function <lambda> at 0x7f>",
        "make_env at 0x7f00aa",
        "a name of words",
        "x" * 300,
    ):
        assert environment_id({"env": text}) is None
        assert environment_id({"env": text, "task": "Hopper-v2"}) == "Hopper-v2"
    for text in ("Hopper-v2", "ALE/Pong-v5", "module:Id-v0", "dm_control/walker-walk-v0", "halfcheetah"):
        assert environment_id({"env_name": text}) == text
    assert environment_id({"args": {"env_id": "Hopper-v2"}}) == "Hopper-v2"
    assert environment_id({"train": {"env": "Hopper-v2"}, "test": {"env": "Ant-v2"}}) is None
    partial = state_of(("mine.Env", {"spec": None}))
    assert environment_in_state(partial).id is None


def test_a5_the_name_is_weaker_than_the_class() -> None:
    assert environment_in_name("ppo_hopper-v3_s0") == "Hopper-v3"
    assert environment_in_name("ppo_hopper-v3_s0", ("gym.envs.mujoco.hopper_v3.HopperEnv",)) == "Hopper-v3"
    assert environment_in_name("ppo_hopper-v3_s0", (TIME_LIMIT, "mine.Env")) is None
    assert environment_in_name("ppo_hopper-v3_s0", ("gym.envs.mujoco.ant_v3.AntEnv",)) is None


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"environment": "Hopper-v2"}, "Hopper-v2"),
        ({"gym_id": "Hopper-v2"}, "Hopper-v2"),
        ({"envname": "hopper"}, "hopper"),
        ({"envName": "Hopper-v2"}, "Hopper-v2"),
        ({"env": {"id": "Hopper-v2"}}, "Hopper-v2"),
        ({"env": {"name": "hopper"}}, "hopper"),
        ({"env.id": "Hopper-v2"}, "Hopper-v2"),
        ({"env_kwargs": {"env_name": "Hopper-v2"}}, "Hopper-v2"),
        ({"game": "Pong-v5"}, "Pong-v5"),
        ({"scenario": "baseline"}, None),
        ({"map_name": "MoveToBeacon-v0"}, "MoveToBeacon-v0"),
        ({"env": "Hopper-v2 \t"}, "Hopper-v2"),
    ],
)
def test_n10_other_keys_name_the_environment(config: dict[str, Any], found: str | None) -> None:
    assert environment_id(config) == found


@pytest.mark.parametrize(
    "text", ["None", "null", "nan", "N/A", "unknown", "TBD", "", " ", "0", "1e3", "<lambda>", "True", "-", "NONE"]
)
def test_n10_a_text_for_nothing_is_no_environment(text: str) -> None:
    assert environment_id({"env": text}) is None
    assert environment_id({"env": text, "gym_id": "Hopper-v2"}) == "Hopper-v2"
    assert environment_id({"env": {"id": text}}) is None


@pytest.mark.parametrize("name", ["ppo_hopper-v2_to_walker2d-v2", "HalfCheetah-v2-vs-Ant-v2", "ant-v2_ant-v3"])
def test_n10_a_name_with_two_ids_claims_none(name: str) -> None:
    assert environment_in_name(name) is None
    assert environment_in_name("ppo_hopper-v2 ppo_Hopper-v2_s0") == "Hopper-v2"


def envs(database: Path) -> dict[str, tuple[str | None, str | None]]:
    return {name: (env, source) for name, env, source in rows_of(database, "SELECT name, env_id, env_source FROM runs")}


def test_a5_siblings_speak_only_where_nothing_of_the_run_does(
    run_directory: Write, database: Path, tmp_path: Path
) -> None:
    states = {
        "a": limited("gym.envs.mujoco.hopper.HopperEnv", 1000),
        "b": limited("mine.OwnEnv", 1000),
        "c": limited("gym.envs.mujoco.walker2d.Walker2dEnv", 1000),
    }
    for number, (name, state) in enumerate(states.items()):
        run_directory(f"x/{name}", config={"exp_name": "x"}, rows=[(0, number)], files={"vars.pkl": state})
    run_directory("x/d", config={"exp_name": "x"}, rows=[(0, 9)])
    ingest(database, [tmp_path / "data"])
    assert envs(database) == {
        "a": ("Hopper-v2", "state class"),
        "b": (None, None),
        "c": ("Walker2d-v2", "state class"),
        "d": (None, None),
    }


def test_a5_a_class_without_an_id_contradicts_its_siblings(
    run_directory: Write, database: Path, tmp_path: Path
) -> None:
    hopper = limited("gym.envs.mujoco.hopper.HopperEnv", 1000)
    run_directory("x/a", config={"exp_name": "x"}, files={"vars.pkl": hopper})
    run_directory("x/b", config={"exp_name": "x"}, rows=[(0, 7)])
    ingest(database, [tmp_path / "data"])
    assert envs(database)["b"] == ("Hopper-v2", "siblings")
    assert not ingest(database, [tmp_path / "data"]).changed
    run_directory("x/c", config={"exp_name": "x"}, rows=[(0, 8)], files={"vars.pkl": limited("mine.OwnEnv", 1000)})
    ingest(database, [tmp_path / "data"])
    assert envs(database)["b"] == (None, None)  # the guess is taken back
    assert envs(database)["c"] == (None, None)


def test_a5_a_name_is_the_runs_own_and_contradicts_others(run_directory: Write, database: Path, tmp_path: Path) -> None:
    run_directory("x/a", config={"exp_name": "x", "env": "Hopper-v2"})
    run_directory("x/ant-v2_run", config={"exp_name": "x"}, rows=[(0, 7)])
    run_directory("x/c", config={"exp_name": "x"}, rows=[(0, 8)])
    run_directory("y/hopper-v2_s0", config={"exp_name": "y"}, rows=[(0, 1)])
    run_directory("y/d", config={"exp_name": "y"}, rows=[(0, 2)])
    ingest(database, [tmp_path / "data"])
    assert envs(database) == {
        "a": ("Hopper-v2", "config"),
        "ant-v2_run": ("Ant-v2", "name"),
        "c": (None, None),
        "hopper-v2_s0": ("Hopper-v2", "name"),
        "d": (None, None),  # a name alone is not passed on
    }


def test_a5_the_state_and_the_config_differ(run_directory: Write) -> None:
    state = limited("gym.envs.mujoco.hopper.HopperEnv", 1000)
    record = read(run_directory("a", config={"env_name": "Ant-v2"}, files={"vars.pkl": state}))
    assert record.env.id == "Hopper-v2"
    (problem,) = record.problems
    said = "the config says Ant-v2, the saved environment is Hopper-v2: the latter counts"
    assert (problem.code, problem.message) == ("environment-differs", said)
    settle(Path(run_directory("b", config={"env_name": "Hopper-v2"}, files={"vars.pkl": state})))
    assert read(run_directory("b", config={"env_name": "Hopper-v2"}, files={"vars.pkl": state})).problems == ()
