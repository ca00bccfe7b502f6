"""How worker processes are started and limited."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SAFE_PATH = "PYTHONSAFEPATH"
_START = """\
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[2])
importlib.import_module(sys.argv[1]).main()"""


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


def command_of(module: str) -> list[str]:
    """The command line of a process that calls ``main()`` of a module, with the module search path of this one.

    Not by `multiprocessing`, which would run the calling script's file again in each process.
    """
    start = [sys.executable, "-I", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _START]
    return [*start, module, json.dumps(sys.path)]


def limit_memory(size: int) -> None:
    """Let allocations of this process fail beyond so many bytes, and leave no core file when it crashes."""
    try:
        import resource
    except ImportError:  # another system
        return
    for kind, limit in ((resource.RLIMIT_DATA, size), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def how_it_ended(code: int) -> str:
    """An exit status as `subprocess` gives it, in words: ``SIGSEGV``, ``exit code 1``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
