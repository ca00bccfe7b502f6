"""Wrappers of a user's own, for gymnasium and for gym, as ``--import`` finds them."""

from __future__ import annotations

from typing import Any

import gym
import gymnasium
import numpy as np


class Statistics:
    """A running mean that a wrapper keeps."""

    def __init__(self) -> None:
        self.count, self.mean = 0, np.zeros(3)

    def add(self, value: Any) -> None:
        """Take a value into account."""
        self.count += 1
        self.mean = self.mean + (value - self.mean) / self.count


def doubled(reward: float) -> float:
    """A function that stands in a module."""
    return 2 * reward


class Scaled(gymnasium.ActionWrapper):  # type: ignore[misc]
    """Keeps its argument under its name."""

    def __init__(self, env: Any, factor: float = 1.0) -> None:
        super().__init__(env)
        self.factor = factor

    def action(self, action: Any) -> Any:
        return action * self.factor


class Weighted(gymnasium.RewardWrapper):  # type: ignore[misc]
    """Keeps its argument under another name."""

    def __init__(self, env: Any, weight: float) -> None:
        super().__init__(env)
        self.w = weight

    def reward(self, reward: Any) -> float:
        return float(reward) * self.w


class Centred(gymnasium.ObservationWrapper):  # type: ignore[misc]
    """Keeps statistics in an object; `frozen` for the comparison."""

    frozen = False

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.statistics = Statistics()

    def observation(self, observation: Any) -> Any:
        if not Centred.frozen:
            self.statistics.add(observation)
        return (observation - self.statistics.mean).astype(np.float32)


class OldScaled(gym.ActionWrapper):  # type: ignore[misc]
    """The same as `Scaled` for gym."""

    def __init__(self, env: Any, factor: float = 1.0) -> None:
        super().__init__(env)
        self.factor = factor

    def action(self, action: Any) -> Any:
        return action * self.factor
