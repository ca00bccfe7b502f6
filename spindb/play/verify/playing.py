"""Plays a snapshot the way its return was logged, until the spread of what was played allows a verdict."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spindb.index.read.evaluation_options import recorded_rule
from spindb.index.read.verdicts import StoredVerdict
from spindb.play.arrays import Action, Observation
from spindb.play.locate import Playable
from spindb.play.policies import Policy
from spindb.play.request import PlayOptions
from spindb.play.rollouts.rollout import Rollout
from spindb.play.session import Session, opened
from spindb.play.verify.logged import Log, LoggedEpoch, log_of
from spindb.play.verify.sample import Drawn
from spindb.play.verify.verdict import TOO_FEW, Logged, Values, episodes_wanted, verdict_on
from spindb.records import Evaluation, Verdict
from spindb.verdicts import AGREES, CANT_TELL, DIFFERS

FIRST = 20
"""Episodes that are played before their spread says how many it takes."""
MOST = 200
"""Episodes that are played at most."""

_EPOCHS = 400  # drawn, for the spread of the mean value over an epoch
_SEED = 14
_BY_THE_FILES = ("state id", "state class")
_LIBRARIES = ("gymnasium", "gym")


@dataclass(frozen=True, slots=True)
class VerifyPlan:
    """How snapshots are verified.

    ``options`` say which environment, seed and engine; how to act and how long an episode may be follows from the log.
    ``first`` episodes are played in any case, at most ``most``. With ``strict`` a log that is too coarse never agrees.
    """

    options: PlayOptions
    first: int = FIRST
    most: int = MOST
    strict: bool = False


def verify_snapshot(playable: Playable, plan: VerifyPlan) -> Evaluation:
    """Play a snapshot and compare it with its log; the evaluation has a verdict.

    Raises:
        PlaybackError: the policy can't be loaded, or no environment be built.
    """
    log = log_of(playable.directory, playable.snapshot)
    options = replace(plan.options, deterministic=log.deterministic, length=log.length or 0)
    with opened(playable, options) as session:
        worth = ValuesSeen(session.policy) if _values_count(log, session.policy) else None
        traces = [] if worth is None else [worth]
        rollout = session.roll_out(min(plan.first, plan.most), traces=traces)
        # Further episodes are played only while the spread so far says that more of them could decide.
        while not rollout.partial and (more := _wanted(log, rollout, plan.most)):
            rollout = _joined(rollout, session.roll_out(more, further=True, traces=traces))
        verdict = verdict_of(log, rollout, session, worth, strict=plan.strict)
        return replace(session.evaluation(rollout), verdict=verdict)


def verdict_of(
    log: Log, rollout: Rollout, session: Session, worth: ValuesSeen | None = None, *, strict: bool = False
) -> Verdict:
    """The verdict on what was played: of several epochs that the snapshot can be of, the one that fits."""
    played = _drawn(rollout)
    substituted = session.built.substituted
    if not log.lines:
        return judged_nothing(played, log.why)
    known = not strict and substituted is None and is_as_saved(session)
    found = [
        verdict_on(line.returns, played, unchanged=known, substituted=substituted, values=_values(line, worth))
        for line in log.lines
    ]
    best = min(found, key=lambda one: (_ORDER[one.word], abs(one.difference or 0.0)))
    # A save may be of an epoch that was not logged: then it differs from a row that is not its own.
    if best.word == DIFFERS and log.unlogged is not None:
        return replace(best, word=CANT_TELL, reason=f"it may be of epoch {log.unlogged}, which was not logged")
    return best


def compared(session: Session, rollout: Rollout) -> Verdict:
    """The verdict on a rollout as it was asked for, where that is how the return was logged."""
    playable, options = session.playable, session.options
    try:
        log = log_of(playable.directory, playable.snapshot)
    except OSError as error:
        return judged_nothing(_drawn(rollout), f"the log can't be read: {error.strerror}")
    otherwise = ""
    if session.policy.stochastic and session.policy.deterministic != log.deterministic:
        acted = "deterministic actions, with -d" if log.deterministic else "sampled actions, without -d"
        otherwise = f"the logged return is of {acted}"
    elif any(one.ending == "cut" and one.length != log.length for one in rollout.episodes):
        otherwise = f"--len {options.length} is not how long episodes were"
    elif log.length is not None and any(one.length > log.length for one in rollout.episodes):
        otherwise = f"the logged episodes ended after {log.length} steps, with --len {log.length}"
    if otherwise and log.lines:
        return judged_nothing(_drawn(rollout), otherwise)
    return verdict_of(log, rollout, session)


_ORDER = {AGREES: 0, CANT_TELL: 1, DIFFERS: 2}


def judged_nothing(played: Sequence[Drawn], why: str) -> Verdict:
    """Nothing is known of what was not logged."""
    unknown = verdict_on(Logged(math.nan, None, 1, None), played)
    return replace(unknown, reason=why, metric=None, logged_mean=None, logged_episodes=None)


def is_as_saved(session: Session) -> bool:
    """Whether the environment is the one that the saved state names, with nothing of the user's in between.

    What ``--import`` imports may register an environment of its own in place of a library's.
    """
    options, built = session.options, session.built
    if options.env or options.factory or built.source.split("; ")[0] not in _BY_THE_FILES:
        return False
    inner = getattr(built.environment.env, "unwrapped", built.environment.env)
    return not options.imports or type(inner).__module__.partition(".")[0] in _LIBRARIES


def serves(given: StoredVerdict, plan: VerifyPlan) -> bool:
    """Whether a verdict that was given is what a plan would give: by the same draws, with nothing left to play."""
    options, verdict = plan.options, given.verdict
    same = (given.seed, recorded_rule(given.engine)) == (options.seed, options.action)
    same = same and options.same_environment(given.env_id, given.env_source)
    weak = plan.strict and verdict.word == AGREES and bool(verdict.reason)
    more = TOO_FEW in verdict.reason and verdict.episodes < plan.most
    return same and not weak and not more and verdict.episodes >= min(plan.first, plan.most)


class ValuesSeen:
    """Collects the values of the states along a rollout, per episode; a `spindb.play.rollouts.rollout.Trace`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._observations: list[Any] = []
        self.sums: list[list[float]] = []
        """Of each episode the sums of the values of its first 0, 1, ... steps."""

    def step(self, observation: Observation, action: Action, reward: float) -> None:
        """Note where a step began."""
        self._observations.append(observation)

    def end(self) -> None:
        """The episode is over: all of its values at once."""
        values = np.ravel(self._policy.value(np.array(self._observations)))
        self.sums.append([0.0, *np.cumsum(values, dtype=float).tolist()])
        self._observations = []

    def of_an_epoch(self, steps: int) -> tuple[float, float]:
        """Mean value over the steps of an epoch, the last episode cut off, and its deviation between epochs."""
        generator = random.Random(_SEED)  # noqa: S311 - statistics
        means = []
        for _ in range(_EPOCHS):
            left, total = steps, 0.0
            while left > 0:
                sums = generator.choice(self.sums)
                taken = min(left, len(sums) - 1)
                total += sums[taken]
                left -= taken
            means.append(total / steps)
        mean = math.fsum(means) / len(means)
        return mean, math.sqrt(math.fsum((one - mean) ** 2 for one in means) / len(means))


def _values_count(log: Log, policy: Policy) -> bool:
    return policy.has("v") and any(line.value is not None and line.returns.steps for line in log.lines)


def _values(line: LoggedEpoch, worth: ValuesSeen | None) -> Values | None:
    if worth is None or not worth.sums or line.value is None or not line.value_span or not line.returns.steps:
        return None
    mean, deviation = worth.of_an_epoch(line.returns.steps)
    if not math.isfinite(mean):
        return None
    # Few episodes know the spread between epochs badly; the mean itself as well as their number says.
    error = deviation * math.sqrt(1 + line.returns.episodes / len(worth.sums))
    return Values(line.value, mean, error, line.value_span)


def _wanted(log: Log, rollout: Rollout, most: int) -> int:
    played = _drawn(rollout)
    return max((episodes_wanted(line.returns, played, most) for line in log.lines), default=0)


def _drawn(rollout: Rollout) -> list[Drawn]:
    return [Drawn(one.ep_return, one.length) for one in rollout.episodes]


def _joined(one: Rollout, other: Rollout) -> Rollout:
    return replace(
        one,
        episodes=(*one.episodes, *other.episodes),
        seconds=one.seconds + other.seconds,
        partial=one.partial or other.partial,
    )
