"""The environment of a snapshot: what its run's files say of it, and why other ways to it did not serve."""

from __future__ import annotations

from spindb.play.environments.build import BuiltEnvironment, Choices, Render, build_environment
from spindb.play.environments.contact_forces import were_zero
from spindb.play.environments.state import RunState, run_state
from spindb.play.locate import Playable
from spindb.play.policies import Policy


def state_of(playable: Playable) -> RunState:
    """What the files of a snapshot's run say of its environment."""
    return run_state(playable.directory, playable.snapshot.state_path, playable.env.classes)


def environment_of(
    playable: Playable,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    *,
    render: Render = None,
    policy: Policy | None = None,
    saved: RunState | None = None,
) -> BuiltEnvironment:
    """The environment of a snapshot; see `spindb.play.environments.build.build_environment` for the ways to it.

    Args:
        playable: the snapshot.
        choices: what the user chose.
        render: how it is to be shown.
        policy: the snapshot's, whose weights say whether contact forces were 0 in training.
        saved: what `state_of` gives, where it was read already.

    Raises:
        EnvironmentBuildError: no way led to an environment.
    """
    trained = playable.env.id
    by_user = choices.env or choices.factory
    saved = saved or state_of(playable)
    return build_environment(
        playable.env,
        choices,
        render=render,
        saved=saved,
        earlier=() if by_user else earlier_ways(playable, saved),
        forces_were_zero=lambda: were_zero(policy.weights(), trained) if policy is not None and trained else None,
    )


def earlier_ways(playable: Playable, saved: RunState | None = None) -> tuple[str, ...]:
    """Why the ways to the environment that come before the one that is known did not serve, in order."""
    saved = saved or state_of(playable)
    by_state = playable.env.source in ("state id", "state class")
    state = _why_no_state(playable, saved, by_another=by_state)
    config = () if by_state or playable.env.source == "config" else ("the config names none",)
    return (*((state,) if state else ()), *config)


def _why_no_state(playable: Playable, saved: RunState, *, by_another: bool) -> str | None:
    """Why the state beside the snapshot gives no id; None where it does, or where another state gave one."""
    name = playable.snapshot.state_path
    if name is None:
        return None if by_another else "no environment was saved beside this snapshot (vars.pkl)"
    if saved.beside is None:
        return saved.unread
    if saved.beside.refusal is not None:
        return f"{name}: {saved.beside.refusal}"
    found = saved.beside.hint
    if found.id:
        return None
    limit = f" with at most {found.max_episode_steps} steps" if found.max_episode_steps else ""
    return f"{name} holds {' around '.join(found.classes)}{limit}, of which no id is known"
