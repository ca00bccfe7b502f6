"""Builds the environment that a policy is to be played in, and says which way served.

Ways, in this order: what the user names (``--env``, ``--env-factory``); else the id that the saved state or the config
gave, built anew with the arguments, the time limit and the wrappers of the saved environment. An id that today's
libraries no longer have is replaced by its successor. Nothing is unpickled without ``--trust``.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spindb.disk.gymclasses import differing
from spindb.disk.saved_environment import SavedLayer
from spindb.errors import EnvironmentBuildError
from spindb.play.environments.adapter import Environment
from spindb.play.environments.chain import UNLIMITED, Chain, Stage, chain_of, wrapped
from spindb.play.environments.contact_forces import ContactForces, concerns, without_contact_forces
from spindb.play.environments.ids import found_id, typed_id
from spindb.play.environments.making import Render as Render
from spindb.play.environments.making import change_limit, make, words_of_arguments
from spindb.play.environments.own import call_factory, require_environment_class, unpickled
from spindb.play.environments.packages import importable_module
from spindb.play.environments.protocols import GymEnv
from spindb.play.environments.state import RunState
from spindb.play.environments.successors import other_dynamics
from spindb.play.environments.values import NotRestoredError, restored
from spindb.records import EnvironmentHint

WINDOW_VARIABLES = ("SDL_FRAMEBUFFER_ACCELERATION",)
"""Environment variables that a window needs for as long as it may be opened."""
CONTACT_FORCES_ZERO = "contact forces of 0"
_OF_REWARDS = ("NormalizeReward", "TransformReward", "ClipReward", "SignReward")


@dataclass(frozen=True, slots=True)
class BuiltEnvironment:
    """An environment to play in; ``id`` is what was built, ``source`` how that was known."""

    environment: Environment
    id: str | None
    source: str
    library: str | None = None
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """The ways that were tried before, each with its reason."""
    wrappers: tuple[str, ...] = ()
    """The wrappers that were rebuilt, in words, outermost first."""
    left_out: tuple[str, ...] = ()
    """The classes of those that were not, outermost first."""
    substituted: str | None = None
    """Why it is not the environment of the training, or may be another; None where nothing says so."""

    stages: tuple[Stage, ...] = ()
    """The wrappers that were rebuilt, and that of contact forces where these are 0, innermost first."""

    terms: tuple[str, ...] = ()
    """What else its returns depend on: arguments, wrappers of rewards or left out, contact forces that were chosen."""

    @property
    def recorded_source(self) -> str:
        """``source`` and ``terms`` in one text, as they are kept with an evaluation."""
        return "; ".join((self.source, *self.terms))


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose: see `build_environment`."""

    env: str | None = None
    factory: str | None = None
    imports: tuple[str, ...] = ()
    trust: bool = False
    without_wrappers: bool = False
    contact_forces: ContactForces | None = None


def build_environment(
    hint: EnvironmentHint,
    choices: Choices = Choices(),
    *,
    render: Render = None,
    saved: RunState = RunState(),  # noqa: B008 - frozen
    earlier: Sequence[str] = (),
    forces_were_zero: Callable[[], bool | None] = lambda: None,
) -> BuiltEnvironment:
    """The environment that the user names, else the one that `hint` and `saved` know.

    Args:
        hint: what the run's files say.
        choices: ``env`` is an id of gymnasium or gym; ``module:Id-v0`` imports a module that is installed. The saved
            wrappers are put around it. ``factory`` is ``module:function``; the current directory is searched too,
            last. It is given those arguments that the saved environment keeps as attributes, and no wrappers are put
            around what it makes. ``imports`` are modules that may be imported: a saved environment or wrapper whose
            class stands in one of them is built from it, and an id that names one of them (``module:Id-v0``) is built.
            ``trust`` lets the saved state be unpickled where nothing else serves.
        render: ``human`` to show it in a window, ``rgb_array`` for pictures of it.
        saved: the saved environment.
        earlier: why the ways that come before the one that `hint` knows did not serve.
        forces_were_zero: whether the policy's weights say that contact forces were 0 in training.

    Raises:
        EnvironmentBuildError: no way led to an environment, or a wrapper of the saved one can't be rebuilt; the message
            names each and why it failed.
    """
    _prepare(render)
    if choices.factory is not None:
        return _by_factory(choices.factory, f"--env-factory {choices.factory}", render, saved)
    build = _Build(hint, choices, render, saved, chain_of(saved.environment, hint.max_episode_steps), forces_were_zero)
    try:
        built = _by_the_first_way(build, earlier)
    except EnvironmentBuildError as error:
        if choices.trust and choices.env is None and saved.path is not None:
            return _by_pickle(saved.path, (*earlier, str(error)))
        raise
    if choices.env is None and saved.path is not None and not saved.whole:
        why = f"{saved.path.name} can't be read to its end: arguments and wrappers that it kept are unknown"
        built = _also_substituted(built, why)
    return replace(built, failed=(*(earlier if choices.env is None else ()), *built.failed))


@dataclass(frozen=True, slots=True)
class _Build:
    """What an environment is built of: see `build_environment`. ``chain`` is the saved environment's wrappers."""

    hint: EnvironmentHint
    choices: Choices
    render: Render
    saved: RunState
    chain: Chain
    forces_were_zero: Callable[[], bool | None]

    @property
    def class_path(self) -> str:
        """The class of the innermost environment, empty where it is not known."""
        found = self.saved.environment
        if found is not None:
            return found.inner.class_path
        return self.hint.classes[-1] if self.hint.classes else ""


def _by_the_first_way(build: _Build, earlier: Sequence[str]) -> BuiltEnvironment:
    """By the id that was typed, else the one that is known, else a class in an imported module.

    Raises:
        EnvironmentBuildError: the first way that is open failed, or none is.
    """
    choices, saved, hint = build.choices, build.saved, build.hint
    module, _, name = build.class_path.rpartition(".")
    if choices.env is not None:
        return _by_id(typed_id(choices.env), "--env", build)
    if (env_id := hint.id or _id_of_class(saved)) is not None:
        source = str(hint.source) if hint.id else "state class"
        return _by_id(found_id(env_id, source, choices.imports), source, build)
    if module in choices.imports:
        require_environment_class(module, name)
        made = _by_factory(f"{module}:{name}", f"state class {module}.{name}", build.render, saved)
        return _in_wrappers(made, build)
    reasons = ", and ".join(earlier) or "nothing was saved that tells of it"
    raise EnvironmentBuildError(
        f"which environment to play in is not known: {reasons}", hint=_what_to_type(build.class_path, saved)
    )


def _prepare(render: Render) -> None:
    """Let pictures need no display, and refuse a window where there is none."""
    if render == "rgb_array":
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        if not _has_display():
            os.environ.setdefault("MUJOCO_GL", "egl")  # else MuJoCo looks for a display, and ends the process
    if render == "human":
        _require_display()
        # Flat pictures need no OpenGL, and software OpenGL (Mesa) crashes a process that holds TensorFlow:
        # both bring an LLVM of their own.
        os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")


def _has_display() -> bool:
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return shown or not sys.platform.startswith("linux")


def _require_display() -> None:
    if not _has_display() and not os.environ.get("SDL_VIDEODRIVER"):
        raise EnvironmentBuildError(
            "there is no display to render to (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            hint="-nr plays without rendering",
        )


def _id_of_class(saved: RunState) -> str | None:
    """An id that the saved environment's class was registered under; its arguments and limit are the saved ones."""
    found = saved.environment
    return found.class_id if found is not None and found.id is None else None


def _by_id(env_id: str, source: str, build: _Build) -> BuiltEnvironment:
    """What an id stands for, with arguments, limit and wrappers of the saved environment.

    An id that was typed is built as it is: with its own arguments and limit, within the saved wrappers.
    """
    typed = source == "--env"
    saved, chain, choices = build.saved, build.chain, build.choices
    arguments = {} if typed else _arguments(env_id, saved, choices.imports)
    trained = build.hint.id or env_id
    forces = _forces(trained, build)
    made = make(
        env_id,
        source,
        limit=None if typed or chain.limit == UNLIMITED else chain.limit,
        arguments=arguments,
        render=build.render,
        class_path=saved.environment.inner.class_path if saved.environment else "",
        contact_forces=not forces.zero,
    )
    notes = (*forces.notes, *(() if typed else _without_limit(made.environment, chain, saved)))
    notes = (*notes, *_words_of_arguments(arguments, saved, typed=typed))
    concerned = concerns(trained, made.id)
    terms = (f"with {words_of_arguments(arguments)}",) if arguments else ()
    if choices.contact_forces is not None and concerned:
        terms = (*terms, f"contact forces {choices.contact_forces}")
    built = BuiltEnvironment(
        Environment(made.environment, made.id),
        made.id,
        source,
        made.library,
        notes,
        made.failed,
        substituted=None if typed else other_dynamics(env_id, made.id),
        terms=terms,
    )
    if forces.zero and concerned:
        return _in_wrappers(_without_forces(built), build)
    built = _in_wrappers(built, build)
    if concerned and bool(build.forces_were_zero()):
        built = _also_substituted(built, "contact forces are fed in, which were 0 in training")
    return built


@dataclass(frozen=True, slots=True)
class _Forces:
    """Whether contact forces are played as 0, and what to say of that."""

    zero: bool = False
    notes: tuple[str, ...] = ()


def _forces(trained: str, build: _Build) -> _Forces:
    """Contact forces as the user chose, else as the policy's weights say that they were in training."""
    chosen = build.choices.contact_forces
    if concerns(trained, trained):
        known = build.forces_were_zero()
        zero = chosen == "zero" or (chosen is None and bool(known))
        return _Forces(zero, (_words_of_forces(known, zero, chosen),))
    if chosen is None:
        return _Forces()
    return _Forces(notes=(f"--contact-forces {chosen} changes nothing: it is for Ant and Humanoid up to -v3",))


def _without_forces(built: BuiltEnvironment) -> BuiltEnvironment:
    """What was built, with 0 for its contact forces."""
    inside = built.environment.env
    env = without_contact_forces(inside)
    zeroed = Stage(SavedLayer(CONTACT_FORCES_ZERO, {}), CONTACT_FORCES_ZERO, inside, env)
    return replace(built, environment=Environment(env, built.environment.name), stages=(zeroed,))


def _words_of_arguments(arguments: Mapping[str, Any], saved: RunState, *, typed: bool) -> tuple[str, ...]:
    if arguments:
        return (f"made with {words_of_arguments(arguments)}, as the saved environment was",)
    if typed and saved.environment is not None and saved.environment.arguments:
        return ("--env is built with its own arguments, not with those of the saved environment",)
    return ()


def _also_substituted(built: BuiltEnvironment, why: str) -> BuiltEnvironment:
    return replace(built, substituted="; ".join(filter(None, (built.substituted, why))))


def _arguments(env_id: str, saved: RunState, imports: Sequence[str]) -> dict[str, Any]:
    """The arguments that the saved environment was made with, other than those that the id stands for.

    Raises:
        EnvironmentBuildError: one of them can't be had.
    """
    found: dict[str, Any] = {}
    given = saved.environment
    arguments = differing(env_id, given.inner.class_path, given.arguments) if given is not None else {}
    for name, value in arguments.items():
        try:
            found[name] = restored(value, imports)
        except NotRestoredError as error:
            typed = f"--import {error.module} lets it be looked up,\n" if error.module else ""
            raise EnvironmentBuildError(
                f"the saved environment was made with {name}={error}, which can't be restored",
                hint=f"{typed}--env ID or --env-factory module:function builds the environment otherwise",
            ) from error
    return found


def _without_limit(env: GymEnv, chain: Chain, saved: RunState) -> tuple[str, ...]:
    """Treat an environment that was saved without a time limit, where its id has one; returns what to say of it.

    The training ended episodes by itself then (``max_ep_len``); where that is not known, the id's own limit counts: an
    episode that nothing ends would never be over.
    """
    if chain.limit != UNLIMITED:
        return ()
    if chain.limited_outside:
        change_limit(env, math.inf)
        return ()
    if saved.max_ep_len is None:
        return ("the saved environment has no time limit: that of the id counts, if it has one",)
    if not change_limit(env, saved.max_ep_len):
        return ()
    return (f"the saved environment has no time limit: episodes end as in training, by max_ep_len={saved.max_ep_len}",)


def _words_of_forces(were_zero: bool | None, zero: bool, chosen: ContactForces | None) -> str:
    known = {
        True: "the policy's weights for them were never trained: they were 0 in training",
        False: "the policy's weights for them are not as they were drawn: it was trained on them",
        None: "the policy's weights do not say whether they were 0 in training",
    }[were_zero]
    by = f" (--contact-forces {chosen})" if chosen else ""
    return f"contact forces are {'played as 0' if zero else 'real'}{by}; {known}"


def _in_wrappers(built: BuiltEnvironment, build: _Build) -> BuiltEnvironment:
    """What was built within the wrappers of the saved environment."""
    choices, saved = build.choices, build.saved
    found = wrapped(
        built.environment.env,
        build.chain,
        choices.imports,
        whole_state=saved.whole,
        without=choices.without_wrappers,
    )
    notes = list(built.notes)
    if found.wrappers:
        notes.append(f"inside {' around '.join(found.wrappers)}, as saved")
    terms = list(built.terms)
    rewards = [words for words in found.wrappers if words.startswith(_OF_REWARDS)]
    if rewards:
        notes.append(f"returns are sums of rewards after {' and '.join(rewards)}, as the training logged them")
        terms.append(f"rewards of {', '.join(words.partition('(')[0].strip() for words in rewards)}")
    if choices.without_wrappers:
        terms.append(f"without {', '.join(found.left_out) or 'wrappers: none'}")
    if found.wrappers and saved.at_another_time and saved.path is not None:
        notes.append(f"their values are those of {saved.path.name}, which was not saved together with this policy")
    if not found.left_out and choices.without_wrappers:
        notes.append(
            "--without-wrappers leaves nothing out: the saved environment has no wrapper that changes anything"
        )
    whole = replace(
        built,
        environment=Environment(found.environment, built.environment.name),
        notes=tuple(notes),
        wrappers=found.wrappers,
        left_out=found.left_out,
        stages=(*built.stages, *found.stages),
        terms=tuple(terms),
    )
    return _also_substituted(whole, f"played without {', '.join(found.left_out)}") if found.left_out else whole


def _by_factory(factory: str, source: str, render: Render, saved: RunState) -> BuiltEnvironment:
    made, given = call_factory(factory, render, saved.attributes)
    notes = (f"made with {words_of_arguments(given)}, as the saved environment was",) if given else ()
    return BuiltEnvironment(Environment(made, factory), None, source, notes=notes)


def _by_pickle(path: Path, earlier: Sequence[str]) -> BuiltEnvironment:
    made = Environment(unpickled(path), f"the environment in {path.name}")
    return BuiltEnvironment(made, None, f"{path.name}, unpickled", failed=tuple(earlier))


def _what_to_type(class_path: str, saved: RunState) -> str:
    """What helps where no id is known; what can't work is not offered."""
    module = importable_module(class_path)
    factory = f"{module}:{class_path.rpartition('.')[2]}" if module else "your_module:make_env"
    ways = [f"--import {module} builds it anew, where that module can be imported"] if module else []
    ways.append(f"--env-factory {factory} builds it by your own code")
    if class_path and saved.whole:
        ways.append("--trust unpickles the saved state, which executes code of its choice")
    return "\n".join([*(f"{way}," for way in ways), "or --env ID names one of gymnasium's or gym's: --env CartPole-v1"])
