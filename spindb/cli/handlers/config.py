"""Shows and changes the user's settings."""

from __future__ import annotations

import os

from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.door import echo, say
from spindb.errors import NotFoundError, UsageError
from spindb.preferences import KEYS, place, prefer, preferences, require_key


def change_or_show(key: str | None, value: str | None, *, unset: bool, as_json: bool) -> None:
    """Set, remove or show a setting; without a key show all.

    Raises:
        UsageError: no such setting, or the options don't fit together; NotFoundError: the setting is not set.
    """
    if key is not None:
        require_key(key)
    if unset and (key is None or value is not None):
        raise UsageError("--unset takes the name of one setting, and no value")
    if key is not None and (unset or value is not None):
        prefer(key, _absolute(value))
        say(f"written to {place()}")
        return
    found = preferences()
    if as_json:
        print_json({name: found.get(name) for name in KEYS if key in (None, name)})
    elif key is None:
        for name in KEYS:
            echo(f"{name}  {found.get(name) or '(not set)'}  {KEYS[name]}")
    elif key not in found:
        raise NotFoundError(f"{key} is not set: {KEYS[key]}", hint=f"spindb config {key} VALUE sets it")
    else:
        echo(found[key])


def _absolute(value: str | None) -> str | None:
    """The directory as it can be found from every other one."""
    return None if value is None else os.path.abspath(os.path.expanduser(value))
