"""Policies for other stacks: ONNX files run by onnxruntime, arrays and operations read by numpy alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchlike
from conftest import REPOSITORY, Outcome
from test_engines import EXAMPLE, EXPRESSIONS, OBSERVATIONS, layers, network, save_graph, stack

import spindb
from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.export.onnx_plan import plan_of
from spindb.play.export.write import largest_difference, write_npz, write_onnx
from spindb.play.policies.savedmodel import read_policy_save

TOLD_IN_TENSORFLOW_ALONE = ("one hot", "split, stack", "first part", "last part", "filled", "choices")
OLD = Path(__file__).parent / "saves" / "tensorflow-2.9"


def run_onnx(path: Path, observations: Any) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"observation": observations}), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_operation_means_the_same_in_onnx(name: str, tmp_path: Path) -> None:
    names = save_graph(tmp_path / "save", EXPRESSIONS[name])
    policy = GraphPolicy(read_policy_save(tmp_path / "save", *names), deterministic=True)
    if name in TOLD_IN_TENSORFLOW_ALONE:
        with pytest.raises(PolicyError, match=r"the operation \w+ of .* can't be exported"):
            plan_of(policy)
        return
    write_onnx(tmp_path / "policy.onnx", plan_of(policy), {})
    assert largest_difference(tmp_path / "policy.onnx", policy) < 1e-5
    found = run_onnx(tmp_path / "policy.onnx", OBSERVATIONS)["action"]
    assert np.allclose(found, policy.act(OBSERVATIONS), rtol=1e-5, atol=1e-5)


def test_a_trained_policy_lives_on(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    out = tmp_path / "policy.onnx"
    outcome = cli("export-policy", EXAMPLE, "--itr", 10, "--onnx", "-o", out)
    assert outcome.code == 0
    assert re.search(r"action, sample, v of tf1_save10 written to .*; onnxruntime gives the same within", outcome.err)
    policy = spindb.load_policy(EXAMPLE, itr=10, deterministic=True)
    observations = np.random.default_rng(0).normal(size=(100, 4)).astype("f4") * 0.2
    found = run_onnx(out, observations)
    assert (found["action"] == policy.act(observations)).all()
    assert np.allclose(found["v"], policy.value(observations), rtol=1e-4)
    drawing = spindb.load_policy(EXAMPLE, itr=10)
    drawing.seed(0)
    many = np.repeat(observations[:1], 20000, axis=0)
    assert abs(run_onnx(out, many)["sample"].mean() - drawing.act(many).mean()) < 0.02

    import onnx

    about = {prop.key: prop.value for prop in onnx.load(out).metadata_props}
    assert about["run"] == EXAMPLE.name
    assert (about["itr"], about["env"], len(about["digest"])) == ("10", "CartPole-v1", 32)


def test_pytorch_and_tensorflow_2_live_on_too(tmp_path: Path) -> None:
    log_std = np.array([-0.5, 0.5], dtype="f4")
    actor = torchlike.Network("someone.Actor", {"mu_net": stack(layers(3, 8, 2))}, log_std=log_std)
    (tmp_path / "pyt_save").mkdir()
    (tmp_path / "pyt_save" / "model.pt").write_bytes(torchlike.zipped(network(actor, v=stack(layers(3, 8, 1)))))
    for directory, size in ((tmp_path, 3), (OLD / "gaussian", 4)):
        policy = spindb.load_policy(directory, deterministic=True)
        assert isinstance(policy, GraphPolicy)
        write_onnx(tmp_path / "policy.onnx", plan_of(policy), {})
        observations = np.repeat(np.random.default_rng(0).normal(size=(1, size)), 20000, axis=0).astype("f4")
        found = run_onnx(tmp_path / "policy.onnx", observations)
        assert np.allclose(found["action"], policy.act(observations), atol=1e-5)
        assert np.allclose(found["sample"].mean(axis=0), found["action"][0], atol=0.05)
        assert np.allclose(found["sample"].std(axis=0), np.exp(log_std), rtol=0.05)


def test_arrays_are_enough_for_numpy(cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: Any) -> None:
    """The program on the page of documentation runs what was exported."""
    monkeypatch.chdir(tmp_path)
    assert cli("export-policy", EXAMPLE, "--itr", 10, "--npz").code == 0
    out = tmp_path / f"{EXAMPLE.name}_itr10.npz"
    page = (REPOSITORY / "docs" / "playing.md").read_text()
    (code,) = re.findall(r"```python\n(import json\n.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"path": out}
    exec(code, names)  # noqa: S102 - the documentation's own
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype("f4")
    policy = spindb.load_policy(EXAMPLE, itr=10, deterministic=True)
    assert (names["run"](observations, "action") == policy.act(observations)).all()
    assert np.allclose(names["run"](observations, "v"), policy.value(observations), rtol=1e-4)
    program = json.loads(str(np.load(out)["program"]))
    assert program["input"] == {"name": "observation", "shape": [None, 4], "dtype": "f4"}
    assert set(program["outputs"]) == {"action", "sample", "v"}


def test_a_model_that_differs_is_refused(tmp_path: Path) -> None:
    ours, others = (spindb.load_policy(EXAMPLE, itr=itr, deterministic=True) for itr in (10, 0))
    assert isinstance(ours, GraphPolicy)
    assert isinstance(others, GraphPolicy)
    write_onnx(tmp_path / "policy.onnx", plan_of(ours), {})
    with pytest.raises(PolicyError, match="differ from the policy's by"):
        largest_difference(tmp_path / "policy.onnx", others)


def test_what_is_asked_for_badly_is_said(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    for flags in ((), ("--onnx", "--npz")):
        outcome = cli("export-policy", EXAMPLE, *flags)
        assert (outcome.code, "name one form: --onnx or --npz" in outcome.err) == (2, True)
    outcome = cli("export-policy", EXAMPLE, "--npz", "-o", tmp_path / "nowhere" / "policy.npz")
    assert outcome.code == 2
    assert "can't be written: No such file" in outcome.err
    assert not list(tmp_path.iterdir())


def test_the_same_policy_makes_the_same_file(tmp_path: Path) -> None:
    policy = spindb.load_policy(EXAMPLE, itr=10, deterministic=True)
    assert isinstance(policy, GraphPolicy)
    for name in ("a", "b"):
        write_npz(tmp_path / name, plan_of(policy), {})
        write_onnx(tmp_path / f"{name}.onnx", plan_of(policy), {})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
