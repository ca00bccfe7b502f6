"""Collects the problems of one table: repeated ones are counted, lost rows are listed up to a limit."""

from __future__ import annotations

from dataclasses import dataclass, field

from spindb.records import Problem

_MAX_LOST = 20  # lost rows that are listed one by one
_SHOWN = 40  # characters of a cell in a message


@dataclass(slots=True)
class _Seen:
    """A problem that occurs on several lines and is reported once."""

    line: int
    count: int = 1


@dataclass(slots=True)
class Notes:
    """Problems of one file."""

    path: str
    problems: list[Problem] = field(default_factory=list)
    lost: int = 0
    seen: dict[tuple[str, str], _Seen] = field(default_factory=dict)

    def report(self, code: str, message: str, line: int | None = None) -> None:
        self.problems.append(Problem(code, message, self.path, line))

    def lose(self, code: str, message: str, line: int) -> None:
        """A row is left out."""
        self.lost += 1
        if self.lost <= _MAX_LOST:
            self.report(code, message, line)

    def count(self, code: str, message: str, line: int) -> None:
        """Count a problem that may occur on several lines; ``{n}`` in the message is replaced by the count."""
        found = self.seen.get((code, message))
        if found is None:
            self.seen[code, message] = _Seen(line)
        else:
            found.count += 1

    def all(self) -> list[Problem]:
        """All problems: single ones first, then the counted ones."""
        if self.lost > _MAX_LOST:
            self.report("more-odd-rows", f"{self.lost - _MAX_LOST} more rows are odd and left out")
        for (code, message), found in self.seen.items():
            self.report(code, message.replace("{n}", _times(found.count)), found.line)
        return self.problems


def _times(count: int) -> str:
    return "" if count == 1 else f" ({count} times)"


def many(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short(text: str) -> str:
    """A cell, shortened for a message."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
