"""Loaders of saved policies, one per kind of snapshot, imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from spindb.disk.regular import check_regular
from spindb.disk.run_directory import listed
from spindb.errors import PolicyError
from spindb.extras import require_extra
from spindb.play.arrays import Action, Array, Observation
from spindb.play.policies.forms import Form
from spindb.records import SnapshotRecord

Engine = Literal["auto", "numpy", "tensorflow"]
ENGINES: tuple[Engine, ...] = ("auto", "numpy", "tensorflow")

_TF1 = {
    "auto": "spindb.play.policies.tf1:load_tf1",
    "numpy": "spindb.play.policies.savedmodel:load_tf1_by_numpy",
    "tensorflow": "spindb.play.policies.tf1:load_tf1_by_tensorflow",
}
_TF2 = {
    "auto": "spindb.play.policies.tf2:load_tf2",
    "numpy": "spindb.play.policies.tf2:load_tf2_by_numpy",
    "tensorflow": "spindb.play.policies.tf2:load_tf2_by_tensorflow",
}
_TORCH = "spindb.play.policies.twin:load_torch"
_LOADERS: Mapping[str, Mapping[str, str]] = {
    "simple_save": _TF1,
    "tf1_save": _TF1,
    "tf2_save": _TF2,
    "pyt_save": {"auto": _TORCH, "numpy": _TORCH, "trusted": "spindb.play.policies.torch_module:load_trusted_torch"},
}


class Policy(Protocol):
    """A saved policy, ready to act. Calling it is `act`."""

    observation_shape: tuple[int, ...] | None
    """Shape of one observation, None where the save does not say."""

    deterministic: bool
    """Whether actions are means; False if that was requested but is not possible."""

    stochastic: bool
    """Whether actions are sampled if `deterministic` is false."""

    notes: tuple[str, ...]
    """What to know when it is played."""

    form: Form
    """The meaning of its output: the action, or values from which the action space determines one."""

    @property
    def engine(self) -> str:
        """The engine: ``numpy``, ``tensorflow``, ``torch`` or ``onnxruntime``."""

    def act(self, observation: Observation) -> Array:
        """The action for one observation of shape `observation_shape`; for n of them, n actions."""

    def __call__(self, observation: Observation) -> Array:
        """The same as `act`, so that a policy can be used as ``get_action``."""

    def outputs(self, observation: Observation) -> Mapping[str, Array]:
        """All saved outputs that depend only on the observation, by name (``pi``, ``v``, ``mu`` …)."""

    def has(self, name: str) -> bool:
        """Whether an output of that name was saved."""

    def value(self, observation: Observation) -> Array | float:
        """V of an observation. Raises `PolicyError` if no ``v`` was saved; it lists the saved value functions."""

    def q(self, observation: Observation, action: Action) -> Array | float:
        """Q of an observation and an action, the lower of two. Raises `PolicyError` as `value`."""

    def weights(self) -> Mapping[str, Array]:
        """All saved arrays, by their names in the file."""

    def tensor(self, name: str, observation: Observation, action: Action | None = None) -> Array:
        """Any tensor of a TensorFlow graph by its name. Raises `PolicyError` if there is no graph."""

    def probe(self, observation: Observation) -> Array | None:
        """The deterministic action for one observation, or None if there is none."""

    def bounds(self) -> tuple[Array, Array] | None:
        """Lower and upper bounds of its actions for any observation; None if unbounded or unknown."""

    def choices(self) -> int | None:
        """The number of discrete actions; None if they are continuous or it is unknown."""

    def nan_weights(self, output: str = "") -> list[str]:
        """Names of weights with NaN or infinity, of an output or (by default) of the action.

        Empty if the weights of that output are unknown.
        """

    def begin_episode(self) -> None:
        """An episode begins: forget the state of the one before."""

    def seed(self, seed: int) -> None:
        """Reseed the draws of actions; those of a graph in TensorFlow have seeds of their own."""

    def close(self) -> None:
        """Release the policy's resources."""


def load_snapshot(
    directory: Path,
    snapshot: SnapshotRecord,
    *,
    deterministic: bool = False,
    engine: Engine = "auto",
    trust: bool = False,
) -> Policy:
    """Load the policy of a snapshot of the run at `directory`.

    Args:
        directory: directory of the run.
        snapshot: the snapshot to load.
        deterministic: return the mean or the most probable action.
        engine: ``auto`` is numpy if it supports the operations, else TensorFlow.
        trust: allow unpickling by PyTorch, or loading by TensorFlow's own loader, as a last resort; both execute code
            from the file.

    Raises:
        PolicyError: the snapshot is incomplete, its kind is not supported by the engine, or a library is missing.
    """
    place = directory / snapshot.path
    if snapshot.unloadable:
        raise PolicyError(f"{place} can't be loaded: {snapshot.unloadable}", hint="spindb snapshots lists the others")
    loaders = _LOADERS.get(snapshot.kind)
    if loaders is None:
        raise PolicyError(
            f"{place} is a {snapshot.kind}, which this version of spindb indexes and does not play",
            hint=f"kinds that play: {', '.join(sorted(_LOADERS))}",
        )
    if engine not in loaders:
        raise PolicyError(f"{place} is a {snapshot.kind}, which is not played by {engine}", hint="leave --engine out")
    way = "trusted" if trust and engine == "auto" and "trusted" in loaders else engine
    module, _, function = loaders[way].partition(":")
    _require_regular(place)
    with require_extra():
        load = getattr(importlib.import_module(module), function)
    policy: Policy = load(place, snapshot, deterministic=deterministic, trust=trust)
    return policy


def _require_regular(place: Path) -> None:
    """Refuse a save with a FIFO or a device in place of a file: TensorFlow and PyTorch would block.

    Raises:
        PolicyError: there is one, or the save can't be listed.
    """
    try:
        files = [place]
        if place.is_dir():
            parts = [place / "variables" / name for name in listed(place / "variables")[0]]
            files = [place / "saved_model.pb", *(part for part in parts if not part.is_dir())]
        for file in files:
            check_regular(file)
    except FileNotFoundError:  # the loader says what is missing
        return
    except OSError as error:
        raise PolicyError(f"{place} can't be loaded: {error.strerror or error}") from error
