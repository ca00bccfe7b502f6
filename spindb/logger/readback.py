"""Reads back saves with the code that plays them, and warns if one will not play.

Reading executes nothing, and errors here never stop the training. The first save of each kind is read back, and a later
one if the network or the environment has changed.
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
    """Remembers the saves of a run that were read back, and the warnings that were given."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._checked: dict[str, Hashable] = {}
        self._said: set[tuple[str, str]] = set()

    def check(self, kind: str, path: str, shape: Hashable, state: Mapping[str, Any]) -> None:
        """Read a save back and warn where it will not play.

        Args:
            kind: kind of the save.
            path: path of the save in the run.
            shape: structure of the network; a save is read again if it changes.
            state: the saved state; ``env`` is the environment.
        """
        env = state.get("env")
        shape = (shape, _layers(env))
        if self._checked.get(kind) == shape:
            return
        self._checked[kind] = shape
        try:
            from spindb.play.readback import unplayable  # here: whatever it raises must not stop the training

            found = unplayable(self._directory, path, env)
        except Exception as error:  # the save itself is complete
            self.say(kind, f"{path} was saved and could not be read back: {type(error).__name__}: {error}")
            return
        for problem in found:
            self.say(kind, problem)

    def say(self, kind: str, problem: str) -> None:
        """Warn, once per kind of save and problem."""
        key = (kind, re.sub(r"\d+", "", problem))  # messages that differ only in itr or counts are the same
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
    """The structure of a PyTorch module: classes and shapes, not values."""
    try:
        weights = module.state_dict() if hasattr(module, "state_dict") else module
        return repr(module) if weights is not module else "", tuple((n, tuple(v.shape)) for n, v in weights.items())
    except Exception:  # custom code may raise anything: then it is read back only once
        return type(module).__name__


def shape_of_graph(session: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Hashable:
    """The structure of a TensorFlow graph: its version counts its operations."""
    return getattr(session.graph, "version", 0), tuple(inputs), tuple(outputs)


def _layers(env: object) -> tuple[type, ...]:
    """The classes of an environment and its wrappers."""
    found: list[type] = []
    while env is not None and len(found) < _MAX_LAYERS:
        found.append(type(env))
        env = env.__dict__.get("env") if hasattr(env, "__dict__") else None
    return tuple(found)
