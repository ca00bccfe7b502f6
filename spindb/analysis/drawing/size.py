"""Sizes of pictures as people type them."""

from __future__ import annotations

import re

from spindb.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)\Z")
_MOST = 100.0


def figure_size(text: str | None) -> tuple[float, float] | None:
    """Width and height in inches out of ``6x4``, None for none.

    Raises:
        UsageError: it is no such size, or one that no picture has.
    """
    if text is None:
        return None
    match = _SIZE.match(text)
    size = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not all(1 <= side <= _MOST for side in size):
        raise UsageError(f"{text!r} is not a size: width and height in inches, 1 to {_MOST:.0f}", hint="--size 6x4")
    return size
