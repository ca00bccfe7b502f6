"""This machine: its name, and what time it is there, as all tables hold it."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timezone
from pathlib import Path


def now() -> datetime:
    """The time in UTC, without a zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def this_host() -> str:
    """The name of this machine, as roots hold it."""
    return socket.gethostname()


def real(path: str | Path) -> Path:
    """The absolute path without links."""
    return Path(os.path.realpath(path))
