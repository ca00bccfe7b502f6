"""What a policy's output ``pi`` is: the action itself, or something that the action space must make an action of.

A save holds layers; what its author's code does with their output often does not stand in it. A last layer of n numbers
may be the mean of a Gaussian, an action before it is squashed, logits of n choices or their values. The loader says
what it knows, `spindb.play.actions` decides by the environment's action space, and what stays open is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Scores = Literal["logits", "values", "probabilities"]
"""What one number per choice can be: logits and probabilities are drawn from, of values the greatest is taken."""


@dataclass(frozen=True, slots=True)
class Form:
    """How ``pi`` becomes an action.

    Attributes:
        settled: ``pi`` is the action.
        scores: what the numbers are where there is one per choice; None where that is not known.
        met: what was met, for messages about what is open: ``the last layer of pi has no activation``.
        limit: the greatest action that the save keeps, one number or one per dimension; None where it keeps none.
        squashed: ``pi`` lies between -1 and 1 before that limit.
    """

    settled: bool = True
    scores: Scores | None = None
    met: str = ""
    limit: Any = None
    squashed: bool = False


SETTLED = Form()
