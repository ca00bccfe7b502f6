"""Graphs of TensorFlow that do more than compute: refused without --trust, whichever way leads to them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.errors import PolicyError
from spindb.play.engine.pure_operations import PURE
from spindb.play.policies import Policy, load_snapshot
from spindb.records import SnapshotRecord

pytestmark = pytest.mark.slow
tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 3)).astype("f4")
Build = Callable[[Any], Any]


def save(place: Path, build: Build, **options: Any) -> None:
    """A SavedModel whose `pi` is what `build` makes of the placeholder."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 3), name="x")
        offset = v1.get_variable("offset", initializer=np.array([0.5, -0.5, 0.25], dtype="f4"))
        pi = tf.identity(build(x + offset), name="pi")
        session.run(v1.global_variables_initializer())
        options = {name: value() for name, value in options.items()}
        v1.saved_model.simple_save(session, str(place), {"x": x}, {"pi": pi}, **options)


def load(directory: Path, **options: Any) -> Policy:
    names = {"inputs": {"x": "x:0"}, "outputs": {"pi": "pi:0"}}
    return load_snapshot(directory, SnapshotRecord("tf1_save", "tf1_save", None, **names), **options)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("12.5")
    return tmp_path


def unknown(x: Any) -> Any:
    """An operation that numpy does not know here, so that TensorFlow is asked."""
    return tf.raw_ops.Lgamma(x=x)


def writes(x: Any) -> Any:
    return tf.raw_ops.WriteFile(filename="written", contents="x")


def waits_for(effect: Build) -> Build:
    def build(x: Any) -> Any:
        with tf.control_dependencies([effect(x)]):
            return unknown(x)

    return build


def in_function(effect: Build) -> Build:
    @tf.function
    def inner(x: Any) -> Any:
        with tf.control_dependencies([effect(x)]):
            return unknown(x)

    return lambda x: inner(x)


def in_branch(effect: Build) -> Build:
    def build(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) < 1e9, lambda: waits_for(effect)(x), lambda: unknown(x))

    return build


def in_loop(effect: Build) -> Build:
    return lambda x: tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, waits_for(effect)(y)), (0, x))[1]


def python_function(x: Any) -> Any:
    def touch() -> Any:
        Path("written").write_text("x")
        return np.float32(0)

    return v1.py_func(touch, [], tf.float32)


IMPURE: dict[str, tuple[Build, str]] = {
    "a control input": (waits_for(writes), "WriteFile"),
    "a function": (in_function(writes), "WriteFile"),
    "a branch": (in_branch(writes), "WriteFile"),
    "a loop": (in_loop(writes), "WriteFile"),
    "reading": (lambda x: unknown(x) + tf.strings.to_number(tf.io.read_file("secret")), "ReadFile"),
    "printing": (waits_for(lambda x: tf.raw_ops.PrintV2(input="x", output_stream="file://written")), "PrintV2"),
    "matching": (waits_for(lambda x: tf.raw_ops.MatchingFiles(pattern="*")), "MatchingFiles"),
    "python": (lambda x: unknown(x) + python_function(x), "PyFunc"),
    "restoring": (
        lambda x: unknown(x) + tf.raw_ops.RestoreV2(
            prefix="p", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0],
        "RestoreV2",
    ),
    "a queue": (lambda x: unknown(x) + tf.queue.FIFOQueue(1, [tf.float32]).dequeue(), "FIFOQueueV2"),
    "debugging": (
        lambda x: tf.raw_ops.DebugIdentityV2(input=unknown(x), op_name="a", output_slot=0, tfdbg_context_id="b",
                                             tensor_debug_mode=2, debug_urls=["file://written"]),
        "DebugIdentityV2",
    ),
    "assigning": (waits_for(lambda x: v1.get_local_variable("l", shape=()).assign(1.0)), "Assign"),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["auto", "tensorflow"])
@pytest.mark.parametrize("case", IMPURE)
def test_j1_a_graph_that_does_more_than_compute_is_refused(here: Path, case: str, engine: Any) -> None:
    build, op = IMPURE[case]
    save(here / "tf1_save", build)
    Path("written").unlink(missing_ok=True)
    with pytest.raises(PolicyError, match=rf"TensorFlow would execute the operation {op}\w* \(node ") as caught:
        load(here, engine=engine)
    assert "--trust" in str(caught.value.hint)
    assert not Path("written").exists()


def test_j1_with_trust_it_is_executed_and_said(here: Path) -> None:
    save(here / "tf1_save", waits_for(writes))
    policy = load(here, trust=True)
    assert "numpy does not know the operation Lgamma" in policy.notes[0]
    assert "loaded as the file says (--trust): TensorFlow would execute the operation WriteFile" in policy.notes[1]
    assert policy.act(OBSERVATIONS).shape == (5, 3)
    assert Path("written").exists()
    policy.close()


def test_j1_nothing_of_the_file_is_run_to_load_it(here: Path) -> None:
    """TensorFlow's loader runs the file's initialising operation and its assets' tables, and restores as it says."""
    save(here / "tf1_save", unknown, legacy_init_op=lambda: writes(None))
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, ["serve"], "tf1_save")
    assert Path("written").exists()
    Path("written").unlink()
    with _closing(load(here, engine="tensorflow")) as policy:
        assert policy.act(OBSERVATIONS).shape == (5, 3)
        with pytest.raises(PolicyError, match="operation RestoreV2"):
            policy.tensor("save/RestoreV2", OBSERVATIONS)
        with pytest.raises(PolicyError, match="operation WriteFile"):
            policy.tensor("WriteFile", OBSERVATIONS)
        assert policy.tensor("add/ReadVariableOp", OBSERVATIONS).tolist() == [0.5, -0.5, 0.25]
        assert policy.tensor("Lgamma", OBSERVATIONS).shape == (5, 3)
    assert not Path("written").exists()


class _closing:  # noqa: N801 - as contextlib's
    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def __enter__(self) -> Policy:
        return self.policy

    def __exit__(self, *_: object) -> None:
        self.policy.close()


def test_j1_effects_that_no_output_needs_are_cut_off(here: Path) -> None:
    def build(x: Any) -> Any:
        writes(x)
        return unknown(x)

    save(here / "tf1_save", build)
    policy = load(here)
    assert policy.notes == ("played by TensorFlow: numpy does not know the operation Lgamma (node Lgamma)",)
    assert np.allclose(policy.act(OBSERVATIONS), tf.math.lgamma(OBSERVATIONS + np.array([0.5, -0.5, 0.25])), atol=1e-6)
    assert not Path("written").exists()
    policy.close()


def test_j1_pure_functions_branches_and_loops_play(here: Path) -> None:
    for build in (in_function(unknown), in_branch(unknown), in_loop(unknown)):
        shutil.rmtree("tf1_save", ignore_errors=True)
        save(here / "tf1_save", build)
        with _closing(load(here)) as policy:
            assert policy.engine == "tensorflow"
            assert policy.act(OBSERVATIONS).shape == (5, 3)


def test_j1_a_function_with_the_name_of_an_operation_is_refused(here: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    save(here / "tf1_save", in_function(writes))
    path = here / "tf1_save" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    (function,) = graph.library.function
    function.signature.name = "Lgamma"
    for node in graph.node:
        if "PartitionedCall" in node.op:
            node.op = "Lgamma"
            node.attr.clear()
    path.write_bytes(saved.SerializeToString())
    for engine in ("auto", "tensorflow"):
        with pytest.raises(PolicyError):
            load(here, engine=engine)
    assert not Path("written").exists()


def test_j1_a_checkpoint_of_tensorflow_2_is_checked_too(here: Path) -> None:
    class Model(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(np.eye(3, dtype="f4"))

        @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="obs")])
        def serve(self, obs: Any) -> Any:
            with tf.control_dependencies([writes(obs)] if self.evil else []):
                return {"action": tf.math.lgamma(obs @ self.w)}

    for evil in (False, True):
        model = Model()
        model.evil = evil
        tf.saved_model.save(model, "checkpoint", signatures=model.serve)
        Path("written").unlink(missing_ok=True)
        from spindb.disk.formats.snapshots import RunTimes, find_snapshots

        (snapshot,) = find_snapshots(here, ["checkpoint"], RunTimes(None, None, None))
        for engine in ("auto", "tensorflow"):
            if evil:
                with pytest.raises(PolicyError, match="operation WriteFile"):
                    load_snapshot(here, snapshot, engine=engine)  # type: ignore[arg-type]
            else:
                with _closing(load_snapshot(here, snapshot, engine=engine)) as policy:  # type: ignore[arg-type]
                    assert policy.engine == "tensorflow"
                    assert np.allclose(policy.act(OBSERVATIONS), tf.math.lgamma(OBSERVATIONS), atol=1e-6)
        assert not Path("written").exists()
        shutil.rmtree("checkpoint")


def test_j1_every_way_from_the_command_line_and_python(here: Path) -> None:
    import spindb

    Path("run").mkdir()
    Path("run/progress.txt").write_text("Epoch\tAverageEpRet\n0\t1.0\n")
    Path("run/config.json").write_text(json.dumps({"env": "Pendulum-v1", "exp_name": "run"}))
    save(here / "run" / "tf1_save", lambda x: waits_for(writes)(x)[:, :1])
    Path("written").unlink(missing_ok=True)

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spindb", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert call("ingest", ".").returncode == 0
    for more in (
        (),
        ("--engine", "tensorflow"),
        ("--faithful", "--env-factory", "gymnasium.envs.classic_control:PendulumEnv"),
    ):
        played = call("test-policy", "run", "-nr", "-n", 1, *more)
        assert played.returncode == 5, played.stderr
        assert "TensorFlow would execute the operation WriteFile" in played.stderr
        assert "hint: --trust" in played.stderr
    swept = call("sweep", 1, "-n", 1)
    assert swept.returncode == 1
    assert "WriteFile" in swept.stderr
    assert call("export-policy", "run", "--npz", "-o", "a.npz").returncode == 5
    for options in ({}, {"engine": "tensorflow"}):
        with pytest.raises(PolicyError, match="WriteFile"):
            spindb.load_policy("run/", **options)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="WriteFile"):
        spindb.load_policy_and_env("run/")
    assert not Path("written").exists()
    assert call("test-policy", "run", "-nr", "-n", 1, "--len", 5, "--trust").returncode == 0
    assert Path("written").exists()


def test_j1_an_endless_loop_ends(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spindb.play.engine import evaluator

    monkeypatch.setattr(evaluator, "SECONDS", 2)
    save(here / "tf1_save", lambda x: tf.while_loop(lambda i, y: i >= 0, lambda i, y: (i * 1, unknown(y)), (0, x))[1])
    with _closing(load(here)) as policy, pytest.raises(PolicyError, match="did not end within 2 seconds"):
        policy.act(OBSERVATIONS)


def test_j9_what_tensorflow_would_make_is_bounded_where_it_is_known(here: Path) -> None:
    for build in (
        lambda x: unknown(x) + tf.fill([2**20, 2**12, 1], 0.0)[0, :1],
        lambda x: unknown(x) + tf.random.normal([2**31, 1])[:1],
    ):
        shutil.rmtree("tf1_save", ignore_errors=True)
        save(here / "tf1_save", build)
        with pytest.raises(PolicyError, match="would make an array"):
            load(here, engine="tensorflow").act(OBSERVATIONS)


def test_j1_the_list_names_operations_that_are_known() -> None:
    from tensorflow.python.framework import op_def_registry

    assert not [op for op in PURE if op_def_registry.get(op) is None]
    stateful = {op for op in PURE if op_def_registry.get(op).is_stateful}
    draws = {
        op
        for op in stateful
        if "Random" in op or op in ("Multinomial", "TruncatedNormal", "ParameterizedTruncatedNormal")
    }
    rest = {op for op in stateful - draws if not op.startswith("TensorArray")}
    reads = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VarIsInitializedOp"}
    assert rest == {"Assert", "Case", "CheckNumerics", "If", "StatefulPartitionedCall", "While"} | reads
    words = (
        "File",
        "Read",
        "Write",
        "Print",
        "Py",
        "Dataset",
        "Iterator",
        "Queue",
        "Save",
        "Restore",
        "Debug",
        "Send",
        "Recv",
    )
    suspect = {op for op in PURE if any(word in op for word in words) and not op.startswith("TensorArray")}
    assert suspect == {"ReadVariableOp"}
