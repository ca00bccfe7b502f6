"""``spindb config``: what stays set for this user."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli.options import AsJson
from spindb.cli.terminal.door import echo, say
from spindb.cli.terminal.tables import print_json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("config")(config)


def config(
    key: Annotated[str | None, typer.Argument(help="What to set: data_dir. (default: all that is set)")] = None,
    value: Annotated[str | None, typer.Argument(help="What to set it to; without one it is shown.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Take it back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set what is to stay for you, in whichever directory you are: where your runs are.

    spindb config data_dir ~/experiments

    spindb config data_dir --unset
    """
    from spindb.errors import NotFoundError, UsageError
    from spindb.preferences import KEYS, place, prefer, preferences, require_key

    if key is not None:
        require_key(key)
    if unset and (key is None or value is not None):
        raise UsageError("--unset takes the name of what to take back, and no value")
    if key is not None and (unset or value is not None):
        prefer(key, _absolute(value))
        say(f"written to {place()}")
        return
    found = preferences()
    if as_json:
        print_json({name: found.get(name) for name in KEYS if key in (None, name)})
        return
    if key is not None and key not in found:
        raise NotFoundError(f"{key} is not set: {KEYS[key]}", hint=f"spindb config {key} VALUE sets it")
    for name in KEYS if key is None else (key,):
        if key is not None:
            echo(found[name])
        else:
            echo(f"{name}  {found.get(name) or '(not set)'}  {KEYS[name]}")


def _absolute(value: str | None) -> str | None:
    """A directory that is the same from everywhere."""
    import os

    return None if value is None else os.path.abspath(os.path.expanduser(value))
