"""From a run (id, name or path) to a policy that acts: what people call from Python."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

from spindb.errors import EnvironmentWarning
from spindb.index.query.reference import reference
from spindb.play.actions import Rule, rule_of, settle
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.environments.build import WINDOW_VARIABLES
from spindb.play.environments.contact_forces import ContactForces
from spindb.play.locate import Playable, locate
from spindb.play.policies import Engine, Policy
from spindb.play.process_state import unchanged_process
from spindb.play.request import PlayOptions
from spindb.play.session import loaded, prepared


def load_exportable(playable: Playable) -> GraphPolicy:
    """The snapshot's policy as a graph, deterministic: what can be exported to other stacks.

    Raises:
        PolicyError: numpy can't evaluate it; the message says which operation it does not know.
    """
    with unchanged_process():
        policy = loaded(playable, PlayOptions(deterministic=True, engine="numpy"))
    assert isinstance(policy, GraphPolicy)
    return policy


def load_policy(
    run: SupportsIndex | str | Path,
    itr: int | None = None,
    deterministic: bool = False,
    *,
    engine: Engine = "auto",
    trust: bool = False,
    db: str | Path | None = None,
    action: Rule | None = None,
) -> Policy:
    """Load a saved policy.

    Args:
        run: a run's id, directory or name: a number or a text of digits is an id, a `Path` or a text with a
            separator a directory, any other text the name of a run, or the only beginning of one.
        itr: which snapshot; None for the latest.
        deterministic: act by the mean, or the likeliest, action.
        engine: what evaluates it: ``numpy``, ``tensorflow``, or ``auto`` for numpy where it can.
        db: the database (path or URL) where `run` is not a directory; without one as the command line finds it:
            ``SPINDB_URL``, else the nearest ``spindb.db`` upward.
        action: what its outputs are where the save does not say: ``argmax``, ``sample``, ``tanh``, ``clip``; see
            `spindb.play.actions`.

    Returns:
        A policy: ``policy(observation)`` is the action for one observation, or one per row for many;
        ``policy.value(observation)`` and ``policy.q(observation, action)`` are what was learned of their worth.

    Raises:
        NotFoundError: there is no such run or itr.
        PolicyError: the snapshot can't be loaded, or does not say how its outputs become actions.
    """
    options = PlayOptions(deterministic=deterministic, engine=engine, trust=trust)
    with unchanged_process():
        return settle(loaded(locate(reference(run), itr, db=db), options), None, rule_of(action))


def load_policy_and_env(
    run: SupportsIndex | str | Path,
    itr: int | None = None,
    deterministic: bool = False,
    *,
    render: bool = False,
    imports: Sequence[str] = (),
    trust: bool = False,
    without_wrappers: bool = False,
    contact_forces: ContactForces | None = None,
    db: str | Path | None = None,
    action: Rule | None = None,
) -> tuple[Any, Policy]:
    """The environment built anew, and the policy, as the original's function of that name gives them.

    Arguments as of `load_policy`, and:
        render: build the environment for a window.
        imports: modules that are imported first: they register environments, or hold their classes and wrappers.
        without_wrappers: play without those wrappers of the saved environment that can't be rebuilt.
        contact_forces: of Ant and Humanoid up to -v3: ``real`` or ``zero``; None for what the policy's weights say.

    Where it is not the environment of the training, or may not be, an `EnvironmentWarning` says why.

    Raises:
        EnvironmentBuildError: no environment is known or can be built; use `load_policy` and your own.
        NotFoundError, PolicyError: as `load_policy`.
    """
    options = PlayOptions(
        deterministic=deterministic,
        imports=tuple(imports),
        trust=trust,
        action=rule_of(action),
        without_wrappers=without_wrappers,
        contact_forces=contact_forces,
    )
    with unchanged_process(but_for=WINDOW_VARIABLES):
        playable = locate(reference(run), itr, db=db)
        session = prepared(playable, options, render="human" if render else None)
    if session.built.substituted:
        warnings.warn(session.built.substituted, EnvironmentWarning, stacklevel=2)
    return session.built.environment.env, session.policy
