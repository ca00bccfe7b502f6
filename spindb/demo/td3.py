"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018), for continuous actions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from spindb.demo.networks import Env, Tensor, mlp, session, v1, variables
from spindb.logger import EpochLogger

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TD3Settings:
    """Hyperparameters, as they are written into the config."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    seed: int = 0
    steps_per_epoch: int = 1000
    epochs: int = 8
    replay_size: int = 20_000
    gamma: float = 0.99
    polyak: float = 0.99
    pi_lr: float = 1e-3
    q_lr: float = 1e-3
    batch_size: int = 64
    start_steps: int = 1000
    act_noise: float = 0.1
    target_noise: float = 0.2
    noise_clip: float = 0.5
    policy_delay: int = 2
    num_test_episodes: int = 3
    save_freq: int = 1


def td3(env_fn: Callable[[], Env], settings: TD3Settings, logger_kwargs: Mapping[str, Any]) -> None:
    """Train; snapshot N is the policy at the end of epoch N."""
    with EpochLogger(**logger_kwargs) as logger:
        _Training(env_fn, settings, logger, logger_kwargs).run()


class _Networks:
    """Actor, twin critics, their targets, and what trains them, as one graph in a session."""

    def __init__(self, env: Env, settings: TD3Settings) -> None:
        self._hidden = settings.hidden_sizes
        self.width, self.limit = int(env.action_space.shape[0]), float(env.action_space.high[0])
        graph = tf.Graph()
        with graph.as_default():
            # The graph's seed and the order of its operations make the draws: none may be moved.
            v1.set_random_seed(settings.seed)
            shape = (None, *env.observation_space.shape)
            self.x, self.x2 = (v1.placeholder(tf.float32, shape, name=n) for n in ("x", "x2"))
            self.a = v1.placeholder(tf.float32, (None, self.width), name="a")
            self.r, self.d = (v1.placeholder(tf.float32, (None,), name=n) for n in ("r", "d"))
            self._losses(settings)
            self._steps(settings)
            initialise = v1.global_variables_initializer()
        self.session = session(graph)
        self.session.run(initialise)
        self.session.run(self._copy)

    def _actor(self, at: Tensor, scope: str) -> Tensor:
        return self.limit * tf.tanh(mlp(at, (*self._hidden, self.width), f"{scope}/pi"))

    def _critic(self, at: Tensor, action: Tensor, scope: str) -> Tensor:
        return tf.squeeze(mlp(tf.concat([at, action], -1), (*self._hidden, 1), scope), axis=1)

    def _losses(self, s: TD3Settings) -> None:
        self.pi = self._actor(self.x, "main")
        self.q1, self.q2 = self._critic(self.x, self.a, "main/q1"), self._critic(self.x, self.a, "main/q2")
        noise = tf.random.normal(tf.shape(self.a), stddev=s.target_noise)
        # Target policy smoothing: noise on the target action, so that the critics can't exploit narrow peaks.
        noise = tf.clip_by_value(noise, -s.noise_clip, s.noise_clip)
        a2 = tf.clip_by_value(self._actor(self.x2, "target") + noise, -self.limit, self.limit)
        # The smaller of two critics counters the overestimation of values.
        q_next = tf.minimum(self._critic(self.x2, a2, "target/q1"), self._critic(self.x2, a2, "target/q2"))
        # Truncated episodes are stored as not done, so that their last value is bootstrapped.
        backup = tf.stop_gradient(self.r + s.gamma * (1 - self.d) * q_next)
        self.loss_pi = -tf.reduce_mean(self._critic(self.x, self.pi, "main/q1"))
        self.loss_q = tf.reduce_mean((self.q1 - backup) ** 2) + tf.reduce_mean((self.q2 - backup) ** 2)

    def _steps(self, s: TD3Settings) -> None:
        train_pi = v1.train.AdamOptimizer(s.pi_lr).minimize(self.loss_pi, var_list=variables("main/pi"))
        of_critics = [*variables("main/q1"), *variables("main/q2")]
        self.train_q = v1.train.AdamOptimizer(s.q_lr).minimize(self.loss_q, var_list=of_critics)
        pairs = list(zip(variables("main"), variables("target"), strict=True))
        # The targets follow after the update of the policy, in the same call.
        with tf.control_dependencies([train_pi]):
            self.follow = tf.group([v1.assign(t, s.polyak * t + (1 - s.polyak) * m) for m, t in pairs])
        self._copy = tf.group([v1.assign(t, m) for m, t in pairs])

    def act(self, at: Floats) -> Floats:
        """The action for one observation."""
        action: Floats = self.session.run(self.pi, {self.x: at[None]})[0]
        return action


class _Training:
    """Environment, networks and memory of one training."""

    def __init__(
        self, env_fn: Callable[[], Env], settings: TD3Settings, logger: EpochLogger, logger_kwargs: Mapping[str, Any]
    ) -> None:
        self.settings, self.logger, self.started = settings, logger, time.time()
        self.random = np.random.default_rng(settings.seed)
        self.env, self.test_env = env_fn(), env_fn()
        config = {"env_fn": env_fn, **asdict(settings), "logger_kwargs": dict(logger_kwargs)}
        logger.save_config({**config, "env": self.env.spec.id})
        self.networks = n = _Networks(self.env, settings)
        logger.setup_tf_saver(n.session, inputs={"x": n.x, "a": n.a}, outputs={"pi": n.pi, "q1": n.q1, "q2": n.q2})
        self.memory = Memory(self.env.observation_space.shape, n.width, settings.replay_size, self.random)
        self.updates = 0
        self.ep_ret, self.ep_len = 0.0, 0

    def run(self) -> None:
        """All epochs."""
        s = self.settings
        self.observation, _ = self.env.reset(seed=s.seed)
        self.test_env.reset(seed=s.seed + 1)
        for epoch in range(s.epochs):
            for step in range(s.steps_per_epoch):
                explored = epoch * s.steps_per_epoch + step >= s.start_steps
                self._step(explored)
                if explored:
                    self._update()
            for _ in range(s.num_test_episodes):
                self.logger.store(**test_episode(self.test_env, self._act))
            if epoch % s.save_freq == 0 or epoch == s.epochs - 1:
                self.logger.save_state({"env": self.env}, itr=epoch)
            self._log(epoch)

    def _step(self, explored: bool) -> None:
        """One step of the environment: by the policy with noise, at first by an action drawn evenly."""
        limit = self.networks.limit
        if explored:
            action: NDArray[Any] = self._act(self.observation, self.settings.act_noise * limit)
        else:
            action = self.random.uniform(-limit, limit, self.networks.width)
        following, reward, terminated, truncated, _ = self.env.step(action)
        self.memory.add(self.observation, action, float(reward), following, terminated)
        self.observation = following
        self.ep_ret += float(reward)
        self.ep_len += 1
        if terminated or truncated:
            self.logger.store(EpRet=self.ep_ret, EpLen=self.ep_len)
            self.observation, _ = self.env.reset()
            self.ep_ret, self.ep_len = 0.0, 0

    def _act(self, at: Floats, noise_scale: float = 0.0) -> Floats:
        """The action with noise; one is drawn for a scale of 0, too, so that later draws are the same."""
        limit = self.networks.limit
        action = self.networks.act(at) + noise_scale * self.random.standard_normal(self.networks.width)
        return np.clip(action, -limit, limit).astype(np.float32)

    def _update(self) -> None:
        """One step of the critics; every few of them one of the actor and the targets."""
        n = self.networks
        feed = dict(zip((n.x, n.a, n.r, n.x2, n.d), self.memory.sample(self.settings.batch_size), strict=True))
        loss, value, _ = n.session.run((n.loss_q, n.q1, n.train_q), feed)
        self.logger.store(LossQ=loss, Q1Vals=value)
        self.updates += 1
        if self.updates % self.settings.policy_delay == 0:
            loss, _ = n.session.run((n.loss_pi, n.follow), feed)
            self.logger.store(LossPi=loss)

    def _log(self, epoch: int) -> None:
        logger = self.logger
        # In epochs before start_steps nothing was stored: these columns are then NaN.
        for name in ("LossQ", "Q1Vals", "LossPi"):
            logger.epoch_dict.setdefault(name, [])
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("TestEpRet", with_min_and_max=True)
        logger.log_tabular("EpLen", average_only=True)
        logger.log_tabular("TestEpLen", average_only=True)
        logger.log_tabular("TotalEnvInteracts", (epoch + 1) * self.settings.steps_per_epoch)
        logger.log_tabular("Q1Vals", with_min_and_max=True)
        logger.log_tabular("LossPi", average_only=True)
        logger.log_tabular("LossQ", average_only=True)
        logger.log_tabular("Time", time.time() - self.started)
        logger.dump_tabular()


def test_episode(env: Env, act: Callable[[Floats], Floats]) -> dict[str, float]:
    """Return and length of an episode without exploration."""
    observation, _ = env.reset()
    ep_ret, ep_len, done = 0.0, 0, False
    while not done:
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        ep_ret += float(reward)
        ep_len += 1
        done = terminated or truncated
    return {"TestEpRet": ep_ret, "TestEpLen": ep_len}


class Memory:
    """A replay buffer of the last `size` steps."""

    def __init__(self, observation_shape: tuple[int, ...], width: int, size: int, random: np.random.Generator) -> None:
        self.random = random
        self.size, self.count = size, 0
        self.columns: tuple[Floats, ...] = (
            np.zeros((size, *observation_shape), np.float32),
            np.zeros((size, width), np.float32),
            np.zeros(size, np.float32),
            np.zeros((size, *observation_shape), np.float32),
            np.zeros(size, np.float32),
        )

    def add(self, *step: object) -> None:
        """Observation, action, reward, next observation, whether it was terminal."""
        for column, value in zip(self.columns, step, strict=True):
            column[self.count % self.size] = value
        self.count += 1

    def sample(self, count: int) -> tuple[Floats, ...]:
        """A uniformly sampled batch, one array per column."""
        rows = self.random.integers(0, min(self.count, self.size), count)
        return tuple(column[rows] for column in self.columns)
