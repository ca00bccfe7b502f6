"""Inputs of TensorFlow 1 graphs beside the observation: dropout masks, switches for training, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphlike import Save, array

from spindb.errors import PolicyError
from spindb.play.policies import load_snapshot
from spindb.records import SnapshotRecord

RNG = np.random.default_rng(2)
X = RNG.normal(size=(5, 4)).astype("f4")
W = RNG.normal(size=(4, 2)).astype("f4")


def begun(**outputs: str) -> Save:
    save = Save(variables={"w": W}, outputs=outputs or {"pi": "pi:0"})
    save.add("x", "Placeholder", dtype="f4", shape=(-1, 4))
    save.add("w", "VariableV2", dtype="f4", shape=(4, 2))
    save.add("w/read", "Identity", "w", T="f4")
    return save


def load(save: Save, place: Path, **options: Any) -> Any:
    save.write(place / "tf1_save")
    return load_snapshot(
        place, SnapshotRecord("tf1_save", "tf1_save", None, inputs={"x": "x:0"}, outputs=save.outputs), **options
    )


def masked(op: str = "Diag", left: bool = True) -> Save:
    save = begun()
    save.add("dropout_mask_0", "Placeholder", dtype="f4", shape=(-1,))
    save.add("mask", op, "dropout_mask_0", T="f4")
    save.add("kept", "MatMul", *(("mask", "w/read") if left else ("w/read", "mask")), T="f4")
    save.add("pi", "MatMul", "x", "kept", T="f4")
    return save


@pytest.mark.parametrize("op", ["Diag", "MatrixDiag"])
@pytest.mark.parametrize("left", [True, False])
def test_h3_dropout_masks_are_ones(op: str, left: bool, tmp_path: Path) -> None:
    policy = load(masked(op, left), tmp_path)
    assert policy.engine == "numpy"
    assert policy.act(X) == pytest.approx(X @ W, abs=1e-5)
    assert policy.notes == ("dropout masks are ones: nothing is dropped",)


@pytest.mark.slow
def test_h3_tensorflow_is_fed_with_the_same(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    policy = load(masked(), tmp_path, engine="tensorflow")
    try:
        assert policy.act(X) == pytest.approx(X @ W, abs=1e-5)
        assert policy.outputs(X)["pi"] == pytest.approx(X @ W, abs=1e-5)
        assert "dropout masks are ones: nothing is dropped" in policy.notes
    finally:
        policy.close()


FILLED: Mapping[str, tuple[str, str, Any, float, str]] = {
    "a mask of known shape": ("mask", "f4", (2,), 1.0, "dropout masks are ones"),
    "a share that is kept": ("keep_prob", "f4", (), 1.0, "keep_prob is 1"),
}


@pytest.mark.parametrize("case", FILLED)
def test_h3_what_is_told_by_name_and_type(case: str, tmp_path: Path) -> None:
    name, dtype, shape, value, words = FILLED[case]
    save = begun()
    save.add(name, "Placeholder", dtype=dtype, shape=shape)
    save.add("product", "MatMul", "x", "w/read", T="f4")
    save.add("pi", "Mul", "product", name, T="f4")
    policy = load(save, tmp_path)
    assert policy.act(X) == pytest.approx(X @ W * value, abs=1e-5)
    assert policy.notes[0].startswith(words)


def test_h3_training_is_off(tmp_path: Path) -> None:
    save = begun()
    save.add("bn/is_training", "Placeholder", dtype="?", shape=())
    save.add("product", "MatMul", "x", "w/read", T="f4")
    save.add("other", "Neg", "product", T="f4")
    save.add("pi", "SelectV2", "bn/is_training", "other", "product", T="f4")
    policy = load(save, tmp_path)
    assert policy.act(X) == pytest.approx(X @ W, abs=1e-5)
    assert policy.notes == ("is_training is off: it plays, it does not train",)


def test_h3_a_default_is_taken(tmp_path: Path) -> None:
    save = begun()
    save.add("default", "Const", value=array(2.0))
    save.add("scale", "PlaceholderWithDefault", "default", dtype="f4", shape=())
    save.add("product", "MatMul", "x", "w/read", T="f4")
    save.add("pi", "Mul", "product", "scale", T="f4")
    assert load(save, tmp_path).act(X) == pytest.approx(2 * X @ W, abs=1e-5)


@pytest.mark.parametrize("engine", ["numpy", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_h3_any_other_is_refused_by_its_name(engine: Any, tmp_path: Path) -> None:
    save = begun()
    save.add("goal", "Placeholder", dtype="f4", shape=(-1, 2))
    save.add("product", "MatMul", "x", "w/read", T="f4")
    save.add("pi", "Add", "product", "goal", T="f4")
    with pytest.raises(PolicyError, match="needs a value for the placeholder goal beside the observation") as caught:
        load(save, tmp_path, engine=engine)
    assert caught.value.exit_code == 5


def test_h3_a_value_that_needs_another_is_left_out(tmp_path: Path) -> None:
    save = begun(pi="pi:0", v="v:0")
    save.add("goal", "Placeholder", dtype="f4", shape=(-1, 2))
    save.add("pi", "MatMul", "x", "w/read", T="f4")
    save.add("v", "Add", "pi", "goal", T="f4")
    policy = load(save, tmp_path)
    assert policy.act(X) == pytest.approx(X @ W, abs=1e-5)
    assert not policy.has("v")
    assert policy.notes == ("v needs a value for the placeholder goal: left out",)


def test_h3_mu_without_pi_is_the_action(tmp_path: Path) -> None:
    save = begun(mu="mu:0")
    save.add("product", "MatMul", "x", "w/read", T="f4")
    save.add("mu", "Tanh", "product", T="f4")
    policy = load(save, tmp_path)
    assert policy.act(X) == pytest.approx(np.tanh(X @ W), abs=1e-5)
    assert policy.notes == ("it saves no pi: its mu is the action, and nothing is drawn",)


def test_a_mask_can_not_take_the_memory(tmp_path: Path) -> None:
    save = begun()
    save.add("dropout_mask", "Placeholder", dtype="f4", shape=(1 << 20, 1 << 20))
    save.add("pi", "Sum", "dropout_mask", "x", T="f4")
    with pytest.raises(PolicyError, match="placeholder dropout_mask"):
        load(save, tmp_path)
