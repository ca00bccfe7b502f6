"""Modules of the user's own: looked for in the current directory, after everything that is installed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def current_directory_importable() -> Iterator[None]:
    """Let imports inside find what lies in the current directory and is installed nowhere.

    It is searched last, so that a ``gym.py`` lying there never stands in for the library. Import the libraries
    themselves outside: gym looks for plug-ins in every directory that is searched.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was removed
        yield
        return
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added:
            with contextlib.suppress(ValueError):  # the module removed it itself
                sys.path.remove(here)
