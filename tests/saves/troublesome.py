"""Saves a policy whose graph only computes, and is trouble for TensorFlow: python troublesome.py DIRECTORY KIND."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def act(x: Any, extra: Any = 0.0) -> Any:
    """An action of CartPole, by an operation that numpy does not know."""
    return tf.cast(tf.raw_ops.Lgamma(x=tf.reduce_sum(x, 1) + extra) > 0, tf.int64)


def plain(x: Any) -> Any:
    return tf.raw_ops.Lgamma(x=x)


def long(x: Any) -> Any:
    """One call of a kernel that takes minutes."""
    matrix = tf.random.uniform([2500, 2500], dtype=tf.float64, seed=1) + tf.cast(tf.reduce_sum(x), tf.float64)
    return act(x, tf.cast(tf.reduce_sum(tf.linalg.svd(matrix)[0]), tf.float32) * 0)


def crash(x: Any) -> Any:
    """A loop in which nothing but constants goes round, with which TensorFlow's optimiser crashes."""

    def concrete(function: Any) -> Any:
        found = tf.function(function).get_concrete_function(tf.TensorSpec((), tf.int32))
        found.add_to_graph()
        return found

    loop = tf.raw_ops.StatelessWhile(
        input=[tf.constant(1)], cond=concrete(lambda i: i >= 0), body=concrete(lambda i: tf.identity(i))
    )
    return act(x, tf.cast(loop[0], tf.float32))


def large(x: Any) -> Any:
    """An array of 14 GB, whose size only the evaluation tells."""
    size = tf.cast(tf.reduce_sum(x * 0), tf.int32) + 60_000
    return act(x, tf.reduce_sum(tf.fill([size, size], 1.0) * tf.reduce_sum(x)) * 0)


place, kind = sys.argv[1:]
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, (None, 4), name="x")
    w = v1.get_variable("w", initializer=np.zeros((4,), "f4"))
    pi = tf.identity({"plain": plain, "long": long, "crash": crash, "large": large}[kind](x + w), name="pi")
    session.run(v1.global_variables_initializer())
    v1.saved_model.simple_save(session, place, {"x": x}, {"pi": pi})
