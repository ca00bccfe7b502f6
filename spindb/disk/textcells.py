"""Text cells in the columns of a table: those that represent numbers, and the problems of the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spindb.disk.cells import is_ambiguous, number_in_text
from spindb.disk.notes import Notes, many, short
from spindb.records import Cell


def read_text_numbers(
    name: str, values: list[Cell], lines: Sequence[int], unclear: Collection[int], notes: Notes
) -> None:
    """Replace text that represents a number, and report that and remaining text, once per column.

    Args:
        name: name of the column.
        values: cells of the column; changed in place.
        lines: the line number of each row.
        unclear: rows whose text is known to be ambiguous.
        notes: receives the problems.
    """
    texts = [(index, value) for index, value in enumerate(values) if isinstance(value, str)]
    if not texts:
        return
    found = {
        index: number for index, text in texts if index not in unclear and (number := number_in_text(text)) is not None
    }
    if any("[" in text or text.startswith("(") for index, text in texts if index not in found):
        # a column of lists: "[1]" is a list of one
        found = {index: number for index, number in found.items() if not number.inside}
    if found:
        first = next(iter(found))
        example = short(str(values[first]))
        for index, number in found.items():
            values[index] = number.number
        message = f"column {name}: {many(len(found), 'text')} such as {example}: read as the number in it"
        notes.report("text-numbers", message, lines[first])
    left = [(index, text) for index, text in texts if index not in found]
    ambiguous = [(index, text) for index, text in left if index in unclear or is_ambiguous(text)]
    others = [(index, text) for index, text in left if index not in unclear and not is_ambiguous(text)]
    if ambiguous:
        index, text = ambiguous[0]
        message = f"column {name}: {many(len(ambiguous), 'text')} such as {short(text)}"
        notes.report("ambiguous-number", f"{message}: more than one reading, kept as text", lines[index])
    if others:
        index, text = others[0]
        numbers = sum(isinstance(value, (int, float)) for value in values)
        beside = f"beside {many(numbers, 'number')}" if numbers else "and no number"
        message = f"column {name}: {many(len(others), 'text')} such as {short(text)} {beside}: kept as text"
        notes.report("text-cells", message, lines[index])
