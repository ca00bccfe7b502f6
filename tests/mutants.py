"""Plays saves that were damaged at random, in a process with little memory: an action or words, nothing else.

    python tests/mutants.py KIND SEED COUNT

KIND is ``bytes`` (of saved_model.pb), ``nodes`` (whole fields of its graph), ``variables`` or ``torch``. Prints JSON:
how often an action came out, how often it was refused, whatever else happened, seconds of the slowest, megabytes at
most.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphlike
import numpy as np
import torchlike

from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.signatures import SIGNATURES
from spindb.play.export.onnx_plan import plan_of
from spindb.play.policies.savedmodel import read_policy_save
from spindb.play.policies.torch_mlp import load_torch_by_numpy as load_torch
from spindb.records import SnapshotRecord

NODES = 28
NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    16,
    255,
    2**20,
    2**31 - 1,
    2**31,
    2**32,
    2**40,
    2**62,
    2**63 - 1,
    -1,
    -2,
    -(2**31),
    -(2**63),
)
ODD: tuple[Any, ...] = (
    True,
    0.5,
    float("nan"),
    "f4",
    "i4",
    "?",
    (),
    (-1, 4),
    (2**62,),
    [0],
    [1, -1, 99],
    graphlike.Raw(b""),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut out, doubled, and numbers put in."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(found))
        match rng.randrange(5):
            case 0:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                found[at] = rng.choice((0, 1, 2, 127, 128, 255))
            case 2:
                del found[at : at + rng.randint(1, 9)]
            case 3:
                found[at:at] = found[at : at + rng.randint(1, 40)]
            case _:
                number = graphlike.varint(rng.choice(NUMBERS))
                found[at : at + len(number)] = number
        if not found:
            return b"\0"
    return bytes(found)


def any_constant(rng: random.Random) -> graphlike.Const:
    shape = tuple(rng.choice(NUMBERS) for _ in range(rng.randint(0, 3)))
    dtype = rng.choice(tuple(graphlike.TYPES))
    ints = tuple(rng.choice(NUMBERS) for _ in range(rng.randint(0, 3)))
    return graphlike.Const(dtype, shape, rng.choice((b"", b"\1" * 16)), (), ints)


class Mutator(graphlike.Save):
    """An actor, one to three of whose nodes have another operation, other inputs or other attributes."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng, self.names = rng, ["x", "pi", "mu"]
        self.chosen = {rng.randrange(NODES) for _ in range(rng.randint(1, 3))}

    def add(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        rng, given = self.rng, list(inputs)
        if len(self.nodes) in self.chosen:
            match rng.randrange(5):
                case 0:
                    op = rng.choice(tuple(SIGNATURES))
                case 1 if given:
                    port = rng.choice(("", "", ":1", ":x", ":-1", ":99"))
                    given[rng.randrange(len(given))] = rng.choice(self.names) + port
                case 2:
                    given = given[1:] if rng.random() < 0.5 else [*given, rng.choice(self.names)]
                case _ if attributes:
                    key = rng.choice(list(attributes))
                    odd = any_constant(rng) if key == "value" or rng.random() < 0.3 else rng.choice((*ODD, *NUMBERS))
                    attributes[key] = odd
                case _:
                    op = rng.choice(("Fill", "Tile", "Reshape", "OneHot", "GatherV2", "Multinomial", "Split"))
        self.names.append(name)
        return super().add(name, op, *given, **attributes)


def network() -> torchlike.Network:
    rng = np.random.default_rng(0)
    parts = [
        torchlike.linear(rng.normal(size=(8, 4)).astype("f4"), rng.normal(size=8).astype("f4")),
        torchlike.activation("Tanh"),
        torchlike.linear(rng.normal(size=(2, 8)).astype("f4"), rng.normal(size=2).astype("f4")),
    ]
    actor = torchlike.Network("someone.A", {"mu_net": torchlike.sequence(*parts)}, log_std=np.zeros(2, "f4"))
    return torchlike.Network("someone.core.MLPActorCritic", {"pi": actor})


def attempts(kind: str, seed: int, count: int, place: Path) -> Iterator[Any]:
    """Loads, one per mutant."""
    whole = graphlike.actor(np.random.default_rng(0))
    save = whole.write(place / "tf1_save")
    names = ({"x": "x:0"}, whole.outputs)
    if kind == "torch":
        legacy, zipped = torchlike.legacy(network()), torchlike.zipped(network())
        snapshot = SnapshotRecord("pyt_save", "model.pt", None)
        for number in range(count):
            rng = random.Random(seed + number)
            (place / "model.pt").write_bytes(mutated(rng.choice((legacy, legacy, zipped)), rng))
            yield lambda: load_torch(place / "model.pt", snapshot)
        return
    files = {
        "bytes": [save / "saved_model.pb"],
        "variables": [save / "variables" / "variables.index", save / "variables" / "variables.data-00000-of-00001"],
    }.get(kind, [])
    data = {file: file.read_bytes() for file in files}
    for number in range(count):
        rng = random.Random(seed + number)
        if kind == "nodes":
            mutant = Mutator(rng)
            graphlike.add_actor(mutant)
            (save / "saved_model.pb").write_bytes(mutant.graph())
        for file, content in data.items():
            file.write_bytes(mutated(content, rng))
        yield lambda: GraphPolicy(read_policy_save(save, *names))


def act(load: Any) -> None:
    policy = load()
    for observation in (np.zeros(4), np.full(4, 1e30), np.ones((3, 4)), np.full(4, np.nan)):
        if policy.observation_shape == (4,):
            np.asarray(policy.act(observation))
    one = np.zeros(policy.observation_shape or (4,))
    for more in (lambda: policy.value(one), lambda: policy.outputs(one), lambda: plan_of(policy)):
        with contextlib.suppress(PolicyError):  # what was not saved, or is not told in ONNX's operations
            more()


def peak() -> int:
    """Of this program alone: what getrusage says includes the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main(kind: str, seed: int, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    found: Counter[str] = Counter()
    others, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as directory:
        for number, load in enumerate(attempts(kind, seed, count, Path(directory))):
            began = time.perf_counter()
            try:
                act(load)
                found["action"] += 1
            except PolicyError:
                found["refused"] += 1
            except Exception:
                others.append(f"{seed + number}: {traceback.format_exc()[-900:]}")
            slowest = max(slowest, time.perf_counter() - began)
    outcome = {**found, "others": len(others), "first": others[:3], "slowest": slowest, "megabytes": peak()}
    sys.stdout.write(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
