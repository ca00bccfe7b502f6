"""Loaders of saved policies, one per kind of snapshot, imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from spindb.errors import PolicyError
from spindb.records import SnapshotRecord

_LOADERS = {
    "simple_save": "spindb.play.policies.tf1:load",
    "tf1_save": "spindb.play.policies.tf1:load",
}


class Policy(Protocol):
    """A saved policy, ready to act. Calling it is `act`."""

    observation_shape: tuple[int, ...] | None
    """Shape of one observation, None where the save does not tell."""

    deterministic: bool
    """Whether actions are means; False where that was asked for and the save has none."""

    def act(self, observation: Any) -> Any:
        """The action for one observation of shape `observation_shape`."""

    def __call__(self, observation: Any) -> Any:
        """The same as `act`: a policy stands where a ``get_action`` is asked for."""

    def outputs(self, observation: Any) -> Mapping[str, Any]:
        """All saved outputs that follow from one observation alone, by name (``pi``, ``v``, ``mu`` …)."""

    def close(self) -> None:
        """Give back what the policy holds."""


def load_snapshot(directory: Path, snapshot: SnapshotRecord, *, deterministic: bool = False) -> Policy:
    """Load the policy of a snapshot of the run at `directory`.

    Raises:
        PolicyError: the snapshot is not whole, its kind can't be played, or what plays it is missing.
    """
    place = directory / snapshot.path
    if snapshot.unloadable:
        raise PolicyError(f"{place} can't be loaded: {snapshot.unloadable}", hint="spindb snapshots lists the others")
    if snapshot.kind not in _LOADERS:
        raise PolicyError(
            f"{place} is a {snapshot.kind}: this version of spindb indexes those and does not play them yet",
            hint=f"kinds that play: {', '.join(sorted(_LOADERS))}",
        )
    module, _, function = _LOADERS[snapshot.kind].partition(":")
    load = getattr(importlib.import_module(module), function)
    policy: Policy = load(place, snapshot, deterministic=deterministic)
    return policy
