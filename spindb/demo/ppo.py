"""Proximal policy optimisation with clipping (Schulman et al. 2017), for discrete actions.

Advantages by generalised advantage estimation (Schulman et al. 2015).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from spindb.demo.networks import Env, Tensor, mlp, session, v1
from spindb.logger import EpochLogger

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PPOSettings:
    """Hyperparameters, as they are written into the config."""

    hidden_sizes: tuple[int, ...] = (32, 32)
    seed: int = 0
    steps_per_epoch: int = 1000
    epochs: int = 20
    gamma: float = 0.99
    lam: float = 0.97
    clip_ratio: float = 0.2
    pi_lr: float = 3e-4
    vf_lr: float = 1e-3
    train_pi_iters: int = 40
    train_v_iters: int = 40
    target_kl: float = 0.02
    save_freq: int = 5


def ppo(env_fn: Callable[[], Env], settings: PPOSettings, logger_kwargs: Mapping[str, Any]) -> None:
    """Train; snapshot N is the policy that produced row N."""
    with EpochLogger(**logger_kwargs) as logger:
        _Training(env_fn, settings, logger, logger_kwargs).run()


class Experience(NamedTuple):
    """A step of experience."""

    observation: Floats
    action: int
    reward: float
    value: float
    log_probability: float


class _Networks:
    """Policy, value function, and what trains them, as one graph in a session."""

    def __init__(self, env: Env, settings: PPOSettings) -> None:
        graph = tf.Graph()
        with graph.as_default():
            # The graph's seed and the order of its operations make the draws: none may be moved.
            v1.set_random_seed(settings.seed)
            self.x = v1.placeholder(tf.float32, (None, *env.observation_space.shape), name="x")
            self.a = v1.placeholder(tf.int32, (None,), name="a")
            names = ("adv", "ret", "logp_old")
            self.adv, self.ret, self.logp_old = (v1.placeholder(tf.float32, (None,), name=n) for n in names)
            self._losses(settings, int(env.action_space.n))
            self.train_pi = v1.train.AdamOptimizer(settings.pi_lr).minimize(self.loss_pi)
            self.train_v = v1.train.AdamOptimizer(settings.vf_lr).minimize(self.loss_v)
            initialise = v1.global_variables_initializer()
        self.session = session(graph)
        self.session.run(initialise)

    def _losses(self, s: PPOSettings, choices: int) -> None:
        log_probabilities: Tensor = tf.nn.log_softmax(mlp(self.x, (*s.hidden_sizes, choices), "pi"))
        self.pi = tf.squeeze(tf.random.categorical(log_probabilities, 1), axis=1)
        self.v = tf.squeeze(mlp(self.x, (*s.hidden_sizes, 1), "v"), axis=1)
        logp = tf.gather(log_probabilities, self.a, batch_dims=1)
        self.logp_pi = tf.gather(log_probabilities, self.pi, batch_dims=1)
        ratio = tf.exp(logp - self.logp_old)
        clipped = tf.clip_by_value(ratio, 1 - s.clip_ratio, 1 + s.clip_ratio)
        self.loss_pi = -tf.reduce_mean(tf.minimum(ratio * self.adv, clipped * self.adv))
        self.loss_v = tf.reduce_mean((self.ret - self.v) ** 2)
        self.kl = tf.reduce_mean(self.logp_old - logp)
        self.entropy = tf.reduce_mean(-tf.reduce_sum(tf.exp(log_probabilities) * log_probabilities, axis=1))

    def value(self, observation: Floats) -> float:
        """The value of one observation."""
        return float(self.session.run(self.v, {self.x: observation[None]})[0])


class _Training:
    """Environment and networks of one training."""

    def __init__(
        self, env_fn: Callable[[], Env], settings: PPOSettings, logger: EpochLogger, logger_kwargs: Mapping[str, Any]
    ) -> None:
        self.settings, self.logger, self.started = settings, logger, time.time()
        self.env = env_fn()
        config = {"env_fn": env_fn, **asdict(settings), "logger_kwargs": dict(logger_kwargs)}
        logger.save_config({**config, "env": self.env.spec.id})
        self.networks = n = _Networks(self.env, settings)
        logger.setup_tf_saver(n.session, inputs={"x": n.x, "a": n.a}, outputs={"pi": n.pi, "v": n.v})

    def run(self) -> None:
        """All epochs."""
        s = self.settings
        self.observation, _ = self.env.reset(seed=s.seed)
        for epoch in range(s.epochs):
            if epoch % s.save_freq == 0 or epoch == s.epochs - 1:
                self.logger.save_state({"env": self.env}, itr=epoch)
            self._update(epoch, self._experience())

    def _experience(self) -> dict[Tensor, NDArray[Any]]:
        """An epoch's batch, by placeholders; the last episode is cut off where the epoch ends."""
        n, s = self.networks, self.settings
        rows: list[Experience] = []
        finished: list[tuple[Doubles, Doubles]] = []
        start, ep_ret, ep_len = 0, 0.0, 0
        for step in range(s.steps_per_epoch):
            action, value, log_probability = n.session.run((n.pi, n.v, n.logp_pi), {n.x: self.observation[None]})
            following, reward, terminated, truncated, _ = self.env.step(int(action[0]))
            rows.append(Experience(self.observation, action[0], float(reward), value[0], log_probability[0]))
            self.observation = following
            ep_ret += float(reward)
            ep_len += 1
            done = terminated or truncated
            if done or step == s.steps_per_epoch - 1:
                # An episode that was cut off continues in principle: its value is bootstrapped. A terminated one
                # has no future.
                tail = 0.0 if terminated else n.value(self.observation)
                finished.append(advantages(rows[start:], tail, s.gamma, s.lam))
                start = len(rows)
                if done:
                    self.logger.store(EpRet=ep_ret, EpLen=ep_len)
                self.observation, _ = self.env.reset()
                ep_ret, ep_len = 0.0, 0
        # Normalised advantages make the learning rate independent of the scale of rewards.
        advantage = np.concatenate([pair[0] for pair in finished])
        return {
            n.x: np.stack([row.observation for row in rows]),
            n.a: np.array([row.action for row in rows]),
            n.adv: (advantage - advantage.mean()) / (advantage.std() + 1e-8),
            n.ret: np.concatenate([pair[1] for pair in finished]),
            n.logp_old: np.array([row.log_probability for row in rows]),
        }

    def _update(self, epoch: int, batch: Mapping[Tensor, NDArray[Any]]) -> None:
        """Train on a batch, policy first, and write the epoch's row."""
        n, s, logger = self.networks, self.settings, self.logger
        before = n.session.run((n.loss_pi, n.loss_v, n.entropy), batch)
        for stop_iter in range(s.train_pi_iters):  # noqa: B007 - logged below
            _, divergence = n.session.run((n.train_pi, n.kl), batch)
            if divergence > 1.5 * s.target_kl:
                break
        for _ in range(s.train_v_iters):
            n.session.run(n.train_v, batch)
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("EpLen", average_only=True)
        logger.log_tabular("TotalEnvInteracts", (epoch + 1) * s.steps_per_epoch)
        for name, value in zip(("LossPi", "LossV", "Entropy"), before, strict=True):
            logger.log_tabular(name, value)
        logger.log_tabular("KL", divergence)
        logger.log_tabular("StopIter", stop_iter)
        logger.log_tabular("Time", time.time() - self.started)
        logger.dump_tabular()


def advantages(rows: Sequence[Experience], tail: float, gamma: float, lam: float) -> tuple[Doubles, Doubles]:
    """Advantages and rewards-to-go of one stretch of experience, shape (steps,) each.

    Args:
        rows: its steps.
        tail: value of the state after the last step, 0 if the episode terminated there.
        gamma: discount.
        lam: lambda of generalised advantage estimation.
    """
    rewards = np.array([row.reward for row in rows] + [tail])
    values = np.array([row.value for row in rows] + [tail])
    deltas = rewards[:-1] + gamma * values[1:] - values[:-1]
    return _discounted(deltas, gamma * lam), _discounted(rewards, gamma)[:-1]


def _discounted(values: Doubles, factor: float) -> Doubles:
    sums = np.zeros_like(values)
    total = 0.0
    for i in range(len(values) - 1, -1, -1):
        total = values[i] + factor * total
        sums[i] = total
    return sums
