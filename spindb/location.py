"""Where the database is found. Imports nothing heavy: completion asks at every key."""

from __future__ import annotations

import os
from pathlib import Path

DATABASE_NAME = "spindb.db"


def located(given: str | None) -> str:
    """The database at `given`, else ``SPINDB_URL``, else the nearest file upward, else here."""
    chosen = given or os.environ.get("SPINDB_URL")
    if chosen:
        return str(chosen)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / DATABASE_NAME).is_file():
            return str(directory / DATABASE_NAME)
    return str(here / DATABASE_NAME)
