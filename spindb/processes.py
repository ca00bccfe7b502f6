"""How worker processes are started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SAFE_PATH = "PYTHONSAFEPATH"


@contextmanager
def current_directory_unimportable() -> Iterator[None]:
    """Processes that are started inside import nothing from the current directory.

    ``multiprocessing`` starts a worker as ``python -c``, which looks for modules in the current directory first until
    it gets the path of the process that started it: a ``pickle.py`` there would be executed. From Python 3.11 on the
    variable PYTHONSAFEPATH prevents that. A pool starts its workers as tasks come: keep it open as long as the pool.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SAFE_PATH, None)
        else:
            os.environ[_SAFE_PATH] = before
