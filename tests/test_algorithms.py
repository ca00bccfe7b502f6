"""Which algorithm a run was trained by, what says so, and what contradicts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchlike
from test_reading import saved_model

from spindb.disk.algorithms import class_of_module
from spindb.disk.formats import layout_named, read_run
from spindb.records import RunRecord, latest

Write = Callable[..., Path]
VPG = ("Epoch", "AverageEpRet", "LossPi", "LossV", "DeltaLossPi", "DeltaLossV", "Entropy", "KL", "Time")
DDPG = ("Epoch", "AverageEpRet", "AverageQVals", "LossPi", "LossQ")
TD3 = ("Epoch", "AverageEpRet", "AverageQ1Vals", "AverageQ2Vals", "LossPi", "LossQ")
TWIN = {"pi": "pi:0", "q1": "q1:0", "q2": "q2:0"}


def read(directory: Path) -> RunRecord:
    return read_run(layout_named("spinningup"), directory, "x")


def module(path: str) -> torchlike.Network:
    return torchlike.Network(path, {"pi": torchlike.linear(np.ones((2, 3), "f4"), np.ones(2, "f4"))})


BY_COLUMNS = [
    (VPG, "vpg"),
    ((*VPG[:-1], "ClipFrac", "StopIter"), "ppo"),
    ((*VPG[:6], "KL", "BacktrackIters"), "trpo"),
    (DDPG, "ddpg"),
    (TD3, "td3"),
    ((*TD3, "AverageLogPi"), "sac"),
    (("Epoch", "LossPi", "LossQ1", "LossQ2", "AverageLogPi"), "sac"),
    (("Epoch", "AverageEpRet", "Loss"), None),
]


@pytest.mark.parametrize(("header", "algo"), BY_COLUMNS)
def test_b6_the_columns_tell(run_directory: Write, header: tuple[str, ...], algo: str | None) -> None:
    record = read(run_directory("run", header=header, rows=[(0, *(1.0 for _ in header[1:]))]))
    assert (record.algo, record.algo_source) == (algo, "columns" if algo else None)


BY_OUTPUTS = [("pi v", None), ("pi q", "ddpg"), ("pi q1 q2", "td3"), ("mu pi q1 q2", "sac"), ("mu pi q1 q2 v", "sac")]


@pytest.mark.parametrize(("outputs", "algo"), BY_OUTPUTS)
def test_b6_the_outputs_of_the_model_tell(run_directory: Write, outputs: str, algo: str | None) -> None:
    files = {"tf1_save/saved_model.pb": saved_model({name: f"{name}:0" for name in outputs.split()})}
    record = read(run_directory("run", files=files))
    assert (record.algo, record.algo_source) == (algo, "model outputs" if algo else None)


@pytest.mark.parametrize("write", [torchlike.zipped, torchlike.legacy])
def test_b6_the_class_of_the_module_tells(run_directory: Write, write: Callable[..., bytes]) -> None:
    path = "spinup.algos.pytorch.ppo.core.MLPActorCritic"
    run = run_directory("run", files={"pyt_save/model.pt": write(module(path))})
    assert class_of_module(run / "pyt_save" / "model.pt") == path
    assert (read(run).algo, read(run).algo_source) == ("ppo", "model class")
    run = run_directory("other", files={"pyt_save/model.pt": write(module("someone.TD3Agent"))})
    assert read(run).algo == "td3"
    run = run_directory("nothing", files={"pyt_save/model.pt": write(module("someone.Net"))})
    assert (read(run).algo, read(run).algo_source) == (None, None)


def test_b6_a_damaged_module_tells_nothing(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", b"\x80\x02", b"hello", torchlike.zipped(module("someone.PPO"))[:100]):
        (tmp_path / "model.pt").write_bytes(content)
        assert class_of_module(tmp_path / "model.pt") is None
    assert class_of_module(tmp_path / "none.pt") is None


BY_NAME = [
    ("ppo", "ppo"),
    ("cmd_PPO_s3", "ppo"),
    ("2020-01-02_03-04-05-td3_hopper_s0", "td3"),
    ("mySAC-run", "sac"),
    ("ppo2", "ppo"),
    ("supposed", None),
    ("ppo-against-sac", None),
    ("transacted", None),
    ("run", None),
]


@pytest.mark.parametrize(("name", "algo"), BY_NAME)
def test_i7_the_name_is_the_last_resort(run_directory: Write, name: str, algo: str | None) -> None:
    record = read(run_directory(name, config={"gamma": 0.9}))
    assert (record.algo, record.algo_source) == (algo, "name" if algo else None)


def differences(record: RunRecord) -> list[str]:
    return [p.message for p in record.problems if p.code == "algo-differs"]


def test_i7_a_contradiction_is_said_with_what_counts_and_why(run_directory: Write) -> None:
    record = read(run_directory("td3_hopper_s0", config={"act_noise": 0.1, "seed": 0}))
    assert (record.algo, record.algo_source) == ("ddpg", "config keys")
    (message,) = differences(record)
    assert message == (
        "ddpg by the config's keys (act_noise), td3 by the name (td3_hopper_s0): "
        "ddpg is used, since its source is more certain"
    )
    record = read(run_directory("gpo_s0", config={"lr": 1e-3, "polyak": 0.9, "seed": 0}))
    assert (record.algo, len(differences(record))) == ("sac", 1)
    record = read(run_directory("run", config={"exp_name": "trpo-x", "train_v_iters": 80}))
    assert (record.algo, len(differences(record))) == ("vpg", 1)
    record = read(run_directory("sac_s1", config={"algo": "mine", "seed": 1}, header=TD3, rows=[(0, 1, 1, 1, 1, 1)]))
    assert (record.algo, len(differences(record))) == ("mine", 1)  # what an own algorithm logs says nothing
    for config in ({"algo": "PPO"}, {"clip_ratio": 0.2}, {"algo": "ppo_lagrangian"}):
        assert differences(read(run_directory("ppo-hopper", config=config))) == []


def test_b6_a_save_of_another_algorithm_is_of_another_run(run_directory: Write) -> None:
    on_policy = {"tf1_save/saved_model.pb": saved_model({"pi": "pi:0", "v": "v:0"})}
    both = {**on_policy, "tf1_save5/saved_model.pb": saved_model(TWIN)}
    record = read(run_directory("a", config={"policy_delay": 2, "act_noise": 0.1}, rows=[(5, 1.0)], files=both))
    stale = {s.path: s.stale for s in record.snapshots}
    assert stale["tf1_save5"] is None
    assert stale["tf1_save"] == (
        "gives pi, v, as ppo or trpo or vpg do, and by the config's keys (policy_delay) this run is td3: "
        "another run left it"
    )
    assert "snapshot-stale" in {p.code for p in record.problems}
    found = latest(record.snapshots)
    assert found is not None
    assert found.path == "tf1_save5"
    assert differences(record) == []  # the other run's outputs are no evidence of this run


@pytest.mark.parametrize(
    ("config", "outputs", "stale"),
    [
        ({"algo": "td3"}, "pi q", True),
        ({"algo": "own"}, "pi q", False),
        ({"policy_delay": 2}, "pi q", True),
        ({"act_noise": 0.1}, "pi q1 q2", False),  # keys that TD3 has, too
        ({"act_noise": 0.1}, "pi v", True),
        ({"clip_ratio": 0.2}, "pi v", False),
        ({"algo": "td3"}, "pi q1 q2 extra", False),
        ({}, "pi v", False),
    ],
)
def test_b6_which_outputs_contradict(
    run_directory: Write, config: dict[str, object], outputs: str, stale: bool
) -> None:
    files = {"tf1_save/saved_model.pb": saved_model({name: f"{name}:0" for name in outputs.split()})}
    (snapshot,) = read(run_directory("a", config=config, files=files)).snapshots
    assert (snapshot.stale is not None) == stale


@pytest.mark.parametrize(
    ("written", "seed"),
    [("0", 0), (3, 3), ("12", 12), (3.0, 3), ("3.0", 3), ("np.int64(3)", 3), ("tensor(4)", 4), ("1e3", 1000),
     (True, 7), (None, 7), ("[1]", 7), (1.5, 7), ("x", 7), (2**63, 7), ("nan", 7)],
)  # fmt: skip
def test_a9_a_seed_written_as_text_is_a_seed(run_directory: Write, written: object, seed: int) -> None:
    assert read(run_directory("run_s7", config={"seed": written})).seed == seed
    assert read(run_directory("run", config={"seed": written})).seed == (seed if seed != 7 else None)
