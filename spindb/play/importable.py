"""Modules of the user's own: looked for in the current directory, as ``python -m`` does."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def current_directory_importable() -> Iterator[None]:
    """Let imports inside find what lies in the current directory."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
