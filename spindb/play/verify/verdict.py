"""The verdict on a snapshot: does what was played agree with what the training log says of that epoch?

Pure statistics without numpy: the numbers of the log and of the episodes played go in, a `spindb.records.Verdict` comes
out. docs/playing.md says what the words promise; the constants here are those rates and margins.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from spindb.play.verify.sample import Drawn, expected_epoch, likely_returns, mean_and_variance
from spindb.records import CRITICAL, Verdict
from spindb.verdicts import AGREES, CANT_TELL, DIFFERS

MARGIN = 0.15
"""Of the logged curve's range: a smaller difference is none."""
SHIFT = 0.30
"""Of the range: a true difference of that size must be found, and is never called agreement."""
LEVEL = 0.01
"""How often chance may look like a difference; a shift of `SHIFT` may look like agreement half as often."""
POWER = 0.80
"""How surely a true difference of `SHIFT` must be found where *agrees* is said."""
DOUBT = 0.05
"""Where the log is too coarse for that `POWER`: a difference that chance makes more rarely is no agreement."""
FEWEST = 8
"""Fewer episodes played say nothing of their spread."""

TOO_FEW = "episodes played are too few"
"""In the reason where more episodes may change the verdict."""

_DRAWS = 2000
_MANY = 100  # logged episodes, whose mean is normal enough to need no draws
_BORROWED = 4  # degrees of freedom that the spread of what was played lends to that of few logged episodes
_NEGLIGIBLE = 1 / 9  # of the log's variance: more episodes would not narrow the interval
_TARGET = (SHIFT - MARGIN) / CRITICAL  # the standard error, of the range, at which each difference is decided
_SURE = 4.0  # standard errors between values, which are known closely, before they count
_SEED = 14


@dataclass(frozen=True, slots=True)
class Logged:
    """What the log says of an epoch.

    ``mean`` and ``spread`` (standard deviation of the population) are of ``episodes`` undiscounted returns between
    ``low`` and ``high``. ``steps`` is the length of an epoch where the episodes are those that ended within it, None
    where so many were played whole. ``span`` is the range of the logged curve, None where it has none.
    """

    mean: float
    spread: float | None
    episodes: int
    span: float | None
    low: float | None = None
    high: float | None = None
    steps: int | None = None
    metric: str = "AverageEpRet"
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """The mean of the value function over an epoch's steps: as logged, as played with its standard error over epochs of
    that length, and the range of its logged curve. It knows a policy that returns can't tell from another."""

    logged: float
    played: float
    error: float
    span: float


@dataclass(frozen=True, slots=True)
class _Estimate:
    """Played as the log counts, minus logged; ``of_log`` and ``of_play`` are the variances of the two means."""

    difference: float
    played: float
    of_log: float
    of_play: float

    @property
    def error(self) -> float:
        return math.sqrt(self.of_log + self.of_play)

    @property
    def half(self) -> float:
        return CRITICAL * self.error


def verdict_on(
    logged: Logged,
    played: Sequence[Drawn],
    *,
    unchanged: bool = False,
    substituted: str | None = None,
    values: Values | None = None,
) -> Verdict:
    """Compare the returns of played episodes with what was logged.

    Args:
        logged: what the log says.
        played: independent episodes of the snapshot, acted as it did when that was logged.
        unchanged: the environment is known to be the one of the training, by what was saved of it. Then a log that is
            too coarse for any number of episodes counts as agreement unless something speaks against it.
        substituted: why the environment is not that of the training.
        values: what the value function says of the same steps.
    """
    if substituted is not None:
        return _unknown(logged, played, f"environment not known to be as in training: {substituted}")
    if not math.isfinite(logged.mean):
        return _unknown(logged, played, "the logged return is not a number")
    if any(not math.isfinite(one.ep_return) for one in played):
        return _unknown(logged, played, "a played return is not a number")
    if len(played) < FEWEST:
        return _unknown(logged, played, f"too few episodes were played: {len(played)}, at least {FEWEST} are needed")
    if not logged.span:
        return _unknown(logged, played, "the logged curve has no range to measure a difference by")
    found = _estimate(logged, played)
    power = power_of(found.error, logged.span)
    word, reason = _decided(logged, played, found, power, unchanged, values)
    return _verdict(logged, played, word, reason, found, power)


def power_of(error: float, span: float) -> float:
    """How often a true difference of `SHIFT` of the range is found, given the standard error of a difference."""
    if error <= 0:
        return 1.0
    return NormalDist().cdf((SHIFT * span - max(MARGIN * span, CRITICAL * error)) / error)


def episodes_wanted(logged: Logged, played: Sequence[Drawn], most: int) -> int:
    """How many more episodes the verdict wants, at most so many in all.

    It depends on the standard errors alone, never on the difference: so playing on favours no verdict.
    """
    if len(played) >= most:
        return 0
    if len(played) < FEWEST:
        return min(most, FEWEST) - len(played)
    if any(not math.isfinite(one.ep_return) for one in played) or not math.isfinite(logged.mean) or not logged.span:
        return 0
    found = _estimate(logged, played)
    left = (_TARGET * logged.span) ** 2 - found.of_log
    allowed = max(left, _NEGLIGIBLE * found.of_log)
    if found.of_play <= allowed or allowed <= 0:
        return 0
    wanted = math.ceil(found.of_play * len(played) / allowed)
    return min(most, wanted, 4 * len(played)) - len(played)


def _estimate(logged: Logged, played: Sequence[Drawn]) -> _Estimate:
    mean, variance = mean_and_variance([one.ep_return for one in played])
    if logged.steps is not None:
        mean = expected_epoch(played, logged.steps, random.Random(_SEED))  # noqa: S311 - statistics
    n = logged.episodes
    own = variance
    if logged.spread is not None and math.isfinite(logged.spread) and n > 1:
        unbiased = logged.spread**2 * n / (n - 1)
        own = (_BORROWED * variance + (n - 1) * unbiased) / (_BORROWED + n - 1)
    return _Estimate(mean - logged.mean, mean, own / n, variance / len(played))


def _decided(
    logged: Logged,
    played: Sequence[Drawn],
    found: _Estimate,
    power: float,
    unchanged: bool,
    values: Values | None,
) -> tuple[str, str]:
    """The word and its reason."""
    assert logged.span
    size = abs(found.difference)
    share = f"{size / logged.span:.0%} of the logged curve's range"
    other = values is not None and _other_policy(values)
    large = size > MARGIN * logged.span
    beyond = size > found.half and by_chance(logged, played, found.difference, found.of_play) <= LEVEL
    if large and (beyond or other):
        return DIFFERS, f"the difference is {share}" + ("" if beyond else "; the policy's values are not those logged")
    if size + found.half < SHIFT * logged.span and power >= POWER:
        return AGREES, ""
    if found.of_play > found.of_log * _NEGLIGIBLE * 1.5 and found.error > _TARGET * logged.span:
        return CANT_TELL, f"{len(played)} {TOO_FEW} for their spread (power {power:.0%})"
    coarse = f"{logged.episodes} logged episodes are too few for their spread (power {power:.0%})"
    if other:
        return CANT_TELL, f"{coarse}, and the policy's values are not those logged"
    if not unchanged or by_chance(logged, played, found.difference, found.of_play) <= DOUBT:
        return CANT_TELL, coarse
    return AGREES, f"as far as the log tells: {coarse}"


def _other_policy(values: Values) -> bool:
    """Whether the values are those of another policy: far apart, by their curve's range, and beyond chance."""
    apart = abs(values.played - values.logged)
    return apart > MARGIN * values.span and apart > _SURE * values.error


def by_chance(logged: Logged, played: Sequence[Drawn], difference: float, of_play: float) -> float:
    """How often so many logged episodes differ as much from those played where both are of one policy.

    Both together are what is known of its returns: means of so many draws from them, so that rare and bounded returns
    count as they are.
    """
    n = logged.episodes
    returns = [one.ep_return for one in played]
    if n > _MANY:
        _, variance = mean_and_variance(returns)
        error = math.sqrt(variance / n + of_play)
        return 2 * NormalDist().cdf(-abs(difference) / error) if error > 0 else float(difference == 0)
    pool = [*returns, *likely_returns(logged.mean, logged.spread, n, logged.low, logged.high)]
    centre = math.fsum(pool) / len(pool)
    generator = random.Random(_SEED)  # noqa: S311 - statistics
    noise = math.sqrt(of_play)
    drawn = generator.choices(pool, k=_DRAWS * n)
    size = abs(difference) * (1 - 1e-9)
    hits = 0
    for place in range(0, len(drawn), n):
        apart = math.fsum(drawn[place : place + n]) / n - centre + generator.gauss(0.0, noise)
        hits += abs(apart) >= size
    return (1 + hits) / (1 + _DRAWS)


def _unknown(logged: Logged, played: Sequence[Drawn], reason: str) -> Verdict:
    return _verdict(logged, played, CANT_TELL, reason, None, None)


def _verdict(
    logged: Logged, played: Sequence[Drawn], word: str, reason: str, found: _Estimate | None, power: float | None
) -> Verdict:
    _, variance = mean_and_variance([one.ep_return for one in played])
    own = logged.spread / math.sqrt(max(1, logged.episodes - 1)) if logged.spread is not None else None
    return Verdict(
        word=word,
        reason=reason,
        metric=logged.metric,
        epoch=logged.epoch,
        logged_mean=logged.mean,
        logged_error=own,
        logged_episodes=logged.episodes,
        logged_range=logged.span,
        played=found.played if found else None,
        played_error=math.sqrt(variance / len(played)) if len(played) > 1 else None,
        episodes=len(played),
        difference=found.difference if found else None,
        error=found.error if found else None,
        power=power,
    )
