"""Libraries that only some jobs need are extras of the package; whoever lacks one is told which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spindb.errors import SpindbError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Imports inside may fail for want of an extra.

    Raises:
        SpindbError: one is not installed; the hint is the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("spindb"):
            raise
        raise SpindbError(
            f"this needs {error.name}, which is not installed", hint=f"pip install 'spindb[{extra}]'"
        ) from None
