"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018), for continuous actions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from spindb.demo.networks import mlp, session, v1, variables
from spindb.logger import EpochLogger


def td3(
    env_fn: Callable[[], Any],
    *,
    hidden_sizes: tuple[int, ...] = (64, 64),
    seed: int = 0,
    steps_per_epoch: int = 1000,
    epochs: int = 8,
    replay_size: int = 20_000,
    gamma: float = 0.99,
    polyak: float = 0.99,
    pi_lr: float = 1e-3,
    q_lr: float = 1e-3,
    batch_size: int = 64,
    start_steps: int = 1000,
    act_noise: float = 0.1,
    target_noise: float = 0.2,
    noise_clip: float = 0.5,
    policy_delay: int = 2,
    num_test_episodes: int = 3,
    save_freq: int = 1,
    logger_kwargs: dict[str, Any],
) -> None:
    """Train; snapshot N is the policy at the end of epoch N."""
    config = dict(locals())
    logger = EpochLogger(**logger_kwargs)
    began = time.time()
    random = np.random.default_rng(seed)
    env, test_env = env_fn(), env_fn()
    logger.save_config({**config, "env": env.spec.id})
    width, limit = int(env.action_space.shape[0]), float(env.action_space.high[0])
    observation_shape = env.observation_space.shape
    graph = tf.Graph()
    with graph.as_default():
        v1.set_random_seed(seed)
        x, x2 = (v1.placeholder(tf.float32, (None, *observation_shape), name=n) for n in ("x", "x2"))
        a = v1.placeholder(tf.float32, (None, width), name="a")
        r, d = (v1.placeholder(tf.float32, (None,), name=n) for n in ("r", "d"))

        def actor(at: Any, scope: str) -> Any:
            return limit * tf.tanh(mlp(at, (*hidden_sizes, width), f"{scope}/pi"))

        def critic(at: Any, action: Any, scope: str) -> Any:
            return tf.squeeze(mlp(tf.concat([at, action], -1), (*hidden_sizes, 1), scope), axis=1)

        pi = actor(x, "main")
        q1, q2 = critic(x, a, "main/q1"), critic(x, a, "main/q2")
        # Target policy smoothing: noise on the target action, so that the critics can't exploit narrow peaks.
        noise = tf.clip_by_value(tf.random.normal(tf.shape(a), stddev=target_noise), -noise_clip, noise_clip)
        a2 = tf.clip_by_value(actor(x2, "target") + noise, -limit, limit)
        # The smaller of two critics counters the overestimation of values.
        q_next = tf.minimum(critic(x2, a2, "target/q1"), critic(x2, a2, "target/q2"))
        # Truncated episodes are stored as not done, so that their last value is bootstrapped.
        backup = tf.stop_gradient(r + gamma * (1 - d) * q_next)
        loss_pi = -tf.reduce_mean(critic(x, pi, "main/q1"))
        loss_q = tf.reduce_mean((q1 - backup) ** 2) + tf.reduce_mean((q2 - backup) ** 2)
        train_pi = v1.train.AdamOptimizer(pi_lr).minimize(loss_pi, var_list=variables("main/pi"))
        train_q = v1.train.AdamOptimizer(q_lr).minimize(loss_q, var_list=[*variables("main/q1"), *variables("main/q2")])
        pairs = list(zip(variables("main"), variables("target"), strict=True))
        # The targets follow after the update of the policy, in the same call.
        with tf.control_dependencies([train_pi]):
            follow = tf.group([v1.assign(t, polyak * t + (1 - polyak) * m) for m, t in pairs])
        copy = tf.group([v1.assign(t, m) for m, t in pairs])
        initialise = v1.global_variables_initializer()
    sess = session(graph)
    sess.run(initialise)
    sess.run(copy)
    logger.setup_tf_saver(sess, inputs={"x": x, "a": a}, outputs={"pi": pi, "q1": q1, "q2": q2})

    def act(at: np.ndarray, noise_scale: float) -> np.ndarray:
        action = sess.run(pi, {x: at[None]})[0] + noise_scale * random.standard_normal(width)
        return np.clip(action, -limit, limit).astype(np.float32)

    memory = Memory(observation_shape, width, replay_size, random)
    observation, _ = env.reset(seed=seed)
    test_env.reset(seed=seed + 1)
    ep_ret, ep_len, updates = 0.0, 0, 0
    for epoch in range(epochs):
        for step in range(steps_per_epoch):
            # Uniform actions at first fill the memory with more varied data than an untrained policy.
            explored = epoch * steps_per_epoch + step >= start_steps
            action = act(observation, act_noise * limit) if explored else random.uniform(-limit, limit, width)
            following, reward, terminated, truncated, _ = env.step(action)
            memory.add(observation, action, float(reward), following, terminated)
            observation = following
            ep_ret += float(reward)
            ep_len += 1
            if terminated or truncated:
                logger.store(EpRet=ep_ret, EpLen=ep_len)
                observation, _ = env.reset()
                ep_ret, ep_len = 0.0, 0
            if explored:
                feed = dict(zip((x, a, r, x2, d), memory.sample(batch_size), strict=True))
                loss, value, _ = sess.run((loss_q, q1, train_q), feed)
                logger.store(LossQ=loss, Q1Vals=value)
                updates += 1
                # The policy is updated less often than the critics, so that it follows better estimates.
                if updates % policy_delay == 0:
                    loss, _ = sess.run((loss_pi, follow), feed)
                    logger.store(LossPi=loss)
        for _ in range(num_test_episodes):
            logger.store(**test_episode(test_env, act))
        if epoch % save_freq == 0 or epoch == epochs - 1:
            logger.save_state({"env": env}, itr=epoch)
        # In epochs before start_steps nothing was stored: these columns are then NaN.
        for name in ("LossQ", "Q1Vals", "LossPi"):
            logger.epoch_dict.setdefault(name, [])
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("TestEpRet", with_min_and_max=True)
        logger.log_tabular("EpLen", average_only=True)
        logger.log_tabular("TestEpLen", average_only=True)
        logger.log_tabular("TotalEnvInteracts", (epoch + 1) * steps_per_epoch)
        logger.log_tabular("Q1Vals", with_min_and_max=True)
        logger.log_tabular("LossPi", average_only=True)
        logger.log_tabular("LossQ", average_only=True)
        logger.log_tabular("Time", time.time() - began)
        logger.dump_tabular()
    logger.close()


def test_episode(env: Any, act: Callable[[np.ndarray, float], np.ndarray]) -> dict[str, float]:
    """Return and length of an episode without exploration."""
    observation, _ = env.reset()
    ep_ret, ep_len, done = 0.0, 0, False
    while not done:
        observation, reward, terminated, truncated, _ = env.step(act(observation, 0.0))
        ep_ret += float(reward)
        ep_len += 1
        done = terminated or truncated
    return {"TestEpRet": ep_ret, "TestEpLen": ep_len}


class Memory:
    """A replay buffer of the last `size` steps."""

    def __init__(self, observation_shape: tuple[int, ...], width: int, size: int, random: np.random.Generator) -> None:
        self.random = random
        self.size, self.count = size, 0
        self.columns = (
            np.zeros((size, *observation_shape), np.float32),
            np.zeros((size, width), np.float32),
            np.zeros(size, np.float32),
            np.zeros((size, *observation_shape), np.float32),
            np.zeros(size, np.float32),
        )

    def add(self, *step: Any) -> None:
        """Observation, action, reward, next observation, whether it was terminal."""
        for column, value in zip(self.columns, step, strict=True):
            column[self.count % self.size] = value
        self.count += 1

    def sample(self, count: int) -> tuple[np.ndarray, ...]:
        """A uniformly sampled batch, one array per column."""
        rows = self.random.integers(0, min(self.count, self.size), count)
        return tuple(column[rows] for column in self.columns)
