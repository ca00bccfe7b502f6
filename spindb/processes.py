"""How worker processes are started and limited."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SAFE_PATH = "PYTHONSAFEPATH"
_START = """\
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[3])
getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()"""


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


def command_of(module: str, function: str) -> list[str]:
    """The command line of a process that calls a function of a module, with the module search path of this one.

    Not by `multiprocessing`, which would run the calling script's file again in each process.
    """
    start = [sys.executable, "-I", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _START]
    return [*start, module, function, json.dumps(sys.path)]


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, killed (SIGKILL) included.

    Standard input is a pipe of which the other process holds the end and into which it writes nothing. The kernel says
    that end by a signal, so that code which never returns to Python ends too.
    """
    import fcntl  # Unix has it

    signal.signal(signal.SIGIO, signal.SIG_DFL)  # which ends the process
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    if poll.poll(0):  # it was gone before
        os._exit(1)


def limit_memory(size: int) -> None:
    """Let allocations of this process fail beyond so many bytes, and leave no core file when it crashes."""
    try:
        import resource  # Unix has it
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
