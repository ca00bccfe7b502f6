"""What differs between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ABSENT = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A key and its value in each run, ``None`` where a run has no such key."""

    key: str
    values: tuple[str | None, ...]


def differences(mappings: Sequence[Mapping[str, str]], *, everything: bool = False) -> list[Difference]:
    """The keys whose values are not the same in all mappings, sorted; with `everything` all keys."""
    keys = sorted({key for mapping in mappings for key in mapping})
    rows = [Difference(key, tuple(mapping.get(key, ABSENT) for mapping in mappings)) for key in keys]
    return [row for row in rows if everything or len(set(row.values)) > 1]
