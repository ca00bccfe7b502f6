"""Evaluates an untrusted graph by TensorFlow in a separate process.

TensorFlow blocks the calling thread until a kernel returns, and a graph can crash it. So it runs in another process
(`spindb.play.engine.tensorflow_process`) with limited memory. A process that does not answer in time is killed; a
process that dies causes a `PolicyError`. After a graph was closed normally, the process is kept for the next graph,
because importing TensorFlow takes seconds.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.play.arrays import Array
from spindb.play.engine.wire import Message, WireError, receive, send, sendable
from spindb.processes import command_of, how_it_ended

SECONDS = 60.0
"""Time limit of loading a graph, and of each evaluation."""
_STARTING = 600.0  # seconds for importing TensorFlow: slow on network file systems, and independent of the graph
_CLOSING = 5.0  # seconds for closing a graph, or for the exit of a process that closed its connection
_MODULE = "spindb.play.engine.tensorflow_process"


class _EndedError(Exception):
    """The process has ended; the message says how."""


class _Process:
    """A process with TensorFlow."""

    def __init__(self, quiet: bool) -> None:
        """Start the process. `quiet`: discard its stderr, including messages of a crash.

        Raises:
            PolicyError: it can't be started, or TensorFlow is not installed.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                popen = subprocess.Popen(  # noqa: S603
                    command_of(_MODULE, "serve_evaluations"),
                    stdin=subprocess.PIPE,
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL if quiet else None,
                    # a session of its own, so that Ctrl-C reaches only this process, which then ends the other
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise PolicyError(f"a process for TensorFlow can't be started: {error.strerror or error}") from error
        self.pid = popen.pid
        self._popen, self._connection = popen, ours
        self.end = weakref.finalize(self, _end, popen, ours, os.getpid())
        try:
            words = self._receive(_STARTING).words
        except (_EndedError, TimeoutError) as error:
            raise PolicyError(f"TensorFlow can't be started: its process ended with {error or 'no answer'}") from error
        if "refused" in words:
            self.end()
            raise PolicyError(str(words["refused"]), hint=words.get("hint"))

    @property
    def alive(self) -> bool:
        return bool(self.end.alive) and self._popen.poll() is None

    def ask(self, words: dict[str, Any], arrays: Sequence[Any], seconds: float) -> Message:
        """Send a request and return the answer. After any exception the process has ended.

        Raises:
            TimeoutError: it did not answer in time.
            _EndedError: it ended.
        """
        try:
            self._connection.settimeout(seconds)
            send(self._connection, words, arrays)
        except TimeoutError:
            self.end()
            raise
        except OSError:  # it has ended; _receive raises with the reason
            pass
        except BaseException:
            self.end()
            raise
        return self._receive(seconds)

    def _receive(self, seconds: float) -> Message:
        try:
            return receive(self._connection, seconds)
        except TimeoutError:
            self.end()
            raise
        except (OSError, EOFError):
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(_CLOSING)
            self.end()
            raise _EndedError(how_it_ended(self._popen.returncode)) from None
        except WireError as error:
            self.end()
            raise _EndedError(str(error)) from error
        except BaseException:  # KeyboardInterrupt: the answer would be read as that of the next request
            self.end()
            raise


def _end(popen: subprocess.Popen[bytes], connection: socket.socket, owner: int) -> None:
    """Kill the process and wait for its end. In a process forked from its owner, only close the connection."""
    connection.close()
    if popen.stdin is not None:
        with suppress(OSError):
            popen.stdin.close()
    if os.getpid() == owner:
        popen.kill()
        popen.wait()


_kept: list[tuple[int, _Process]] = []  # at most one process without a graph, and the process id of its owner
_keeping = threading.Lock()


def _taken() -> _Process:
    """The kept process, else a new one."""
    with _keeping:
        while _kept:
            owner, process = _kept.pop()
            if owner == os.getpid() and process.alive:
                return process
    return _Process(quiet=True)


def _keep(process: _Process) -> None:
    with _keeping:
        if _kept:
            process.end()
        else:
            _kept.append((os.getpid(), process))


class Evaluator:
    """A saved graph in another process. The attributes are those of its `TensorFlowSession`."""

    notes: tuple[str, ...]
    alone: list[str]
    drawn: bool
    dtype: Any
    shape: tuple[int, ...] | None

    def __init__(
        self, save: Path, reader: str, inputs: Mapping[str, str], outputs: Mapping[str, str], *, trust: bool = False
    ) -> None:
        """Load the SavedModel at `save`.

        Args:
            save: a directory.
            reader: ``module:function`` that returns the graph's bytes and the variables by node name.
            inputs: tensor names in the graph, by input name.
            outputs: tensor names in the graph, by output name.
            trust: execute operations of the file if it can't be evaluated otherwise.

        Raises:
            PolicyError: it can't be loaded: it contains forbidden operations, TensorFlow crashed, or it took too long.
        """
        self._save = save
        self._trust = trust
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._gone: str | None = None
        self._process = _Process(quiet=False) if trust else _taken()
        words = {"do": "open", "save": str(save.absolute()), "reader": reader, "trust": trust}
        words |= {"inputs": dict(inputs), "outputs": dict(outputs)}
        try:
            about = self._ask(words, [], "it loaded the graph").words
            self._describe(about, outputs)
        except BaseException:
            self.close()
            raise

    def _describe(self, about: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
        try:
            self.notes = tuple(map(str, about["notes"]))
            self.alone = [name for name in outputs if name in about["alone"]]
            self.drawn = about["drawn"] is True
            self.dtype = np.dtype(about["dtype"])
            self.shape = None if about["shape"] is None else tuple(map(int, about["shape"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyError(f"{self._save} can't be loaded: TensorFlow's process gave no sense: {error}") from error
        if self.dtype.kind not in "biuf":
            raise PolicyError(f"{self._save} takes observations that are not numbers")

    def run(self, names: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """The values of outputs from one evaluation (one sample), for arrays by input name.

        Raises:
            PolicyError: TensorFlow can't evaluate them, took too long, or crashed.
        """
        found = self._evaluated({"do": "run", "outputs": list(names)}, feed, ", ".join(names))
        if len(found) != len(names):
            raise PolicyError(f"{self._save} can't be evaluated: TensorFlow's process gave {len(found)} values")
        return found

    def tensor(self, name: str, feed: Mapping[str, Array]) -> Array:
        """The value of any tensor of the graph by its name. Raises as `run`, and if there is none."""
        return self._evaluated({"do": "tensor", "name": name}, feed, name)[0]

    def _evaluated(self, words: dict[str, Any], feed: Mapping[str, Array], what: str) -> list[Array]:
        arrays = [np.asarray(value) for value in feed.values()]
        if not all(map(sendable, arrays)):
            raise PolicyError(f"{self._save} can't be evaluated: it was given something else than numbers")
        answer = self._ask({**words, "feed": list(feed)}, arrays, f"it evaluated {what}")
        # numpy scalars, as TensorFlow returns them
        return [array[()] if array.ndim == 0 else array for array in answer.arrays]

    def _ask(self, words: dict[str, Any], arrays: Sequence[Any], doing: str) -> Message:
        failed = f"{self._save} can't be {'loaded' if words['do'] == 'open' else 'evaluated'}"
        if os.getpid() != self._owner:  # parent and child would read each other's answers
            raise PolicyError(f"{failed}: it was loaded before this process was forked", hint="load the policy in it")
        with self._lock:
            if self._gone is not None:
                raise PolicyError(f"{failed}: {self._gone}", hint="load the policy again")
            try:
                # Set before the request and cleared after it: it remains after KeyboardInterrupt, whose answer was
                # not read.
                self._gone = f"it was interrupted while {doing}"
                answer = self._process.ask(words, arrays, SECONDS)
                self._gone = None
            except TimeoutError:
                self._gone = f"TensorFlow was stopped: it did not end within {SECONDS:g} seconds while {doing}"
            except _EndedError as ended:
                self._gone = f"TensorFlow ended with {ended} while {doing}"
        if self._gone is not None:
            raise PolicyError(f"{failed}: {self._gone}")
        if "refused" in answer.words:
            hint = answer.words.get("hint")
            raise PolicyError(str(answer.words["refused"]), hint=None if hint is None else str(hint))
        return answer

    def close(self) -> None:
        """Close the graph and keep its process for the next one; no effect in a forked process."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._gone is not None:
                return
            self._gone = "it was closed"
            process = self._process
            # A trusted graph may have executed any code in its process, so that process is not reused.
            if self._trust or not process.alive:
                process.end()
                return
            with suppress(TimeoutError, _EndedError):
                if "refused" not in process.ask({"do": "close"}, [], _CLOSING).words:
                    _keep(process)
                    return
            process.end()
