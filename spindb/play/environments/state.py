"""What a run's files say of its environment: the saved state beside a snapshot, else another one, and the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.configs import ConfigText, whole_number
from spindb.disk.formats import files_of
from spindb.disk.regular import read_regular
from spindb.disk.saved_environment import SavedEnvironment, SavedLayer
from spindb.disk.saved_state import SavedState, saved_state
from spindb.play.environments.values import NotRestoredError, restored


@dataclass(frozen=True, slots=True)
class RunState:
    """What a run's saved states and its config say of the environment that one of its snapshots was trained in."""

    environment: SavedEnvironment | None = None
    path: Path | None = None
    """The state that it was read from; None where there is none: then there is nothing to unpickle."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Plain attributes of the innermost environment, and the arguments that it was made with."""
    max_ep_len: int | None = None
    """The steps after which the training itself ended an episode."""
    whole: bool = False
    """Whether it could be read to its end: one that is cut off is not worth unpickling."""
    at_another_time: bool = False
    """Whether the state is not the one beside the snapshot, which is missing or can't be read."""
    beside: SavedState | None = None
    """The state beside the snapshot."""
    unread: str | None = None
    """Why there is no ``beside`` although the snapshot has a state."""


def run_state(directory: Path, state_path: str | None, classes: Sequence[str] = ()) -> RunState:
    """What the state at `state_path` in a run's directory holds, else another one of the run.

    Never raises: what could not be read is said by `spindb.play.environments.of_snapshot.earlier_ways`.

    Args:
        directory: of the run.
        state_path: the state beside the snapshot, None where there is none.
        classes: of the environment, outermost first, as far as they are known where no state can be read.
    """
    steps = _max_ep_len(directory)
    beside, unread = None, None
    paths = _states(directory, state_path)
    for path in paths:
        own = state_path is not None and path == directory / state_path
        state, why = _read(path, str(path.relative_to(directory)))
        # The state beside the snapshot is kept even where another one has to serve for the environment: the message
        # says why.
        if own:
            beside, unread = state, why
        if state is not None:
            found = state.environment
            attributes = {**state.attributes, **_arguments(found)}
            return RunState(found, path, attributes, steps, True, not own, beside, unread)
    return RunState(_of_classes(classes), next(iter(paths), None), {}, steps, beside=beside, unread=unread)


def _read(path: Path, name: str) -> tuple[SavedState | None, str | None]:
    """A state, or why it can't be had."""
    try:
        return saved_state(read_regular(path, limits.STATE)), None
    except OSError as error:
        return None, f"{name} can't be read: {error.strerror}"
    except (PickleError, RecursionError, MemoryError) as error:
        return None, f"{name}: {error or type(error).__name__}"


def _states(directory: Path, preferred: str | None) -> list[Path]:
    """The saved states of a run: that beside the snapshot, then the unnumbered one, then the latest."""
    found = dict.fromkeys([preferred, *files_of(directory).states])
    return [directory / name for name in found if name is not None]


def _of_classes(classes: Sequence[str]) -> SavedEnvironment | None:
    """An environment of which nothing but its classes is known: wrappers with values can't be rebuilt."""
    if len(classes) < 2 and not any(".wrappers." in path for path in classes):
        return None
    # The innermost class is a wrapper itself where the database knew a chain that was cut off.
    wrappers = [SavedLayer(path, {}) for path in classes if path != classes[-1] or ".wrappers." in path]
    inner = SavedLayer("" if ".wrappers." in classes[-1] else classes[-1], {})
    return SavedEnvironment(tuple(wrappers), inner, None, None, {})


def _arguments(found: SavedEnvironment) -> dict[str, Any]:
    """The arguments that were kept with it, those that can be had."""
    values = {}
    for name, value in found.arguments.items():
        try:
            values[name] = restored(value)
        except NotRestoredError:
            # What can't be restored is left out: the environment's own default serves, as it does for an argument not
            # given.
            continue
    return values


def _max_ep_len(directory: Path) -> int | None:
    config = files_of(directory).config
    try:
        if config is None:
            return None
        data = read_regular(directory / config, limits.CONFIG)
        steps = whole_number(ConfigText(data, config).values.get("max_ep_len"))
    except OSError:
        return None
    # 0 and less are no limit that a training could have had.
    return steps if steps is not None and steps > 0 else None
