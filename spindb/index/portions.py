"""Ids in portions that one statement takes: databases limit the number of parameters."""

from __future__ import annotations

from collections.abc import Sequence

_BATCH = 500


def batches[T: (int, str)](ids: Sequence[T]) -> list[Sequence[T]]:
    """The ids in order, cut into portions."""
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
