"""How runs are named where several are listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath


def shortest_names(paths: Sequence[str | PurePath]) -> list[str]:
    """For each path as many of its last parts as it takes to tell it from the others, at least one.

    Equal paths stay equal: they are given whole.

    >>> shortest_names(["a/x/output_dir", "a/y/output_dir", "b/ppo_s0"])
    ['x/output_dir', 'y/output_dir', 'ppo_s0']
    """
    parts = [PurePath(path).parts for path in paths]
    taken = [1] * len(parts)
    waiting = list(range(len(parts)))
    while waiting:
        names = Counter(own[-count:] for own, count in zip(parts, taken, strict=True))
        waiting = [
            place for place in waiting if names[parts[place][-taken[place] :]] > 1 and taken[place] < len(parts[place])
        ]
        for place in waiting:
            taken[place] += 1
    return [str(PurePath(*own[-count:])) if own else "." for own, count in zip(parts, taken, strict=True)]
