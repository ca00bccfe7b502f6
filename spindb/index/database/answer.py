"""What comes of a statement that a person typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST_MEMORY = 2**30
"""Bytes that a statement may take, where that can be limited."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A statement's columns, and its rows as the database gives them: each is read when it is taken."""

    titles: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
