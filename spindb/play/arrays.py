"""Types of what goes in and out of policies and environments."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]
"""An array of whatever type the file, the environment or the policy gives."""
Doubles: TypeAlias = NDArray[np.float64]
"""Numbers of double precision."""
Observation: TypeAlias = ArrayLike
"""One observation, or one per row. (Of a Dict space it is a dict of arrays, which no policy of ours takes.)"""
Action: TypeAlias = ArrayLike
"""One action, or one per row: numbers, or indices of choices."""
