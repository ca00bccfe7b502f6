"""The verdict: rates of its errors by simulation, and its rules one by one."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean, pstdev

import pytest

from spindb.play.verify.sample import Drawn, expected_epoch, likely_returns, mean_and_variance
from spindb.play.verify.verdict import SHIFT, Logged, Values, episodes_wanted, power_of, verdict_on
from spindb.records import Verdict
from spindb.verdicts import AGREES, CANT_TELL, DIFFERS

Draw = Callable[[random.Random], float]
MOST = 200


def gaussian(rng: random.Random) -> float:
    return rng.gauss(0, 1)


def capped(rng: random.Random) -> float:
    """CartPole: a chance to fall at each step, and a limit."""
    return min(200.0, 10 + rng.expovariate(1 / 150))


def bimodal(rng: random.Random) -> float:
    return rng.gauss(200, 3) if rng.random() < 0.85 else rng.gauss(60, 15)


def heavy(rng: random.Random) -> float:
    return math.exp(rng.gauss(0, 1))


KINDS: dict[str, Draw] = {"gaussian": gaussian, "capped": capped, "bimodal": bimodal, "heavy": heavy}


def logged(returns: Sequence[float], span: float | None, steps: int | None = None) -> Logged:
    return Logged(fmean(returns), pstdev(returns), len(returns), span, min(returns), max(returns), steps)


def play(log: Logged, draw: Callable[[], float], **how: object) -> Verdict:
    played = [Drawn(draw(), 100) for _ in range(20)]
    while more := episodes_wanted(log, played, MOST):
        played += [Drawn(draw(), 100) for _ in range(more)]
    return verdict_on(log, played, **how)  # type: ignore[arg-type]


def rates(kind: Draw, episodes: int, error: float, shift: float, tries: int, seed: int) -> dict[str, float]:
    """How often each word is said, where the standard error of the logged mean is that part of the range."""
    rng = random.Random(seed)
    _, variance = mean_and_variance([kind(rng) for _ in range(20_000)])
    span = math.sqrt(variance / episodes) / error
    words: Counter[str] = Counter()
    for _ in range(tries):
        log = logged([kind(rng) for _ in range(episodes)], span)
        moved = shift * span * rng.choice((-1, 1))
        words[play(log, lambda: kind(rng) + moved).word] += 1  # noqa: B023 - called at once
    return {word: words[word] / tries for word in (AGREES, DIFFERS, CANT_TELL)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("episodes", "error"), [(3, 0.02), (10, 0.04)])
def test_a_shift_of_thirty_percent_is_found(kind: str, episodes: int, error: float) -> None:
    found = rates(KINDS[kind], episodes, error, SHIFT, 100, seed=1)
    assert found[DIFFERS] >= 0.9
    assert found[AGREES] <= 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_agrees(kind: str) -> None:
    found = rates(KINDS[kind], 10, 0.03, 0, 100, seed=2)
    assert found[DIFFERS] <= 0.02
    assert found[AGREES] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_error_rates_over_many_draws(kind: str) -> None:
    """As docs/playing.md promises, whether the log is fine or coarse; 32,000 verdicts in all."""

    def mean_rates(errors: tuple[float, ...], shift: float, seed: int) -> dict[str, float]:
        settings = [(episodes, error) for episodes in (3, 5, 10, 20) for error in errors]
        found = [rates(KINDS[kind], n, error, shift, 500, seed + place) for place, (n, error) in enumerate(settings)]
        return {word: fmean(one[word] for one in found) for word in found[0]}

    fine, coarse = (0.03, 0.05), (0.08, 0.15)
    wrong = mean_rates(fine, SHIFT, 10)
    assert wrong[AGREES] <= 0.01
    assert wrong[DIFFERS] >= 0.9
    assert mean_rates(fine, 0, 20)[DIFFERS] <= 0.02
    assert mean_rates(coarse, SHIFT, 30)[AGREES] <= 0.01
    assert mean_rates(coarse, 0, 40)[DIFFERS] <= 0.02


def test_a_small_difference_agrees_however_sure() -> None:
    log = logged([100.0 + x for x in (-1, 0, 1, 0)], span=100)
    found = verdict_on(log, [Drawn(110.0 + x, 50) for x in (-1, 0, 1, 0, 0) * 20])
    assert (found.word, found.reason) == (AGREES, "")
    assert found.difference == pytest.approx(10)
    assert found.interval is not None
    assert found.interval[0] > 0, "beyond chance, and yet of no account"


def test_too_few_episodes_are_no_verdict() -> None:
    log = logged([0.0, 100.0] * 50, span=100)
    wide = [Drawn(x, 50) for x in (0.0, 100.0) * 5]
    found = verdict_on(log, wide)
    assert found.word == CANT_TELL
    assert "10 episodes played are too few" in found.reason
    assert episodes_wanted(log, wide, MOST) > 0
    assert verdict_on(log, wide[:4]).word == CANT_TELL


def test_a_coarse_log_tells_only_what_it_can() -> None:
    log = logged([60.0, 200.0, 150.0, 137.0], span=125)
    played = [Drawn(x, 50) for x in (60.0, 200.0, 150.0, 140.0) * 20]
    strict = verdict_on(log, played)
    assert strict.word == CANT_TELL
    assert "4 logged episodes are too few" in strict.reason
    known = verdict_on(log, played, unchanged=True)
    assert known.word == AGREES
    assert known.reason.startswith("as far as the log tells: 4 logged episodes are too few")
    assert known.power is not None
    assert known.power < 0.8
    far = [Drawn(x - 75, 50) for x in (60.0, 200.0, 150.0, 140.0) * 20]
    assert verdict_on(log, far, unchanged=True).word != AGREES


def test_values_tell_policies_that_returns_do_not() -> None:
    log = logged([60.0, 200.0, 150.0, 137.0], span=125)
    others = Values(logged=50.0, played=20.0, error=1.0, span=50.0)
    near = [Drawn(x, 50) for x in (60.0, 200.0, 150.0, 140.0) * 20]
    assert verdict_on(log, near, unchanged=True, values=others).word == CANT_TELL
    away = [Drawn(x - 40, 50) for x in (60.0, 200.0, 150.0, 140.0) * 20]
    assert verdict_on(log, away, unchanged=True).word == AGREES
    found = verdict_on(log, away, unchanged=True, values=others)
    assert (found.word, "values are not those logged" in found.reason) == (DIFFERS, True)


@pytest.mark.parametrize(
    ("log", "returns", "reason"),
    [
        (Logged(math.nan, 1.0, 10, 100.0), [1.0] * 20, "the logged return is not a number"),
        (Logged(1.0, 1.0, 10, 100.0), [math.nan] * 20, "a played return is not a number"),
        (Logged(1.0, 1.0, 10, None), [1.0] * 20, "the logged curve has no range"),
    ],
)
def test_what_can_not_be_compared_is_said(log: Logged, returns: list[float], reason: str) -> None:
    found = verdict_on(log, [Drawn(x, 5) for x in returns])
    assert found.word == CANT_TELL
    assert reason in found.reason


def test_a_substituted_environment_is_no_comparison() -> None:
    log = logged([1.0, 2.0, 3.0], span=100)
    found = verdict_on(log, [Drawn(2.0, 5)] * 20, substituted="LunarLander-v3 for LunarLander-v2")
    assert found.word == CANT_TELL
    assert found.reason == "environment not known to be as in training: LunarLander-v3 for LunarLander-v2"


def test_without_spread_a_difference_is_sure() -> None:
    log = logged([200.0] * 3, span=180)
    assert verdict_on(log, [Drawn(200.0, 200)] * 20).word == AGREES
    assert verdict_on(log, [Drawn(100.0, 100)] * 20).word == DIFFERS


def test_power_grows_with_fewer_errors() -> None:
    assert power_of(0, 100) == 1
    assert power_of(5.8, 100) > 0.99
    assert power_of(8.78, 100) == pytest.approx(0.8, abs=0.005)
    assert power_of(30, 100) < 0.1


def test_episodes_are_counted_as_the_log_counts_them() -> None:
    """Against epochs played step by step: long episodes are cut off more often, and then not counted."""
    rng = random.Random(3)
    episodes = [Drawn(float(length), length) for length in (rng.randint(20, 180) for _ in range(400))]
    found = expected_epoch(episodes, 200, random.Random(1))
    means = []
    for _ in range(4000):
        left, done = 200, []
        while left > 0:
            one = rng.choice(episodes)
            left -= one.length
            done += [one.ep_return] if left >= 0 else []
        means.append(fmean(done))
    assert found == pytest.approx(fmean(means), abs=2)
    two = [Drawn(float(length), length) for length in (20, 180) * 50]
    assert expected_epoch(two, 150, random.Random(1)) == pytest.approx(20, abs=3), "the longer one never ends in time"
    assert expected_epoch(two, 10, random.Random(1)) == 100, "none ends"


@pytest.mark.parametrize("returns", [[5.0], [1.0, 4.0], [1.0, 4.0, 9.0], [1.0, 2.0, 4.0, 9.0]])
def test_few_logged_returns_are_recovered(returns: list[float]) -> None:
    log = logged(returns, 1)
    assert sorted(likely_returns(log.mean, log.spread, len(returns), log.low, log.high)) == pytest.approx(returns)


def test_more_logged_returns_keep_their_spread() -> None:
    returns = [float(x) for x in (3, 8, 1, 9, 4, 4, 7, 20)]
    log = logged(returns, 1)
    found = likely_returns(log.mean, log.spread, len(returns), log.low, log.high)
    assert (fmean(found), pstdev(found)) == pytest.approx((log.mean, log.spread), rel=0.05)
    assert likely_returns(3.0, None, 2) == [3.0, 3.0]
    assert sorted(likely_returns(3.0, 1.0, 3)) == [2.0, 3.0, 4.0]
