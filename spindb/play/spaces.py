"""Makes environments of old and new gym alike: one reset, one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """What a step gave: ``terminated`` by the task, ``truncated`` by a time limit."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool


class Environment:
    """An environment of gym (any age) or gymnasium behind one interface.

    Old gym: ``reset() -> obs``, ``step() -> (obs, reward, done, info)``, ``seed(n)``. From gym 0.26 and
    in gymnasium: ``reset(seed=n) -> (obs, info)``, ``step() -> (obs, reward, terminated, truncated, info)``.
    """

    def __init__(self, env: Any) -> None:
        self.env = env

    @property
    def observation_shape(self) -> tuple[int, ...] | None:
        """Shape of one observation, None where the environment does not tell."""
        shape = getattr(getattr(self.env, "observation_space", None), "shape", None)
        return tuple(int(length) for length in shape) if shape is not None else None

    def reset(self, seed: int | None = None) -> Any:
        """Begin an episode; with a seed, the environment's randomness begins anew."""
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

    def step(self, action: Any) -> Step:
        """Act once."""
        result = self.env.step(action)
        if len(result) == 5:
            observation, reward, terminated, truncated, _ = result
            return Step(observation, float(reward), bool(terminated), bool(truncated))
        observation, reward, done, info = result
        truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
        return Step(observation, float(reward), bool(done) and not truncated, truncated)

    def render(self) -> None:
        """Show the present state, unless the environment was made to do so itself at each step."""
        if getattr(self.env, "render_mode", None) != "human":
            self.env.render()

    def frame(self) -> Any:
        """A picture of the present state, shape (height, width, 3), uint8; None where the environment gives none."""
        found = self.env.render()
        return found if getattr(found, "ndim", 0) == 3 else None

    @property
    def frames_per_second(self) -> float | None:
        """How fast the environment is meant to be shown, None where it does not tell."""
        metadata = getattr(self.env, "metadata", None) or {}
        rate = metadata.get("render_fps") or metadata.get("video.frames_per_second")
        return float(rate) if rate else None

    def close(self) -> None:
        """Close windows and whatever else the environment holds."""
        if hasattr(self.env, "close"):
            self.env.close()
