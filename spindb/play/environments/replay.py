"""Replays what the original tool would have printed: its random numbers, its dynamics, its choice of action.

The original unpickles the environment, which brings its random state along, and never seeds it; the graph of the policy
has seeds for its own draws. Here the random state is read from the saved state, not executed, and given to an
environment built anew; the policy runs in TensorFlow. Environments whose dynamics changed since are kept as classes of
ours.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from spindb.disk.saved_state import SavedRandom
from spindb.errors import EnvironmentBuildError
from spindb.play.arrays import Action, Doubles
from spindb.play.environments.adapter import Environment
from spindb.play.environments.build import BuiltEnvironment, Choices
from spindb.play.environments.of_snapshot import environment_of, state_of
from spindb.play.environments.protocols import GymEnv
from spindb.play.environments.state import RunState
from spindb.play.locate import Playable
from spindb.play.policies import Policy

_SOURCE = "saved state, replayed"


def replayed_environment(
    playable: Playable,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    policy: Policy | None = None,
) -> BuiltEnvironment:
    """The environment of a snapshot as the original would have found it.

    With a factory among the `choices` it is the user's own; it is given the saved random state where there is one and
    it keeps one.

    Raises:
        EnvironmentBuildError: the saved state is missing, can't be read or holds no random state, or the environment
            can't be built.
    """
    saved = state_of(playable)
    if choices.factory is not None:
        built = environment_of(playable, choices, saved=saved)
        with contextlib.suppress(EnvironmentBuildError):  # a user's own may draw from elsewhere, or not at all
            _give(built.environment.env, _random_state(playable, saved))
        return built
    random = _random_state(playable, saved)
    limit = playable.env.max_episode_steps
    if playable.env.id == "Pendulum-v0" and len(playable.env.classes) <= 2:  # nothing but a time limit around it
        return BuiltEnvironment(
            Environment(OldPendulum(random, limit or 200), "Pendulum-v0"), "Pendulum-v0", _SOURCE, "spindb"
        )
    built = environment_of(playable, choices, policy=policy, saved=saved)
    _give(built.environment.env, random)
    return replace(built, source=_SOURCE, failed=())


def _give(env: GymEnv, random: np.random.RandomState) -> None:
    """Let the innermost environment draw from that generator."""
    inner = getattr(env, "unwrapped", env)
    if hasattr(inner, "_np_random"):
        inner._np_random = random
    elif hasattr(inner, "np_random"):
        inner.np_random = random


def _random_state(playable: Playable, saved: RunState) -> np.random.RandomState:
    path = playable.snapshot.state_path
    why = "no state was saved beside it"
    if saved.beside is not None and saved.beside.random is not None:
        return _generator(saved.beside.random)
    if saved.beside is not None:
        why = f"{path} holds no random state that was saved (Box2D and MuJoCo begin anew when they are unpickled)"
    elif saved.unread is not None:
        why = saved.unread
    raise EnvironmentBuildError(
        f"a faithful replay of {playable.directory / playable.snapshot.path} can't be had: {why}",
        hint="without --faithful it plays",
    )


def _generator(saved: SavedRandom) -> np.random.RandomState:
    generator = np.random.RandomState()
    key = np.frombuffer(saved.key, "<u4")
    generator.set_state(("MT19937", key, saved.position, saved.has_gauss, saved.gauss))
    return generator


class OldPendulum:
    """Pendulum-v0 as gym had it up to 0.20: the angle moves with the new speed before that is limited.

    Pendulum-v1 (gym 0.21) limits the speed first. A rod of mass 1 and length 1 hangs from a pivot, gravity is 10, a
    step takes 0.05 s; torque is limited to 2 and speed to 8; the cost is angle² + 0.1 speed² + 0.001 torque².
    """

    _GRAVITY, _MASS, _LENGTH, _STEP = 10.0, 1.0, 1.0, 0.05
    _MAX_SPEED, _MAX_TORQUE = 8.0, 2.0

    def __init__(self, random: np.random.RandomState, max_episode_steps: int) -> None:
        self._random = random
        self._limit = max_episode_steps
        self._steps = 0
        self._state = np.zeros(2)

    @property
    def observation_space(self) -> Doubles:
        """What it takes to know the shape of an observation."""
        return np.empty(3)

    def reset(self) -> Doubles:
        """A new episode, from any angle and a speed up to 1."""
        high = np.array([np.pi, 1])
        self._state = self._random.uniform(low=-high, high=high)
        self._steps = 0
        return self._observation()

    def step(self, action: Action) -> tuple[Doubles, float, bool, dict[str, bool]]:
        """One step of the torque ``action[0]``."""
        angle, speed = self._state
        torque = np.clip(action, -self._MAX_TORQUE, self._MAX_TORQUE)[0]
        upright = ((angle + np.pi) % (2 * np.pi)) - np.pi
        cost = upright**2 + 0.1 * speed**2 + 0.001 * (torque**2)
        pull = -3 * self._GRAVITY / (2 * self._LENGTH) * np.sin(angle + np.pi)
        speed = speed + (pull + 3.0 / (self._MASS * self._LENGTH**2) * torque) * self._STEP
        angle = angle + speed * self._STEP
        self._state = np.array([angle, np.clip(speed, -self._MAX_SPEED, self._MAX_SPEED)])
        self._steps += 1
        over = self._steps >= self._limit
        return self._observation(), -cost, over, {"TimeLimit.truncated": True} if over else {}

    def _observation(self) -> Doubles:
        angle, speed = self._state
        return np.array([np.cos(angle), np.sin(angle), speed])
