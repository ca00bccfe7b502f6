"""A process that reads: what `spindb.ingest.workers` starts.

It takes lists of items on its standard input and gives lists of results on its standard output, in order. It ends as
soon as its input does, so that none is left over when the process that started it is killed. What a single item may
take is limited: memory, and CPU time by the kernel, which ends the process where C code does not return.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from spindb.ingest.deadline import timed
from spindb.processes import limit_memory

GRACE = 5  # seconds of CPU time after the limit that Python code keeps by itself
_FLUSH = 1.0  # seconds after which results that are there are sent
_SELDOM = 100_000  # new containers between two looks for garbage


class Setup(NamedTuple):
    """What a process is started with: what it does with each item, and what an item may take."""

    function: Callable[[Any], Any]
    memory: int
    seconds: float


def serve_items() -> None:
    """Serve until the input ends."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints is no result
    items: SimpleQueue[list[Any]] = SimpleQueue()
    try:
        setup: Setup = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
        limit_memory(setup.memory)
        gc.set_threshold(_SELDOM)
        _send(results, None)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        threading.Thread(target=_take, args=(items,), daemon=True).start()
        with timed():
            while True:
                _serve(setup, items.get(), results)
    except OSError:  # the other end is closed
        pass
    finally:
        os._exit(1)


def _take(items: SimpleQueue[list[Any]]) -> None:
    """Take items as they come, and end the process with its input, whatever it is doing."""
    try:
        while True:
            items.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - as above
    finally:
        os._exit(0)


def _serve(setup: Setup, items: list[Any], into: IO[bytes]) -> None:
    done, sent = [], time.monotonic()
    for item in items:
        _limit_time(setup.seconds + GRACE)
        done.append(setup.function(item))
        if time.monotonic() - sent > _FLUSH:
            _send(into, done)
            done, sent = [], time.monotonic()
    _send(into, done)


def _send(into: IO[bytes], message: object) -> None:
    pickle.dump(message, into, protocol=5)
    into.flush()


def _limit_time(seconds: float) -> None:
    try:
        import resource  # Unix has it
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
