"""Ids in chunks that one statement takes: databases limit the number of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_BATCH = 500
_Id = TypeVar("_Id", int, str)


def batches(ids: Sequence[_Id]) -> list[Sequence[_Id]]:
    """The ids in order, cut into chunks."""
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
