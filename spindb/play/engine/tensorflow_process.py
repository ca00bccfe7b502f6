"""The process that evaluates one saved graph at a time by TensorFlow; started by `spindb.play.engine.evaluator`.

It answers messages (`spindb.play.engine.wire`) on the socket that is its standard output. Its standard input is a pipe
without data: when the process at the other end has ended, the kernel ends this one with a signal, even inside a kernel
of TensorFlow.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError, SpindbError
from spindb.play.engine.budget import RESULT
from spindb.play.engine.problems import evaluating
from spindb.play.engine.tensorflow_session import SavedGraph, TensorFlowSession, import_tensorflow
from spindb.play.engine.wire import Message, receive, send, sendable
from spindb.processes import end_with_parent, limit_memory
from spindb.signals import ignore_interrupts

MEMORY = 2 << 30
"""Bytes that a graph may allocate, in addition to what TensorFlow takes without one."""
_PER_CORE = 32 << 20  # stacks of TensorFlow's threads, one per core


def serve_evaluations() -> None:
    """Answer messages until the parent process has ended."""
    ignore_interrupts()  # a terminal or Slurm signals all processes; the parent decides what to do
    end_with_parent()
    connection = socket.socket(fileno=os.dup(1))
    os.dup2(2, 1)  # prints of TensorFlow must not mix with messages
    try:
        import_tensorflow()
        send(connection, {})
        server = _Server()
        while True:
            _answer(server, receive(connection), connection)
    except PolicyError as error:  # TensorFlow is not installed
        send(connection, _refusal(error))
    except (OSError, EOFError):  # the parent has closed the connection
        pass
    finally:
        os._exit(1)


class _Server:
    """Executes requests; each method is a request."""

    def __init__(self) -> None:
        self._session: TensorFlowSession | None = None
        self._save = ""

    def open(self, words: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        save = Path(words["save"])
        self._save = str(save)
        limit_memory(_allocated() + MEMORY + _PER_CORE * (os.cpu_count() or 1))
        with evaluating(save):
            module, _, function = words["reader"].partition(":")
            data, variables = getattr(importlib.import_module(module), function)(save)
            saved = SavedGraph(save, data, variables, words["inputs"], words["outputs"])
            session = self._session = TensorFlowSession(saved, words["trust"])
        found = {name: getattr(session, name) for name in ("notes", "alone", "drawn", "dtype", "shape")}
        return found, []

    def run(self, words: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        assert self._session is not None
        return {}, self._checked(self._session.run(words["outputs"], dict(zip(words["feed"], arrays, strict=True))))

    def tensor(self, words: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        assert self._session is not None
        found = self._session.tensor(words["name"], dict(zip(words["feed"], arrays, strict=True)))
        return {}, self._checked([found])

    def close(self, words: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        if self._session is not None:
            self._session.close()
            self._session = None
        return {}, []

    def _checked(self, found: list[Any]) -> list[Any]:
        """The values as arrays that can be sent; raises `PolicyError` for other types and large arrays."""
        arrays = [np.asarray(value) for value in found]
        # Types that numpy itself does not have (bfloat16): a float32 holds each of their values.
        arrays = [a.astype(np.float32) if a.dtype.kind == "V" and a.dtype.names is None else a for a in arrays]
        for array in arrays:
            if not sendable(array):
                raise PolicyError(f"{self._save} gives values of type {array.dtype}, which are not numbers")
            if array.nbytes > RESULT:
                raise PolicyError(f"{self._save} gives an array of shape {array.shape}, which is too large")
        return arrays


def _answer(server: _Server, message: Message, connection: socket.socket) -> None:
    do: Callable[..., tuple[dict[str, Any], list[Any]]] = getattr(server, message.words["do"])
    try:
        words, arrays = do(message.words, message.arrays)
    except SpindbError as error:
        words, arrays = _refusal(error), []
    except Exception as error:  # unexpected, in numpy or TensorFlow
        text = " ".join(str(error).split())[:300]
        words, arrays = {"refused": f"{server._save} can't be evaluated: {type(error).__name__}: {text}"}, []
    send(connection, words, arrays)


def _refusal(error: SpindbError) -> dict[str, Any]:
    return {"refused": error.message, "hint": error.hint}


def _allocated() -> int:
    """The bytes that this process has allocated, as counted by RLIMIT_DATA."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return 1 << 30  # another system
