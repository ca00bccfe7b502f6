"""Differences between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Fact(NamedTuple):
    """A value to compare: ``same`` is its text for equality, ``shown`` its short form, ``exact`` the full one."""

    same: str
    shown: str
    exact: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A key and its value in each run, None for a run without the key.

    ``values`` are short if that distinguishes different ones; ``exact`` are complete.
    """

    key: str
    values: tuple[str | None, ...]
    exact: tuple[str | None, ...]


def differences(mappings: Sequence[Mapping[str, Fact]], *, everything: bool = False) -> list[Difference]:
    """The keys whose values differ between the mappings, sorted; with `everything` all keys."""
    found = []
    for key in sorted({key for mapping in mappings for key in mapping}):
        facts = [mapping.get(key) for mapping in mappings]
        if everything or len({None if fact is None else fact.same for fact in facts}) > 1:
            found.append(_difference(key, facts))
    return found


def _difference(key: str, facts: Sequence[Fact | None]) -> Difference:
    there = {fact.same: fact.shown for fact in facts if fact is not None}
    told = len(set(there.values())) == len(there)
    shown = tuple(None if fact is None else fact.shown if told else fact.same for fact in facts)
    return Difference(key, shown, tuple(None if fact is None else fact.exact for fact in facts))
