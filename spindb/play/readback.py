"""Whether a snapshot that was just saved will play, found without building its environment or executing anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk.codecs.onnx import OnnxError, read_onnx
from spindb.disk.formats import layout_of, read_run
from spindb.errors import EnvironmentBuildError, PlaybackError, PolicyError, SpindbError
from spindb.play.actions import settle
from spindb.play.arrays import Array
from spindb.play.engine.problems import UnsupportedGraphError
from spindb.play.engine.tensorflow_graph import pure_part
from spindb.play.environments.build import build_environment
from spindb.play.environments.chain import chain_of, wrapped
from spindb.play.environments.of_snapshot import earlier_ways, state_of
from spindb.play.environments.packages import is_of_gym
from spindb.play.locate import Playable
from spindb.play.policies import load_snapshot
from spindb.play.policies.savedmodel import graph_bytes
from spindb.play.policies.twin import policy_in
from spindb.play.process_state import unchanged_process

_TOLERANCE = 1e-4
_INSTALLED = ("site-packages", "dist-packages")
_TWIN = (
    "logger.setup_pytorch_saver(module, save_onnx=True) saves a traced twin that plays without that code;\n"
    "test-policy --trust plays it by that code, where its class can be imported (--import FILE.py for one of a script)"
)


def unplayable(directory: Path, path: str, env: object = None) -> list[str]:
    """Why the snapshot at `path` of the run at `directory` will not play, in words, each with the way out.

    Args:
        directory: of the run.
        path: of the save, relative to it.
        env: the environment that was saved beside it, which is neither stepped nor reset.
    """
    layout = layout_of(directory)
    assert layout is not None  # its logger has just written it
    record = read_run(layout, directory)
    snapshot = next(item for item in record.snapshots if item.path == path)
    playable = Playable(directory, snapshot, record.env, None, tuple(record.snapshots))
    found: list[tuple[str, PlaybackError]] = []
    try:
        _check_policy(playable, env)
    except PolicyError as error:
        found.append(("what was saved will not play by itself", error))
    try:
        with unchanged_process():  # it is the training's
            _check_environment(playable, env)
    except EnvironmentBuildError as error:
        found.append(("the environment that was saved will not be built by itself", error))
    return [f"{what}: {_words(directory, error)}" for what, error in found]


def twin_deviates(place: Path, data: bytes, observations: Array, expected: Mapping[str, Any]) -> str | None:
    """Why a twin that is to be written does not act as the module that it was traced of; None where it does.

    Args:
        place: where it is to lie.
        data: of the ONNX file.
        observations: one in each row.
        expected: what the module makes of each of them, by the names of the outputs.
    """
    try:
        policy: Any = policy_in(place, data, read_onnx(data), deterministic=True, trust=True)  # of our own making
        for name, wanted in expected.items():
            ours = {"action": policy.action_name, "output": "pi"}.get(name, name)
            together = policy.evaluate(ours, observations)
            alone = np.concatenate([policy.evaluate(ours, row[None]) for row in observations])
            if not all(
                np.shape(f) == wanted.shape and np.allclose(f, wanted, _TOLERANCE, _TOLERANCE, True)
                for f in (together, alone)
            ):
                return f"its {name} is not that of the module: the module's code decides by the values that it is given"
    except (SpindbError, OnnxError) as error:
        return str(error).removeprefix(f"{place}: ")
    return None


def _words(directory: Path, error: PlaybackError) -> str:
    hint = error.hint
    if (
        isinstance(error, PolicyError)
        and "its ONNX twin: " not in error.message
        and ("author's code" in error.message or "TorchScript" in error.message)
    ):
        hint = _TWIN
    return "\n".join(filter(None, (error.message.replace(f"{directory}{os.sep}", ""), hint)))


def _check_policy(playable: Playable, env: object) -> None:
    try:
        policy = load_snapshot(playable.directory, playable.snapshot, engine="numpy")
    except UnsupportedGraphError as error:
        if playable.snapshot.kind == "pyt_save":
            raise
        _check_tensorflow(playable, error)
        return
    try:
        space = getattr(env, "action_space", None)
        if space is not None or (not policy.form.settled and policy.form.scores is None):
            settle(policy, space)
    finally:
        policy.close()


def _check_tensorflow(playable: Playable, unsupported: UnsupportedGraphError) -> None:
    """A graph that numpy does not know plays by TensorFlow, where it does nothing but compute."""
    if "tensorflow" not in sys.modules:
        raise unsupported
    save = playable.directory / playable.snapshot.path
    pure_part(save, graph_bytes(save), playable.snapshot.outputs.values())


def _check_environment(playable: Playable, env: object) -> None:
    if env is None:  # none was given to be kept
        return
    saved = state_of(playable)
    if playable.env.id is None and (saved.environment is None or saved.environment.class_id is None):
        build_environment(
            playable.env, saved=saved, earlier=earlier_ways(playable, saved)
        )  # it raises, and builds nothing
        return
    chain = chain_of(saved.environment, playable.env.max_episode_steps)
    # Around the live one: wrappers of gym and gymnasium alone are made, which look at spaces and step nothing.
    inner: Any = getattr(env, "unwrapped", env)
    wrapped(inner, chain, (), whole_state=saved.whole, without=False)
    if playable.env.id is not None:
        _check_registry(playable.env.id, env)


def _check_registry(env_id: str, env: object) -> None:
    """Refuse an id that a module of the user's own registers: that module must be imported to play it.

    Raises:
        EnvironmentBuildError: it is one.
    """
    entry = getattr(getattr(getattr(env, "unwrapped", env), "spec", None), "entry_point", None)
    name = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", None)
    module = sys.modules.get(name or "")
    file = getattr(module, "__file__", None)
    if name and name != "__main__" and (file is None or is_of_gym(name) or any(part in file for part in _INSTALLED)):
        return
    if name is not None:
        typed = "FILE.py" if name == "__main__" else name
        raise EnvironmentBuildError(
            f"{env_id} is registered by {'a script' if name == '__main__' else f'the module {name}'}",
            hint=f"test-policy --import {typed} registers it, or --env-factory module:function builds it",
        )
