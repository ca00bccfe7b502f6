"""Reads the saved environment beside a snapshot, and how the training ended episodes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.configs import ConfigText, whole_number
from spindb.disk.environments import attributes_in_state
from spindb.disk.formats import files_of
from spindb.disk.regular import read_regular
from spindb.disk.saved_environment import SavedEnvironment, SavedLayer, saved_environment
from spindb.play.environments.build import Saved
from spindb.play.environments.values import NotRestoredError, restore


def saved_of(directory: Path, state_path: str | None, classes: Sequence[str] = ()) -> Saved:
    """What the state at `state_path` in a run's directory holds, else another one of the run.

    Never raises: what could not be read is said by `spindb.play.environments.of_snapshot.earlier_ways`.

    Args:
        directory: of the run.
        state_path: the state beside the snapshot, None where there is none.
        classes: of the environment, outermost first, as far as they are known where no state can be read.
    """
    steps = _max_ep_len(directory)
    paths = _states(directory, state_path)
    for path in paths:
        try:
            data = read_regular(path, limits.STATE)
            found = saved_environment(data)
            attributes = attributes_in_state(data)
        except (OSError, PickleError, RecursionError, MemoryError):
            continue
        other = path != directory / state_path if state_path is not None else True
        return Saved(found, path, {**attributes, **_arguments(found)}, steps, whole=True, at_another_time=other)
    return Saved(_of_classes(classes), next(iter(paths), None), {}, steps)


def _states(directory: Path, preferred: str | None) -> list[Path]:
    """The saved states of a run: that beside the snapshot, then the unnumbered one, then the latest."""
    found = dict.fromkeys([preferred, *files_of(directory).states])
    return [directory / name for name in found if name is not None]


def _of_classes(classes: Sequence[str]) -> SavedEnvironment | None:
    """An environment of which nothing but its classes is known: wrappers with values can't be rebuilt."""
    if len(classes) < 2 and not any(".wrappers." in path for path in classes):
        return None
    wrappers = [SavedLayer(path, {}) for path in classes if path != classes[-1] or ".wrappers." in path]
    inner = SavedLayer("" if ".wrappers." in classes[-1] else classes[-1], {})
    return SavedEnvironment(tuple(wrappers), inner, None, None, {})


def _arguments(found: SavedEnvironment) -> dict[str, Any]:
    """The arguments that were kept with it, those that can be had."""
    restored = {}
    for name, value in found.arguments.items():
        try:
            restored[name] = restore(value)
        except NotRestoredError:
            continue
    return restored


def _max_ep_len(directory: Path) -> int | None:
    config = files_of(directory).config
    try:
        if config is None:
            return None
        data = read_regular(directory / config, limits.CONFIG)
        steps = whole_number(ConfigText(data, config).values.get("max_ep_len"))
    except OSError:
        return None
    return steps if steps is not None and steps > 0 else None
