"""Processes that read runs, watched: one that dies or does not end costs the run that it was reading, and no other.

Each process has a thread here that gives it a chunk of items and takes its results. Where a process ends before it
answered for all of a chunk, the rest is asked for again, one item at a time, in a fresh process: the item with which
a process ends alone is the one that is lost. The processes are started without `multiprocessing`, which would run the
calling script's file again in each of them.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue
from typing import IO, Any, Generic, NamedTuple, TypeVar, cast

from spindb.errors import SpindbError
from spindb.ingest.deadline import WAITING
from spindb.ingest.worker import GRACE, Setup
from spindb.processes import command_of, how_it_ended

MEMORY = 2 << 30
"""Bytes that a process may allocate. Reading a run whose files are at their limits takes a quarter of it."""
_CHUNK = 16  # items per message
_AHEAD = 8  # chunks per process that wait for the caller: more would only fill the memory
_LOOK = 1.0  # seconds between two looks whether a process still answers

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Loss(NamedTuple):
    """Why there is no result for an item: the process took too long, or it ended, and how."""

    slow: bool
    how: str


@dataclass(slots=True, eq=False)
class _Chunk(Generic[_Item, _Result]):
    items: Sequence[_Item]
    results: list[_Result] = field(default_factory=list)
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Workers(Generic[_Item, _Result]):
    """Processes that apply `function` to items. A context manager: at its end none of them is left.

    Args:
        function: what is done with an item; it, the items and the results are pickled.
        jobs: number of processes; they start when they are needed.
        lost: the result for an item with which a process ended.
        seconds: CPU time that an item may take; `function` itself should keep that limit.
        memory: bytes that a process may allocate.
    """

    def __init__(
        self,
        function: Callable[[_Item], _Result],
        jobs: int,
        lost: Callable[[_Item, Loss], _Result],
        seconds: float,
        memory: int = MEMORY,
    ) -> None:
        self._lost = lost
        self._patience = (seconds + GRACE) * WAITING
        self._chunks: SimpleQueue[_Chunk[_Item, _Result] | None] = SimpleQueue()
        self._closing = False
        self._processes = [_Process(Setup(function, memory, seconds)) for _ in range(jobs)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Workers[_Item, _Result]:
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes, busy ones too."""
        self._closing = True
        for process in self._processes:
            process.close()
            self._chunks.put(None)
        for thread in self._threads:
            thread.join()

    def map(self, items: Iterable[_Item]) -> Iterator[_Result]:
        """The result for each item, in order.

        Raises:
            SpindbError: no process can be started.
        """
        if not self._threads:
            self._threads = [threading.Thread(target=self._drive, args=(p,), daemon=True) for p in self._processes]
            for thread in self._threads:
                thread.start()
        items = iter(items)
        waiting: deque[_Chunk[_Item, _Result]] = deque()
        while chunk := list(islice(items, _CHUNK)):
            waiting.append(_Chunk(chunk))
            self._chunks.put(waiting[-1])
            if len(waiting) > _AHEAD * len(self._processes):
                yield from self._results(waiting.popleft())
        while waiting:
            yield from self._results(waiting.popleft())

    def _results(self, chunk: _Chunk[_Item, _Result]) -> list[_Result]:
        while not chunk.done.wait(_LOOK):
            for process in self._processes:
                process.end_if_silent(self._patience)
        if chunk.error is not None:
            raise chunk.error
        return chunk.results

    def _drive(self, process: _Process) -> None:
        """Serve chunks with one process until there are no more. Runs in a thread of its own."""
        if hasattr(signal, "pthread_sigmask"):  # inherited: Ctrl-C is for this process, which ends the others
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while (chunk := self._chunks.get()) is not None:
            try:
                self._serve(process, chunk)
            except Exception as error:
                chunk.error = error
            chunk.done.set()
        process.gone()

    def _serve(self, process: _Process, chunk: _Chunk[_Item, _Result]) -> None:
        again = False
        while not self._closing and (rest := chunk.items[len(chunk.results) :]):
            loss = process.ask(rest[:1] if again else rest, chunk.results)
            if loss is None:
                continue
            alone = len(chunk.items) - len(chunk.results) == 1 or again
            if alone and (again or loss.slow):
                chunk.results.append(self._lost(chunk.items[len(chunk.results)], loss))
            again = True


class _Process:
    """One process, started when it is asked and again after it ended."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._running: subprocess.Popen[bytes] | None = None
        self._asked = 0.0  # when it was last asked or answered; 0 while it has nothing to do
        self._silent = self._closed = False
        self._lock = threading.Lock()

    def ask(self, items: Sequence[Any], into: list[Any]) -> Loss | None:
        """Add the results for items to `into` as they arrive; what is missing then is lost, and why is returned."""
        missing = len(items)
        process = self._started()
        self._asked = time.monotonic()
        try:
            _send(process, list(items))
            while missing:
                results = _received(process)
                self._asked = time.monotonic()
                into += results
                missing -= len(results)
        except (OSError, EOFError, pickle.UnpicklingError):
            return self._ended(process)
        finally:
            self._asked = 0.0
        return None

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._running is not None:
                return self._running
            if self._closed:
                raise SpindbError("interrupted")
            self._silent = False
            try:
                command = command_of("spindb.ingest.worker", "serve_items")
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
            except OSError as error:
                raise _not_started(str(error.strerror or error)) from error
            self._running = process
        try:
            _send(process, self._setup)
            _received(process)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise _not_started(self._ended(process).how) from error
        return process

    def _ended(self, process: subprocess.Popen[bytes]) -> Loss:
        process.kill()
        code = process.wait()
        with self._lock:
            self._running = None
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what was not yet written to it
                pipe.close()
        over_time = hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU
        return Loss(self._silent or over_time, how_it_ended(code))

    def end_if_silent(self, seconds: float) -> None:
        """End it where it has been asked that long ago and did not answer."""
        if self._asked and time.monotonic() - self._asked > seconds:
            self._silent = True
            self._kill()

    def close(self) -> None:
        """End it for good. Whoever waits for its answer meets its end."""
        self._closed = True
        self._kill()

    def gone(self) -> None:
        """End it for good and wait until it is gone."""
        self._closed = True
        if self._running is not None:
            self._ended(self._running)

    def _kill(self) -> None:
        with self._lock:
            if self._running is not None:
                self._running.kill()


def _not_started(how: str) -> SpindbError:
    return SpindbError(f"a process that reads runs can't be started: {how}", hint="--jobs 1 reads in this one")


def _send(process: subprocess.Popen[bytes], message: object) -> None:
    pipe = cast("IO[bytes]", process.stdin)
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()


def _received(process: subprocess.Popen[bytes]) -> Any:
    return pickle.load(cast("IO[bytes]", process.stdout))  # noqa: S301 - from a process of our own
