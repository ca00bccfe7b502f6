"""What a value function predicted, beside the return that really followed."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spindb.disk import limits
from spindb.disk.configs import ConfigText, number_of
from spindb.disk.formats import files_of
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError, UsageError
from spindb.files import atomic_write
from spindb.play.arrays import Action, Observation
from spindb.play.policies import Policy

USUAL_GAMMA = 0.99


@dataclass(frozen=True, slots=True)
class Point:
    """One step: the value that was predicted for it, and the discounted return that followed in its episode."""

    episode: int
    step: int
    predicted: float
    realised: float


def broken_values(policy: Policy) -> tuple[str, ...]:
    """What is to be said of value functions that are not finite: training diverged, whatever the policy does."""
    notes = []
    names = ("v",) if policy.has("v") else tuple(name for name in ("q", "q1", "q2") if policy.has(name))
    for name in names:
        broken = policy.nan_weights(name)
        if broken:
            places = f"{', '.join(broken[:3])}{' …' if len(broken) > 3 else ''}"
            notes.append(f"{name} is NaN or infinite: that stands in {places}; the training diverged")
        elif name == "v" and (shape := policy.observation_shape) is not None:
            worth = float(policy.value(np.zeros(shape, dtype=np.float32)))
            if not math.isfinite(worth):
                notes.append(f"v is {worth} for an observation of zeros")
    return tuple(notes)


@dataclass
class ValueTrace:
    """Collects predictions along a rollout: V, or Q of observation and action where there is no V."""

    policy: Policy
    gamma: float
    points: list[Point] = field(default_factory=list)
    _predicted: list[float] = field(default_factory=list)
    _rewards: list[float] = field(default_factory=list)
    _episodes: int = 0

    def __post_init__(self) -> None:
        self.kind = "v" if self.policy.has("v") else "q"
        if not any(self.policy.has(name) for name in ("v", "q", "q1")):
            raise PolicyError("this save has no value function (v, q or q1)", hint="leave --values out")

    def step(self, observation: Observation, action: Action, reward: float) -> None:
        """Note a step of the present episode."""
        worth = self.policy.value(observation) if self.kind == "v" else self.policy.q(observation, action)
        self._predicted.append(float(worth))
        self._rewards.append(reward)

    def end(self) -> None:
        """The episode is over: what followed each of its steps is known now."""
        realised, following = [0.0] * len(self._rewards), 0.0
        for position in reversed(range(len(self._rewards))):
            following = self._rewards[position] + self.gamma * following
            realised[position] = following
        pairs = zip(self._predicted, realised, strict=True)
        self.points += [Point(self._episodes, step, p, r) for step, (p, r) in enumerate(pairs)]
        self._predicted, self._rewards = [], []
        self._episodes += 1

    @property
    def explained_variance(self) -> float:
        """1 - Var(realised - predicted) / Var(realised): 1 is perfect, 0 as good as a constant; NaN for no variance."""
        errors = _variance([p.realised - p.predicted for p in self.points])
        whole = _variance([p.realised for p in self.points])
        return 1 - errors / whole if whole else math.nan

    @property
    def episodes(self) -> int:
        """How many episodes ended."""
        return self._episodes

    def write_csv(self, path: Path) -> None:
        """Write all points.

        Raises:
            UsageError: it can't be written there.
        """
        try:
            with atomic_write(path) as beside, beside.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(Point.__slots__)
                writer.writerows([p.episode, p.step, p.predicted, p.realised] for p in self.points)
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}") from None


def _variance(values: list[float]) -> float:
    if not values:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / len(values)


def gamma_of(directory: Path) -> float | None:
    """The discount in a run's config, None where it says none."""
    try:
        config = files_of(directory).config
        if config is None:
            return None
        data = read_regular(directory / config, limits.CONFIG)
        found = number_of(ConfigText(data, config).values.get("gamma"))
    except OSError:
        return None
    return found if found is not None and 0 <= found <= 1 else None
