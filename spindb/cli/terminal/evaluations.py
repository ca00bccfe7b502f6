"""How evaluated snapshots are printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spindb.cli.terminal.tables import print_table, show

if TYPE_CHECKING:
    from spindb.index.read.evaluations import Evaluated


def print_evaluations(rows: Sequence[Evaluated]) -> None:
    """A table of them; nothing where there are none."""
    table = [(e.run_id, e.name, _itr(e.itr), e.episodes, _mean(e), e.env_id) for e in rows]
    if table:
        print_table(("run", "name", "itr", "n", "mean return ± se", "env"), table, right=("itr", "mean return ± se"))


def _mean(e: Evaluated) -> str:
    error = e.standard_error
    return show(e.mean_return) + ("" if error is None else f" ± {show(error)}")


def _itr(itr: int | None) -> str:
    return "-" if itr is None else str(itr)
