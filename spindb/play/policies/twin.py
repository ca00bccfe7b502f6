"""ONNX twins: models that spindb's logger traced from a PyTorch module, which play without its author's code.

``pyt_save/model5.onnx`` is the twin of ``pyt_save/model5.pt``. It contains the digest of the module's file and is not
played with another file. It is used if numpy can't rebuild the module, or if the meaning of the module's output is
open.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from spindb.disk import limits
from spindb.disk.codecs.onnx import Model
from spindb.disk.formats.snapshots import twin_of
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError
from spindb.play.engine.array_policy import ArrayPolicy
from spindb.play.engine.problems import UnsupportedGraphError, evaluating
from spindb.play.policies.torch_mlp import load_torch_by_numpy
from spindb.records import SnapshotRecord


def load_torch(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> ArrayPolicy:
    """The policy in the file at `save`, or its twin; see `spindb.play.policies.load_snapshot`."""
    try:
        own = load_torch_by_numpy(save, snapshot, deterministic=deterministic)
    except PolicyError as unknown:
        if not os.path.lexists(twin_of(save)):
            raise
        try:
            found = load_twin(save, deterministic=deterministic, trust=trust)
        except PolicyError as error:
            hint = error.hint or unknown.hint
            raise PolicyError(f"{unknown.message}; its ONNX twin: {error.message}", hint=hint) from error
        return _noted(found, f"the module itself is not played: {_reason(unknown, save)}")
    # The module itself is preferred if its action is determined: the twin is only a traced copy.
    if own.form.settled or own.form.scores is not None or not os.path.lexists(twin_of(save)):
        return own
    try:
        found = load_twin(save, deterministic=deterministic, trust=trust)
    except PolicyError as error:
        own.notes = (*own.notes, f"its ONNX twin is not played: {error.message}")
        return own
    return _noted(found, f"the module alone is open: {own.form.met}")


def load_twin(save: Path, *, deterministic: bool = False, trust: bool = False) -> ArrayPolicy:
    """The twin of the module at `save`: by numpy, or with `trust` by onnxruntime if numpy lacks an operation.

    Raises:
        PolicyError: it is damaged, belongs to another file, or contains an unsupported operation.
    """
    # Most modules have no twin: the first action is to come soon.
    from spindb.play.policies.onnx_graph import model_bytes, model_in

    place = twin_of(save)
    data = model_bytes(place)
    model = model_in(place, data)
    if model.metadata.get("digest") != digest_of_file(save):
        raise PolicyError(f"{place} was not traced of {save.name} as it is: it is not played")
    policy = policy_in(place, data, model, deterministic=deterministic, trust=trust)
    if model.metadata.get("draws") == "unknown" and not deterministic:
        policy.notes = (*policy.notes, "its draws were not traced: it acts by its mean")
    return policy


def policy_in(
    place: Path, data: bytes, model: Model, *, deterministic: bool = False, trust: bool = False
) -> ArrayPolicy:
    """The policy of a twin; raises as `load_twin`."""
    from spindb.play.policies.onnx_graph import policy_from

    try:
        return policy_from(place, model, deterministic=deterministic)
    except UnsupportedGraphError as error:
        if not trust:
            hint = "--trust plays it by onnxruntime, whose memory and time are not bounded"
            raise UnsupportedGraphError(place, error.reason, hint=hint) from error
        from spindb.play.policies.onnx_session import OnnxPolicy

        policy = OnnxPolicy(place, data, model, deterministic=deterministic)
        policy.notes = (*policy.notes, f"played by onnxruntime: {error.reason}")
        return policy


def digest_of_file(save: Path) -> str:
    """The digest of a saved module, as stored with evaluations.

    Raises:
        PolicyError: it can't be read.
    """
    with evaluating(save):
        return blake2b(read_regular(save, limits.MODULE), digest_size=16).hexdigest()


def _noted(policy: ArrayPolicy, why: str) -> ArrayPolicy:
    policy.notes = (f"played by its ONNX twin {policy.save.name}, traced when it was saved; {why}", *policy.notes)
    return policy


def _reason(error: PolicyError, save: Path) -> str:
    return error.message.removeprefix(f"{save} ").partition(". Its modules")[0]
