"""Finds a run's performance column and its step counter, under the names that different loggers use.

Names are compared by their letters, ignoring case: ``eval/mean_reward`` is ``evalmeanreward``. A name is a performance
if its letters consist entirely of the words below, with exactly one word for a return, reward or score.
`docs/formats.md` shows the order of precedence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from spindb.records import MetricSeries, names_of

_RETURN = ("returns", "return", "rets", "ret")
_REWARD = ("rewards", "reward", "rews", "rew")
_SCORE = ("scores", "score")
_TEST = ("testing", "test", "evaluations", "evaluation", "evaluate", "eval", "validation")
_MEAN = ("averages", "average", "avg", "mean")
_EPISODE = ("episodes", "episodic", "episode", "eps", "ep")
_OTHER = (
    *("training", "train", "rollouts", "rollout", "exploration", "expl", "charts", "metrics", "performance", "perf"),
    *("environment", "envrunners", "env", "samplerresults", "sampler", "results", "stats", "info", "logs", "log"),
    *("total", "sum", "cumulative", "undiscounted", "raw", "agent", "policy"),
)
_WORDS = (*_RETURN, *_REWARD, *_SCORE, *_TEST, *_MEAN, *_EPISODE, *_OTHER)
_FIRST = ("AverageTestEpRet", "AverageEpRet")  # the names of Spinning Up's logger, which come first within their kind
_LONGEST = 80  # letters; longer names are not split into words
_OWN_WORD = "performance"
_STEPS = (
    *("totalenvinteracts", "totalsteps", "totaltimesteps", "timesteps", "envsteps", "steps", "totalenvsteps"),
    *("timetotaltimesteps", "totalnumsteps", "numenvsteps", "environmentsteps", "totalenvironmentsteps"),
    *("timestepstotal", "numenvstepssampledlifetime", "totalinteractions", "totalenvinteractions"),
)


def performance_of(columns: Sequence[MetricSeries]) -> str | None:
    """The run's performance column: the first in order of precedence with a number, else the first."""
    candidates = _candidates(names_of(columns))
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    series = {column.name: column.values for column in columns}
    with_numbers = (name for name in candidates if any(isinstance(cell, (int, float)) for cell in series[name]))
    return next(with_numbers, candidates[0])


def performance_in(names: Sequence[str]) -> str | None:
    """The performance name with the highest precedence, or None."""
    return next(iter(_candidates(tuple(names))), None)


def step_column_of(columns: Sequence[MetricSeries]) -> str | None:
    """The column that counts the environment steps of the whole training."""
    return _steps(names_of(columns))


@lru_cache(maxsize=64)  # most runs have the same columns as the run before
def _steps(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if _letters(name) in _STEPS), None)


@lru_cache(maxsize=64)
def _candidates(names: tuple[str, ...]) -> tuple[str, ...]:
    """The performance names, in order of precedence."""
    ranked = [(rank, place, name) for place, name in enumerate(names) if (rank := _rank(name)) is not None]
    return tuple(name for _, _, name in sorted(ranked))


def _rank(name: str) -> tuple[int, ...] | None:
    """The sort key of a performance name, or None for another metric.

    In this order: test before training, Spinning Up's names before others, return before reward before score, with a
    word for the mean before without.
    """
    letters = _letters(name)
    if letters == _OWN_WORD:
        return 1, 2, 0, 0
    words = _words(letters)
    kinds = [kind for kind, known in enumerate((_RETURN, _REWARD, _SCORE)) for word in words if word in known]
    if len(kinds) != 1:
        return None
    test = any(word in _TEST for word in words)
    meant = any(word in _MEAN for word in words)
    return 0 if test else 1, 0 if name in _FIRST else 1, kinds[0], 0 if meant else 1


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _words(letters: str) -> list[str]:
    """The letters split into known words; an empty list if that is impossible."""
    if len(letters) > _LONGEST:
        return []
    ends: dict[int, list[str]] = {0: []}  # for each reachable position, the words up to it
    for place in range(len(letters)):
        # Dynamic programming: the longest word first would fail for "epscore", which is "ep" and "score", not "eps".
        if place in ends:
            for word in _WORDS:
                end = place + len(word)
                if end not in ends and letters.startswith(word, place):
                    ends[end] = [*ends[place], word]
    return ends.get(len(letters), [])
