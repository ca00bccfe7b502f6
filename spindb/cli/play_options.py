"""Options of the commands that play: which environment, and how a policy acts in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spindb.errors import UsageError

if TYPE_CHECKING:
    from spindb.play.environments.contact_forces import ContactForces

EnvId = Annotated[str | None, typer.Option(help="Environment id, of gymnasium or gym.")]
EnvFactory = Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION", help="Call this for the environment.")]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Import this module first: it registers or holds environments."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Allow code from the files to run, as a last resort.")]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", "-d", help="Take the mean, or the most probable, action.")
]
Length = Annotated[int, typer.Option("--len", "-l", help="End an episode after so many steps; 0: no limit.")]
Jobs = Annotated[int | None, typer.Option(help="Parallel processes. (default: all cores)", min=1)]
ActionRule = Annotated[
    str | None,
    typer.Option(
        "--action",
        metavar="RULE",
        help="How outputs become actions, if the save leaves it open: argmax, sample, tanh, clip.",
    ),
]
WithoutWrappers = Annotated[
    bool,
    typer.Option(
        "--without-wrappers", help="Leave out saved wrappers that can't be rebuilt; if all can, leave out all."
    ),
]
Forces = Annotated[
    str | None,
    typer.Option(
        "--contact-forces",
        metavar="real|zero",
        help="What Ant and Humanoid up to -v3 observe of them. (default: as the policy's weights say)",
    ),
]


def one_environment(env: str | None, env_factory: str | None) -> None:
    """Refuse two environments.

    Raises:
        UsageError: both are named.
    """
    if env is not None and env_factory is not None:
        raise UsageError("--env and --env-factory exclude each other")


def forces_chosen(name: str | None) -> ContactForces | None:
    """What was typed for ``--contact-forces``.

    Raises:
        UsageError: it is none of its values.
    """
    from spindb.play.environments.contact_forces import CONTACT_FORCES

    found = next((known for known in CONTACT_FORCES if known == name), None)
    if name is not None and found is None:
        raise UsageError(f"--contact-forces {name}: it is real or zero")
    return found
