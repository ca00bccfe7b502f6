"""Means of returns counted as training logs count them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

_DRAWS = 40_000  # episodes, for the expected mean of an epoch
_FEWEST_EPOCHS, _MOST_EPOCHS = 200, 2000


class Drawn(NamedTuple):
    """A played episode: undiscounted return, length in steps."""

    ep_return: float
    length: int


def mean_and_variance(numbers: Sequence[float]) -> tuple[float, float]:
    """Mean and unbiased variance (0 for fewer than two numbers; NaN where the numbers are not finite)."""
    if not numbers:
        return math.nan, math.nan
    if not all(map(math.isfinite, numbers)):
        return math.nan, math.nan
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) < 2:
        return mean, 0.0
    return mean, math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1)


def expected_epoch(played: Sequence[Drawn], steps: int, generator: random.Random) -> float:
    """The mean return that an epoch of so many steps logs on average.

    It counts the episodes that end within it; the last one is cut off and not counted, which favours short episodes.
    Where no episode ends in time it is the mean of all.
    """
    plain = math.fsum(one.ep_return for one in played) / len(played)
    length = math.fsum(one.length for one in played) / len(played)
    epochs = int(min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, _DRAWS * length / steps)))
    if len({one.length for one in played}) == 1:  # nothing to favour
        return plain
    means, whole = [], []
    for _ in range(epochs):
        left, total, count = steps, 0.0, 0
        while (one := generator.choice(played)).length <= left:
            left -= one.length
            total += one.ep_return
            count += 1
            whole.append(one.ep_return)
        whole.append(one.ep_return)  # the one that was cut: all that were drawn have the plain mean
        if count:
            means.append(total / count)
    if not means:
        return plain
    return plain + math.fsum(means) / len(means) - math.fsum(whole) / len(whole)


def likely_returns(
    mean: float, spread: float | None, count: int, low: float | None = None, high: float | None = None
) -> list[float]:
    """So many returns of that mean, standard deviation (of the population), least and greatest value.

    Up to four they are those that were logged; of more the ones between are as far from each other as the deviation
    says.
    """
    if count < 2 or not spread or not math.isfinite(spread):
        return [mean] * count
    if count == 2 or low is None or high is None:
        return _around(mean, spread, count)
    rest = count - 2
    centre = (count * mean - low - high) / rest
    squares = count * (spread**2 + mean**2) - low**2 - high**2
    inner = math.sqrt(max(0.0, squares / rest - centre**2))
    return [low, high, *(min(high, max(low, value)) for value in _around(centre, inner, rest))]


def _around(mean: float, spread: float, count: int) -> list[float]:
    """Values above and below the mean in turn."""
    pairs = [mean + spread if place % 2 else mean - spread for place in range(count - count % 2)]
    return pairs + [mean] * (count % 2)
