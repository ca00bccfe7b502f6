"""Saved policies of a run directory: what is there, what it takes and gives, whether it is whole.

Kinds: ``simple_save`` and ``tf1_save`` (TensorFlow 1 SavedModels: directories ``tf1_save``,
``tf1_save10`` …), ``tf2_save`` (TensorFlow 2 SavedModels: ``checkpoint``, ``checkpoint10`` …) and ``pyt_save``
(pickled PyTorch modules: ``pyt_save/model.pt``, ``model10.pt`` …). The number in the name is the itr.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from spindb.disk.pickles import LFS_POINTER, LFS_REASON, PickleError, read_pickle
from spindb.disk.savedmodel import SavedModelError, Signature, check_variables, read_signature
from spindb.records import SnapshotRecord

_TENSORFLOW = re.compile(r"(simple_save|tf1_save|checkpoint|tf2_save)(\d{0,18})\Z")
_KINDS = {"checkpoint": "tf2_save"}
_OF_TF2 = ("saved_model.pb", "variables", "keras_metadata.pb")  # a directory of that name can be anything else
_PYTORCH_DIRECTORY = "pyt_save"
_PYTORCH = re.compile(r"model(\d{0,18})\.pt\Z")
_STATE = re.compile(r"vars\d*\.pkl\Z")
_CLOCK_SLACK_S = 2.0


def is_save(name: str) -> bool:
    """Whether an entry of a run directory holds saved policies."""
    return bool(_TENSORFLOW.match(name)) or name == _PYTORCH_DIRECTORY


def is_state(name: str) -> bool:
    """Whether an entry of a run directory is a saved state."""
    return bool(_STATE.match(name))


@dataclass(frozen=True, slots=True)
class RunTimes:
    """When this run's own files were written (seconds since the epoch) and how far it got."""

    config: float | None
    progress: float | None
    last_epoch: int | None


def find_snapshots(directory: Path, names: list[str], times: RunTimes) -> tuple[SnapshotRecord, ...]:
    """All snapshots of the run at `directory` whose entries are `names`, sorted by kind and itr."""
    found = [*_tensorflow(directory, names), *_pytorch(directory, names)]
    found.sort(key=lambda snapshot: (snapshot.kind, -1 if snapshot.itr is None else snapshot.itr))
    return _mark_stale(directory, found, times)


def _tensorflow(directory: Path, names: list[str]) -> Iterator[SnapshotRecord]:
    for name in names:
        match = _TENSORFLOW.match(name)
        if match and (directory / name).is_dir():
            kind = _KINDS.get(match[1], match[1])
            if kind == "tf2_save" and not any((directory / name / part).exists() for part in _OF_TF2):
                continue
            itr = int(match[2]) if match[2] else None
            state = f"vars{match[2]}.pkl"
            yield _read_saved_model(directory, name, kind, itr, state if state in names else None)


def _read_saved_model(directory: Path, name: str, kind: str, itr: int | None, state: str | None) -> SnapshotRecord:
    save = directory / name
    files = [path for path in save.rglob("*") if path.is_file()]
    signature, unloadable = Signature(), None
    try:
        if not (save / "saved_model.pb").is_file():
            raise SavedModelError("saved_model.pb is missing: the save was interrupted or not copied whole")
        signature = read_signature((save / "saved_model.pb").read_bytes())
        check_variables(save)
    except (SavedModelError, OSError) as error:
        unloadable = str(error)
    inputs, outputs = _model_info(save / "model_info.pkl") or (signature.inputs, signature.outputs)
    if unloadable is None and not outputs:
        unloadable = "no model_info.pkl and no signature 'serving_default': the tensors can't be told"
    return SnapshotRecord(
        kind=kind,
        path=name,
        itr=itr,
        size=sum(path.stat().st_size for path in files),
        saved_at=_newest([save, *files]),
        state_path=state,
        inputs=inputs,
        outputs=outputs,
        framework=f"tensorflow {signature.tensorflow}" if signature.tensorflow else "tensorflow",
        unloadable=unloadable,
    )


def _model_info(path: Path) -> tuple[dict[str, str], dict[str, str]] | None:
    """Inputs and outputs as ``model_info.pkl`` has them; None where it is absent or damaged."""
    try:
        info = read_pickle(path.read_bytes())
        return _names(info["inputs"]), _names(info["outputs"])
    except (OSError, PickleError, KeyError, TypeError, AttributeError):
        return None


def _names(mapping: dict[str, str]) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping.items()}


def _pytorch(directory: Path, names: list[str]) -> Iterator[SnapshotRecord]:
    if _PYTORCH_DIRECTORY not in names or not (directory / _PYTORCH_DIRECTORY).is_dir():
        return
    try:
        inside = sorted(os.listdir(directory / _PYTORCH_DIRECTORY))
    except OSError:
        return
    for name in inside:
        match = _PYTORCH.match(name)
        path = directory / _PYTORCH_DIRECTORY / name
        if match and path.is_file():
            state = f"vars{match[1]}.pkl"
            beside = f"{_PYTORCH_DIRECTORY}/{state}"
            yield SnapshotRecord(
                kind="pyt_save",
                path=f"{_PYTORCH_DIRECTORY}/{name}",
                itr=int(match[1]) if match[1] else None,
                size=path.stat().st_size,
                saved_at=_newest([path]),
                state_path=state if state in names else beside if state in inside else None,
                framework="pytorch",
                unloadable=_why_no_module(path),
            )


def odd_modules(directory: Path, names: list[str]) -> list[str]:
    """Saved modules that are called otherwise than ``model.pt`` or ``modelN.pt``, relative to the run."""
    found = [name for name in names if name != _PYTORCH_DIRECTORY]
    if len(found) < len(names) and (directory / _PYTORCH_DIRECTORY).is_dir():
        found[:0] = [f"{_PYTORCH_DIRECTORY}/{name}" for name in sorted(os.listdir(directory / _PYTORCH_DIRECTORY))]
    return [path for path in found if path.endswith((".pt", ".pth")) and not _PYTORCH.match(path.rpartition("/")[2])]


def _why_no_module(path: Path) -> str | None:
    """Why the file can't be a whole pickled module (zip or legacy container), else None."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if head.startswith(LFS_POINTER):
        return LFS_REASON
    if head.startswith(b"PK"):
        if not zipfile.is_zipfile(path):
            return "the zip container is cut off: the save was interrupted"
        with zipfile.ZipFile(path) as container:
            if not any(name.endswith("data.pkl") for name in container.namelist()):
                return "a zip container without data.pkl: no saved module"
        return None
    if not head.startswith(b"\x80"):
        return f"no saved module: {path.stat().st_size} bytes that are neither zip nor pickle"
    return None


def _newest(paths: list[Path]) -> datetime | None:
    return utc(max(path.stat().st_mtime for path in paths)) if paths else None


def utc(seconds: float) -> datetime | None:
    """A time stamp as a naive datetime in UTC, which is what records and tables hold.

    None for one before the year 1 or after 9999, which a file's time can be.
    """
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


def _mark_stale(directory: Path, found: list[SnapshotRecord], times: RunTimes) -> tuple[SnapshotRecord, ...]:
    """Tell apart what an earlier run left in the same directory.

    A rerun truncates the metrics and replaces config and unnumbered save, and leaves numbered
    snapshots. Evidence, as certain as each is:

    1. The snapshot is older than this run's config (and metrics): times that a plain copy may have
       lost, therefore not the only evidence.
    2. There is an unnumbered save, so this run does not number its own, and the itr lies beyond the
       last epoch.
    3. It shares the size of its variables with one that (2) found and the unnumbered save does not:
       the same network as the stale one, not as the fresh one.
    """
    begun = min((t for t in (times.config, times.progress) if t is not None), default=None)
    before = None if begun is None else utc(begun - _CLOCK_SLACK_S)
    reasons: dict[str, str] = {}
    for snapshot in found:
        if before is not None and snapshot.saved_at and snapshot.saved_at < before:
            reasons[snapshot.path] = "older than this run's config.json: an earlier run in this directory left it"
    unnumbered = {s.kind: s for s in found if s.itr is None}
    beyond: set[tuple[str, int]] = set()
    for snapshot in found:
        fresh = unnumbered.get(snapshot.kind)
        if fresh is None or snapshot.itr is None or times.last_epoch is None or fresh.path in reasons:
            continue
        if snapshot.itr > times.last_epoch + 1:
            reasons.setdefault(
                snapshot.path, f"numbered beyond this run's last epoch ({times.last_epoch}): an earlier run left it"
            )
            beyond.add((snapshot.kind, _variables_size(directory, snapshot)))
    for snapshot in found:
        fresh = unnumbered.get(snapshot.kind)
        size = _variables_size(directory, snapshot) if beyond else 0
        if fresh is None or (snapshot.kind, size) not in beyond or size == _variables_size(directory, fresh):
            continue
        reasons.setdefault(snapshot.path, "has the network of an earlier run's snapshots, not of this run's save")
    return tuple(replace(s, stale=reasons.get(s.path)) for s in found)


def _variables_size(directory: Path, snapshot: SnapshotRecord) -> int:
    """Bytes of the variables alone: equal for all snapshots of one network."""
    path = directory / snapshot.path
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.glob("variables/variables.data-*"))
