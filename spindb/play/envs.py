"""Builds the environment that a policy is to be played in, and says which way served.

Ways, in this order: what the user names (``--env``, ``--env-factory``); else the id that the saved state
or the config gave, built anew. An id that today's libraries no longer have is replaced by its successor.
Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from spindb.disk.regular import check_regular
from spindb.errors import EnvironmentBuildError
from spindb.play.environments.ids import found_id, typed_id
from spindb.play.importable import current_directory_importable
from spindb.play.spaces import Environment
from spindb.records import EnvironmentHint

# Ids that are gone, and what takes observations and actions of the same shapes today.
_SUCCESSORS: dict[str, tuple[str, ...]] = {
    "CartPole-v0": ("CartPole-v1",),  # the same but for the time limit, which the saved state tells
    "Pendulum-v0": ("Pendulum-v1",),
    "LunarLander-v2": ("LunarLander-v3",),
    "LunarLanderContinuous-v2": ("LunarLanderContinuous-v3",),
    "BipedalWalker-v2": ("BipedalWalker-v3",),
    "BipedalWalkerHardcore-v2": ("BipedalWalkerHardcore-v3",),
    "Pusher-v2": ("Pusher-v5",),
    "InvertedPendulum-v2": ("InvertedPendulum-v4", "InvertedPendulum-v5"),
    **{
        f"{name}-v{version}": (f"{name}-v4",)
        for name in ("Humanoid", "HumanoidStandup", "Reacher", "InvertedDoublePendulum")
        for version in (1, 2, 3)
    },
    **{
        f"{name}-v{version}": (f"{name}-v4", f"{name}-v5")
        for name in ("Hopper", "Walker2d", "HalfCheetah", "Swimmer")
        for version in (1, 2, 3)
    },
    **{f"Ant-v{version}": ("Ant-v4",) for version in (1, 2, 3)},
}
# What an id needs to be what it was.
_ARGUMENTS: dict[str, dict[str, Any]] = {"Ant-v4": {"use_contact_forces": True}}
_ERRORS_ONLY = 40
_RENAMED = {"LunarLanderContinuous-v3": ("LunarLander-v3", {"continuous": True})}


Render = Literal["human", "rgb_array"] | None


@dataclass(frozen=True, slots=True)
class BuiltEnvironment:
    """An environment to play in; ``id`` is what was built, ``source`` how that was known.

    ``failed`` are the ways that were tried before, each with its reason.
    """

    environment: Environment
    id: str | None
    source: str
    library: str | None = None
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    substituted: str | None = None
    """Why it is not the environment of the training; None where it is, as far as anything tells."""


def build_environment(
    hint: EnvironmentHint,
    *,
    env: str | None = None,
    factory: str | None = None,
    render: Render = None,
    saved: Mapping[str, Any] | None = None,
    imports: Sequence[str] = (),
    trusted: Path | None = None,
    earlier: Sequence[str] = (),
) -> BuiltEnvironment:
    """The environment named by `env` or `factory`, else the one that `hint` tells of.

    Args:
        hint: what the run's files say.
        env: an id of gymnasium or gym; ``module:Id-v0`` imports a module that is installed.
        factory: ``module:function``; the current directory is searched too, last. It is given those arguments that the
            saved environment keeps as attributes.
        render: ``human`` to show it in a window, ``rgb_array`` for pictures of it.
        saved: plain attributes of the saved environment.
        imports: modules that may be imported: a saved environment whose class stands in one of them is built from it,
            and an id that names one of them (``module:Id-v0``) is built.
        trusted: a saved state to be unpickled where nothing else serves.
        earlier: why the ways that come before the one that `hint` tells of did not serve.

    Raises:
        EnvironmentBuildError: no way led to an environment; the message names each and why it failed.
    """
    if render == "rgb_array":
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures need no display
    if render == "human":
        _require_display()
        # Flat pictures need no OpenGL, and software OpenGL (Mesa) crashes a process that holds TensorFlow:
        # both bring an LLVM of their own.
        os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
    if factory is not None:
        return _from_factory(factory, f"--env-factory {factory}", render, saved or {})
    if env is not None:
        return _make(typed_id(env), "--env", None, render)
    if hint.id is not None:
        name = found_id(hint.id, str(hint.source), imports)
        built = _make(name, str(hint.source), hint.max_episode_steps, render)
        return replace(built, failed=(*earlier, *built.failed))
    module, _, name = (hint.classes[-1] if hint.classes else "").rpartition(".")
    if module in imports:
        _require_environment_class(module, name)
        built = _from_factory(f"{module}:{name}", f"state class {module}.{name}", render, saved or {})
        return replace(built, failed=tuple(earlier))
    if trusted is not None:
        made = Environment(_unpickled(trusted), f"the environment in {trusted.name}")
        return BuiltEnvironment(made, None, f"{trusted.name}, unpickled", failed=tuple(earlier))
    told = ", and ".join(earlier) or "nothing was saved that tells of it"
    raise EnvironmentBuildError(f"which environment to play in is not known: {told}", hint=_what_to_type(hint))


def _from_factory(factory: str, source: str, render: Render, saved: Mapping[str, Any]) -> BuiltEnvironment:
    made, given = _call_factory(factory, render, saved)
    told = ", ".join(f"{name}={value!r}" for name, value in given.items())
    notes = (f"made with {told}, as the saved environment was",) if given else ()
    return BuiltEnvironment(Environment(made, factory), None, source, notes=notes)


def _require_environment_class(module: str, name: str) -> None:
    """A saved state can name anything: nothing but a class of environments is called for its sake.

    Raises:
        EnvironmentBuildError: it is none.
    """
    found = getattr(sys.modules.get(module), name, None)
    if not isinstance(found, type) or not (hasattr(found, "reset") and hasattr(found, "step")):
        raise EnvironmentBuildError(
            f"the saved state names {module}.{name}, which is no class with reset and step: it was not called",
            hint="--env-factory module:function builds the environment by your own code",
        )


def _unpickled(path: Path) -> Any:
    """The environment in a saved state, unpickled: code of the file's choice is executed.

    Raises:
        EnvironmentBuildError: that fails, or gives no environment.
    """
    _import_gym_beforehand()
    with current_directory_importable():
        try:
            joblib = importlib.import_module("joblib")
            check_regular(path)
            with _quiet():
                state = joblib.load(path)
            made = state["env"]
        except (Exception, SystemExit) as error:  # whatever the state's code raises
            raise EnvironmentBuildError(
                f"{path} can't be unpickled: {type(error).__name__}: {_first_line(error)}",
                hint="run it where the environment's module can be imported, or --env-factory module:function",
            ) from error
    if not (hasattr(made, "reset") and hasattr(made, "step")):
        raise EnvironmentBuildError(f"{path} holds a {type(made).__name__}, which has no reset and step")
    return made


def import_environments(module: str) -> None:
    """Import a module that registers environments of its own; the current directory is searched too, last.

    Raises:
        EnvironmentBuildError: it can't be imported.
    """
    _import_gym_beforehand()
    with current_directory_importable():
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:  # a user's own code can raise anything
            raise EnvironmentBuildError(
                f"--import {module} failed: {type(error).__name__}: {error}",
                hint=f"python -c 'import {module}' must work in this directory",
            ) from error


def _what_to_type(hint: EnvironmentHint) -> str:
    module, _, name = (hint.classes[-1] if hint.classes else "your_module.make_env").rpartition(".")
    own = bool(module) and not module.startswith(("gym.", "gymnasium."))
    ways = [f"--env-factory {f'{module}:{name}' if own else 'your_module:make_env'} builds it by your own code"]
    if own and hint.classes:
        ways.insert(0, f"--import {module} builds it anew, where that module can be imported")
        ways.append("--trust unpickles the saved state, which executes code of its choice")
    return "\n".join([*(f"{way}," for way in ways), "or --env ID names one of gymnasium's or gym's: --env CartPole-v1"])


def _require_display() -> None:
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
    if sys.platform.startswith("linux") and not shown:
        raise EnvironmentBuildError(
            "there is no display to render to (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            hint="-nr plays without rendering",
        )


def _call_factory(factory: str, render: Render, saved: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What the factory makes, and the arguments of the saved environment that it was given."""
    module_name, _, function_name = factory.partition(":")
    if not module_name or not function_name:
        raise EnvironmentBuildError(f"--env-factory {factory} is not of the form module:function")
    _import_gym_beforehand()
    with current_directory_importable():
        try:
            make: Any = importlib.import_module(module_name)
            for part in function_name.split("."):
                make = getattr(make, part)
            parameters = inspect.signature(make).parameters
            given = {name: saved[name] for name in parameters if name in saved and name != "render_mode"}
            shown = {"render_mode": render} if render and "render_mode" in parameters else {}
            env = make(**given, **shown)
        except (Exception, SystemExit) as error:  # a user's own code can raise anything
            raise EnvironmentBuildError(
                f"--env-factory {factory} failed: {type(error).__name__}: {error}",
                hint=f"python -c 'import {module_name}' must work in this directory",
            ) from error
    if not (hasattr(env, "reset") and hasattr(env, "step")):
        raise EnvironmentBuildError(f"--env-factory {factory} made a {type(env).__name__}, which has no reset and step")
    return env, given


def _make(env_id: str, source: str, limit: int | None, render: Render) -> BuiltEnvironment:
    """Build an id: as it is in gymnasium, then in gym, then its successors in both."""
    failures: list[str] = []
    libraries = {}
    for name in ("gymnasium", "gym"):
        try:
            libraries[name] = import_quietly(name)
        except ImportError as error:
            failures.append(f"{name} can't be imported: {_first_line(error)}")
    for name, candidate in _attempts(list(libraries), (env_id, *_SUCCESSORS.get(env_id, ()))):
        arguments = _arguments(name, candidate, limit, render)
        try:
            with _quiet():
                built = libraries[name].make(**arguments)
        except (Exception, SystemExit) as error:  # registries and constructors raise all sorts of errors
            failures.append(f"{candidate} in {name}: {_first_line(error)}")
            continue
        other = f"{candidate} for {env_id}" if candidate != env_id and candidate.endswith("-v5") else None
        environment = Environment(built, candidate)
        return BuiltEnvironment(environment, candidate, source, name, failed=tuple(failures), substituted=other)
    tried = "\n".join(f"  {failure}" for failure in failures)
    raise EnvironmentBuildError(
        f"{env_id} (known from {source}) can't be built:\n{tried}",
        hint="install what is missing, or name another: --env ID, --env-factory module:function",
    )


def _attempts(libraries: list[str], ids: tuple[str, ...]) -> list[tuple[str, str]]:
    """In which order to try: an id in both libraries before its successor.

    gym never learned numpy 2: beside that, gymnasium's successor is safer than gym's old environment,
    which may be built and then fail at a step.
    """
    attempts = [(library, env_id) for env_id in ids for library in libraries]
    if int(metadata.version("numpy").partition(".")[0]) >= 2:
        attempts.sort(key=lambda attempt: attempt[0] == "gym")
    return attempts


def _arguments(library: str, env_id: str, limit: int | None, render: Render) -> dict[str, Any]:
    """What ``make`` is called with."""
    env_id, extra = _RENAMED.get(env_id, (env_id, {})) if library == "gymnasium" else (env_id, {})
    arguments: dict[str, Any] = {"id": env_id, "disable_env_checker": True, **_ARGUMENTS.get(env_id, {}), **extra}
    if limit is not None:
        arguments["max_episode_steps"] = limit
    if render:
        arguments["render_mode"] = render
    return arguments


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what these libraries print and warn of while they are imported or build an environment."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_quietly(library: str) -> Any:
    """gym or gymnasium without the notices that they print and the warnings they log."""
    with _quiet():
        module = importlib.import_module(library)
    if hasattr(module.logger, "set_level"):  # gym
        module.logger.set_level(_ERRORS_ONLY)
    else:
        module.logger.min_level = _ERRORS_ONLY
    return module


def _import_gym_beforehand() -> None:
    """Without the notice that it prints, and before the current directory is searched for modules.

    gym executes plug-ins that any directory searched for modules declares (``x.dist-info/entry_points.txt``).
    """
    with contextlib.suppress(ImportError):
        import_quietly("gym")


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
