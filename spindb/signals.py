"""Signals that end a command, and processes that must not outlive the one that started them.

Slurm, ``timeout`` and systemd end a job by SIGTERM, a terminal that is closed by SIGHUP. Python's default for both ends
the process at once, and what was not yet written is lost. Here both do what Ctrl-C does: they raise KeyboardInterrupt.

::

    with interrupts() as signals:
        work()                   # SIGTERM, SIGHUP and SIGINT raise KeyboardInterrupt here
        with signals.held():
            write()              # here they are noted in signals.received and raise nothing
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["Interrupts", "active", "die_with_parent", "ignore_interrupts", "interrupts"]

_ENDING = tuple(number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)
_TOGETHER = 2.0
"""Seconds within which SIGTERM and SIGHUP are one request: systemd and closing terminals send one after the other, and
the second must not interrupt what the first one made the program write."""


class Interrupts:
    """What arrived inside `interrupts`. Attributes: `received`, the name of the last signal (``SIGTERM``), or None."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._held = 0
        self._raised_at: float | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, signals are noted and raise nothing; `received` says afterwards whether one came."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    @contextmanager
    def released(self) -> Iterator[None]:
        """The opposite inside `held`: signals raise, one that was noted before at once."""
        before, self._held = self._held, 0
        try:
            if self.received is not None:
                raise KeyboardInterrupt(self.received)
            yield
        finally:
            self._held = before

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        now = time.monotonic()
        again = self._raised_at is not None and now - self._raised_at < _TOGETHER
        if self._held or (again and number in _ENDING):
            return
        self._raised_at = now
        raise KeyboardInterrupt(self.received)


_active: Interrupts | None = None


def active() -> Interrupts:
    """The object of the `interrupts` around this call; outside of any, one that changes nothing."""
    return _active or Interrupts()


@contextmanager
def interrupts(*, ignored_too: bool = False) -> Iterator[Interrupts]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt inside, as SIGINT does; the handlers are restored at the end.

    A signal that is ignored (``nohup``) or handled by the program around this one stays so, unless `ignored_too`: a
    worker process ignores signals between its tasks and is interrupted within one. Outside the main thread nothing is
    changed: Python delivers signals to the main thread alone. Inside another `interrupts` it is the same object.
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    if _active is not None:
        yield _active
        return
    mine = _active = Interrupts()
    defaults = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_ENDING, signal.SIG_DFL)}
    before = {number: signal.getsignal(number) for number in defaults}
    before = {
        number: handler
        for number, handler in before.items()
        if handler == defaults[number] or (ignored_too and handler == signal.SIG_IGN)
    }
    try:
        for number in before:
            signal.signal(number, mine._arrived)
        yield mine
    finally:
        _active = None
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """In a worker process between two tasks: whether to end is decided by the process that started it."""
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(*_: Any) -> None:
    """End this process as soon as the one that started it is gone, killed (SIGKILL) included.

    For the initializer of a pool. Workers wait for tasks on a pipe that they hold open themselves, so that they would
    wait for ever. A thread waits for the parent's end, which the operating system tells: nothing is polled.
    """
    from multiprocessing import parent_process  # which querying does without

    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="die-with-parent", daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # not sys.exit: the main thread may be anywhere, and nobody is left to take its result
