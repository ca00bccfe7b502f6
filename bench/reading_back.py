"""What our logger's reading back, and an ONNX twin, cost beside the saves themselves.

PyTorch modules and TensorFlow 1 graphs of an actor and a critic with two hidden layers, saved, read back and traced in
one process, ROUNDS times each: the first time, which imports what it needs, and the median of the others.

    python bench/reading_back.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

OBSERVATION, WIDTHS = 3, (64, 256)


def main(rounds: int) -> None:
    """Print what each step takes."""
    import gymnasium

    from spindb.logger import saving
    from spindb.play.readback import unplayable

    warnings.simplefilter("ignore")
    env = gymnasium.make("Pendulum-v1")
    for width in WIDTHS:
        run = Path(tempfile.mkdtemp()) / "run"
        run.mkdir()
        (run / "config.json").write_text("{}")
        saving.save_state(run, {"env": env}, None)
        module = pytorch(width)
        timed(f"PyTorch {width}x{width}: save", rounds, partial(saving.save_pytorch, run, module, None))
        timed("  read back", rounds, partial(unplayable, run, "pyt_save/model.pt", env))
        timed("  ONNX twin", rounds, partial(saving.save_twin, run, None, module, env, None))
        graph = tensorflow(width)
        timed(f"TensorFlow {width}x{width}: save", rounds, partial(saving.save_tf1, run, *graph, None))
        timed("  read back", rounds, partial(unplayable, run, "tf1_save", env))


def timed(what: str, rounds: int, do: Callable[[], Any]) -> None:
    """Print how long it takes the first time, and then."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        do()
        taken.append((time.perf_counter() - begun) * 1e3)
    print(f"{what}: first {taken[0]:.0f} ms, then {statistics.median(taken[1:]):.1f} ms")


def pytorch(width: int) -> Any:
    """An actor-critic that numpy plays."""
    from torch import nn

    def stack() -> Any:
        return nn.Sequential(
            *(nn.Linear(OBSERVATION, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        )

    module = nn.Module()
    module.pi, module.v = nn.Sequential(stack(), nn.Hardtanh(-2, 2)), stack()
    return module


def tensorflow(width: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A session with the same, its inputs and its outputs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow

    tf = tensorflow.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder("float32", (None, OBSERVATION))

        def stack(scope: str) -> Any:
            found, size = x, OBSERVATION
            with tf.variable_scope(scope):
                for layer, units in enumerate((width, width, 1)):
                    weight, bias = tf.get_variable(f"w{layer}", (size, units)), tf.get_variable(f"b{layer}", (units,))
                    found, size = tf.tanh(tf.matmul(found, weight) + bias), units
            return found

        outputs = {"pi": 2 * stack("pi"), "v": tf.squeeze(stack("v"), axis=1)}
        session = tf.Session(graph=graph)
        session.run(tf.global_variables_initializer())
    return session, {"x": x}, outputs


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
