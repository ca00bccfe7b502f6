"""Paths of runs relative to a root, and which directories an ingest goes through."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def outermost(directories: Iterable[Path]) -> list[Path]:
    """The directories in their order, each once, those inside others left out."""
    given = list(dict.fromkeys(directories))
    return [directory for directory in given if not any(other in directory.parents for other in given)]


def join(inside: str, path: str) -> str:
    """A path below a directory `inside` the root, relative to the root."""
    if inside == ".":
        return path or "."
    joined = os.path.normpath(os.path.join(inside, path))
    return joined.replace(os.sep, "/")


def under(path: str, directories: list[str]) -> bool:
    """Whether a path is one of the directories or lies below one."""
    return any(path == d or path.startswith(d + "/") or d == "." for d in directories)
