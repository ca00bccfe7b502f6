"""Saves that are damaged, or made to take the machine down: an action or words, within little memory and time."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphlike
import numpy as np
import pytest
import torchlike
from conftest import Outcome
from graphlike import Const, Raw, Save, array

from spindb.errors import PolicyError
from spindb.play.engine import budget
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.operations import OPERATIONS, RANDOM
from spindb.play.engine.signatures import SIGNATURES
from spindb.play.export.onnx_plan import plan_of
from spindb.play.policies import load_snapshot
from spindb.play.policies.savedmodel import read_policy_save
from spindb.records import SnapshotRecord

HUGE = 2**32  # sixteen gigabytes of four bytes each
ONE = Const("i4", (1,), ints=(1,))


def begun(**options: Any) -> Save:
    """A save with nothing but its input, of one observation of four numbers, and a few constants."""
    save = Save(**options)
    save.add("x", "Placeholder", dtype="f4", shape=(-1, 4))
    save.add("zero", "Const", value=array(0, "i4"))
    save.add("half", "Const", value=array(0.5))
    return save


def of(op: str, *inputs: str, consts: dict[str, Const] | None = None, **attributes: Any) -> Save:
    """A save whose `pi` is one operation."""
    save = begun()
    for name, value in (consts or {}).items():
        save.add(name, "Const", value=value)
    save.add("pi", op, *inputs, **attributes)
    return save


def chain(length: int) -> Save:
    save = begun()
    for number in range(length):
        save.add(f"n{number}", "Identity" if number % 2 else "Neg", f"n{number - 1}" if number else "x")
    save.add("pi", "Neg", f"n{length - 1}")
    return save


def doubling(times: int) -> Save:
    """Each concatenation doubles the one before: 2**times columns."""
    save = begun()
    save.add("c0", "Const", value=array(1, "i4"))
    for number in range(times):
        source = f"d{number - 1}" if number else "x"
        save.add(f"d{number}", "ConcatV2", source, source, "c0")
    save.add("pi", "Neg", f"d{times - 1}")
    return save


def big(*numbers: int, dtype: str = "i8") -> Const:
    return Const(dtype, (len(numbers),), ints=numbers)


def squared() -> Save:
    """Small arrays whose product is not."""
    save = begun()
    save.add("a", "Const", value=Const("f4", (2**20, 1), floats=(1.0,)))
    save.add("pi", "MatMul", "a", "a", transpose_b=True)
    return save


def by_data() -> Save:
    """The size of what is made is told by the observation."""
    save = begun()
    save.add("most", "Max", "x", "both")
    save.add("both", "Const", value=array([0, 1], "i4"))
    save.add("count", "Cast", "most", DstT="i8")
    save.add("shape", "Pack", "count", "count")
    save.add("pi", "Fill", "shape", "half")
    return save


DAMAGED: dict[str, Callable[[], Save]] = {
    "argmax with one input": lambda: of("ArgMax", "x"),
    "argmax with three inputs": lambda: of("ArgMax", "x", "zero", "x"),
    "cast without a type": lambda: of("Cast", "x"),
    "cast to a type that is none": lambda: of("Cast", "x", DstT=Raw(graphlike.number(6, 77))),
    "constant without a value": lambda: of("Const"),
    "constant whose value is a number": lambda: of("Const", value=3),
    "constant of a negative shape": lambda: of("Const", value=Const("f4", (-5,), floats=(1.0,))),
    "constant of 16 GB": lambda: of("Const", value=Const("f4", (HUGE,), floats=(1.0,))),
    "constant of no values and 2**100 elements": lambda: of("Const", value=Const("f4", (2**50, 2**50))),
    "constant of nothing, immensely wide": lambda: of("Const", value=Const("f4", (0, 2**63 - 1))),
    "constant of other bytes": lambda: of("Const", value=Const("f4", (3,), raw=b"\0" * 8)),
    "constant of more values than elements": lambda: of("Const", value=Const("i4", (1,), ints=(1, 2, 3))),
    "constant with a hundred axes": lambda: of("Const", value=Const("f4", (1,) * 100, floats=(1.0,))),
    "port that is no number": lambda: of("Neg", "x:x"),
    "port that is negative": lambda: of("Neg", "x:-1"),
    "port that is huge": lambda: of("Neg", f"x:{'9' * 5000}"),
    "port that is not there": lambda: of("Neg", "x:1"),
    "output that is not there": lambda: _named("pi:7"),
    "input that is not there": lambda: of("Neg", "nowhere"),
    "output of a negative port": lambda: _named("pi:-1"),
    "loop": lambda: of("Neg", "pi"),
    "loop of two": lambda: _looped(),
    "fill of 16 GB": lambda: of("Fill", "c", "half", consts={"c": big(HUGE)}),
    "fill of 16 GB by many axes": lambda: of("Fill", "c", "half", consts={"c": big(*[4096] * 3)}),
    "fill of a negative length": lambda: of("Fill", "c", "half", consts={"c": big(-1)}),
    "fill of a shape that is a matrix": lambda: of("Fill", "c", "half", consts={"c": Const("i8", (1, 2), ints=(1, 2))}),
    "fill of NaN elements": lambda: of("Fill", "c", "half", consts={"c": array([np.nan])}),
    "tile of 16 GB": lambda: of("Tile", "x", "c", consts={"c": big(1, HUGE)}),
    "one hot of 16 GB": lambda: of("OneHot", "i", "d", "half", "half", consts={"i": ONE, "d": array(HUGE, "i8")}),
    "one hot of negative depth": lambda: of("OneHot", "i", "d", "half", "half",
                                          consts={"i": ONE, "d": array(-3, "i8")}),
    "random of 16 GB": lambda: of("RandomStandardNormal", "c", dtype="f4", consts={"c": big(HUGE)}),
    "uniform of 16 GB": lambda: of("RandomUniform", "c", dtype="f4", consts={"c": big(HUGE)}),
    "categories drawn four billion times": lambda: of("Multinomial", "x", "c", consts={"c": array(HUGE, "i8")}),
    "reshape to 2**62": lambda: of("Reshape", "x", "c", consts={"c": big(2**62)}),
    "split by 0": lambda: of("Split", "zero", "x", num_split=0),
    "split into a billion": lambda: of("Split", "zero", "x", num_split=10**9),
    "product of 4 TB": squared,
    "doubled forty times": lambda: doubling(40),
    "product of unequal widths": lambda: of("MatMul", "x", "w", consts={"w": array(np.zeros((3, 2)))}),
    "product with a number": lambda: of("MatMul", "x", "half"),
    "transposed by a word": lambda: of("Transpose", "x", "half"),
    "transposed by axes that are none": lambda: of("Transpose", "x", "c", consts={"c": big(5, 9)}),
    "sum over axes that are none": lambda: of("Sum", "x", "c", consts={"c": big(10**12)}),
    "axis of a fraction": lambda: of("Squeeze", "x", squeeze_dims=0.5),
    "gathered beyond the end": lambda: of("GatherV2", "x", "c", "zero", consts={"c": big(10**9)}),
    "gathered 16 GB": lambda: of("GatherV2", "w", "i", "zero",
                                 consts={"w": Const("f4", (1, 2**14), floats=(1.0,)), "i": Const("i4", (2**18,))}),
    "bools that are subtracted": lambda: of("Sub", "b", "b", consts={"b": array(True, "?")}),
    "packed with another shape": lambda: of("Pack", "x", "half", axis=0),
    "packed at an odd axis": lambda: of("Pack", "x", "x", axis=2**40),
    "concatenated along no axis": lambda: of("ConcatV2", "x", "x", "half"),
    "slices of unequal numbers": lambda: of("StridedSlice", "x", "c", "d", "d", consts={"c": big(0), "d": big(1, 1)}),
    "slices of step 0": lambda: of("StridedSlice", "x", "c", "c", "c", consts={"c": big(0)}),
    "a number for many": lambda: of("Max", "x", "c", consts={"c": big(0, 1)}),
    "no rows": lambda: of("Slice", "x", "c", "c", consts={"c": big(0, 0)}),
    "input that is no placeholder": lambda: _replaced("x", "Const", value=array(1.0)),
    "input without a type": lambda: _replaced("x", "Placeholder", dtype=Raw(graphlike.number(6, 7))),
    "variable that was not saved": lambda: of("VariableV2", dtype="f4"),
    "variable of other bytes": lambda: _variable(number_of=100),
    "variable of a negative shape": lambda: _variable(number_of=-1),
    "variable of 2**100 elements": lambda: _variable(number_of=2**63 - 1),
    "two hundred thousand nodes": lambda: chain(200_001),
    "a word of escapes": lambda: of("Neg\x1b[31m", "x"),
}  # fmt: skip


def _named(pi: str) -> Save:
    save = of("Neg", "x")
    save.outputs = {"pi": pi}
    return save


def _looped() -> Save:
    save = begun()
    save.add("a", "Neg", "pi")
    save.add("pi", "Neg", "a")
    return save


def _replaced(name: str, op: str, **attributes: Any) -> Save:
    save = of("Neg", "x")
    save.nodes[0] = graphlike.node(name, op, **attributes)
    return save


def _variable(number_of: int) -> Save:
    save = begun(variables={"w": np.zeros(4, "f4")})
    save.add("w", "VariableV2", dtype="f4")
    save.add("pi", "Mul", "x", "w")
    entry = graphlike.number(1, 1) + graphlike.message(2, graphlike.shape((number_of, number_of)))
    save.entries = {"w": entry + graphlike.number(5, 16)}
    return save


def peak() -> int:
    """Megabytes at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def load(save: Save, place: Path) -> GraphPolicy:
    return GraphPolicy(read_policy_save(save.write(place / "tf1_save"), {"x": "x:0"}, save.outputs))


LARGE = ("two hundred thousand nodes",)


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c in LARGE else c for c in DAMAGED])
def test_j9_a_damaged_graph_is_refused_in_words(case: str, tmp_path: Path) -> None:
    before = peak()
    DAMAGED[case]().write(tmp_path / "tf1_save")
    outputs, began = DAMAGED[case]().outputs if case.startswith("output") else {"pi": "pi:0"}, time.monotonic()
    with pytest.raises(PolicyError) as caught:
        GraphPolicy(read_policy_save(tmp_path / "tf1_save", {"x": "x:0"}, outputs)).act(np.ones(4))
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).replace(str(tmp_path), "").isprintable()
    assert len(str(caught.value)) < 700
    assert peak() - before < 1400
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_j9_deep_graphs_act(tmp_path: Path) -> None:
    policy = load(chain(100_000), tmp_path)
    assert policy.act(np.ones(4)).tolist() == [-1.0] * 4
    with pytest.raises(PolicyError):
        plan_of(load(of("Split", "zero", "x", num_split=1), tmp_path / "other"))


def test_j9_sizes_that_follow_from_values_are_checked_each_time(tmp_path: Path) -> None:
    policy = load(by_data(), tmp_path)
    assert policy.act(np.full(4, 2.0)).shape == (2,)
    for value in (1e5, 1e18, -1.0, np.nan):
        with pytest.raises(PolicyError, match="can't be evaluated: Fill pi"):
            policy.act(np.full(4, value))
    assert policy.act(np.full(4, 3.0)).shape == (3,)


def test_j9_an_index_beyond_the_end_is_said_at_any_evaluation(tmp_path: Path) -> None:
    save = begun()
    save.add("w", "Const", value=array([1.0, 2.0]))
    save.add("i", "Cast", "x", DstT="i8")
    save.add("pi", "GatherV2", "w", "i", "zero")
    policy = load(save, tmp_path)
    assert policy.act(np.ones(4)).tolist() == [2.0] * 4
    with pytest.raises(PolicyError, match="GatherV2 pi: index 7 is out of bounds"):
        policy.act(np.full(4, 7.0))


def test_j9_more_observations_than_fit_are_refused(tmp_path: Path) -> None:
    policy = load(graphlike.actor(np.random.default_rng(0)), tmp_path)
    assert policy.act(np.zeros((100_000, 4))).shape == (100_000, 2)
    with pytest.raises(PolicyError, match="the limit is 256 MiB"):
        policy.act(np.zeros((20_000_000, 4), "f4"))


def test_j9_many_outputs_share_their_constants(tmp_path: Path) -> None:
    """A hundred outputs of one constant of 200 MB are one array."""
    before = peak()
    save = begun()
    save.add("w", "Const", value=Const("f4", (50 << 20,), floats=(1.0,)))
    save.add("s", "Sum", "w", "zero")
    for number in range(100):
        save.add(f"o{number}", "Mul", "x", "s")
    save.outputs = {"pi": "o0:0", **{f"o{n}": f"o{n}:0" for n in range(100)}}
    assert load(save, tmp_path).act(np.ones(4)).shape == (4,)
    assert peak() - before < 700


def test_j9_every_operation_has_a_signature_and_no_other() -> None:
    passed_on = {"Identity", "StopGradient", "Snapshot", "ReadVariableOp", "CheckNumerics"}
    kept = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Const", "VariableV2", "Variable", "VarHandleOp"}
    assert set(SIGNATURES) == set(OPERATIONS) | set(RANDOM) | passed_on | kept


@pytest.mark.parametrize("op", sorted({*OPERATIONS, *RANDOM}))
def test_j9_a_wrong_number_of_inputs_is_refused_for_every_operation(op: str, tmp_path: Path) -> None:
    signature = SIGNATURES[op]
    for count in {signature.least - 1, (signature.most or 0) + 1} - {-1}:
        if signature.takes(count):
            continue
        with pytest.raises(PolicyError, match=rf"{op} pi: its number of inputs is {count}"):
            load(of(op, *["x"] * count), tmp_path)


def test_j9_what_is_computed_costs_what_it_makes() -> None:
    """The estimate is never less than the array that comes out."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 5)).astype("f4"), rng.normal(size=(5, 3)).astype("f4")
    cases: list[tuple[str, dict[str, Any], list[Any]]] = [
        ("MatMul", {}, [a, b]),
        ("MatMul", {"transpose_a": True, "transpose_b": True}, [a, rng.normal(size=(3, 7))]),
        ("Add", {}, [a[:, :1], b.T[:1, :].T.reshape(1, 5)[:, :5] if b.T.size == 5 else rng.normal(size=(1, 9))]),
        ("Tile", {}, [a, np.array([3, 4])]),
        ("Fill", {}, [np.array([3, 4]), np.float64(1)]),
        ("OneHot", {"T": "f8"}, [np.array([1, 2]), 9, 1.0, 0.0]),
        ("GatherV2", {}, [a, np.zeros((4, 6), int), 1]),
        ("ConcatV2", {}, [a, a, 0]),
        ("Pack", {"axis": 1}, [a, a]),
        ("Cast", {"DstT": "f8"}, [a]),
        ("Softmax", {}, [a]),
        ("Greater", {}, [a, 0.0]),
        ("Equal", {}, [a, a]),
        ("RealDiv", {}, [np.arange(4), np.arange(4)]),
    ]
    for op, attributes, inputs in cases:
        made, _ = budget.cost(op, attributes, inputs)
        with np.errstate(all="ignore"):
            assert made >= np.asarray(OPERATIONS[op](attributes)(*inputs)).nbytes, op


# PyTorch's files.


def playing(data: bytes, place: Path) -> Any:
    (place / "model.pt").write_bytes(data)
    return load_snapshot(place, SnapshotRecord("pyt_save", "model.pt", None)).act(np.zeros(4))


def actor(weight: np.ndarray) -> torchlike.Network:
    pi = torchlike.sequence(torchlike.linear(weight, np.zeros(2, "f4")))
    return torchlike.Network("someone.core.AC", {"pi": torchlike.Network("someone.A", {"pi": pi})})


@pytest.mark.slow
def test_j9_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    before, file = peak(), io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(torchlike.zipped(actor(np.zeros((2, 4), "f4")))))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
        with archive.open("model/data/bomb", "w") as bomb:
            for _ in range(64):
                bomb.write(bytes(16 << 20))
    assert len(file.getvalue()) < 2 << 20
    with pytest.raises(PolicyError, match="compressed, or its parts overlap"):
        playing(file.getvalue(), tmp_path)
    assert peak() - before < 300


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((2**20, 2**20), (0, 0)),
        ((2, 2**40), (0, 0)),
        ((0, 2**100), (1, 1)),
        ((2**100, 0), (0, 0)),
        ((-1, 4), (4, 1)),
        ((2, 4), (0,)),
        (("a", "b"), (1, 1)),
        ((2.5, 4), (4, 1)),
        ((2, 4), (-4, -1)),
        ((1,) * 70, (0,) * 70),
    ],
)
def test_j9_shapes_and_strides_that_no_file_holds(shape: Any, strides: Any, tmp_path: Path) -> None:
    before = peak()
    legacy = torchlike.legacy(actor(np.zeros((2, 4), "f4")))
    true = pickle.dumps(((2, 4), (4, 1)), protocol=2)
    assert pickle.loads(true)
    old = b"K\x02K\x04\x86q"
    assert legacy.count(old) == 1
    begin = legacy.index(old)
    end = legacy.index(b"K\x04K\x01\x86q", begin) + 7
    plain = b"".join(_tuple(value) for value in (shape, strides))
    with pytest.raises(PolicyError):
        playing(legacy[:begin] + plain + legacy[end:], tmp_path)
    assert peak() - before < 600


def _tuple(values: Any) -> bytes:
    """The opcodes that make a tuple, without the frame of a pickle and without memo."""
    data = pickle.dumps(list(values), protocol=2)
    body = b"".join(pickle.dumps(value, protocol=2)[2:-1] for value in values)
    assert data
    return b"(" + body.replace(b"q\x00", b"") + b"t"


def test_j9_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.pt")
    with pytest.raises(PolicyError, match="a FIFO, not a regular file"):
        load_snapshot(tmp_path, SnapshotRecord("pyt_save", "model.pt", None))
    save = of("Neg", "x").write(tmp_path / "tf1_save")
    for name in ("saved_model.pb", "variables/variables.index"):
        kept = (save / name).read_bytes()
        (save / name).unlink()
        os.mkfifo(save / name)
        with pytest.raises(PolicyError, match="a FIFO, not a regular file"):
            read_policy_save(save, {"x": "x:0"}, {"pi": "pi:0"})
        (save / name).unlink()
        (save / name).write_bytes(kept)


# From the command line.


def test_j9_a_damaged_save_is_exit_code_5(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = run_directory("a_s0", config={"env": "CartPole-v1"})
    for case in ("argmax with one input", "fill of 16 GB", "split by 0", "port that is no number"):
        DAMAGED[case]().write(directory / "tf1_save")
        for command in (
            ("test-policy", directory, "-nr", "-n", 1),
            ("export-policy", directory, "--npz", "-o", "a.npz"),
        ):
            outcome = cli(*command)
            assert outcome.code == 5, (case, outcome.err)
            assert "error: " in outcome.err
            assert "Traceback" not in outcome.err


def mutants(kind: str, seed: int, count: int) -> dict[str, Any]:
    here = Path(__file__).parent
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(here.parent), str(here))))
    command = [sys.executable, str(here / "mutants.py"), kind, str(seed), str(count)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


KINDS = ["bytes", "nodes", "variables", "torch"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_j9_mutants_give_an_action_or_are_refused(kind: str) -> None:
    found = mutants(kind, 0, 300)
    assert found["others"] == 0, found["first"]
    assert found["action"] > 5
    assert found["refused"] > 50
    assert found["megabytes"] < 600
    assert found["slowest"] < 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_j9_many_mutants(kind: str) -> None:
    found = mutants(kind, 10**6, 10_000)
    assert found["others"] == 0, found["first"]
    assert found["megabytes"] < 600
