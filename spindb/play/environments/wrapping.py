"""Wrappers of ours, around environments of gym (old and new), gymnasium or neither.

They are made of the class of wrappers that the environment's library has, so that wrappers of others go around them;
they hold no running statistics that change.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from spindb.play.arrays import Action, Array, Observation
from spindb.play.environments.protocols import GymEnv, GymSpace

_PAIR = 2  # observation and info


def around(env: GymEnv, layer: type[Layer], *arguments: object) -> GymEnv:
    """`env` with a layer around it."""
    base = next(
        (
            library.Wrapper
            for name in ("gymnasium", "gym")
            # Looked up, not imported: an environment of a library whose module is not loaded can't be here.
            if (library := sys.modules.get(name)) is not None and isinstance(env, library.Env)
        ),
        _Plain,
    )
    # A class of its own for each call: the base is only known when the environment is.
    made = type(layer.__name__, (layer, base), {"__module__": layer.__module__, "__doc__": layer.__doc__})
    layered: GymEnv = made(env, *arguments)
    return layered


def box(like: GymSpace, low: Array, high: Array, dtype: Any) -> GymSpace:
    """A space of the same library as `like`, a Box, with other bounds."""
    kind: Callable[..., GymSpace] = type(like)
    return kind(low=low, high=high, dtype=dtype)


class _Plain:
    """The base of a wrapper where the environment is of no library."""

    def __init__(self, env: GymEnv) -> None:
        self.env = env

    def __getattr__(self, name: str) -> Any:
        if name == "env":  # not set yet
            raise AttributeError(name)
        return getattr(self.env, name)

    @property
    def unwrapped(self) -> GymEnv:
        return getattr(self.env, "unwrapped", self.env)


class Layer:
    """A wrapper that changes nothing; subclasses change observations, actions or rewards."""

    env: GymEnv

    def __init__(self, env: GymEnv) -> None:
        super().__init__(env)  # type: ignore[call-arg]  # the base that `around` adds

    def reset(self, **given: Any) -> Any:
        result = self.env.reset(**given)
        # Since gym 0.26 reset() returns a pair. An old environment may have a tuple for an observation, but hardly one
        # with a dictionary at its end.
        if isinstance(result, tuple) and len(result) == _PAIR and isinstance(result[1], dict):
            return self.started(result[0]), result[1]
        return self.started(result)

    def step(self, action: Action) -> Any:
        observation, reward, *rest = self.env.step(self.acted(action))
        return (self.seen(observation), self.rewarded(reward), *rest)

    def started(self, observation: Observation) -> Observation:
        """The first observation of an episode."""
        return self.seen(observation)

    def seen(self, observation: Observation) -> Observation:
        """An observation."""
        return observation

    def acted(self, action: Action) -> Action:
        """What the environment inside takes for an action."""
        return action

    def rewarded(self, reward: float) -> float:
        """A reward."""
        return reward


class Observations(Layer):
    """Every observation is changed by a function."""

    def __init__(self, env: GymEnv, change: Callable[[Any], Observation], space: GymSpace | None = None) -> None:
        super().__init__(env)
        self._change = change
        if space is not None:
            self.observation_space = space

    def seen(self, observation: Observation) -> Observation:
        return self._change(observation)


class Actions(Layer):
    """Every action is changed by a function."""

    def __init__(self, env: GymEnv, change: Callable[[Any], Action], space: GymSpace | None = None) -> None:
        super().__init__(env)
        self._change = change
        if space is not None:
            self.action_space = space

    def acted(self, action: Action) -> Action:
        return self._change(action)


class Rewards(Layer):
    """Every reward is changed by a function."""

    def __init__(self, env: GymEnv, change: Callable[[Any], float]) -> None:
        super().__init__(env)
        self._change = change

    def rewarded(self, reward: float) -> float:
        return self._change(reward)


class Frames(Layer):
    """The last `count` observations, stacked along a new first axis; at a reset the first one fills them all."""

    def __init__(self, env: GymEnv, count: int) -> None:
        super().__init__(env)
        self._frames: deque[Observation] = deque(maxlen=count)
        space = env.observation_space
        low, high = (np.repeat(bound[np.newaxis], count, axis=0) for bound in (space.low, space.high))
        self.observation_space = box(space, low, high, space.dtype)

    def started(self, observation: Observation) -> Observation:
        self._frames.extend([observation] * (self._frames.maxlen or 0))
        return np.stack(list(self._frames))

    def seen(self, observation: Observation) -> Observation:
        self._frames.append(observation)
        return np.stack(list(self._frames))


class Timed(Layer):
    """The number of steps made is appended to each observation."""

    def __init__(self, env: GymEnv) -> None:
        super().__init__(env)
        self._steps = 0.0
        space = env.observation_space
        low, high = np.append(space.low, 0.0), np.append(space.high, np.inf)
        self.observation_space = box(space, low, high, np.float32)

    def started(self, observation: Observation) -> Observation:
        self._steps = 0.0
        timed: Array = np.append(observation, self._steps)
        return timed

    def seen(self, observation: Observation) -> Observation:
        self._steps += 1
        timed: Array = np.append(observation, self._steps)
        return timed


class Limit(Layer):
    """An episode is truncated after so many steps."""

    def __init__(self, env: GymEnv, steps: int) -> None:
        super().__init__(env)
        self.steps, self._steps = steps, 0

    def started(self, observation: Observation) -> Observation:
        self._steps = 0
        return observation

    def step(self, action: Action) -> Any:
        observation, reward, *ended = self.env.step(action)
        self._steps += 1
        if self._steps < self.steps:
            return (observation, reward, *ended)
        if len(ended) == _PAIR:  # old gym: done and info
            done, info = ended
            return observation, reward, True, {**info, "TimeLimit.truncated": not done}
        return observation, reward, ended[0], True, ended[-1]
