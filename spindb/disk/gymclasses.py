"""The ids that gym and gymnasium registered for a class with a time limit and arguments.

Environments that pickle their constructor's arguments ("EzPickle": Box2D, MuJoCo, robotics) have no id in their state.
Class, time limit and arguments identify it if they are those of a registered id. With any other argument the
environment is a different one and gets no id. Ids changed while classes kept their names; the wrappers around the
environment distinguish the releases:

- gym before 0.21: without ``order_enforcing``;
- gym 0.21 to 0.26: with ``order_enforcing``;
- gymnasium before 1.0: wrappers in modules of their own; since 1.0: in ``gymnasium.wrappers.common``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from spindb.disk.gymarguments import DEFAULTS, WITHOUT_EFFECT

Release = Literal["gym", "gym 0.21", "gymnasium", "gymnasium 1.0"]
_PACKAGES = ("gymnasium", "gym")


class Registered(NamedTuple):
    """A registered id: time limit in steps or None, arguments that differ from the defaults, and the id."""

    limit: int | None
    arguments: Mapping[str, Any]
    id: str


@dataclass(frozen=True, slots=True)
class Identified:
    """The id, or None; ``arguments`` is set if they are the reason why there is no id."""

    id: str | None
    arguments: Mapping[str, Any] | None = None


# MuJoCo's modules: name of the id, class, and time limit in steps.
_BASES = {
    "ant": ("Ant", "AntEnv", 1000),
    "half_cheetah": ("HalfCheetah", "HalfCheetahEnv", 1000),
    "hopper": ("Hopper", "HopperEnv", 1000),
    "humanoid": ("Humanoid", "HumanoidEnv", 1000),
    "swimmer": ("Swimmer", "SwimmerEnv", 1000),
    "walker2d": ("Walker2d", "Walker2dEnv", 1000),
    "humanoidstandup": ("HumanoidStandup", "HumanoidStandupEnv", 1000),
    "inverted_double_pendulum": ("InvertedDoublePendulum", "InvertedDoublePendulumEnv", 1000),
    "inverted_pendulum": ("InvertedPendulum", "InvertedPendulumEnv", 1000),
    "pusher": ("Pusher", "PusherEnv", 100),
    "reacher": ("Reacher", "ReacherEnv", 50),
}
# Version 3 added arguments to these six environments only. Version 2 has no suffix in the module's name.
_WITH_VERSION_3 = ("ant", "half_cheetah", "hopper", "humanoid", "swimmer", "walker2d")
_ONLY_VERSION_2 = {"striker": ("Striker", "StrikerEnv", 100), "thrower": ("Thrower", "ThrowerEnv", 100)}


def _mujoco() -> dict[str, list[Registered]]:
    found = {}
    for module, (name, cls, limit) in {**_BASES, **_ONLY_VERSION_2}.items():
        found[f"mujoco.{module}.{cls}"] = [Registered(limit, {}, f"{name}-v2")]
        for version in (3, 4, 5):
            if module in _BASES and (version > 3 or module in _WITH_VERSION_3):
                found[f"mujoco.{module}_v{version}.{cls}"] = [Registered(limit, {}, f"{name}-v{version}")]
    return found


def _robotics() -> dict[str, list[Registered]]:
    found: dict[str, list[Registered]] = {}
    # gym registers each hand task with a random target and, with the same class, for rotations alone.
    turned = {"Block": {"RotateZ": "z", "RotateParallel": "parallel", "RotateXYZ": "xyz"}}
    for suffix, reward in (("", {}), ("Dense", {"reward_type": "dense"})):
        for module, name in (
            ("pick_and_place", "PickAndPlace"),
            ("push", "Push"),
            ("reach", "Reach"),
            ("slide", "Slide"),
        ):
            ids = found.setdefault(f"robotics.fetch.{module}.Fetch{name}Env", [])
            ids.append(Registered(50, reward, f"Fetch{name}{suffix}-v1"))
        found.setdefault("robotics.hand.reach.HandReachEnv", []).append(Registered(50, reward, f"HandReach{suffix}-v0"))
        for thing in ("Block", "Egg", "Pen"):
            ids = found.setdefault(f"robotics.hand.manipulate.Hand{thing}Env", [])
            ids.append(Registered(100, reward, f"HandManipulate{thing}{suffix}-v0"))
            for name, rotation in turned.get(thing, {"Rotate": "xyz"}).items():
                other = {} if rotation == "xyz" else {"target_rotation": rotation}
                arguments = {"target_position": "ignore", **other, **reward}
                ids.append(Registered(100, arguments, f"HandManipulate{thing}{name}{suffix}-v0"))
    return found


# Ids in the newest release of each package; _OF_RELEASE has the ids of older releases.
REGISTERED: Mapping[str, Sequence[Registered]] = {
    "classic_control.cartpole.CartPoleEnv": [Registered(200, {}, "CartPole-v0"), Registered(500, {}, "CartPole-v1")],
    "classic_control.pendulum.PendulumEnv": [Registered(200, {}, "Pendulum-v1")],
    "classic_control.mountain_car.MountainCarEnv": [Registered(200, {}, "MountainCar-v0")],
    "classic_control.continuous_mountain_car.Continuous_MountainCarEnv": [
        Registered(999, {}, "MountainCarContinuous-v0")
    ],
    "classic_control.acrobot.AcrobotEnv": [Registered(500, {}, "Acrobot-v1")],
    "box2d.lunar_lander.LunarLander": [
        Registered(1000, {}, "LunarLander-v3"),
        Registered(1000, {"continuous": True}, "LunarLanderContinuous-v3"),
    ],
    "box2d.lunar_lander.LunarLanderContinuous": [Registered(1000, {}, "LunarLanderContinuous-v2")],
    "box2d.bipedal_walker.BipedalWalker": [
        Registered(1600, {}, "BipedalWalker-v3"),
        Registered(2000, {"hardcore": True}, "BipedalWalkerHardcore-v3"),
    ],
    "box2d.bipedal_walker.BipedalWalkerHardcore": [Registered(2000, {}, "BipedalWalkerHardcore-v3")],
    "box2d.car_racing.CarRacing": [Registered(1000, {}, "CarRacing-v3")],
    "toy_text.blackjack.BlackjackEnv": [Registered(None, {"sab": True}, "Blackjack-v1")],
    **_mujoco(),
    **_robotics(),
}
"""Registered ids by class, without the package."""

# The id in that release instead; "" if the same state may have two ids.
_OF_RELEASE: Mapping[Release, Mapping[str, str]] = {
    "gym": {
        "Pendulum-v1": "Pendulum-v0",
        "LunarLander-v3": "LunarLander-v2",
        "LunarLanderContinuous-v3": "LunarLanderContinuous-v2",
        "BipedalWalker-v3": "BipedalWalker-v2",
        "BipedalWalkerHardcore-v3": "BipedalWalkerHardcore-v2",
        "CarRacing-v3": "CarRacing-v0",
        "Blackjack-v1": "",
    },
    "gym 0.21": {
        "LunarLander-v3": "LunarLander-v2",
        "LunarLanderContinuous-v3": "LunarLanderContinuous-v2",
        "CarRacing-v3": "CarRacing-v2",
    },
    "gymnasium": {
        "LunarLander-v3": "LunarLander-v2",
        "LunarLanderContinuous-v3": "LunarLanderContinuous-v2",
        "CarRacing-v3": "CarRacing-v2",
    },
    "gymnasium 1.0": {},
}
BASES = {
    registered.id.partition("-")[0].lower(): registered.id.partition("-")[0]
    for of_class in REGISTERED.values()
    for registered in of_class
}
"""Names of environments without versions, by their lower-case names."""


def identify(classes: Sequence[str], limit: int | None, state: Mapping[str, Any]) -> Identified:
    """The id of an environment.

    Args:
        classes: the classes of the environment, outermost first.
        limit: the time limit around it, in steps.
        state: the attributes of the innermost.
    """
    package, _, suffix = classes[-1].partition(".envs.")
    registered = REGISTERED.get(suffix) if package in _PACKAGES else None
    if registered is None:
        return Identified(None)
    layout = DEFAULTS.get(suffix, {})
    arguments = _given(layout, state)
    of_limit = [found for found in registered if found.limit == limit]
    # The arguments must be exactly those of the id: a Hopper with another healthy_reward is another environment.
    for found in of_limit:
        if dict(found.arguments) == arguments:
            return Identified(_of_release(found.id, _release(package, classes, state), state))
    return Identified(None, arguments if of_limit else None)


def same_environment(env_id: str, class_path: str) -> bool:
    """Whether the class was registered under an id, ignoring version and case."""
    suffix = class_path.partition(".envs.")[2]
    base = env_id.partition("-")[0].lower()
    return any(found.id.partition("-")[0].lower() == base for found in REGISTERED.get(suffix, ()))


def registered_class(class_path: str) -> str | None:
    """The first registered id of a class of gym or gymnasium; None for other classes."""
    package, _, suffix = class_path.partition(".envs.")
    found = REGISTERED.get(suffix) if package in _PACKAGES else None
    return found[0].id if found else None


def differing(env_id: str, class_path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that differ from those of the id, ignoring its version."""
    suffix = class_path.partition(".envs.")[2]
    name = env_id.partition("-v")[0]
    usual = dict(DEFAULTS.get(suffix, {}))
    for registered in REGISTERED.get(suffix, ()):
        if registered.id.partition("-v")[0] == name:
            usual |= registered.arguments
    return {key: value for key, value in arguments.items() if not (key in usual and _equal(value, usual[key]))}


def arguments_given(class_path: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments of an environment that differ from the defaults.

    For classes outside gym and gymnasium, the pickled keyword arguments.
    """
    package, _, suffix = class_path.partition(".envs.")
    if package in _PACKAGES:
        return _given(DEFAULTS.get(suffix, {}), state)
    kwargs = state.get("_ezpickle_kwargs")
    return {str(name): value for name, value in kwargs.items()} if isinstance(kwargs, dict) else {}


def _given(layout: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments that differ from the defaults."""
    named: dict[str, Any] = {}
    if "_ezpickle_args" in state or "_ezpickle_kwargs" in state:
        args, kwargs = state.get("_ezpickle_args") or (), state.get("_ezpickle_kwargs") or {}
        names = _names(list(layout), args)
        for place, value in enumerate(args if isinstance(args, (tuple, list)) else ()):
            named[names[place] if place < len(names) else f"argument {place + 1}"] = value
        named |= {str(name): value for name, value in (kwargs.items() if isinstance(kwargs, dict) else ())}
        named = {name: value for name, value in named.items() if name not in ("self", "__class__")}
    else:  # not an EzPickle: some classes keep arguments as attributes of the same name
        named = {name: state[name] for name in layout if name in state}
    return {
        name: value
        for name, value in named.items()
        if name not in WITHOUT_EFFECT and not (name in layout and _equal(value, layout[name]))
    }


def _names(layout: list[str], args: Any) -> list[str]:
    """The names of the positional arguments."""

    # Before gym 0.25 there was no render_mode. It is a text or None, so another first value means an older release.
    first = args[0] if isinstance(args, (tuple, list)) and args else None
    if layout[:1] == ["render_mode"] and first is not None and not isinstance(first, str):
        return layout[1:]
    return layout


def _equal(value: Any, default: Any) -> bool:
    if isinstance(value, (list, tuple)) and isinstance(default, (list, tuple)):
        return list(value) == list(default)
    # Other types are descriptions of pickled objects, whose comparison means nothing.
    return type(value) in (bool, int, float, str, type(None)) and value == default


def _release(package: str, classes: Sequence[str], state: Mapping[str, Any]) -> Release:
    if package == "gymnasium":
        own = (
            "gymnasium.wrappers.time_limit.",
            "gymnasium.wrappers.order_enforcing.",
            "gymnasium.wrappers.env_checker.",
        )
        return "gymnasium" if any(path.startswith(own) for path in classes) else "gymnasium 1.0"
    later = any(path.startswith(("gym.wrappers.order_enforcing.", "gym.wrappers.env_checker.")) for path in classes)
    return "gym 0.21" if later or state.get("_ezpickle_args") else "gym"


def _of_release(env_id: str, release: Release, state: Mapping[str, Any]) -> str | None:
    found = _OF_RELEASE[release].get(env_id, env_id)
    if env_id == "CarRacing-v3" and release == "gym 0.21":
        # gym 0.21 to 0.26 registered three versions of CarRacing for one class. Each saved another number of
        # arguments.
        count = len(state.get("_ezpickle_args") or ())
        return {0: "CarRacing-v0", 1: "CarRacing-v0", 2: "CarRacing-v1", 5: "CarRacing-v2"}.get(count)
    return found or None
