"""Host name, current time and real paths, in the form in which the tables store them."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timezone
from pathlib import Path


def now() -> datetime:
    """The current time in UTC as a naive datetime: SQLite stores no time zones."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def this_host() -> str:
    """The name of this machine, as stored with roots."""
    return socket.gethostname()


def real(path: str | Path) -> Path:
    """The absolute path with all links resolved."""
    return Path(os.path.realpath(path))
