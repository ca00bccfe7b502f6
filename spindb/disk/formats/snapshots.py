"""Saved policies of a run directory: what is there, what it takes and gives, whether it is whole.

Kinds: ``simple_save`` and ``tf1_save`` (TensorFlow 1 SavedModels: directories ``tf1_save``,
``tf1_save10`` …), ``tf2_save`` (TensorFlow 2 SavedModels: ``checkpoint``, ``checkpoint10`` …) and ``pyt_save``
(pickled PyTorch modules: ``pyt_save/model.pt``, ``model10.pt`` …). The number in the name is the itr.
"""

from __future__ import annotations

import errno
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError, read_pickle
from spindb.disk.codecs.savedmodel import SavedModelError, Signature, check_variables, read_part, read_signature
from spindb.disk.codecs.torchfiles import check_container, check_legacy, check_pickle, is_script
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.regular import TooLargeError, open_regular, read_regular
from spindb.disk.run_directory import listed, why_failed, why_unreadable
from spindb.disk.times import utc
from spindb.disk.told import text_of
from spindb.records import SnapshotRecord

_TENSORFLOW = re.compile(r"(simple_save|tf1_save|checkpoint|tf2_save)(\d{0,18})\Z")
_KINDS = {"checkpoint": "tf2_save"}
_SAVED_MODEL = "saved_model.pb"
_OF_TF2 = (_SAVED_MODEL, "variables", "keras_metadata.pb")  # a directory of that name can be anything else
_PYTORCH_DIRECTORY = "pyt_save"
_PYTORCH = re.compile(r"model(\d{0,18})\.pt\Z")
_STATE = re.compile(r"vars\d*\.pkl\Z")
_CHECKSUM = "CRC"  # in the message of zipfile where an entry's checksum is another
_CLOCK_SLACK_S = 2.0


def is_save(name: str) -> bool:
    """Whether an entry of a run directory holds saved policies."""
    return bool(_TENSORFLOW.match(name)) or name == _PYTORCH_DIRECTORY


def is_state(name: str) -> bool:
    """Whether an entry of a run directory is a saved state."""
    return bool(_STATE.match(name))


def latest_states(names: Collection[str]) -> list[str]:
    """The saved states among the entries of a run directory: the unnumbered one first, then the latest."""
    found = filter(is_state, names)
    return sorted(found, key=lambda name: (any(map(str.isdigit, name)), -len(name), [-ord(letter) for letter in name]))


def policy_files(directory: str, snapshot: SnapshotRecord) -> tuple[str, ...]:
    """The files that make up a saved policy, relative to the run: of a SavedModel the graph and the variables."""
    if os.path.isfile(os.path.join(directory, snapshot.path)):
        return (snapshot.path,)
    variables = sorted(Path(directory, snapshot.path, "variables").glob("*"))
    return f"{snapshot.path}/{_SAVED_MODEL}", *(f"{snapshot.path}/variables/{file.name}" for file in variables)


def holds_policy(directory: str | os.PathLike[str], names: Collection[str]) -> bool:
    """Whether a directory with these entries holds a saved policy by itself, without the metrics of a run.

    A SavedModel lies in ``simple_save*``, ``tf1_save*`` or ``tf2_save*``, or a ``model*.pt`` in ``pyt_save``. The name
    ``checkpoint`` is other programs' too: beside it a config or a state must lie.
    """
    own = "config.json" in names or any(map(is_state, names))
    for name in names:
        match = _TENSORFLOW.match(name)
        if match and (own or match[1] not in _KINDS):
            if os.path.isfile(os.path.join(directory, name, _SAVED_MODEL)):
                return True
        elif name == _PYTORCH_DIRECTORY:
            try:
                inside, _ = listed(os.path.join(directory, name))
            except OSError:
                continue
            if any(map(_PYTORCH.match, inside)):
                return True
    return False


@dataclass(frozen=True, slots=True)
class RunTimes:
    """When this run's own files were written (seconds since the epoch) and how far it got."""

    config: float | None
    progress: float | None
    last_epoch: int | None


WhyOther = Callable[[Mapping[str, str]], str | None]
"""Given a save's outputs, says why it can't be this run's; None where it can."""


def find_snapshots(
    directory: Path, names: list[str], times: RunTimes, why_other: WhyOther = lambda _: None
) -> tuple[SnapshotRecord, ...]:
    """All snapshots of the run at `directory` whose entries are `names`, sorted by kind and itr.

    One that can't be read is there all the same, with the reason; and so is one of another run, as stale.
    """
    found = [*_tensorflow(directory, names), *_pytorch(directory, names)]
    found.sort(key=lambda snapshot: (snapshot.kind, -1 if snapshot.itr is None else snapshot.itr))
    marked = _mark_stale(directory, found, times)
    return tuple(s if s.stale or not (why := why_other(s.outputs)) else replace(s, stale=why) for s in marked)


def _tensorflow(directory: Path, names: list[str]) -> Iterator[SnapshotRecord]:
    for name in names:
        match = _TENSORFLOW.match(name)
        if match and (directory / name).is_dir():
            kind = _KINDS.get(match[1], match[1])
            if kind == "tf2_save" and not any((directory / name / part).exists() for part in _OF_TF2):
                continue
            itr = int(match[2]) if match[2] else None
            state = f"vars{match[2]}.pkl"
            save = SnapshotRecord(kind, name, itr, state_path=state if state in names else None, framework="tensorflow")
            yield _whatever_happens(save, partial(_read_saved_model, directory))


def _whatever_happens(snapshot: SnapshotRecord, read: Callable[[SnapshotRecord], SnapshotRecord]) -> SnapshotRecord:
    """The snapshot as it was read; where that fails, as one that can't be loaded, beside the others."""
    try:
        return read(snapshot)
    except Exception as error:
        return replace(snapshot, unloadable=why_failed(error))


def _read_saved_model(directory: Path, snapshot: SnapshotRecord) -> SnapshotRecord:
    save = directory / snapshot.path
    size, saved_at = _extent_of(save)
    signature, unloadable = Signature(), None
    try:
        signature = read_signature(read_part(save, _SAVED_MODEL, limits.SAVED_MODEL))
        check_variables(save)
    except SavedModelError as error:
        unloadable = str(error)
    inputs, outputs, odd = signature.inputs, signature.outputs, None
    try:
        inputs, outputs = _model_info(save / "model_info.pkl")
    except FileNotFoundError:
        pass
    except (OSError, PickleError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else text_of(error)
        odd = f"model_info.pkl can't be read: {reason}; inputs and outputs are those of the signature"
    if unloadable is None and not outputs:
        unloadable = "no model_info.pkl and no signature 'serving_default': the tensors are unknown"
    return replace(
        snapshot,
        size=size,
        saved_at=saved_at,
        inputs=inputs,
        outputs=outputs,
        framework=f"tensorflow {signature.tensorflow}" if signature.tensorflow else "tensorflow",
        unloadable=unloadable,
        odd=odd,
    )


def _extent_of(save: Path) -> tuple[int, datetime | None]:
    """Bytes of all regular files of a save, and when the newest of them, or the save, was written.

    Links to directories are not followed.
    """
    size, newest = 0, save.stat().st_mtime
    pending, left = [os.fspath(save)], limits.ENTRIES
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    raise OSError(errno.EFBIG, f"more than {limits.ENTRIES:,} files in it")
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file():
                    status = entry.stat()
                    size += status.st_size
                    newest = max(newest, status.st_mtime)
    return size, utc(newest)


def _model_info(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Inputs and outputs as ``model_info.pkl`` has them.

    Raises:
        OSError, PickleError, KeyError, TypeError, AttributeError, ValueError: it is absent or damaged.
    """
    info = read_pickle(read_regular(path, limits.MODEL_INFO))
    return _names(info["inputs"]), _names(info["outputs"])


def _names(mapping: dict[str, str]) -> dict[str, str]:
    """Names of tensors.

    Raises:
        ValueError: they are something else than text.
    """
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in mapping.items()):
        raise ValueError("names of tensors that are not text")
    return dict(mapping)


def _pytorch(directory: Path, names: list[str]) -> Iterator[SnapshotRecord]:
    if _PYTORCH_DIRECTORY not in names or not (directory / _PYTORCH_DIRECTORY).is_dir():
        return
    try:
        inside, _ = listed(directory / _PYTORCH_DIRECTORY)
    except OSError:
        return
    for name in inside:
        match = _PYTORCH.match(name)
        if match and not (directory / _PYTORCH_DIRECTORY / name).is_dir():
            state = f"vars{match[1]}.pkl"
            beside = f"{_PYTORCH_DIRECTORY}/{state}"
            save = SnapshotRecord(
                kind="pyt_save",
                path=f"{_PYTORCH_DIRECTORY}/{name}",
                itr=int(match[1]) if match[1] else None,
                state_path=state if state in names else beside if state in inside else None,
                framework="pytorch",
            )
            yield _whatever_happens(save, partial(_read_module_file, directory))


def twin_of(save: Path) -> Path:
    """Where the ONNX twin of a saved module lies, if it has one."""
    return save.with_suffix(".onnx")


def _read_module_file(directory: Path, snapshot: SnapshotRecord) -> SnapshotRecord:
    path = directory / snapshot.path
    status = path.stat()
    size = status.st_size + (os.lstat(twin).st_size if os.path.lexists(twin := twin_of(path)) else 0)
    return replace(snapshot, size=size, saved_at=utc(status.st_mtime), unloadable=_why_no_module(path))


def odd_modules(directory: Path, names: list[str]) -> list[str]:
    """Saved modules that are called otherwise than ``model.pt`` or ``modelN.pt``, relative to the run."""
    found = [name for name in names if name != _PYTORCH_DIRECTORY]
    if len(found) < len(names) and (directory / _PYTORCH_DIRECTORY).is_dir():
        found[:0] = [f"{_PYTORCH_DIRECTORY}/{name}" for name in listed(directory / _PYTORCH_DIRECTORY)[0]]
    return [path for path in found if path.endswith((".pt", ".pth")) and not _PYTORCH.match(path.rpartition("/")[2])]


def _why_no_module(path: Path) -> str | None:
    """Why the file can't be a whole pickled module (zip or legacy container), else None."""
    try:
        with _Sparing(open_regular(path)) as file:
            head = file.read(64)
            if is_lfs_pointer(head):
                return LFS_REASON
            if head.startswith(b"PK"):
                return _why_no_container(file)
            if not head.startswith(b"\x80"):
                return f"no saved module: {os.fstat(file.fileno()).st_size:,} bytes that are neither zip nor pickle"
            check_legacy(file, os.fstat(file.fileno()).st_size)
    except PickleError as error:
        return str(error)
    except OSError as error:
        return why_unreadable(error)[1]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        return f"its pickle is damaged: {text_of(error)}"
    return None


def _why_no_container(file: io.BufferedReader) -> str | None:
    try:
        with zipfile.ZipFile(file) as container:
            names = container.namelist()
            if is_script(names):  # whose code is compressed; PyTorch alone plays it
                return None
            check_container(container, os.fstat(file.fileno()).st_size)
            pickled = next((name for name in names if name.endswith("data.pkl")), None)
            if pickled is None:
                return "a zip container without data.pkl: no saved module"
            if container.getinfo(pickled).file_size > limits.MODULE_PICKLE:
                return None  # more modules than any policy has; playing it says what it is
            return _why_damaged(container.read(pickled))
    except PickleError as error:
        return str(error)
    except zipfile.BadZipFile as error:
        if _CHECKSUM in str(error):
            return "data.pkl is damaged: its checksum is another"
    except (struct.error, ValueError, NotImplementedError, RuntimeError, zlib.error, EOFError):
        pass
    return "the zip container is cut off: the save was interrupted"


@lru_cache(maxsize=8)
def _why_damaged(pickled: bytes) -> str | None:
    """Why a ``data.pkl`` can't be followed, else None; the snapshots of a run have equal ones, or nearly so."""
    try:
        check_pickle(pickled)
    except PickleError as error:
        return f"data.pkl: {error}"
    return None


class _Sparing(io.BufferedReader):
    """A file of which no more is read at once than the list of a container's entries may take."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > limits.ZIP_DIRECTORY:
            raise TooLargeError(
                errno.EFBIG, f"its list of entries has {size:,} bytes and may have {limits.ZIP_DIRECTORY:,}"
            )
        return super().read(size)


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
    if not found:
        return ()
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
    return tuple(replace(s, stale=reasons[s.path]) if s.path in reasons else s for s in found)


def _variables_size(directory: Path, snapshot: SnapshotRecord) -> int:
    """Bytes of the variables alone: equal for all snapshots of one network."""
    path = directory / snapshot.path
    try:
        if path.is_file():
            return path.stat().st_size
        with os.scandir(path / "variables") as entries:
            data = [e for e in islice(entries, limits.ENTRIES) if e.name.startswith("variables.data-") and e.is_file()]
            return sum(entry.stat().st_size for entry in data)
    except OSError:
        return 0
