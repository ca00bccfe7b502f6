"""The rollout: plays a policy for some episodes and prints what the original tool printed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from spindb.errors import EnvironmentBuildError, UsageError
from spindb.play.arrays import Action, Observation
from spindb.play.environments.adapter import Environment
from spindb.signals import active
from spindb.tabular import format_table

Ending = Literal["terminated", "truncated", "cut"]
_FRAME_SECONDS = 1e-3
MAX_SEED = 2**63 - 1  # what a database keeps


class Trace(Protocol):
    """Receives each step of a rollout."""

    def step(self, observation: Observation, action: Action, reward: float) -> None:
        """A step was made: from this observation, by this action, for this reward."""

    def end(self) -> None:
        """The episode ended."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Undiscounted return, length in steps, and how it ended: by the task (``terminated``), by the
    environment's time limit (``truncated``) or by ours (``cut``)."""

    ep_return: float
    length: int
    ending: Ending


@dataclass(frozen=True, slots=True)
class Rollout:
    """All episodes of a rollout and their statistics (standard deviation of the population)."""

    episodes: Sequence[Episode]
    seconds: float
    partial: bool = False
    """Whether it was interrupted before all episodes were played."""

    @property
    def mean_return(self) -> float:
        return math.fsum(e.ep_return for e in self.episodes) / len(self.episodes)

    @property
    def std_return(self) -> float:
        mean = self.mean_return
        return math.sqrt(math.fsum((e.ep_return - mean) ** 2 for e in self.episodes) / len(self.episodes))

    @property
    def max_return(self) -> float:
        return max((e.ep_return for e in self.episodes), key=_nan_first)

    @property
    def min_return(self) -> float:
        return min((e.ep_return for e in self.episodes), key=lambda value: -_nan_first(-value))

    @property
    def mean_length(self) -> float:
        return math.fsum(e.length for e in self.episodes) / len(self.episodes)

    def table(self) -> str:
        """The statistics as the original's logger prints them."""
        return format_table(
            {
                "AverageEpRet": self.mean_return,
                "StdEpRet": self.std_return,
                "MaxEpRet": self.max_return,
                "MinEpRet": self.min_return,
                "EpLen": self.mean_length,
            }
        )


def _nan_first(value: float) -> float:
    """NaN above everything, so that it is never hidden behind a number."""
    return math.inf if math.isnan(value) else value


def run_policy(
    env: Any,
    get_action: Callable[[Any], Any],
    max_ep_len: int | None = None,
    num_episodes: int = 100,
    render: bool = True,
    *,
    seed: int | None = None,
    write: Callable[[str], None] = print,
    traces: Sequence[Trace] = (),
) -> Rollout:
    """Play `get_action` in `env` and print each episode as it ends, then the statistics.

    Args:
        env: an environment of gym (old or new) or gymnasium.
        get_action: one observation to one action; a policy from `spindb.load_policy` is one.
        max_ep_len: ends an episode after so many steps; None or 0: only the environment ends it. It never lengthens
            one: the environment's own time limit (gym's TimeLimit) ends it all the same.
        num_episodes: how many episodes, at least one.
        render: show each step; the environment must have been made for that (``render_mode="human"``).
        seed: seeds the environment once, at the first reset, and the policy's draws where it has a ``seed``.
        write: takes each line.
        traces: receive every step and the end of each episode.

    Returns:
        The episodes. An interruption (Ctrl-C) after the first one ends the rollout and marks it partial.

    Raises:
        UsageError: fewer than one episode was asked for, a negative length, or a seed that is none.
        EnvironmentBuildError: the environment has no reset and step.
        PlaybackError: the environment's own code raised an exception.
    """
    if num_episodes < 1:
        raise UsageError(f"{num_episodes} episodes: at least one is needed")
    if max_ep_len is not None and max_ep_len < 0:
        raise UsageError(f"an episode length of {max_ep_len}: it must be positive, or 0 for no limit")
    require_seed(seed)
    if env is None or not (hasattr(env, "reset") and hasattr(env, "step")):
        raise EnvironmentBuildError(f"no environment to play in, but a {type(env).__name__}")
    world = env if isinstance(env, Environment) else Environment(env)
    if seed is not None and callable(reseed := getattr(get_action, "seed", None)):
        reseed(seed)
    started = time.perf_counter()
    episodes: list[Episode] = []
    signals = active()
    with signals.held():  # an interruption ends an episode; it does not part what was played from what is kept of it
        while len(episodes) < num_episodes:
            try:
                with signals.released():
                    running = RunningEpisode(world, get_action, max_ep_len or None, None if episodes else seed)
                    episode = _play_episode(running, world, render, traces)
                episodes.append(episode)
                write(f"Episode {len(episodes) - 1} \t EpRet {episode.ep_return:.3f} \t EpLen {episode.length}")
            except KeyboardInterrupt:
                if not episodes:
                    raise
                break
    rollout = Rollout(tuple(episodes), time.perf_counter() - started, partial=len(episodes) < num_episodes)
    write(rollout.table())
    return rollout


def require_seed(seed: int | None) -> None:
    """Refuse what can seed no generator.

    Raises:
        UsageError: it is negative, or more than a database keeps.
    """
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise UsageError(f"a seed of {seed}: it must be between 0 and {MAX_SEED}")


@dataclass(frozen=True, slots=True)
class Transition:
    """A step that was made: from which observation, by which action, for which reward; how the episode ended by it."""

    observation: Observation
    action: Action
    reward: float
    ending: Ending | None


class RunningEpisode:
    """An episode that is advanced step by step, so that it can be shown at any speed.

    Attributes:
        observation: the present one.
        ep_return: undiscounted, so far.
        length: steps so far.
        ending: how it ended; None while it runs.
    """

    def __init__(
        self, world: Environment, get_action: Callable[[Any], Any], limit: int | None = None, seed: int | None = None
    ) -> None:
        """Reset the environment; with a seed it is seeded.

        Raises:
            PlaybackError: the environment's own code raised an exception.
        """
        self._world, self._get_action, self._limit = world, get_action, limit
        self.observation = world.reset(seed)
        if callable(begin := getattr(get_action, "begin_episode", None)):
            begin()
        self.ep_return, self.length = 0.0, 0
        self.ending: Ending | None = None

    def advance(self) -> Transition:
        """Act once.

        Raises:
            PlaybackError: the environment's own code raised an exception.
        """
        observation = self.observation
        action = self._get_action(observation)
        step = self._world.step(action)
        self.observation = step.observation
        self.ep_return += step.reward
        self.length += 1
        if step.terminated:
            self.ending = "terminated"
        elif step.truncated:
            self.ending = "truncated"
        elif self.length == self._limit:
            self.ending = "cut"
        return Transition(observation, action, step.reward, self.ending)


def _play_episode(episode: RunningEpisode, world: Environment, render: bool, traces: Sequence[Trace]) -> Episode:
    while episode.ending is None:
        if render:
            world.render()
            time.sleep(_FRAME_SECONDS)
        made = episode.advance()
        for trace in traces:
            trace.step(made.observation, made.action, made.reward)
    for trace in traces:
        trace.end()
    return Episode(episode.ep_return, episode.length, episode.ending)
