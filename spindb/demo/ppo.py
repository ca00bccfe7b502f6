"""Proximal policy optimisation with clipping (Schulman et al. 2017), for discrete actions.

Advantages by generalised advantage estimation (Schulman et al. 2015).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from spindb.demo.networks import mlp, session, v1
from spindb.logger import EpochLogger


def ppo(
    env_fn: Callable[[], Any],
    *,
    hidden_sizes: tuple[int, ...] = (32, 32),
    seed: int = 0,
    steps_per_epoch: int = 1000,
    epochs: int = 20,
    gamma: float = 0.99,
    lam: float = 0.97,
    clip_ratio: float = 0.2,
    pi_lr: float = 3e-4,
    vf_lr: float = 1e-3,
    train_pi_iters: int = 40,
    train_v_iters: int = 40,
    target_kl: float = 0.02,
    save_freq: int = 5,
    logger_kwargs: dict[str, Any],
) -> None:
    """Train; snapshot N is the policy that produced row N."""
    config = dict(locals())
    logger = EpochLogger(**logger_kwargs)
    began = time.time()
    env = env_fn()
    logger.save_config({**config, "env": env.spec.id})
    graph = tf.Graph()
    with graph.as_default():
        v1.set_random_seed(seed)
        x = v1.placeholder(tf.float32, (None, *env.observation_space.shape), name="x")
        a = v1.placeholder(tf.int32, (None,), name="a")
        adv, ret, logp_old = (v1.placeholder(tf.float32, (None,), name=n) for n in ("adv", "ret", "logp_old"))
        log_probabilities = tf.nn.log_softmax(mlp(x, (*hidden_sizes, int(env.action_space.n)), "pi"))
        pi = tf.squeeze(tf.random.categorical(log_probabilities, 1), axis=1)
        v = tf.squeeze(mlp(x, (*hidden_sizes, 1), "v"), axis=1)
        logp = tf.gather(log_probabilities, a, batch_dims=1)
        logp_pi = tf.gather(log_probabilities, pi, batch_dims=1)
        ratio = tf.exp(logp - logp_old)
        clipped = tf.clip_by_value(ratio, 1 - clip_ratio, 1 + clip_ratio)
        loss_pi = -tf.reduce_mean(tf.minimum(ratio * adv, clipped * adv))
        loss_v = tf.reduce_mean((ret - v) ** 2)
        kl = tf.reduce_mean(logp_old - logp)
        entropy = tf.reduce_mean(-tf.reduce_sum(tf.exp(log_probabilities) * log_probabilities, axis=1))
        train_pi = v1.train.AdamOptimizer(pi_lr).minimize(loss_pi)
        train_v = v1.train.AdamOptimizer(vf_lr).minimize(loss_v)
        initialise = v1.global_variables_initializer()
    sess = session(graph)
    sess.run(initialise)
    logger.setup_tf_saver(sess, inputs={"x": x, "a": a}, outputs={"pi": pi, "v": v})

    observation, _ = env.reset(seed=seed)
    ep_ret, ep_len = 0.0, 0
    for epoch in range(epochs):
        # Before the epoch, so that snapshot N is the policy whose returns are in row N.
        if epoch % save_freq == 0 or epoch == epochs - 1:
            logger.save_state({"env": env}, itr=epoch)
        rows: list[tuple[Any, ...]] = []
        finished: list[tuple[np.ndarray, np.ndarray]] = []
        start = 0
        for step in range(steps_per_epoch):
            action, value, log_probability = sess.run((pi, v, logp_pi), {x: observation[None]})
            following, reward, terminated, truncated, _ = env.step(int(action[0]))
            rows.append((observation, action[0], float(reward), value[0], log_probability[0]))
            observation = following
            ep_ret += float(reward)
            ep_len += 1
            done = terminated or truncated
            if done or step == steps_per_epoch - 1:
                # An episode that was cut off continues in principle: its value is bootstrapped. A terminated one
                # has no future.
                tail = 0.0 if terminated else float(sess.run(v, {x: observation[None]})[0])
                finished.append(advantages(rows[start:], tail, gamma, lam))
                start = len(rows)
                if done:
                    logger.store(EpRet=ep_ret, EpLen=ep_len)
                observation, _ = env.reset()
                ep_ret, ep_len = 0.0, 0
        # Normalised advantages make the learning rate independent of the scale of rewards.
        advantage = np.concatenate([pair[0] for pair in finished])
        batch = {
            x: np.stack([row[0] for row in rows]),
            a: np.array([row[1] for row in rows]),
            adv: (advantage - advantage.mean()) / (advantage.std() + 1e-8),
            ret: np.concatenate([pair[1] for pair in finished]),
            logp_old: np.array([row[4] for row in rows]),
        }
        before = sess.run((loss_pi, loss_v, entropy), batch)
        for stop_iter in range(train_pi_iters):  # noqa: B007 - logged below
            _, divergence = sess.run((train_pi, kl), batch)
            # Early stopping: the clipped objective does not limit the change of the policy over many steps.
            if divergence > 1.5 * target_kl:
                break
        for _ in range(train_v_iters):
            sess.run(train_v, batch)
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("EpLen", average_only=True)
        logger.log_tabular("TotalEnvInteracts", (epoch + 1) * steps_per_epoch)
        for name, value in zip(("LossPi", "LossV", "Entropy"), before, strict=True):
            logger.log_tabular(name, value)
        logger.log_tabular("KL", divergence)
        logger.log_tabular("StopIter", stop_iter)
        logger.log_tabular("Time", time.time() - began)
        logger.dump_tabular()
    logger.close()


def advantages(rows: list[tuple[Any, ...]], tail: float, gamma: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
    """Advantages and rewards-to-go of one stretch of experience, shape (steps,) each.

    Args:
        rows: observation, action, reward, value and log-probability per step.
        tail: value of the state after the last step, 0 if the episode terminated there.
        gamma: discount.
        lam: lambda of generalised advantage estimation.
    """
    rewards = np.array([row[2] for row in rows] + [tail])
    values = np.array([row[3] for row in rows] + [tail])
    deltas = rewards[:-1] + gamma * values[1:] - values[:-1]
    return _discounted(deltas, gamma * lam), _discounted(rewards, gamma)[:-1]


def _discounted(values: np.ndarray, factor: float) -> np.ndarray:
    sums = np.zeros_like(values)
    total = 0.0
    for i in range(len(values) - 1, -1, -1):
        total = values[i] + factor * total
        sums[i] = total
    return sums
