"""What the commands that play do. It brings numpy and more: a command imports it when it runs, help never does.

A module here is imported when a command first names it, as ``handlers.playing.sweep``; where an extra is missing, the
error says which.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from spindb.extras import require_extra

if TYPE_CHECKING:
    from spindb.cli.playing import episodes as episodes
    from spindb.cli.playing import export as export
    from spindb.cli.playing import figures as figures
    from spindb.cli.playing import options as options
    from spindb.cli.playing import sweep as sweep
    from spindb.cli.playing import verify as verify


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(name)
    with require_extra():
        return import_module(f"spindb.cli.playing.{name}")
