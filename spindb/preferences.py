"""What a user set to stay, by ``spindb config``: a JSON file in the place that the system has for such files."""

from __future__ import annotations

import json
import os
from pathlib import Path

from spindb.errors import UsageError
from spindb.files import atomic_write

KEYS = {"data_dir": "where runs are written, and what is ingested, unless something else is named"}
"""What can be set, and what it means."""

_PLACE = "SPINDB_CONFIG"


def place() -> Path:
    """The file: ``$SPINDB_CONFIG``, else ``spindb/config.json`` in the user's directory for configurations."""
    if named := os.environ.get(_PLACE):
        return Path(named)
    from platformdirs import user_config_path  # most commands do without, and start sooner

    return user_config_path("spindb", appauthor=False) / "config.json"


def preferences() -> dict[str, str]:
    """Everything that is set.

    Raises:
        UsageError: the file is damaged.
    """
    path = place()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}", hint="repair or remove it") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UsageError(f"{path} is not a JSON object of strings", hint="repair or remove it")
    return found


def preference(key: str) -> str | None:
    """What is set, None where nothing is. Raises `UsageError` where the file is damaged."""
    return preferences().get(key)


def require_key(key: str) -> None:
    """Refuse what can't be set. Raises `UsageError`."""
    if key not in KEYS:
        raise UsageError(f"unknown setting {key!r}", hint=f"settings: {', '.join(KEYS)}")


def prefer(key: str, value: str | None) -> None:
    """Set a key to stay; None takes it back.

    Raises:
        UsageError: there is no such key, or the file can't be read or written.
    """
    require_key(key)
    found = preferences()
    found.pop(key, None)
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(found if value is None else {**found, key: value}, indent=2) + "\n", "utf-8")
