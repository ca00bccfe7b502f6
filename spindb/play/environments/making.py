"""Builds an environment by its id: in gymnasium, else in gym, else the id's successors in both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from spindb.errors import EnvironmentBuildError
from spindb.play.environments.libraries import first_line, import_quietly, log_mujoco_warnings, without_output
from spindb.play.environments.packages import MUJOCO, importable_module, is_of_gym, package_of
from spindb.play.environments.protocols import GymEnv
from spindb.play.environments.successors import SUCCESSORS, registered_as, successor_arguments

Render = Literal["human", "rgb_array"] | None
_GUESS = re.compile(r"\s*Did you mean:?.*", re.IGNORECASE)
_CHAIN = 32


@dataclass(frozen=True, slots=True)
class MadeEnvironment:
    """An environment that was built, the id and library that served, and what was tried before."""

    environment: GymEnv
    id: str
    library: str
    failed: tuple[str, ...]


def make(
    env_id: str,
    source: str,
    *,
    limit: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    render: Render = None,
    class_path: str = "",
    contact_forces: bool = True,
) -> MadeEnvironment:
    """Build an id.

    Args:
        env_id: the id, which today's libraries may no longer have.
        source: how it is known, for the message.
        limit: steps after which an episode ends; None: what the id was registered with.
        arguments: passed to ``make``.
        render: as `spindb.play.environments.build.build_environment`.
        class_path: of the saved environment, for the message.
        contact_forces: whether they cost rewards in Ant; they did not where they were 0 in training.

    Raises:
        EnvironmentBuildError: nothing could be built.
    """
    libraries, absent, failures = _libraries()
    package = package_of(env_id, class_path)
    if package is not None and package.install == MUJOCO:
        log_mujoco_warnings()
    raised: BaseException | None = None
    for name, candidate in _attempts(list(libraries), (env_id, *SUCCESSORS.get(env_id, ()))):
        registered, extra = registered_as(name, candidate)
        given = {**successor_arguments(env_id, candidate), **extra, **(arguments or {})}
        if not contact_forces and "use_contact_forces" in given:
            given["contact_cost_weight"] = 0.0
        # Passed to make(), whose own TimeLimit, from the registry, would else end episodes first.
        if limit is not None:
            given["max_episode_steps"] = limit
        if render:
            given["render_mode"] = render
        try:
            # Libraries and old environments print banners and warnings here, which are not about the run that is
            # played.
            with without_output():
                # The checker is for authors of environments: it warns, and refuses results that play well enough.
                built = libraries[name].make(registered, disable_env_checker=True, **given)
        except (Exception, SystemExit) as error:  # registries and constructors raise all sorts of errors
            said = first_line(error)
            failures.append(f"{candidate} in {name}: {said if source == '--env' else _GUESS.sub('', said)}")
            raised = error
            continue
        return MadeEnvironment(built, candidate, name, tuple(failures))
    tried = "\n".join(f"  {failure}" for failure in (*failures, *absent))
    made_with = f" with {words_of_arguments(arguments)}" if arguments else ""
    raise EnvironmentBuildError(
        f"{env_id}{made_with} (known from {source}) can't be built:\n{tried}", hint=_what_to_install(env_id, class_path)
    ) from raised


def _libraries() -> tuple[dict[str, Any], list[str], list[str]]:
    """gymnasium and gym as far as they can be imported; which are not installed; which fail, and why.

    What is not installed explains a failure, and is no news beside a success.
    """
    found: dict[str, Any] = {}
    absent: list[str] = []
    failures: list[str] = []
    for name in ("gymnasium", "gym"):
        try:
            found[name] = import_quietly(name)
        except ModuleNotFoundError as error:
            # A library that is there and fails to import one of its own dependencies is broken, which is worth a word.
            (absent if error.name == name else failures).append(f"{name} can't be imported: {first_line(error)}")
        except ImportError as error:
            failures.append(f"{name} can't be imported: {first_line(error)}")
    return found, absent, failures


def words_of_arguments(arguments: Mapping[str, Any]) -> str:
    """Arguments as they are typed: ``g=1.0, hardcore=True``."""
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _what_to_install(env_id: str, class_path: str) -> str:
    ways = []
    package, module = package_of(env_id, class_path), importable_module(class_path)
    if package is not None:
        imported = f", then --import {package.module}" if package.module else ""
        ways.append(f"pip install '{package.install}'{imported}")
    elif module is not None:
        ways.append(f"--import {module}, where that module can be imported: the saved environment's class is in it")
    elif not is_of_gym(class_path):
        ways.append("--import MODULE, if a package of its own registers this id")
    return "\n".join([*(f"{way}," for way in ways), "or name another: --env ID, --env-factory module:function"])


def change_limit(env: GymEnv, steps: float) -> bool:
    """Let the environment's time limit be another, or infinite; False where it has none."""
    # Bounded: an environment that answers any attribute would have an `env` for ever.
    for _ in range(_CHAIN):
        if type(env).__name__ == "TimeLimit":
            vars(env)["_max_episode_steps"] = steps
            return True
        if not hasattr(env, "env"):
            return False
        env = env.env
    return False


def _attempts(libraries: list[str], ids: tuple[str, ...]) -> list[tuple[str, str]]:
    """In which order to try: an id in both libraries before its successor.

    gym never learned numpy 2: beside that, gymnasium's successor is safer than gym's old environment,
    which may be built and then fail at a step.
    """
    attempts = [(library, env_id) for env_id in ids for library in libraries]
    if int(metadata.version("numpy").partition(".")[0]) >= 2:
        attempts.sort(key=lambda attempt: attempt[0] == "gym")
    return attempts
