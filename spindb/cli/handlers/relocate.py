"""Records that a data directory moved."""

from __future__ import annotations

from pathlib import Path

from spindb.cli.terminal.door import say
from spindb.index.database.connect import connected
from spindb.index.write.roots import relocate_root


def move_root(location: str, old: Path, new: Path) -> None:
    """Let the runs under `old` be under `new`.

    Raises:
        NotFoundError: no root is at `old`; UsageError: the new place does not fit.
    """
    with connected(location, write=True) as connection:
        count = relocate_root(connection, old, new)
    say(f"{count} runs are now under {new}")
