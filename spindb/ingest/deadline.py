"""A limit on the time that reading one run may take, kept by the operating system's timers.

The limit is on CPU time, so that a loaded machine or a slow disk makes no run too slow; and, ten times as long, on
the time that passes, for a file system that does not answer. Timers interrupt Python code and system calls that wait.
C code that does not return is ended from outside (`spindb.ingest.workers`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

SECONDS = 30.0
"""CPU time that a run may take unless another limit is given. Genuine runs take milliseconds."""
WAITING = 10
"""How many times as long it may take by the clock on the wall."""
_AGAIN = 1.0  # seconds until the next try where Python dropped the exception, as it does in a finaliser
_Result = TypeVar("_Result")


class TooSlowError(BaseException):
    """It took too long. No ``Exception``: the guards around the parts of a run must not take it for theirs."""


def within(seconds: float, function: Callable[..., _Result], *arguments: Any) -> _Result:
    """The function's result.

    Outside the main thread, where Python handles no signals, and on systems without timers there is no limit.

    Raises:
        TooSlowError: it took more than so many seconds of CPU time, or ten times as many in all.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    armed = True

    def too_slow(*_: Any) -> None:
        if armed:
            raise TooSlowError

    before = signal.signal(signal.SIGPROF, too_slow), signal.signal(signal.SIGALRM, too_slow)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
        signal.setitimer(signal.ITIMER_REAL, seconds * WAITING, _AGAIN)
        return function(*arguments)
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])
