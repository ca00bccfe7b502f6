"""What each command does once its options are read: a module for each of `spindb.cli.commands`, and what they share.

A module of `commands` holds options and help alone, a module here imports at its top what the work needs: SQLAlchemy
takes a quarter of a second, which neither help nor completion should pay. So a module here is imported when a command
first names it, as ``handlers.runs``; ``handlers.playing`` is `spindb.cli.playing`, of the commands that play.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spindb.cli import playing as playing
    from spindb.cli.handlers import access as access
    from spindb.cli.handlers import annotate as annotate
    from spindb.cli.handlers import best as best
    from spindb.cli.handlers import compare as compare
    from spindb.cli.handlers import config as config
    from spindb.cli.handlers import db as db
    from spindb.cli.handlers import demo as demo
    from spindb.cli.handlers import diff as diff
    from spindb.cli.handlers import doctor as doctor
    from spindb.cli.handlers import du as du
    from spindb.cli.handlers import export as export
    from spindb.cli.handlers import figures as figures
    from spindb.cli.handlers import ingest as ingest
    from spindb.cli.handlers import params as params
    from spindb.cli.handlers import plot as plot
    from spindb.cli.handlers import query as query
    from spindb.cli.handlers import relocate as relocate
    from spindb.cli.handlers import runs as runs
    from spindb.cli.handlers import show as show
    from spindb.cli.handlers import snapshots as snapshots
    from spindb.cli.handlers import sql as sql


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(name)
    return import_module("spindb.cli.playing" if name == "playing" else f"spindb.cli.handlers.{name}")
