"""Saves policies and environments in the paths and formats of the layout, atomically.

Everything is written to a temporary path and renamed when it is complete, so a killed run, or one that is read during
training, never shows half a save. Links are replaced, never followed, because their targets belong to another run.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from spindb.files import atomic_write

# The default protocol of Python 3.0 to 3.7: every joblib and every Python 3 reads it, and plain pickles need no
# particular version of joblib.
_PROTOCOL = 3

# Attributes added after TensorFlow 1.15, which refuses unknown ones: hints and checks without effect on results.
_NEW_ATTRIBUTES = {
    "AssignVariableOp": {"validate_shape"},
    "BatchMatMulV2": {"grad_x", "grad_y"},
    "MatMul": {"grad_a", "grad_b"},
    "VarHandleOp": {"debug_name"},
}


def suffix(itr: int | None) -> str:
    """The suffix of a snapshot's name: its number, or nothing for the unnumbered save."""
    return "" if itr is None else str(int(itr))


def save_state(directory: Path, state: Mapping[str, Any], itr: int | None) -> str | None:
    """Write ``vars{itr}.pkl``; returns why it could not be written, or None.

    What plain pickling refuses (lambdas, local classes) or would only save by reference to a script
    (``__main__``) is saved by value with cloudpickle. Where even that fails, the reason is kept in
    ``vars{itr}.pkl.problem``, which ``spindb ingest`` reports, and a state left by an earlier save is
    removed, since it would claim to belong to this one.
    """
    path = directory / f"vars{suffix(itr)}.pkl"
    note = path.with_name(path.name + ".problem")
    try:
        data = _pickle(dict(state))
    except Exception as error:  # pickling runs the objects' own code: anything can be raised
        reason = f"{type(error).__name__}: {error}"
        _write(note, f"{reason}\n".encode("utf-8", "backslashreplace"))
        path.unlink(missing_ok=True)
        return reason
    _write(path, data)
    note.unlink(missing_ok=True)
    return None


def _pickle(state: dict[str, Any]) -> bytes:
    try:
        data = pickle.dumps(state, protocol=_PROTOCOL)
    except Exception:  # whatever it was, saving by value may still work
        return _pickle_by_value(state)
    return _pickle_by_value(state) if b"__main__" in data else data


def _pickle_by_value(state: dict[str, Any]) -> bytes:
    """Pickle with cloudpickle, including the code of modules that are not installed packages."""
    cloudpickle = importlib.import_module("cloudpickle")
    modules = [m for m in map(_own_module, state.values()) if m is not None]
    registered = [m for m in modules if m.__name__ not in cloudpickle.list_registry_pickle_by_value()]
    for module in registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        data: bytes = cloudpickle.dumps(state, protocol=4)
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
    return data


def _own_module(value: object) -> ModuleType | None:
    """The module of the value's class where it is the user's own file, not an installed package."""
    inner = getattr(value, "unwrapped", value)
    module = sys.modules.get(type(inner).__module__)
    file = getattr(module, "__file__", None)
    installed = file is None or "site-packages" in file or "dist-packages" in file
    return None if installed or module is None or module.__name__ == "__main__" else module


def save_tf1(
    directory: Path,
    session: Any,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    itr: int | None,
    *,
    kind: str = "tf1_save",
) -> None:
    """Write ``tf1_save{itr}/``: a TensorFlow 1 SavedModel and ``model_info.pkl``."""
    saved_model = importlib.import_module("tensorflow").compat.v1.saved_model
    place = directory / f"{kind}{suffix(itr)}"
    partial = directory / f".{place.name}.partial"
    _remove(partial)
    with session.graph.as_default():
        signature = saved_model.predict_signature_def(dict(inputs), dict(outputs))
        builder = saved_model.Builder(str(partial))
        builder.add_meta_graph_and_variables(
            session,
            [saved_model.tag_constants.SERVING],
            signature_def_map={saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
            clear_devices=True,
            strip_default_attrs=True,
        )
        builder.save()
    _forget_new_attributes(partial / "saved_model.pb")
    info = {
        "inputs": {name: tensor.name for name, tensor in inputs.items()},
        "outputs": {name: tensor.name for name, tensor in outputs.items()},
    }
    (partial / "model_info.pkl").write_bytes(pickle.dumps(info, protocol=_PROTOCOL))
    _replace_directory(partial, place)


def _forget_new_attributes(path: Path) -> None:
    """Remove attributes that TensorFlow 1 would refuse."""
    protobuf = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2")
    model = protobuf.SavedModel.FromString(path.read_bytes())
    for meta_graph in model.meta_graphs:
        for node in meta_graph.graph_def.node:
            for name in _NEW_ATTRIBUTES.get(node.op, set()) & node.attr.keys():
                del node.attr[name]
    path.write_bytes(model.SerializeToString(deterministic=True))


def save_pytorch(directory: Path, module: Any, itr: int | None) -> str | None:
    """Write ``pyt_save/model{itr}.pt``: the whole module, pickled by torch; a TorchScript one by ``torch.jit.save``.

    Returns:
        Why the module could not be pickled, and its weights alone were saved; None where it was.

    Raises:
        Exception: not even its weights can be saved.
    """
    torch = importlib.import_module("torch")
    place = module_file(directory, itr)
    if _said_to_be_a_link(place.parent):
        place.parent.unlink()
    place.parent.mkdir(exist_ok=True)
    place.with_suffix(".onnx").unlink(missing_ok=True)  # the twin of the previous module
    reason = None
    # A file object: given a path, torch would store the temporary name in the archive.
    with own_file(place) as beside, beside.open("wb") as file:
        if isinstance(module, torch.jit.ScriptModule):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, which the module is
                torch.jit.save(module, file)
            return None
        try:
            torch.save(module, file)
        except OSError:  # a full disk
            raise
        except Exception as error:  # an attribute besides the weights can't be pickled
            if not isinstance(module, torch.nn.Module):
                raise
            reason = f"{type(error).__name__}: {error}"
            file.seek(0)
            file.truncate()
            torch.save(module.state_dict(), file)
    return reason


def save_twin(directory: Path, itr: int | None, module: Any, env: object, observation: object) -> str | None:
    """Write ``pyt_save/model{itr}.onnx``, traced of the module that ``model{itr}.pt`` holds; see `tracing`.

    Returns:
        Why there is none, or None.
    """
    from spindb.logger import tracing  # these two bring what plays: most trainings save no twin
    from spindb.play.readback import twin_deviates

    place = module_file(directory, itr)
    try:
        traced = tracing.trace(module, env, observation)
        why = twin_deviates(place.with_suffix(".onnx"), traced.data, traced.observations, traced.expected)
        if why is not None:
            return why
        about = {
            "run": directory.name,
            "snapshot": f"{place.parent.name}/{place.name}",
            **({} if itr is None else {"itr": str(int(itr))}),
            "digest": blake2b(place.read_bytes(), digest_size=16).hexdigest(),
            "producer": "spindb",
            **traced.about,
        }
        _write(place.with_suffix(".onnx"), tracing.with_metadata(traced.data, about))
    except tracing.UntracedError as error:
        return str(error)
    except Exception as error:  # a twin is optional: its failure must not stop the training
        return f"{type(error).__name__}: {error}"
    return None


def module_file(directory: Path, itr: int | None) -> Path:
    """The path of a saved PyTorch module."""
    return directory / "pyt_save" / f"model{suffix(itr)}.pt"


def _write(path: Path, data: bytes) -> None:
    with own_file(path) as beside:
        beside.write_bytes(data)


@contextlib.contextmanager
def own_file(path: Path) -> Iterator[Path]:
    """A temporary file that replaces `path` at the end, also if it is a link; a warning names the link's target.

    Raises:
        UsageError: `path` can't be written.
    """
    _said_to_be_a_link(path)
    with atomic_write(path, devices=False) as beside:
        yield beside


def _said_to_be_a_link(path: Path) -> bool:
    """Whether `path` is a symbolic link; if so, warn that it is replaced."""
    if not path.is_symlink():
        return False
    words = f"{path} was a link to {os.readlink(path)}: the link is replaced, what it led to stays as it is"
    warnings.warn(words, RuntimeWarning, stacklevel=5)
    return True


def _replace_directory(partial: Path, place: Path) -> None:
    # A directory can't replace another one that is not empty, so the old one is renamed first. A kill between the
    # two leaves it as .old.
    old = place.with_name(f".{place.name}.old")
    _remove(old)
    _said_to_be_a_link(place)
    if os.path.lexists(place):
        os.rename(place, old)
    os.rename(partial, place)
    _remove(old)


def _remove(place: Path) -> None:
    """Remove a directory or a file; of a link only the link."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)
