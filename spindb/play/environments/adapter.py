"""Makes environments of old and new gym alike: one reset, one step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from spindb.errors import PlaybackError
from spindb.play.arrays import Action, Observation
from spindb.play.environments.protocols import GymEnv, GymSpace
from spindb.play.environments.wrapping import Limit

_SHOWN = 300  # characters of an error's text
_DEEPEST = 100  # wrappers around each other


@dataclass(frozen=True, slots=True)
class EnvStep:
    """What a step gave: ``terminated`` by the task, ``truncated`` by a time limit."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool


class Environment:
    """An environment of gym (any age) or gymnasium behind one interface.

    Old gym: ``reset() -> obs``, ``step() -> (obs, reward, done, info)``, ``seed(n)``. From gym 0.26 and
    in gymnasium: ``reset(seed=n) -> (obs, info)``, ``step() -> (obs, reward, terminated, truncated, info)``.

    An exception of the environment's own code is a `PlaybackError` that names the environment and the call.
    """

    def __init__(self, env: object, name: str | None = None) -> None:
        """`name` is what messages call it; without one it is its class."""
        self.env = cast(GymEnv, env)
        self.name = name or type(getattr(env, "unwrapped", env)).__name__

    @property
    def observation_shape(self) -> tuple[int, ...] | None:
        """Shape of one observation, None where the environment does not say."""
        shape = getattr(getattr(self.env, "observation_space", None), "shape", None)
        return tuple(int(length) for length in shape) if shape is not None else None

    @property
    def action_space(self) -> GymSpace | None:
        """The space of its actions, None where the environment does not say."""
        return getattr(self.env, "action_space", None)

    @property
    def time_limit(self) -> int | None:
        """Steps after which it ends an episode by itself; None where no wrapper of it says so."""
        found, layer = [], self.env
        for _ in range(_DEEPEST):
            if type(layer).__name__ == "TimeLimit":
                found.append(getattr(layer, "_max_episode_steps", None))
            elif isinstance(layer, Limit):
                found.append(layer.steps)
            own = getattr(layer, "__dict__", {})
            if "env" not in own:
                break
            layer = own["env"]
        return min((int(n) for n in found if isinstance(n, (int, float)) and n < math.inf), default=None)

    def reset(self, seed: int | None = None) -> Any:
        """Begin an episode; with a seed, the environment's randomness is seeded."""
        try:
            return self._reset(seed)
        except (Exception, SystemExit) as error:
            raise self._failed("reset", error) from error

    def _reset(self, seed: int | None) -> Any:
        if seed is not None:
            try:
                result = self.env.reset(seed=seed)
            except TypeError:  # old gym
                if hasattr(self.env, "seed"):
                    self.env.seed(seed)
                result = self.env.reset()
        else:
            result = self.env.reset()
        is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        return result[0] if is_pair else result

    def step(self, action: Action) -> EnvStep:
        """Act once."""
        try:
            return self._step(action)
        except (Exception, SystemExit) as error:
            raise self._failed("step", error) from error

    def _step(self, action: Action) -> EnvStep:
        result = self.env.step(action)
        if len(result) == 5:
            observation, reward, terminated, truncated, _ = result
            return EnvStep(observation, float(reward), bool(terminated), bool(truncated))
        observation, reward, done, info = result
        truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
        return EnvStep(observation, float(reward), bool(done) and not truncated, truncated)

    def render(self) -> None:
        """Show the present state, unless the environment was made to do so itself at each step."""
        if getattr(self.env, "render_mode", None) != "human":
            self._picture()

    def frame(self) -> Any:
        """A picture of the present state, shape (height, width, 3), uint8; None where the environment gives none."""
        found = self._picture()
        return found if getattr(found, "ndim", 0) == 3 else None

    def _picture(self) -> Any:
        try:
            return self.env.render()
        except (Exception, SystemExit) as error:
            raise self._failed("render", error) from error

    @property
    def frames_per_second(self) -> float | None:
        """How fast the environment is meant to be shown, None where it does not say."""
        metadata = getattr(self.env, "metadata", None) or {}
        rate = metadata.get("render_fps") or metadata.get("video.frames_per_second")
        return float(rate) if rate else None

    def close(self) -> None:
        """Close windows and whatever else the environment holds."""
        if hasattr(self.env, "close"):
            try:
                self.env.close()
            except (Exception, SystemExit) as error:
                raise self._failed("close", error) from error

    def _failed(self, call: str, error: BaseException) -> PlaybackError:
        text = " ".join(str(error).split())
        shown = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
        return PlaybackError(
            f"{self.name}: its {call}() raised {type(error).__name__}{f': {shown}' if shown else ''}",
            hint="spindb --debug … shows where",
        )
