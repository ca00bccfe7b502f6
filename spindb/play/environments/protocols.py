"""What is asked of environments and spaces of gym, of any age, and of gymnasium."""

from __future__ import annotations

from typing import Any, Protocol

from spindb.play.arrays import Array


class GymSpace(Protocol):
    """A space. A Box has all of these; others have those that fit their kind."""

    shape: tuple[int, ...]
    dtype: Any
    low: Array
    high: Array
    spaces: Any
    """Of a Dict: its parts by name."""

    def sample(self) -> Any:
        """A value drawn from it."""

    def seed(self, seed: int | None = None) -> Any:
        """Reseed its draws."""


class GymEnv(Protocol):
    """An environment, or a wrapper around one; `spindb.play.environments.adapter` knows what each age returns."""

    observation_space: GymSpace
    action_space: GymSpace

    def reset(self, **given: Any) -> Any:
        """The first observation of an episode; since gym 0.26 with information."""

    def step(self, action: Any) -> Any:
        """Observation, reward, and whether the episode ended: four values, since gym 0.26 five."""

    def render(self) -> Any:
        """Show the present state, or give a picture of it."""
