"""ONNX twins: what our logger traced of a PyTorch module when it saved it, which plays without its author's code.

``pyt_save/model5.onnx`` is the twin of ``pyt_save/model5.pt``. It says by a digest which file it was traced of: beside
another one it is not played. It is played where numpy can't rebuild the module, or where that leaves open what its
author's code does with its layers.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from spindb.disk import limits
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError
from spindb.play.engine.problems import evaluating
from spindb.play.policies import torchmlp
from spindb.play.policies.graph import GraphPolicy
from spindb.records import SnapshotRecord


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False) -> GraphPolicy:
    """The policy in the file at `save`, or its twin; see `spindb.play.policies.load_snapshot`."""
    place = twin_of(save)
    try:
        own = torchmlp.load(save, snapshot, deterministic=deterministic)
    except PolicyError as unknown:
        if not os.path.lexists(place):
            raise
        why = _reason(unknown, save)
        try:
            return _noted(load_twin(save, deterministic=deterministic), f"the module itself is not played: {why}")
        except PolicyError as error:
            raise PolicyError(f"{unknown.message}; its ONNX twin: {error.message}", hint=unknown.hint) from error
    if own.form.settled or own.form.scores is not None or not os.path.lexists(place):
        return own
    try:
        return _noted(load_twin(save, deterministic=deterministic), f"the module alone is open: {own.form.met}")
    except PolicyError as error:
        own.notes = (*own.notes, f"its ONNX twin is not played: {error.message}")
        return own


def load_twin(save: Path, *, deterministic: bool = False) -> GraphPolicy:
    """The twin of the module at `save`.

    Raises:
        PolicyError: it is damaged, is none of this file, or holds what is not known here.
    """
    from spindb.play.policies.onnx_graph import policy_from, read_model

    place = twin_of(save)
    model = read_model(place)
    if model.metadata.get("digest") != digest_of_file(save):
        raise PolicyError(f"{place} was not traced of {save.name} as it is: it is not played")
    policy = policy_from(place, model, deterministic=deterministic)
    if model.metadata.get("draws") == "unknown" and not deterministic:
        policy.notes = (*policy.notes, "its draws were not traced: it acts by its mean")
    return policy


def twin_of(save: Path) -> Path:
    """Where the twin of a module lies."""
    return save.with_suffix(".onnx")


def digest_of_file(save: Path) -> str:
    """The digest of a saved module, as evaluations keep it.

    Raises:
        PolicyError: it can't be read.
    """
    with evaluating(save):
        return blake2b(read_regular(save, limits.MODULE), digest_size=16).hexdigest()


def _noted(policy: GraphPolicy, why: str) -> GraphPolicy:
    policy.notes = (f"played by its ONNX twin {policy.save.name}, traced when it was saved; {why}", *policy.notes)
    return policy


def _reason(error: PolicyError, save: Path) -> str:
    return error.message.removeprefix(f"{save} ").partition(". Its modules")[0]
