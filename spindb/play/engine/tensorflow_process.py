"""A process that evaluates one saved graph at a time by TensorFlow: what `spindb.play.engine.evaluator` starts.

It answers messages (`spindb.play.engine.wire`) on the socket that is its standard output. Its standard input is a pipe
that nobody writes to: when the process that holds the other end is gone, the kernel ends this one by a signal, also
where TensorFlow's code does not return to Python.
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
"""Bytes that a graph may take, beside what TensorFlow takes without one."""
_PER_CORE = 32 << 20  # stacks of TensorFlow's threads, which are as many as cores


def main() -> None:
    """Serve until the process that started this one is gone."""
    ignore_interrupts()  # what a terminal or Slurm sends to all is for the process that started this one
    end_with_parent()
    connection = socket.socket(fileno=os.dup(1))
    os.dup2(2, 1)  # what anything prints is no message
    try:
        import_tensorflow()
        send(connection, {})
        server = _Server()
        while True:
            _answer(server, receive(connection), connection)
    except PolicyError as error:  # there is no TensorFlow
        send(connection, _refusal(error))
    except (OSError, EOFError):  # nobody is there any more
        pass
    finally:
        os._exit(1)


class _Server:
    """Does what messages ask for."""

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
        """The values as arrays that can be sent."""
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
    except Exception as error:  # of numpy or TensorFlow outside of what is expected
        text = " ".join(str(error).split())[:300]
        words, arrays = {"refused": f"{server._save} can't be evaluated: {type(error).__name__}: {text}"}, []
    send(connection, words, arrays)


def _refusal(error: SpindbError) -> dict[str, Any]:
    return {"refused": error.message, "hint": error.hint}


def _allocated() -> int:
    """Bytes that this process has allocated so far, as the limit counts them."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return 1 << 30  # another system
