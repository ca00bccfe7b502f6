"""Which fields tell settings apart: a partition that is refined field by field.

The cost is that of reading each value once, however many fields there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

EXPERIMENT = "exp_name"
ALGORITHM = "algo"
_OWN = (ALGORITHM, EXPERIMENT)

Values = Mapping[str, str]
"""The fields of a setting and their canonical texts; a field that it lacks is not there."""


def distinguishing_fields(settings: Sequence[Values]) -> list[str]:
    """The fields that tell these settings apart.

    All that take several values, since any of them may be the cause. A field that most settings of its algorithms lack,
    one that some merely have, the experiment's name, and what Python says of objects count only where they tell more
    than those before them.
    """
    fields = _fields(settings)
    partition = Partition(len(settings))
    # All that takes several values is shown, even where fewer would do: any of it may be the cause of a difference.
    lead = [f for f in fields if f.varies and not f.opaque and f.common and f.name != EXPERIMENT]
    found = [field.name for field in sorted(lead, key=_place)]
    for field in lead:
        partition.refine(field.places, field.texts)
    named = {field.name for field in lead}
    others = [f for f in fields if f.name not in named and (f.varies or f.absent)]
    # These only as far as settings still look alike: each that is shown takes a column from the others.
    for field in sorted(others, key=lambda f: (f.opaque, f.name == EXPERIMENT, f.absent, f.name)):
        if partition.discrete:
            break
        if partition.refine(field.places, field.texts):
            found.append(field.name)
    return found


def needed(settings: Sequence[Values], names: Iterable[str]) -> list[str]:
    """Those of these fields without which some of the settings would look alike, those that tell most first."""
    fields = {name: _Field(name) for name in names}
    for position, values in enumerate(settings):
        for name in fields.keys() & values.keys():
            fields[name].add(position, values[name])
    partition = Partition(len(settings))
    found = []
    for field in sorted(fields.values(), key=lambda f: (f.name == EXPERIMENT, -len(set(f.texts)), f.name)):
        if partition.refine(field.places, field.texts):
            found.append(field.name)
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

    def refine(self, places: Sequence[int], texts: Sequence[str]) -> bool:
        """Split classes by a field, given as positions and values of those that have it; whether that split any."""
        parts: dict[tuple[int, str], list[int]] = {}
        for position, text in zip(places, texts, strict=True):
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

    __slots__ = ("absent", "common", "name", "opaque", "places", "texts", "varies")

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: list[int] = []
        self.texts: list[str] = []

    def add(self, position: int, text: str) -> None:
        """A setting that has it."""
        self.places.append(position)
        self.texts.append(text)

    def judge(self, algorithms: Sequence[str], by_algorithm: Mapping[str, int]) -> None:
        """Whether it varies; how many settings lack it; and whether most of the algorithms that have it do have it."""
        texts = set(self.texts)
        self.varies = len(texts) > 1
        self.opaque = any(text[:2] == '"<' for text in texts)  # no more than what Python says of an object
        self.absent = len(algorithms) - len(self.places)
        mine = set(map(algorithms.__getitem__, self.places)) if self.absent else ()
        # A hyperparameter of one algorithm only is common among its own runs, however few those are.
        self.common = 2 * len(self.places) >= sum(map(by_algorithm.__getitem__, mine))


def _fields(settings: Sequence[Values]) -> list[_Field]:
    found: dict[str, _Field] = {}
    algorithms = [values.get(ALGORITHM, "") for values in settings]
    by_algorithm = Counter(algorithms)
    for position, values in enumerate(settings):
        for name, text in values.items():
            field = found.get(name)
            if field is None:
                field = found[name] = _Field(name)
            field.add(position, text)
    for field in found.values():
        field.judge(algorithms, by_algorithm)
    return list(found.values())


def _place(field: _Field) -> tuple[bool, str]:
    return field.name not in _OWN, field.name
