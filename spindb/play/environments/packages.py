"""Packages that ids and classes of environments come from, and what to type to have them."""

from __future__ import annotations

import re
from typing import NamedTuple


class Package(NamedTuple):
    """What to install, and the module that registers its environments when it is imported."""

    install: str
    module: str


MUJOCO = "gymnasium[mujoco]"

# What an id looks like, or the module that its class stands in; and what has it for gymnasium today.
_BY_ID: tuple[tuple[str, Package], ...] = (
    (r".*BulletEnv-v\d+|.*Bullet-v\d+", Package("pybullet_envs_gymnasium", "pybullet_envs_gymnasium")),
    (r"(Fetch|HandReach|HandManipulate|AdroitHand|FrankaKitchen|PointMaze|AntMaze).*",
     Package("gymnasium-robotics", "gymnasium_robotics")),
    (r"ALE/.*|.*(NoFrameskip|Deterministic)-v[04]|.*-ram-v[045]", Package("ale-py", "ale_py")),
    (r"(MiniGrid|BabyAI)-.*", Package("minigrid", "minigrid")),
    (r"Panda(Reach|Push|Slide|PickAndPlace|Stack|Flip).*", Package("panda-gym", "panda_gym")),
    (r"(highway|highway-fast|merge|roundabout|parking|intersection|racetrack|exit|two-way|u-turn)-v\d+",
     Package("highway-env", "highway_env")),
    (r"Safety\w+-v\d+", Package("safety-gymnasium", "safety_gymnasium")),
    (r"mo-.*-v\d+", Package("mo-gymnasium", "mo_gymnasium")),
    (r"Meta-World/.*", Package("metaworld", "metaworld")),
    (r"dm_control/.*", Package("shimmy[dm-control]", "shimmy")),
    (r"(Humanoid|HumanoidStandup|Hopper|Walker2d|HalfCheetah|Ant|Swimmer|Reacher|Pusher|Inverted(Double)?Pendulum)-v\d+",
     Package(MUJOCO, "")),
    (r"(LunarLander|LunarLanderContinuous|BipedalWalker|BipedalWalkerHardcore|CarRacing)-v\d+",
     Package("gymnasium[box2d]", "")),
    (r"CartPole-v\d+|Pendulum-v\d+|Acrobot-v\d+|MountainCar\w*-v\d+", Package("gymnasium[classic-control]", "")),
)  # fmt: skip
_BY_MODULE = {
    "pybullet_envs": Package("pybullet_envs_gymnasium", "pybullet_envs_gymnasium"),
    "pybullet_envs_gymnasium": Package("pybullet_envs_gymnasium", "pybullet_envs_gymnasium"),
    "gym_minigrid": Package("minigrid", "minigrid"),
    "minigrid": Package("minigrid", "minigrid"),
    "highway_env": Package("highway-env", "highway_env"),
    "panda_gym": Package("panda-gym", "panda_gym"),
    "gymnasium_robotics": Package("gymnasium-robotics", "gymnasium_robotics"),
    "safety_gymnasium": Package("safety-gymnasium", "safety_gymnasium"),
    "ale_py": Package("ale-py", "ale_py"),
    "metaworld": Package("metaworld", "metaworld"),
}


def package_of(env_id: str, class_path: str = "") -> Package | None:
    """The package that has an environment, by the module of its class, else by its id; None where none is known."""
    top = class_path.partition(".")[0]
    if found := _BY_MODULE.get(top):
        return found
    if class_path.startswith(("gym.envs.robotics.", "gymnasium.envs.robotics.")):
        return Package("gymnasium-robotics", "gymnasium_robotics")
    return next((package for pattern, package in _BY_ID if re.fullmatch(pattern, env_id)), None)


def is_of_gym(class_path: str) -> bool:
    """Whether a class is one of gym's or gymnasium's own."""
    return class_path.startswith(("gym.", "gymnasium."))


def importable_module(class_path: str) -> str | None:
    """The module of a user's own class, which ``--import`` can name; None where there is none to import.

    A class of ``__main__`` was saved with its code, or belongs to a script that nothing names.
    """
    module = class_path.rpartition(".")[0]
    return module if module and module != "__main__" and not is_of_gym(class_path) else None
