"""Which versions of the stack a result was made with."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = ("spindb", "tensorflow", "numpy", "gym", "gymnasium")


def versions() -> dict[str, str]:
    """Python and the packages that take part in playing, those that are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
