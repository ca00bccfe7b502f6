"""Policies saved by TensorFlow 2, by the version of long ago and by today's: numpy against what they gave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphlike import Save

from spindb.disk.codecs.functions import Function, inlined
from spindb.disk.codecs.nodes import Node
from spindb.disk.codecs.savedmodel import SavedModelError
from spindb.disk.formats.snapshots import RunTimes, find_snapshots
from spindb.errors import PolicyError
from spindb.play.actions import settle
from spindb.play.policies import Engine, Policy, load_snapshot
from spindb.records import SnapshotRecord

gymnasium = pytest.importorskip("gymnasium")
SAVES = Path(__file__).parent / "saves"
OLD = SAVES / "tensorflow-2.9"


@pytest.fixture(
    scope="module", params=["2.9", pytest.param("today's", marks=pytest.mark.slow)], ids=["tensorflow 2.9", "today's"]
)
def saves(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "2.9":
        return OLD
    place = tmp_path_factory.mktemp("tensorflow2")
    subprocess.run([sys.executable, SAVES / "tensorflow2.py", place], check=True, capture_output=True)
    return place


def snapshot_of(directory: Path) -> SnapshotRecord:
    (found,) = find_snapshots(directory, ["checkpoint"], RunTimes(None, None, None))
    return found


def load(directory: Path, engine: Engine = "numpy", **options: Any) -> Policy:
    return load_snapshot(directory, snapshot_of(directory), engine=engine, **options)


def test_a_checkpoint_is_a_snapshot(saves: Path) -> None:
    found = snapshot_of(saves / "gaussian")
    assert (found.kind, found.path, found.itr, found.unloadable) == ("tf2_save", "checkpoint", None, None)
    assert str(found.framework).startswith("tensorflow 2.")


def test_what_is_drawn_is_the_action_and_its_mean_is_found(saves: Path) -> None:
    kept = np.load(saves / "outputs.npz")
    policy = load(saves / "gaussian")
    assert policy.stochastic
    assert policy.observation_shape == (4,)
    assert policy.notes == ("output_1 is taken for the action, beside output_0, output_2",)
    assert np.allclose(policy.outputs(kept["observations"])["mu"], kept["mean"], atol=1e-6)
    many = np.repeat(kept["observations"][:1], 20000, axis=0)
    drawn = policy.act(many)
    assert np.allclose(drawn.mean(axis=0), kept["mean"][0], atol=0.05)
    assert np.allclose(drawn.std(axis=0), np.exp([-0.5, 0.5]), rtol=0.05)
    mode = load(saves / "gaussian", deterministic=True)
    assert np.allclose(mode.act(kept["observations"]), kept["mean"], atol=1e-6)
    assert {array.shape for array in mode.weights().values()} == {(4, 8), (8, 2), (2,)}


def test_names_that_tell_are_taken_at_their_word(saves: Path) -> None:
    kept = np.load(saves / "outputs.npz")
    policy = load(saves / "categorical", deterministic=True)
    assert policy.notes == ()
    assert (policy.act(kept["observations"]) == kept["logits"].argmax(axis=1)).all()
    assert np.allclose(policy.value(kept["observations"]), kept["value"], atol=1e-5)
    assert np.allclose(policy.outputs(kept["observations"])["logits"], kept["logits"], atol=1e-5)


@pytest.mark.slow
def test_tensorflow_gives_the_same(saves: Path) -> None:
    kept = np.load(saves / "outputs.npz")
    policy = load(saves / "gaussian", "tensorflow", deterministic=True)
    assert policy.engine == "tensorflow"
    assert policy.deterministic
    assert np.allclose(policy.act(kept["observations"]), kept["mean"], atol=1e-6)
    other = load(saves / "categorical", "tensorflow", deterministic=True)
    assert not other.deterministic
    assert "no deterministic output" in other.notes[0]
    assert np.allclose(other.value(kept["observations"]), kept["value"], atol=1e-5)


def test_a_directory_called_checkpoint_can_be_anything(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "model_10.pt").write_bytes(b"")
    assert find_snapshots(tmp_path, ["checkpoint"], RunTimes(None, None, None)) == ()
    (tmp_path / "checkpoint" / "variables").mkdir()
    (found,) = find_snapshots(tmp_path, ["checkpoint"], RunTimes(None, None, None))
    assert "saved_model.pb is missing" in str(found.unloadable)


def test_a_save_without_one_observation_is_refused_in_words() -> None:
    snapshot = snapshot_of(OLD / "categorical")
    two = SnapshotRecord(
        "tf2_save", "checkpoint", None, inputs={"left": "x:0", "right": "y:0"}, outputs=snapshot.outputs
    )
    with pytest.raises(PolicyError, match="names no input 'x'; inputs there: left, right"):
        load_snapshot(OLD / "categorical", two)


def test_functions_without_end_are_refused() -> None:
    call = Node("f", "PartitionedCall", ("x",), {"f": "again"})
    nodes = {"x": Node("x", "Placeholder", (), {}), "f": call}
    again = Function(("a",), (Node("b", "PartitionedCall", ("a",), {"f": "again"}),), ("b:output:0",))
    with pytest.raises(SavedModelError, match="endlessly"):
        inlined(nodes, {"again": again})


def test_a_damaged_graph_of_assignments_ends(tmp_path: Path) -> None:
    """Values that come from each other, from nowhere, or from names that are none restore nothing."""
    from spindb.play.engine.program import Graph
    from spindb.play.policies.tf2 import _Restored

    nodes = [
        Node("circle", "Identity", ("circle",), {}),
        Node("bare", "AssignVariableOp", (), {}),
        Node("round", "AssignVariableOp", ("v", "circle"), {}),
        Node("names", "NoOp", (), {}),
        Node("restore", "RestoreV2", ("circle", "names"), {}),
        Node("nameless", "AssignVariableOp", ("v", "restore:3"), {}),
        Node("short", "RestoreV2", ("circle",), {}),
        Node("of nothing", "AssignVariableOp", ("v", "short"), {}),
        Node("v", "VarHandleOp", (), {}),
    ]
    graph = Graph(tmp_path, {node.name: node for node in nodes}, {"v": 1.5}, {}, {})
    assert list(_Restored(graph)) == []
    assert _Restored(graph)["v"] == 1.5


W, LOG_STD = np.full((4, 2), 0.3, "f4"), np.array([[-1.0, 0.0]] * 4, "f4") / 4


def undrawn(place: Path, outputs: dict[str, str], last: str = "Identity", **options: Any) -> Policy:
    """A signature with a mean and the logarithm of a deviation, of which nothing is drawn."""
    save = Save(variables={"w": W, "s": LOG_STD}, outputs=outputs)
    save.add("x", "Placeholder", dtype="f4", shape=(-1, 4))
    for name, shape in (("w", (4, 2)), ("s", (4, 2))):
        save.add(name, "VariableV2", dtype="f4", shape=shape)
    save.add("mean", "MatMul", "x", "w", T="f4")
    save.add("mu", last, "mean", T="f4")
    save.add("log_std", "MatMul", "x", "s", T="f4")
    save.write(place / "checkpoint")
    snapshot = SnapshotRecord("tf2_save", "checkpoint", None, inputs={"x": "x:0"}, outputs=outputs)
    return load_snapshot(place, snapshot, engine="numpy", **options)


def test_h2_a_mean_that_its_author_may_squash_is_asked_for(tmp_path: Path) -> None:
    space = gymnasium.spaces.Box(-2.0, 2.0, (2,))
    outputs = {"mu": "mu:0", "log_std": "log_std:0"}
    x = np.ones(4, "f4")
    with pytest.raises(PolicyError, match="its signature gives log_std, mu, of which none is drawn") as caught:
        settle(undrawn(tmp_path, outputs), space)
    assert str(caught.value.hint).startswith("--action tanh|clip")
    certain = settle(undrawn(tmp_path, outputs, deterministic=True), space, "tanh")
    assert certain.act(x) == pytest.approx(2 * np.tanh(x @ W), abs=1e-5)
    policy = settle(undrawn(tmp_path, outputs), space, "tanh")
    assert policy.stochastic
    policy.seed(0)
    drawn = np.arctanh(np.clip(policy.act(np.repeat(x[None], 4000, axis=0)) / 2, -0.9999, 0.9999))
    assert np.median(drawn, axis=0) == pytest.approx(x @ W, abs=0.06)
    assert drawn[:, 0].std() == pytest.approx(np.exp(-1), rel=0.1)


def test_h2_names_that_tell_nothing_are_asked_for_too(tmp_path: Path) -> None:
    space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    outputs = {"output_1": "mu:0", "output_2": "log_std:0"}
    with pytest.raises(PolicyError, match="its signature gives output_1, output_2"):
        settle(undrawn(tmp_path, outputs), space)
    with pytest.raises(PolicyError, match=r"gives output_1, of which .*; the environment takes Discrete\(2\)"):
        settle(undrawn(tmp_path, {"output_1": "mu:0"}), gymnasium.spaces.Discrete(2))
    squashed = undrawn(tmp_path, {"output_1": "mu:0"}, "Tanh")  # what is bounded as the space is is an action
    assert settle(squashed, space) is squashed
