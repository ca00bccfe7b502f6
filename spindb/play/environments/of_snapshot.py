"""The environment of a snapshot: what its run's files tell of it, and why other ways to it did not serve."""

from __future__ import annotations

from spindb.disk import limits
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.environments import environment_in_state
from spindb.disk.regular import read_regular
from spindb.play.environments.build import BuiltEnvironment, Choices, Render, build_environment
from spindb.play.environments.contact_forces import were_zero
from spindb.play.environments.state import saved_of
from spindb.play.locate import Playable
from spindb.play.policies import Policy


def environment_of(
    playable: Playable,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    *,
    render: Render = None,
    policy: Policy | None = None,
) -> BuiltEnvironment:
    """The environment of a snapshot; see `spindb.play.environments.build.build_environment` for the ways to it.

    Args:
        playable: the snapshot; the state beside it tells arguments, wrappers and their statistics.
        choices: what the user chose.
        render: how it is to be shown.
        policy: the snapshot's, whose weights say whether contact forces were 0 in training.

    Raises:
        EnvironmentBuildError: no way led to an environment.
    """
    trained = playable.env.id
    by_user = choices.env or choices.factory
    return build_environment(
        playable.env,
        choices,
        render=render,
        saved=saved_of(playable.directory, playable.snapshot.state_path, playable.env.classes),
        earlier=() if by_user else earlier_ways(playable),
        forces_were_zero=lambda: were_zero(policy.weights(), trained) if policy is not None and trained else None,
    )


def earlier_ways(playable: Playable) -> tuple[str, ...]:
    """Why the ways to the environment that come before the one that is known did not serve, in order."""
    by_state = playable.env.source in ("state id", "state class")
    state = _why_no_state(playable, told=by_state)
    config = () if by_state or playable.env.source == "config" else ("the config names none",)
    return (*((state,) if state else ()), *config)


def _why_no_state(playable: Playable, *, told: bool) -> str | None:
    """Why the state beside the snapshot tells no environment; None where it does, or another state did (`told`)."""
    name = playable.snapshot.state_path
    if name is None:
        return None if told else "no environment was saved beside this snapshot (vars.pkl)"
    try:
        found = environment_in_state(read_regular(playable.directory / name, limits.STATE))
    except OSError as error:
        return f"{name} can't be read: {error.strerror}"
    except (PickleError, RecursionError, MemoryError) as error:
        return f"{name}: {error or type(error).__name__}"
    if found.id:
        return None
    limit = f" with at most {found.max_episode_steps} steps" if found.max_episode_steps else ""
    return f"{name} holds {' around '.join(found.classes)}{limit}, of which no id is known"
