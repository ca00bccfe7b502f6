"""A limit on the time that reading one run may take, kept by the operating system's timers.

The limit is on CPU time, so that a loaded machine or a slow disk makes no run too slow; and, ten times as long, on
the time that passes, for a file system that does not answer. Timers interrupt Python code and system calls that wait.
C code that does not return is ended from outside (`spindb.ingest.workers`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

SECONDS = 30.0
"""CPU time that a run may take unless another limit is given. Genuine runs take milliseconds."""
WAITING = 10
"""How many times as long it may take by the clock on the wall."""
_AGAIN = 1.0  # seconds until the next try where Python dropped the exception, as it does in a finaliser
_Result = TypeVar("_Result")


class TooSlowError(BaseException):
    """It took too long. No ``Exception``: the guards around the parts of a run must not take it for theirs."""


_armed = False  # whether a function is running that has a limit
_handled = False  # whether the handlers below are in their places


def _too_slow(*_: Any) -> None:
    if _armed:
        raise TooSlowError


@contextmanager
def timed() -> Iterator[None]:
    """Inside, `within` costs a few microseconds: the handlers of the timers are put in their places once.

    Outside the main thread, where Python handles no signals, and on systems without timers nothing is changed.
    """
    global _handled
    able = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not able or _handled:
        yield
        return
    before = {number: signal.signal(number, _too_slow) for number in (signal.SIGPROF, signal.SIGALRM)}
    _handled = True
    try:
        yield
    finally:
        _handled = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def within_seconds(seconds: float, function: Callable[..., _Result], *arguments: Any) -> _Result:
    """The function's result. Where `timed` changes nothing there is no limit.

    Raises:
        TooSlowError: it took more than so many seconds of CPU time, or ten times as many in all.
    """
    global _armed
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    if not _handled:
        with timed():
            return within_seconds(seconds, function, *arguments) if _handled else function(*arguments)
    _armed = True
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
        signal.setitimer(signal.ITIMER_REAL, seconds * WAITING, _AGAIN)
        return function(*arguments)
    finally:
        _armed = False  # the timers run on: the next call sets them anew, `timed` stops them
