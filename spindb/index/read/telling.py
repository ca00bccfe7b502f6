"""Which fields tell settings apart: a partition that is refined field by field.

The cost is that of reading each value once, however many fields there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

EXPERIMENT = "exp_name"
ALGORITHM = "algo"
_OWN = (ALGORITHM, EXPERIMENT)

Values = Mapping[str, str]
"""The fields of a setting and their canonical texts; a field that it lacks is not there."""


def telling(settings: Sequence[Values]) -> list[str]:
    """The fields that tell these settings apart.

    All that take several values, since any of them may be the cause. A field that most settings of its algorithms lack,
    one that some merely have, the experiment's name, and what Python says of objects count only where they tell more
    than those before them.
    """
    fields = _fields(settings)
    partition = Partition(len(settings))
    lead = [f for f in fields if f.varies and not f.opaque and f.common and f.name != EXPERIMENT]
    found = [field.name for field in sorted(lead, key=_place)]
    for field in lead:
        partition.refine(field.members)
    named = {field.name for field in lead}
    others = [f for f in fields if f.name not in named and (f.varies or f.absent)]
    for field in sorted(others, key=lambda f: (f.opaque, f.name == EXPERIMENT, f.absent, f.name)):
        if partition.discrete:
            break
        if partition.refine(field.members):
            found.append(field.name)
    return found


def needed(settings: Sequence[Values], names: Iterable[str]) -> list[str]:
    """Those of these fields without which some of the settings would look alike, those that tell most first."""
    members: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for position, values in enumerate(settings):
        for name in members.keys() & values.keys():
            members[name].append((position, values[name]))
    partition = Partition(len(settings))
    found = []
    for name in sorted(members, key=lambda n: (n == EXPERIMENT, -len({text for _, text in members[n]}), n)):
        if partition.refine(members[name]):
            found.append(name)
    return found


class Partition:
    """Settings by what is known of them so far: those of one class look alike."""

    def __init__(self, count: int) -> None:
        self._class_of = [0] * count
        self._sizes = [count]
        self._count = count

    @property
    def discrete(self) -> bool:
        """Whether no two look alike."""
        return len(self._sizes) >= self._count

    def refine(self, members: Sequence[tuple[int, str]]) -> bool:
        """Split classes by a field, given as positions and values of those that have it; whether that split any."""
        parts: dict[tuple[int, str], list[int]] = {}
        for position, text in members:
            parts.setdefault((self._class_of[position], text), []).append(position)
        split = False
        for (old, _), positions in parts.items():
            if len(positions) == self._sizes[old]:  # all that is left of the class
                continue
            split = True
            for position in positions:
                self._class_of[position] = len(self._sizes)
            self._sizes[old] -= len(positions)
            self._sizes.append(len(positions))
        return split


class _Field:
    """A field with the settings that have it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[tuple[int, str]] = []
        self.absent = 0
        self.common = False

    def judge(self, settings: Sequence[Values], by_algorithm: Mapping[str, int]) -> None:
        """How many settings lack it, and whether most settings of the algorithms that have it do have it."""
        self.absent = len(settings) - len(self.members)
        algorithms = {settings[position].get(ALGORITHM, "") for position, _ in self.members}
        self.common = 2 * len(self.members) >= sum(by_algorithm[algorithm] for algorithm in algorithms)

    @property
    def varies(self) -> bool:
        first = self.members[0][1]
        return any(text != first for _, text in self.members)

    @property
    def opaque(self) -> bool:
        """Whether some value is no more than what Python says of an object."""
        return any(text.startswith('"<') for _, text in self.members)


def _fields(settings: Sequence[Values]) -> list[_Field]:
    found: dict[str, _Field] = {}
    by_algorithm: dict[str, int] = {}
    for position, values in enumerate(settings):
        algorithm = values.get(ALGORITHM, "")
        by_algorithm[algorithm] = by_algorithm.get(algorithm, 0) + 1
        for name, text in values.items():
            field = found.get(name)
            if field is None:
                field = found[name] = _Field(name)
            field.members.append((position, text))
    for field in found.values():
        field.judge(settings, by_algorithm)
    return list(found.values())


def _place(field: _Field) -> tuple[bool, str]:
    return field.name not in _OWN, field.name
