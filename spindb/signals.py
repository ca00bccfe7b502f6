"""Signals that end a command, and processes that must not outlive the one that started them.

Slurm, ``timeout`` and systemd end a job by SIGTERM, a terminal that is closed by SIGHUP. Python's default for both ends
the process at once, and what was not yet written is lost. Here both do what Ctrl-C does: they raise KeyboardInterrupt.
A command that one of the three ended says so in one line and exits with 128 and the signal's number, as shells
count it, whatever it had finished (`exit_code`, `spindb.cli.app.run`). Before and after a command there is nothing to
finish: a signal ends the process there and then, with the same words and the same code (`end_at_once`).

::

    with interrupts() as signals:
        work()                   # SIGTERM, SIGHUP and SIGINT raise KeyboardInterrupt here
        with signals.held():
            write()              # here they are noted in signals.received and raise nothing
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
"""Seconds within which SIGTERM and SIGHUP are one request: systemd and closing terminals send one after the other, and
the second must not interrupt what the first one made the program write."""


_SOON = 0.01  # seconds


def exit_code(name: str) -> int:
    """The exit code of a command that a signal ended: 128 and its number."""
    return 128 + signal.Signals[name]


def words(name: str, left: str = "") -> str:
    """What a command that a signal ended says; `left`: what it leaves behind."""
    return f"interrupted by {name}{': ' if left else ''}{left}"


def end_at_once() -> None:
    """From here on each of the three signals ends the process, in words. Ignored ones (``nohup``) stay ignored."""
    for number in (signal.SIGINT, *_ENDING):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    # The very end of the interpreter runs no handlers; what was done is done, and its code stands.
    atexit.register(ignore_interrupts)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: imports and the end of the interpreter, where this is the handler, swallow or print them.
    name = signal.Signals(number).name
    with suppress(OSError):  # the other end is closed
        os.write(2, f"{words(name)}\n".encode())
    os._exit(exit_code(name))


class Interrupts:
    """What arrived inside `interrupts`.

    Attributes: `received`, the name of the last signal (``SIGTERM``), or None; `left`, what the command says of that
    which it leaves behind.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.received: str | None = None
        self.left = ""
        self._held = int(held)
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

    def forget(self) -> None:
        """What arrived was an answer to a question (Ctrl-C at a prompt), and ends nothing."""
        self.received = None

    def _unraisable(self, report: Any) -> None:
        """Where Python can't raise (a destructor, a callback of C), it drops the interrupt: it comes again."""
        if not isinstance(report.exc_value, KeyboardInterrupt) or self.received is None:
            sys.__unraisablehook__(report)
            return
        self._raised_at = None
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
    """The object of the `interrupts` around this call; outside of any, one that changes nothing."""
    return _active or Interrupts()


@contextmanager
def interrupts(*, ignored_too: bool = False, held: bool = False) -> Iterator[Interrupts]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt inside, as SIGINT does; the handlers are restored at the end.

    A signal that is ignored (``nohup``) or handled by the program around this one stays so, unless `ignored_too`: a
    worker process ignores signals between its tasks and is interrupted within one. Outside the main thread nothing is
    changed: Python delivers signals to the main thread alone. Inside another `interrupts` it is the same object.
    With `held` signals are noted until `Interrupts.released`.
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
    """In a worker process between two tasks: whether to end is decided by the process that started it."""
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(*_: Any) -> None:
    """End this process as soon as the one that started it is gone, killed (SIGKILL) included.

    For the initializer of a pool. Workers wait for tasks on a pipe that they hold open themselves, so that they would
    wait for ever. A thread waits for the parent's end, which the operating system reports: nothing is polled.
    """
    from multiprocessing import parent_process  # which querying does without

    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="die-with-parent", daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # not sys.exit: the main thread may be anywhere, and there is no one left to take its result
