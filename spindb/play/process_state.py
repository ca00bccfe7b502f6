"""What playing changes in the process that plays, put back when it is over.

Libraries of environments set environment variables when they are imported (gym an audio driver, pygame's prompt) and
warn by loggers of their own; an author's module may extend ``sys.path``. A caller in Python, or a server that plays,
finds its process as it was. What an import set is set again by the next session, since a module is imported once.

All of this belongs to the process and not to a thread: sessions that play at the same time take a process each.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

_LIBRARIES = ("gym", "gymnasium")
_USUAL_LEVEL = 30  # of both libraries' loggers after their import

_variables: dict[str, str] = {}
_places: list[str] = []


@contextlib.contextmanager
def unchanged_process(*, but_for: Sequence[str] = ()) -> Iterator[None]:
    """Inside, playing may change the process; afterwards it is as before.

    That is ``sys.path``, ``os.environ``, the filters of warnings, file descriptor 2, and which messages gym and
    gymnasium log.

    Args:
        but_for: environment variables that stay as they were set inside.
    """
    before, places, levels = dict(os.environ), list(sys.path), _levels()
    descriptor = _duplicate(2)
    os.environ.update({name: value for name, value in _variables.items() if name not in os.environ})
    sys.path.extend(place for place in _places if place not in sys.path)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        sys.path[:] = places
        _restore_variables(before, but_for)
        for library in _LIBRARIES:
            if (logger := sys.modules.get(f"{library}.logger")) is not None:
                vars(logger)["min_level"] = levels.get(library, _USUAL_LEVEL)
        if descriptor is not None:
            os.dup2(descriptor, 2)
            os.close(descriptor)


@contextlib.contextmanager
def set_by_import() -> Iterator[None]:
    """Remember what the imports inside add to ``os.environ`` and ``sys.path``, for later sessions."""
    before, places = dict(os.environ), list(sys.path)
    try:
        yield
    finally:
        _variables.update({name: value for name, value in os.environ.items() if before.get(name) != value})
        _places.extend(place for place in sys.path if place not in places and place not in _places)


def _levels() -> dict[str, int]:
    modules = {library: sys.modules.get(f"{library}.logger") for library in _LIBRARIES}
    return {library: vars(module)["min_level"] for library, module in modules.items() if module is not None}


def _restore_variables(before: dict[str, str], but_for: Sequence[str]) -> None:
    for name in [name for name in os.environ if name not in before and name not in but_for]:
        del os.environ[name]
    for name, value in before.items():
        if name not in but_for and os.environ.get(name) != value:
            os.environ[name] = value


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # it is closed
        return None
