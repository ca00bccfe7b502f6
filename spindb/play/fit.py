"""Whether a policy and an environment fit each other."""

from __future__ import annotations

from spindb.errors import PolicyError
from spindb.play.actions import Rule, settle
from spindb.play.environments.build import BuiltEnvironment
from spindb.play.policies import Policy


def require_fit(policy: Policy, built: BuiltEnvironment, action: Rule | None = None) -> Policy:
    """The policy with actions that are the environment's: the same, or one whose outputs are made so by a rule.

    Args:
        policy: as it was loaded.
        built: the environment.
        action: what outputs are whose meaning stays open; see `spindb.play.actions`.

    Raises:
        PolicyError: observations or actions of the environment are not the policy's, or what its output is stays open.
    """
    wanted, given = policy.observation_shape, built.environment.observation_shape
    if wanted is not None and given is not None and wanted != given:
        raise PolicyError(
            f"the policy takes observations of shape {wanted}, "
            f"{built.id or 'the environment'} (from {built.source}) gives {given}",
            hint="name the environment that it was trained in: --env ID or --env-factory module:function",
        )
    if wanted is None and given is not None and policy.engine != "torch":
        policy.observation_shape = given
    # A save holds layers: whether the last one gives actions, logits or values follows from the action space alone, and
    # is decided before the first step, where an error is still cheap.
    where = built.id or "the environment"
    return settle(policy, built.environment.action_space, action, where=where)
