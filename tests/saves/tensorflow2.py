"""Saves policies as projects on TensorFlow 2 do; run with the TensorFlow that is to save: ``tensorflow2.py PLACE``.

``tests/saves/tensorflow-2.9`` was made by it with TensorFlow 2.9.3 (Python 3.10).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(0)
OBSERVATIONS = RNG.normal(size=(16, 4)).astype("f4")


def variable(*shape: int) -> tf.Variable:
    return tf.Variable(RNG.normal(size=shape).astype("f4"))


class Gaussian(tf.Module):
    """Gives its mean and a draw, without a name for either; its variables are all called alike."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.log_std = variable(4, 8), variable(8, 2), tf.Variable([-0.5, 0.5])

    @tf.function
    def mean(self, x):
        return tf.tanh(tf.nn.relu(x @ self.first) @ self.second)

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def act(self, x):
        mean = self.mean(x)
        drawn = mean + tf.exp(self.log_std) * tf.random.normal(tf.shape(mean))
        return mean, drawn, tf.reduce_sum(drawn, axis=1)


class Categorical(tf.Module):
    """Names what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.worth = variable(4, 3), variable(4, 1)

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def act(self, observation):
        logits = observation @ self.weights
        action = tf.squeeze(tf.random.categorical(logits, 1), axis=1)
        return {"action": action, "value": tf.squeeze(observation @ self.worth, axis=1), "logits": logits}


def save(place: Path) -> None:
    """Save both, and what they give for the observations."""
    gaussian, categorical = Gaussian(), Categorical()
    mean = gaussian.act(OBSERVATIONS)[0].numpy()
    found = {name: tensor.numpy() for name, tensor in categorical.act(OBSERVATIONS).items()}
    place.mkdir(parents=True, exist_ok=True)
    for name, module in (("gaussian", gaussian), ("categorical", categorical)):
        tf.saved_model.save(module, str(place / name / "checkpoint"))
    np.savez(place / "outputs.npz", observations=OBSERVATIONS, mean=mean, logits=found["logits"], value=found["value"])


if __name__ == "__main__":
    save(Path(sys.argv[1]))
