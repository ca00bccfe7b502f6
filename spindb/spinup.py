"""Spinning Up's own functions for trained agents, on today's stack: a script changes one import.

::

    from spindb.spinup import load_policy, run_policy  # was: from spinup.utils.test_policy import ...

    env, get_action = load_policy("data/ppo/ppo_s0")
    run_policy(env, get_action)

Names, arguments, results and print-outs are the original's; what they do is spindb's. Nothing that is saved is
executed: the environment is built anew, graphs are read.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from spindb.errors import EnvironmentBuildError, EnvironmentWarning, NotFoundError, PlaybackError, PolicyError
from spindb.index.query.reference import RunPath
from spindb.logger import EpochLogger
from spindb.play.actions import Rule, rule_of, settle
from spindb.play.arrays import Action, Observation
from spindb.play.engine.tensorflow_graph import pure_part, require_small_results
from spindb.play.engine.tensorflow_session import import_tensorflow, restore_variables
from spindb.play.environments.build import WINDOW_VARIABLES, BuiltEnvironment
from spindb.play.environments.contact_forces import ContactForces
from spindb.play.environments.of_snapshot import environment_of
from spindb.play.fit import require_fit
from spindb.play.locate import Playable, locate
from spindb.play.policies import Policy
from spindb.play.policies.savedmodel import Variables, graph_bytes
from spindb.play.process_state import unchanged_process
from spindb.play.request import PlayOptions
from spindb.play.rollouts.rollout import run_policy as play
from spindb.play.session import loaded
from spindb.printable import printable

__all__ = ["load_policy", "load_policy_and_env", "restore_tf_graph", "run_policy"]

_PAGE = "docs/experiment-outputs.md, under Environment not found"


class EnvironmentNotFoundError(EnvironmentBuildError, AssertionError):
    """There is no environment to run the agent in. The original raises an ``AssertionError``."""


class GymEnvironment:
    """The environment of a training, built anew, as gym had environments when the original was written.

    ``reset()`` gives an observation; ``step(action)`` gives observation, reward, done and info. Everything else is the
    environment's own.
    """

    def __init__(self, built: BuiltEnvironment, build: Callable[[Literal["human"] | None], BuiltEnvironment]) -> None:
        self._build = build
        self._shown = False
        self._world = built.environment

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._world.env, name)

    def reset(self) -> Observation:
        """Begin an episode: its first observation."""
        first: Observation = self._world.reset()
        return first

    def step(self, action: Action) -> tuple[Observation, float, bool, dict[str, Any]]:
        """Act once: observation, reward, whether the episode is over, and whether a time limit ended it."""
        step = self._world.step(action)
        return step.observation, step.reward, step.terminated or step.truncated, {"TimeLimit.truncated": step.truncated}

    def show(self) -> None:
        """Be shown from the next episode on: today's environments have to be built for that."""
        if not self._shown:
            self._world.close()
            self._world, self._shown = self._build("human").environment, True

    def render(self, mode: str = "human") -> Any:
        """Show the present state.

        Raises:
            EnvironmentBuildError: `show` was not called before the episode.
        """
        if not self._shown:
            raise EnvironmentBuildError(
                "the environment was not built to be shown", hint="env.show() before env.reset() builds it so"
            )
        return self._world.render()


def load_policy(
    fpath: str | Path,
    itr: int | Literal["last"] = "last",
    deterministic: bool = False,
    *,
    imports: Sequence[str] = (),
    trust: bool = False,
    action: Rule | None = None,
    without_wrappers: bool = False,
    contact_forces: ContactForces | None = None,
) -> tuple[GymEnvironment | None, Policy]:
    """The environment and the policy that were saved in an output directory.

    Args:
        fpath: the output directory.
        itr: which snapshot; ``last`` for the latest.
        deterministic: act by the mean action; where none was saved, by the likeliest.
        imports: modules that register or hold the environment.
        trust: what can't be read otherwise is executed, as the file says.
        action: what the policy's outputs are where the save leaves it open: see `spindb.play.actions`.
        without_wrappers: leave out those wrappers of the saved environment that can't be rebuilt.
        contact_forces: of Ant and Humanoid up to -v3: ``real`` or ``zero``; None for what the policy's weights say.

    Returns:
        The environment, None where it can't be told or built, with an `EnvironmentWarning` that says why; and
        ``get_action``, which maps an observation to an action. It is a policy of spindb:
        ``get_action.value(observation)`` and ``get_action.q(observation, action)`` are what was learned of their
        worth.

    Raises:
        NotFoundError: there is no such output directory or snapshot.
        PolicyError: the policy can't be loaded, is none for this environment, or does not say how it acts.
    """
    playable = locate(RunPath(Path(fpath)), None if itr == "last" else itr)
    rule = rule_of(action)
    options = PlayOptions(
        deterministic=deterministic,
        imports=tuple(imports),
        trust=trust,
        action=rule,
        without_wrappers=without_wrappers,
        contact_forces=contact_forces,
    )

    def build(render: Literal["human"] | None) -> BuiltEnvironment:
        with unchanged_process(but_for=WINDOW_VARIABLES):
            return environment_of(playable, options.choices, render=render, policy=policy)

    with unchanged_process():
        policy = loaded(playable, options)
    print("Using deterministic action op." if policy.deterministic else "Using default action op.")  # noqa: T201
    try:
        built = build(None)
        fitting = require_fit(policy, built, rule)
    except PolicyError:
        raise
    except PlaybackError as error:
        warnings.warn(f"no environment: {error}", EnvironmentWarning, stacklevel=2)
        return None, settle(policy, None, rule)
    if built.substituted:
        warnings.warn(built.substituted, EnvironmentWarning, stacklevel=2)
    return GymEnvironment(built, build), fitting


load_policy_and_env = load_policy


def run_policy(
    env: Any,
    get_action: Callable[[Any], Any],
    max_ep_len: int | None = None,
    num_episodes: int = 100,
    render: bool = True,
) -> None:
    """Run an agent in an environment; episodes and their statistics are printed, the latter logged too.

    Args:
        env: from `load_policy`, or one of your own: of gym (old or new) or gymnasium.
        get_action: maps an observation to an action.
        max_ep_len: ends an episode after so many steps; None or 0: only the environment ends it. The environment's own
            time limit ends it all the same.
        num_episodes: how many.
        render: show each step.

    Raises:
        EnvironmentNotFoundError: `env` is None.
        PlaybackError: the environment or the policy fails.
    """
    if env is None:
        raise EnvironmentNotFoundError(
            "Environment not found! It was not saved, or can't be built here, so that the agent can't run in it",
            hint=f"make it yourself and pass it: run_policy(env, get_action); see {_PAGE}",
        )
    if render and isinstance(env, GymEnvironment):
        env.show()
    with EpochLogger(_free_place(), quiet=True) as logger:
        print(f"Logging data to {printable(str(logger.output_dir / 'progress.txt'))}")  # noqa: T201
        rollout = play(env, get_action, max_ep_len, num_episodes, render)
        for episode in rollout.episodes:
            logger.store(EpRet=episode.ep_return, EpLen=episode.length)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("EpLen", average_only=True)
        logger.dump_tabular()


def _free_place() -> Path:
    """A directory named by the second, as the original has it; by a later one where that is taken."""
    experiments = Path(tempfile.gettempdir(), "experiments")
    seconds = itertools.count(int(time.time()))
    return next(place for second in seconds if not os.path.lexists(place := experiments / str(second)))


def restore_tf_graph(sess: Any, fpath: str | Path) -> dict[str, Any]:
    """The tensors of a saved model by name, in the graph of a TensorFlow session: ``x``, ``pi``, ``v`` and so on.

    What they depend on is imported and its variables are restored; the rest of the saved graph, the training for one,
    is not. Nothing that does more than compute gets into the session.

    Args:
        sess: a session of ``tf.compat.v1`` (``tf.Session`` once was it).
        fpath: the saved model: ``…/simple_save``, ``…/tf1_save40``.

    Raises:
        NotFoundError: there is not a saved model.
        PolicyError: it is damaged, or evaluating it would do more than compute.
    """
    save = Path(fpath)
    snapshot = _save_at(save)
    names = {**snapshot.snapshot.inputs, **snapshot.snapshot.outputs}
    with unchanged_process():
        tensorflow = import_tensorflow()
    part, variables = pure_part(save, graph_bytes(save), names.values())
    with sess.graph.as_default():
        tensorflow.compat.v1.import_graph_def(part, name="")
    require_small_results(save, sess.graph.get_operations())
    values = Variables(save)
    restore_variables(tensorflow, sess, {name: values[name] for name in variables})
    return {name: sess.graph.get_tensor_by_name(tensor) for name, tensor in names.items()}


def _save_at(save: Path) -> Playable:
    """The snapshot that a SavedModel's directory is.

    Raises:
        NotFoundError: it is none.
        PolicyError: it can't be loaded.
    """
    found = locate(RunPath(save.absolute().parent))
    for snapshot in found.beside:
        if snapshot.path == save.name:
            if snapshot.unloadable:
                raise PolicyError(f"{save} can't be loaded: {snapshot.unloadable}")
            return Playable(found.directory, snapshot, found.env)
    raise NotFoundError(f"{save} is not a saved model")
