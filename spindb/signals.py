"""Signals that end a command, and child processes that must end with their parent.

Slurm, ``timeout`` and systemd end a job with SIGTERM; a closing terminal sends SIGHUP. Python's default for both ends
the process at once, and unwritten results are lost. Here both raise KeyboardInterrupt, as Ctrl-C does. A command that
was ended by one of the three prints one line and exits with 128 plus the signal's number, as shells do, whatever it had
finished (`exit_code`, `spindb.cli.app.run`). Before and after a command there is nothing to finish: a signal ends the
process immediately, with the same message and exit code (`end_at_once`).

::

    with interrupts() as signals:
        work()                   # SIGTERM, SIGHUP and SIGINT raise KeyboardInterrupt here
        with signals.held():
            write()              # here they only set signals.received
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = [
    "Interrupts",
    "active",
    "die_with_parent",
    "end_at_once",
    "exit_code",
    "ignore_interrupts",
    "interrupts",
    "words",
]

_ENDING = tuple(number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)
_TOGETHER = 2.0
"""Seconds within which SIGTERM and SIGHUP are one request: systemd and closing terminals send both, and the second must
not interrupt the writing of results that the first one started."""


_SOON = 0.01  # seconds until a dropped interrupt is sent again: long enough to leave the destructor


def exit_code(name: str) -> int:
    """The exit code of a command that was ended by a signal: 128 plus its number."""
    return 128 + signal.Signals[name]


def words(name: str, left: str = "") -> str:
    """The message of a command that was ended by a signal; `left` describes the state of its work."""
    return f"interrupted by {name}{': ' if left else ''}{left}"


def end_at_once() -> None:
    """From now on each of the three signals ends the process with a message. Ignored ones (``nohup``) stay ignored."""
    for number in (signal.SIGINT, *_ENDING):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    # During interpreter shutdown Python runs no handlers. The command is complete, so its exit code is kept.
    atexit.register(ignore_interrupts)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: this handler runs during imports and at shutdown, where exceptions are swallowed or printed.
    name = signal.Signals(number).name
    with suppress(OSError):  # the other end is closed
        os.write(2, f"{words(name)}\n".encode())
    os._exit(exit_code(name))


class Interrupts:
    """The signals received inside `interrupts`.

    Attributes: `received`, the name of the last signal (``SIGTERM``), or None; `left`, the command's description of
    the state of its work.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.received: str | None = None
        self.left = ""
        self._held = int(held)
        self._raised_at: float | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, signals only set `received` and raise nothing."""
        # A counter, because blocks can be nested: the inner one must not release the outer one.
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    @contextmanager
    def released(self) -> Iterator[None]:
        """Inside `held`: signals raise again; a signal received earlier raises immediately."""
        before, self._held = self._held, 0
        try:
            if self.received is not None:
                raise KeyboardInterrupt(self.received)
            yield
        finally:
            self._held = before

    def forget(self) -> None:
        """Ignore the received signal: it answered a prompt (Ctrl-C) and does not end the command."""
        self.received = None

    def _unraisable(self, report: Any) -> None:
        """Send the interrupt again if Python dropped it, in a destructor or a callback from C."""
        if not isinstance(report.exc_value, KeyboardInterrupt) or self.received is None:
            sys.__unraisablehook__(report)
            return
        self._raised_at = None
        # A timer thread, because the signal must arrive after the destructor has returned.
        again = threading.Timer(_SOON, os.kill, (os.getpid(), signal.Signals[self.received]))
        again.daemon = True
        again.start()

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
    """The object of the enclosing `interrupts`; outside of it, an object without effect."""
    return _active or Interrupts()


@contextmanager
def interrupts(*, ignored_too: bool = False, held: bool = False) -> Iterator[Interrupts]:
    """Inside, SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does; the handlers are restored at the end.

    A signal that is ignored (``nohup``) or handled by the calling program stays so, unless `ignored_too`: a worker
    process ignores signals between its tasks and is interrupted during one. Outside the main thread nothing changes,
    because Python delivers signals only to the main thread. A nested call yields the outer object. With `held`, signals
    raise nothing until `Interrupts.released`.
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    if _active is not None:
        yield _active
        return
    mine = _active = Interrupts(held=held)
    defaults = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_ENDING, signal.SIG_DFL)}
    before = {number: signal.getsignal(number) for number in defaults}
    # Only default handlers are replaced: a program that uses spindb as a library keeps its own.
    before = {
        number: handler
        for number, handler in before.items()
        if handler in (defaults[number], _end) or (ignored_too and handler == signal.SIG_IGN)
    }
    hook, sys.unraisablehook = sys.unraisablehook, mine._unraisable
    try:
        for number in before:
            signal.signal(number, mine._arrived)
        yield mine
    finally:
        _active = None
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """Ignore signals in a worker process between two tasks: its parent decides when it ends."""
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(*_: Any) -> None:
    """End this process as soon as the one that started it is gone, killed (SIGKILL) included.

    For the initializer of a pool. Workers wait for tasks on a pipe that they hold open themselves, so that they would
    wait for ever. A thread waits for the parent's end, which the operating system reports: nothing is polled.
    """
    from multiprocessing import parent_process  # slow to import, and querying does not need it

    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="die-with-parent", daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # not sys.exit: the main thread may be anywhere, and there is no one left to take its result
