"""How fast saved policies begin to act, and act: numpy against TensorFlow, on one and the same save.

A 64×64 tanh network with a Gaussian head is saved as the original saves it. Then, each a process of its own: from start
to first action, with peak memory; and in one process, turn about: actions per second of numpy, of a TensorFlow session
per step (the original's way), of one in a process of its own (spindb's), of a TensorFlow callable, and of both engines
for 1,000 observations at once. Memory is that of the process that evaluates. At last policies of PyTorch, an LSTM and a
convolutional one, by numpy and by PyTorch on one thread, turn about.

    python bench/acting.py [ROUNDS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OBSERVATION, ACTION, HIDDEN = 11, 3, (64, 64)

_SAVE = """
import sys, numpy as np
from spindb.play.engine.tensorflow_session import import_tensorflow
tf = import_tensorflow(); v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, (None, {o}), name="x"); h = x; n = {o}
    rng = np.random.default_rng(0)
    for i, width in enumerate({h}):
        w = v1.get_variable(f"w{{i}}", initializer=rng.normal(size=(n, width)).astype("f4") / 8)
        h = tf.tanh(tf.nn.bias_add(tf.matmul(h, w), v1.get_variable(f"b{{i}}", shape=(width,)))); n = width
    mu = tf.matmul(h, v1.get_variable("w", initializer=rng.normal(size=(n, {a})).astype("f4")))
    log_std = v1.get_variable("log_std", initializer=-0.5 * np.ones({a}, dtype=np.float32))
    pi = mu + v1.random_normal(tf.shape(mu), seed=1) * tf.exp(log_std)
    session.run(v1.global_variables_initializer())
    v1.saved_model.simple_save(session, sys.argv[1], {{"x": x}}, {{"pi": pi, "mu": mu}})
"""
_FIRST = """
import json, resource, sys, time
began = time.perf_counter()
from pathlib import Path
from spindb.play.policies import load_snapshot
from spindb.records import SnapshotRecord
signature = {signature}
snapshot = SnapshotRecord("tf1_save", "tf1_save", None, **signature)
policy = load_snapshot(Path(sys.argv[1]).parent, snapshot, engine="{engine}")
import numpy
policy.act(numpy.zeros({o}, dtype="f4"))
seconds = time.perf_counter() - began
policy.close()
del policy
from spindb.play.engine import evaluator
evaluator._kept.clear()  # its process ends and is waited for
kinds = resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF
print(json.dumps([seconds, max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024]))
"""


def signature_of(save: Path) -> dict[str, Any]:
    from spindb.disk.codecs.savedmodel import read_signature

    found = read_signature((save / "saved_model.pb").read_bytes())
    return {"inputs": found.inputs, "outputs": found.outputs}


def first_action(save: Path, engine: str) -> tuple[float, float]:
    """Seconds and MB of a new process up to its first action."""
    code = _FIRST.format(o=OBSERVATION, engine=engine, signature=signature_of(save))
    result = subprocess.run([sys.executable, "-c", code, str(save)], check=True, capture_output=True, text=True)
    seconds, megabytes = json.loads(result.stdout.splitlines()[-1])
    return seconds, megabytes


def rate(call: Callable[[], Any], seconds: float = 0.5) -> float:
    """Calls per second."""
    for _ in range(20):
        call()
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for _ in range(20):
            call()
        count += 20
    return count / passed


def spread(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):10.3g} {unit} ({min(values):.3g} to {max(values):.3g})"


def main(rounds: int) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as directory:
        save = Path(directory, "tf1_save")
        code = _SAVE.format(o=OBSERVATION, a=ACTION, h=HIDDEN)
        subprocess.run([sys.executable, "-c", code, str(save)], check=True, capture_output=True)
        starts: dict[str, list[tuple[float, float]]] = {"numpy": [], "tensorflow": []}
        for _ in range(rounds + 1):
            for engine, found in starts.items():
                found.append(first_action(save, engine))
        for engine, found in starts.items():
            seconds, memory = ([pair[i] for pair in found[1:]] for i in (0, 1))
            print(f"first action, {engine:<10} {spread(seconds, 's')}, {spread(memory, 'MB')}")
        ratio = [statistics.median(p[i] for p in starts["tensorflow"][1:]) for i in (0, 1)]
        own = [statistics.median(p[i] for p in starts["numpy"][1:]) for i in (0, 1)]
        print(f"  numpy takes {own[0] / ratio[0]:.3f} of the time and {own[1] / ratio[1]:.3f} of the memory")
        rates(save, rounds)


def rates(save: Path, rounds: int) -> None:
    import numpy as np

    from spindb.play.engine.graph_policy import GraphPolicy
    from spindb.play.engine.tensorflow_session import SavedGraph, TensorFlowSession
    from spindb.play.policies.savedmodel import read_policy_save, saved_parts
    from spindb.play.policies.tf1 import TF1Policy

    names = signature_of(save)
    graph = read_policy_save(save, names["inputs"], names["outputs"])
    ours = GraphPolicy(graph)
    theirs = TF1Policy(save, names["inputs"], names["outputs"])
    here = TensorFlowSession(SavedGraph(save, *saved_parts(save), names["inputs"], names["outputs"]))
    one = np.random.default_rng(0).normal(size=OBSERVATION).astype("f4")
    many = np.random.default_rng(0).normal(size=(1000, OBSERVATION)).astype("f4")
    session, x, pi = here._session, here._inputs["x"], here._outputs["pi"]
    fast = session.make_callable(pi, [x])
    calls = {
        "numpy": (lambda: ours.act(one), 1),
        "TensorFlow session per step": (lambda: session.run(pi, feed_dict={x: one.reshape(1, -1)})[0], 1),
        "TensorFlow, as spindb plays": (lambda: theirs.act(one), 1),
        "TensorFlow callable": (lambda: fast(one.reshape(1, -1))[0], 1),
        "numpy, 1,000 at once": (lambda: ours.act(many), 1000),
        "TensorFlow, 1,000 at once": (lambda: theirs.act(many), 1000),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, size) in calls.items():
            found[name].append(size * rate(call))
    for name, values in found.items():
        print(f"{name:<28} {spread(values, 'actions/s')}")
    median = {name: statistics.median(values) for name, values in found.items()}
    print(f"  numpy acts {median['numpy'] / median['TensorFlow session per step']:.1f} times as often as the original")
    theirs.close()
    against_torch(rounds)


def against_torch(rounds: int) -> None:
    """Recurrent and convolutional policies, numpy against PyTorch on one thread in the same run."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: its policies are not measured")
        return
    import io

    import numpy as np

    from spindb.disk.codecs.torchfiles import read_module
    from spindb.play.policies.recurrent import policy_of
    from spindb.play.policies.torch_mlp import graph_of_module

    torch.set_num_threads(1)
    nn = torch.nn
    recurrent = nn.Module()
    recurrent.net = nn.Sequential(nn.Linear(OBSERVATION, 64), nn.ReLU())
    recurrent.lstm = nn.LSTM(64, 64)
    recurrent.head = nn.Sequential(nn.Linear(64, ACTION), nn.Tanh())
    small = nn.Sequential(
        *(nn.Conv2d(4, 16, 8, stride=4), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(32 * 9 * 9, 256), nn.ReLU(), nn.Linear(256, 6)),
    )
    row = np.random.default_rng(0).normal(size=OBSERVATION).astype("f4")
    picture = np.random.default_rng(0).uniform(size=(4, 84, 84)).astype("f4")
    state: list[object] = [None]

    def step() -> object:
        out, state[0] = recurrent.lstm(recurrent.net(torch.from_numpy(row)[None]), state[0])
        return recurrent.head(out)[0].numpy()

    calls: dict[str, Callable[[], object]] = {"PyTorch, LSTM": step}
    calls["PyTorch, pictures"] = lambda: small(torch.from_numpy(picture)[None])[0].numpy()
    for name, module, given in (("numpy, LSTM", recurrent, row), ("numpy, pictures", small, picture)):
        file = io.BytesIO()
        torch.save(module, file)
        policy = policy_of(graph_of_module(Path("model.pt"), read_module(file.getvalue())))
        calls[name] = lambda act=policy.act, given=given: act(given)
    found: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for _ in range(rounds):
            for name, call in calls.items():
                found[name].append(rate(call))
    for name, values in sorted(found.items()):
        print(f"{name:<28} {spread(values, 'actions/s')}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
