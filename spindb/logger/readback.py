"""Reads back what was saved, by the code that plays it, and warns of what will not play.

It is read without being executed, and nothing that goes wrong here reaches the training. The first save of each kind is
read back, and a later one where the network or the environment is another than at the save before.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

_MAX_LAYERS = 50


class ReadBack:
    """Keeps what was read back of a run, and what was said of it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._checked: dict[str, Hashable] = {}
        self._said: set[tuple[str, str]] = set()

    def check(self, kind: str, path: str, shape: Hashable, state: Mapping[str, Any]) -> None:
        """Read a save back and warn where it will not play.

        Args:
            kind: of the save.
            path: of the save in the run.
            shape: what it is made of: it is read again where that changes.
            state: what was saved beside it; ``env`` is the environment.
        """
        env = state.get("env")
        shape = (shape, _layers(env))
        if self._checked.get(kind) == shape:
            return
        self._checked[kind] = shape
        try:
            from spindb.play.readback import unplayable

            found = unplayable(self._directory, path, env)
        except Exception as error:  # the save is written all the same
            self.say(kind, f"{path} was saved and could not be read back: {type(error).__name__}: {error}")
            return
        for problem in found:
            self.say(kind, problem)

    def say(self, kind: str, problem: str) -> None:
        """Warn, once per kind of save and problem."""
        key = (kind, re.sub(r"\d+", "", problem))  # itr and counts aside
        if key not in self._said:
            self._said.add(key)
            warnings.warn(problem, RuntimeWarning, stacklevel=_level_of_the_training())


def _level_of_the_training() -> int:
    """How many calls below the training's own line the caller is: that line is what a warning names."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("spindb.logger"):
        frame, level = frame.f_back, level + 1
    return level


def shape_of_module(module: Any) -> Hashable:
    """What a PyTorch module is made of: classes and shapes, not values."""
    try:
        weights = module.state_dict() if hasattr(module, "state_dict") else module
        return repr(module) if weights is not module else "", tuple((n, tuple(v.shape)) for n, v in weights.items())
    except Exception:  # an author's own: it is read back once
        return type(module).__name__


def shape_of_graph(session: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Hashable:
    """What a TensorFlow graph is made of: its version counts its operations."""
    return getattr(session.graph, "version", 0), tuple(inputs), tuple(outputs)


def _layers(env: object) -> tuple[type, ...]:
    """The classes of an environment and its wrappers."""
    found: list[type] = []
    while env is not None and len(found) < _MAX_LAYERS:
        found.append(type(env))
        env = env.__dict__.get("env") if hasattr(env, "__dict__") else None
    return tuple(found)
