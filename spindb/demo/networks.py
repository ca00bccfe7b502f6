"""Small networks for both agents, as a TensorFlow 1 graph, the format that is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

Tensor: TypeAlias = Any
"""A tensor, an operation or a variable of TensorFlow, which brings no types."""


class GraphSession(Protocol):
    """A session of TensorFlow 1."""

    def run(self, fetches: Any, feed_dict: Mapping[Tensor, Any] | None = None) -> Any:
        """The values of what is fetched, in its structure."""


class Env(Protocol):
    """What training asks of an environment of gymnasium."""

    observation_space: Any
    action_space: Any
    spec: Any

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation of an episode, and information."""

    def step(self, action: object) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Observation, reward, whether it was terminated, whether it was truncated, and information."""


def mlp(x: Tensor, sizes: Sequence[int], scope: str) -> Tensor:
    """A multi-layer perceptron with tanh between its layers; the last layer is linear.

    Weights are drawn by Glorot and Bengio's uniform rule (AISTATS 2010). The same scope gives the same
    weights again.
    """
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        for i, size in enumerate(sizes):
            width = int(x.shape[-1])
            bound = float(np.sqrt(6.0 / (width + size)))
            kernel = v1.get_variable(
                f"kernel{i}", (width, size), initializer=v1.random_uniform_initializer(-bound, bound)
            )
            bias = v1.get_variable(f"bias{i}", (size,), initializer=v1.zeros_initializer())
            x = tf.matmul(x, kernel) + bias
            if i < len(sizes) - 1:
                x = tf.tanh(x)
    return x


def variables(scope: str) -> list[Tensor]:
    """The trainable variables of a scope."""
    found: list[Tensor] = v1.trainable_variables(scope + "/")
    return found


def session(graph: tf.Graph) -> GraphSession:
    """A session on one thread: the networks are too small for more, and runs share the machine."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, device_count={"GPU": 0})
    made: GraphSession = v1.Session(graph=graph, config=config)
    return made
