"""The meaning of a policy's output ``pi``: the action itself, or values that the action space interprets.

A save contains layers, but often not what its author's code does with their output. A last layer of n numbers may be
the mean of a Gaussian, an action before squashing, n logits or n values. The loader states what it knows,
`spindb.play.actions` decides by the environment's action space, and for open cases the user must give a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Scores = Literal["logits", "values", "probabilities"]
"""Meanings of one number per action: logits and probabilities are sampled, the greatest value is chosen."""


@dataclass(frozen=True, slots=True)
class Form:
    """How ``pi`` becomes an action.

    Attributes:
        settled: ``pi`` is the action.
        scores: the meaning of the numbers if there is one per action; None if unknown.
        met: why the output is open, for messages: ``the last layer of pi has no activation``.
        limit: the saved limit of actions, one number or one per dimension; None if there is none.
        squashed: ``pi`` is between -1 and 1 before it is scaled by the limit.
    """

    settled: bool = True
    scores: Scores | None = None
    met: str = ""
    limit: Any = None
    squashed: bool = False


SETTLED = Form()
