"""Ends a statement of SQLite that takes too long, also where one call of a function does.

SQLite looks whether it was interrupted between two instructions of its machine, and never within one: a search of one
blob in another is a single instruction that may take years. Python's handlers of signals wait for the end of that call
too. So a thread watches: it interrupts the statement when its time is over or a signal has come, and where the
statement does not end by that, nothing but the end of the process does, which the caller decides.
"""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_AGAIN = 0.05  # seconds: an interrupt that comes before SQLite began is lost
_PATIENCE = 1.0  # seconds that a statement has to end by itself once it was interrupted
_STOP = b"\0"  # no signal has this number
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

GiveUp = Callable[[str | None], None]
"""Takes the name of the signal that came, or None where the time is over; it ends the process."""


class Watch:
    """Iterates over rows so that it is known whether SQLite is at work or the caller, who prints them."""

    def __init__(self, driver: sqlite3.Connection, seconds: float, give_up: GiveUp | None) -> None:
        self._driver = driver
        self._end = time.monotonic() + seconds if seconds else None
        self._give_up = give_up
        self._inside = False

    def execute(self, cursor: sqlite3.Cursor, text: str) -> None:
        """Begin the statement."""
        self._inside = True
        cursor.execute(text)
        self._inside = False

    def rows(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        """The cursor's rows, each read when it is taken."""
        while True:
            self._inside = True
            row = next(cursor, None)
            self._inside = False
            if row is None:
                return
            yield row

    def _guard(self, woken: int) -> None:
        """In the thread: until the statement is over."""
        left = None if self._end is None else max(0.0, self._end - time.monotonic())
        came = _signal(woken, left)
        if came == _STOP:
            return
        since = time.monotonic()
        while self._interrupted(woken) != _STOP:
            if self._inside and self._give_up is not None and time.monotonic() - since > _PATIENCE:
                self._give_up(signal.Signals(came[0]).name if came else None)
            elif not self._inside:
                since = time.monotonic()

    def _interrupted(self, woken: int) -> bytes:
        self._driver.interrupt()
        return _signal(woken, _AGAIN)


def _signal(woken: int, seconds: float | None) -> bytes:
    """The next signal that ends a command, or `_STOP`, or nothing after so many seconds."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        try:
            if not select.select([woken], [], [], left)[0]:
                return b""
            came = os.read(woken, 1)
        except OSError:  # a signal that came as the ``with`` began or ended has closed the pipe: the statement is over
            return _STOP
        if came == _STOP or came[0] in _ENDING:
            return came


@contextmanager
def watched(driver: sqlite3.Connection, seconds: float, give_up: GiveUp | None = None) -> Iterator[Watch]:
    """Interrupt the statement of the ``with`` after so many seconds (0: never), and when a signal comes.

    Args:
        driver: the connection on which the statement runs.
        seconds: how long it may take.
        give_up: called in another thread, a second later, where the statement did not end by that.
    """
    watch = Watch(driver, seconds, give_up)
    if sys.platform == "win32":  # a pipe can't be waited for there: a statement ends between two instructions
        driver.set_progress_handler(lambda: watch._end is not None and time.monotonic() > watch._end, 1000)
        yield watch
        driver.set_progress_handler(None, 0)
        return
    with ExitStack() as stack:
        woken, wake = os.pipe()
        stack.callback(os.close, woken)
        stack.callback(os.close, wake)
        os.set_blocking(wake, False)
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
            stack.callback(signal.set_wakeup_fd, before)
        guard = threading.Thread(target=watch._guard, args=(woken,), name="watch-statement", daemon=True)
        guard.start()
        stack.callback(guard.join)
        stack.callback(os.write, wake, _STOP)
        yield watch
