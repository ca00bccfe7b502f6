"""Hyperparameters over several runs: which there are, and which values they take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from spindb.index.read.overview import KeyRow, keys_over, varying_keys
from spindb.views.text import show, show_hyperparameter

_MAX_VALUES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """A row per hyperparameter of ``runs`` runs."""

    runs: int
    rows: tuple[KeyRow, ...]

    def as_json(self) -> list[dict[str, object]]:
        """An object for each hyperparameter, with all its values and their counts."""
        return [
            {
                "key": row.key,
                "runs": row.runs,
                "absent": self.runs - row.runs,
                "types": row.types,
                "values": [{"value": value, "runs": count} for value, count in row.values],
            }
            for row in self.rows
        ]

    def lines(self) -> Iterator[tuple[str, object, int]]:
        """Key, value and number of runs for each value."""
        return ((row.key, value, count) for row in self.rows for value, count in row.values)

    def values_of(self, row: KeyRow, *, with_absent: bool) -> str:
        """The most frequent values with their counts, or the range where they are many numbers."""
        absent = self.runs - row.runs if with_absent else 0
        values = row.values
        numbers = [v for v, _ in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        # A range only where no text is among them: a text may be a placeholder that the reader should see.
        if len(values) > _MAX_VALUES_SHOWN and len(numbers) == len(values):
            shown = [f"{show(min(numbers))} … {show(max(numbers))}"]
        else:
            shown = _counted(values, alone=len(values) == 1 and not absent)
        return ", ".join([*shown, *([f"absent ({absent})"] if absent else ())])


def _counted(values: Sequence[tuple[object, int]], *, alone: bool) -> list[str]:
    texts = [show_hyperparameter(json.dumps(value, ensure_ascii=False)) for value, _ in values[:_MAX_VALUES_SHOWN]]
    if alone:
        return texts
    shown = [f"{text} ({count})" for text, (_, count) in zip(texts, values, strict=False)]
    return [*shown, "…"] if len(values) > _MAX_VALUES_SHOWN else shown


def hyperparameters(
    connection: Connection, ids: Sequence[int], *, varying: bool = False, internal: bool = False
) -> Hyperparameters:
    """The hyperparameters of these runs, by key; with `varying` those that differ, what tells most first."""
    rows = keys_over(connection, ids, internal=internal)
    if varying:
        order = {row.key: position for position, row in enumerate(varying_keys(connection, ids))}
        rows = sorted((row for row in rows if row.key in order), key=lambda row: order[row.key])
    return Hyperparameters(len(ids), tuple(rows))
