"""How snapshots are printed."""

from __future__ import annotations

from spindb.cli.terminal.tables import print_table, say
from spindb.views.snapshots import Snapshots
from spindb.views.text import size


def print_snapshots(saved: Snapshots, *, reasons: bool = False) -> None:
    """A table of them; with `reasons` also why one is stale or can't be loaded."""
    rows = [
        (itr_text(s.itr), s.kind, s.path, size(s.size), ", ".join(sorted(s.outputs)), saved.remark(s))
        for s in saved.all
    ]
    print_table(("itr", "kind", "path", "size", "outputs", ""), rows, right=("itr", "size"))
    for snapshot in saved.all:
        reason = snapshot.unloadable or snapshot.stale
        if reasons and reason:
            say(f"  {snapshot.path}: {reason}")


def itr_text(itr: int | None) -> str:
    """The number of a snapshot, ``-`` where it has none."""
    return "-" if itr is None else str(itr)
