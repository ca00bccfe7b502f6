"""A verdict in words and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from spindb.records import Verdict
from spindb.verdicts import CANT_TELL

SAID = {CANT_TELL: "can't tell"}


def word_of(verdict: Verdict) -> str:
    """As a sentence has it."""
    return SAID.get(verdict.word, verdict.word)


def line_of(verdict: Verdict) -> str:
    """One line: ``logged at epoch 40: 4690 ± 80, played 20 episodes: 4612 ± 95: agrees``; ± is the standard error."""
    reason = f" ({verdict.reason})" if verdict.reason else ""
    if verdict.logged_mean is None or verdict.played is None:
        return f"not compared with the log: {verdict.reason or word_of(verdict)}"
    place = f"logged at epoch {verdict.epoch}" if verdict.epoch is not None else "logged"
    logged = with_error(verdict.logged_mean, verdict.logged_error)
    played = with_error(verdict.played, verdict.played_error)
    return f"{place}: {logged}, played {verdict.episodes} episodes: {played}: {word_of(verdict)}{reason}"


def with_error(mean: float, error: float | None) -> str:
    """A mean and its standard error, to as many digits as the error leaves."""
    return _short(mean) if error is None else f"{_short(mean)} ± {_short(error)}"


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON has it; ``interval`` is the 99 % interval of the difference."""
    interval = verdict.interval
    return {**asdict(verdict), "interval": list(interval) if interval else None}


def _short(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.3g}"
