"""The line under a rollout that tells how far it is and what came out so far, in a terminal."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spindb.cli.terminal.door import echo_log

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from spindb.play.rollouts.rollout import Trace


@contextmanager
def so_far(episodes: int) -> Iterator[list[Trace]]:
    """Show a line while episodes end: whoever plays them tells what this gives; nothing where stderr is no terminal."""
    if not os.isatty(2):
        yield []
        return
    from spindb.cli.terminal.bars import episodes_bar  # rich takes 40 ms, for nothing where stderr is a file

    # Lines on stdout must pass above it where stdout is the same terminal, and stay untouched where it is a file.
    with episodes_bar(redirect=os.isatty(1)) as bar:
        yield [_SoFar(bar, bar.add_task("", total=episodes))]


class _SoFar:
    """Sums up returns as steps are made."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._returns: list[float] = []
        self._return = 0.0

    def step(self, observation: Any, action: Any, reward: float) -> None:
        self._return += reward

    def end(self) -> None:
        self._returns.append(self._return)
        self._return = 0.0
        self._bar.update(self._task, advance=1, description=f"EpRet {mean_and_error(self._returns)}")


def print_line(line: str) -> None:
    """Print on stdout, through what `so_far` put there."""
    echo_log(line)


def mean_and_error(values: list[float]) -> str:
    """The mean of n values and its standard error (the sample's deviation by √n); of one value the mean alone."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.5g}"
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return f"{mean:.5g} ± {math.sqrt(variance / len(values)):.2g}"
