"""Environments and wrappers of the user's own: by a factory, by a class in an imported module, or unpickled."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spindb.disk.regular import check_regular
from spindb.disk.saved_environment import SavedLayer
from spindb.disk.saved_values import Reference, SavedObject, Unread
from spindb.errors import EnvironmentBuildError
from spindb.play.environments.importable import current_directory_importable, import_named
from spindb.play.environments.libraries import first_line, import_gym_beforehand, without_output
from spindb.play.environments.making import Render
from spindb.play.environments.protocols import GymEnv
from spindb.play.environments.values import NotRestoredError, imported, restored
from spindb.play.environments.wrappers import Rebuilt

_MADE_ANEW = ("gym.", "gymnasium.", "numpy.random.", "random.", "collections.deque", "logging.")
"""Objects that a constructor makes anew: spaces, specs, generators, queues."""
_DEPTH = 4


def import_environments(module: str) -> None:
    """Import a module that registers environments of its own; the current directory is searched too, last.

    Raises:
        EnvironmentBuildError: it can't be imported.
    """
    import_gym_beforehand()
    with current_directory_importable():
        try:
            import_named(module)
        except (Exception, SystemExit) as error:  # a user's own code can raise anything
            raise EnvironmentBuildError(
                f"--import {module} failed: {type(error).__name__}: {error}",
                hint=f"python -c 'import {module}' must work in this directory",
            ) from error


def call_factory(factory: str, render: Render, saved: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What ``module:function`` makes, and the arguments of the saved environment that it was given.

    Raises:
        EnvironmentBuildError: it is not of that form, fails, or makes no environment.
    """
    module_name, _, function_name = factory.partition(":")
    if not module_name or not function_name:
        raise EnvironmentBuildError(f"--env-factory {factory} is not of the form module:function")
    import_gym_beforehand()
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


def require_environment_class(module: str, name: str) -> None:
    """A saved state can name anything: nothing but a class of environments is called for its sake.

    Raises:
        EnvironmentBuildError: it is none.
    """
    if not _is_environment_class(getattr(sys.modules.get(module), name, None)):
        raise EnvironmentBuildError(
            f"the saved state names {module}.{name}, which is not a class with reset and step: it was not called",
            hint="--env-factory module:function builds the environment by your own code",
        )


def _is_environment_class(found: object) -> bool:
    return isinstance(found, type) and hasattr(found, "reset") and hasattr(found, "step")


def unpickled(path: Path) -> GymEnv:
    """The environment in a saved state, unpickled: code of the file's choice is executed.

    Raises:
        EnvironmentBuildError: that fails, or gives no environment.
    """
    import_gym_beforehand()
    with current_directory_importable():
        try:
            joblib = importlib.import_module("joblib")
            check_regular(path)
            with without_output():
                state = joblib.load(path)
            made: GymEnv = state["env"]
        except (Exception, SystemExit) as error:  # whatever the state's code raises
            raise EnvironmentBuildError(
                f"{path} can't be unpickled: {type(error).__name__}: {first_line(error)}",
                hint="run it where the environment's module can be imported, or --env-factory module:function",
            ) from error
    if not (hasattr(made, "reset") and hasattr(made, "step")):
        raise EnvironmentBuildError(f"{path} holds a {type(made).__name__}, which has no reset and step")
    return made


def own_wrapper(layer: SavedLayer, env: GymEnv, imports: Sequence[str]) -> Rebuilt:
    """A wrapper of the user's own around `env`: its class is called with those arguments that are known from the
    saved attributes, then gets these attributes, running statistics among them.

    Where its constructor wants something that was not kept under its name, the wrapper is made as unpickling would
    make it, around the new environment.

    Raises:
        NotRestoredError: its class can't be had, is no wrapper, fails, or keeps something that can't be restored.
    """
    cls: Any = getattr(imported(layer.module, imports), layer.name, None)
    if not _is_environment_class(cls):
        raise NotRestoredError(f"{layer.class_path} is not a class with reset and step")
    restored = _attributes(layer.attributes, imports)
    try:
        with current_directory_importable():
            made, given = _constructed(cls, env, layer, restored)
            _overlay(made, layer.attributes, restored, imports, layer.name)
    except NotRestoredError:
        raise
    except (Exception, SystemExit) as error:  # a user's own code can raise anything
        raise NotRestoredError(f"its constructor raised {type(error).__name__}: {first_line(error)}") from error
    shown = ", ".join(
        f"{name}={value!r}" for name, value in given.items() if isinstance(value, (bool, int, float, str))
    )
    return Rebuilt(made, f"{layer.class_path}({shown})" if shown else layer.class_path)


def _attributes(attributes: Mapping[str, Any], imports: Sequence[str]) -> dict[str, Any]:
    """The attributes that can be restored, the arguments that gym keeps for wrappers before them."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        try:
            found[name] = restored(value, imports)
        except NotRestoredError:
            continue
    return found


def _constructed(cls: Any, env: GymEnv, layer: SavedLayer, restored: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """An instance around `env`, and the arguments that it was given."""
    first, *parameters = inspect.signature(cls).parameters.values()
    recorded = restored.get("_saved_kwargs") or restored.get("_ezpickle_kwargs") or {}
    given: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        name = parameter.name
        known = next((source for source in (recorded, restored) if name in source), None)
        if known is None:
            known = {name: restored[f"_{name}"]} if f"_{name}" in restored else None
        if known is not None:
            given[name] = known[name]
        elif parameter.default is parameter.empty:
            return _bare(cls, env, restored), {}
    if first.kind is first.KEYWORD_ONLY:
        return cls(**{first.name: env}, **given), given
    return cls(env, **given), given


def _bare(cls: Any, env: GymEnv, restored: Mapping[str, Any]) -> GymEnv:
    """An instance whose own constructor was not called: that of its library's class of wrappers was."""
    made: Any = cls.__new__(cls)
    base = next((base for base in cls.__mro__ if base.__module__ in ("gym.core", "gymnasium.core")), None)
    if base is None:
        made.env = env
    else:
        wrapper = next(b for b in cls.__mro__ if b.__name__ == "Wrapper" and b.__module__ == base.__module__)
        vars(wrapper)["__init__"](made, env)
    for name in ("action_space", "observation_space"):
        space = restored.get(f"_{name}") or restored.get(name)
        if space is not None:
            setattr(made, name, space)
    whole: GymEnv = made
    return whole


def _overlay(
    made: object,
    saved: Mapping[str, Any],
    restored: Mapping[str, Any],
    imports: Sequence[str],
    where: str,
    depth: int = 0,
) -> None:
    """Give an instance the attributes that it had, into objects of its own too.

    Raises:
        NotRestoredError: one of them can't be had.
    """
    for name, value in saved.items():
        if name.startswith(("_saved_kwargs", "_ezpickle")):
            continue
        if name in restored and not _is_space(value):
            _set(made, name, restored[name])
        elif isinstance(value, SavedObject):
            if value.class_path.startswith(_MADE_ANEW) and not value.class_path.endswith("RunningMeanStd"):
                continue
            inside = getattr(made, name, None)
            if inside is None or f"{type(inside).__module__}.{type(inside).__qualname__}" != value.class_path:
                inside = _instance(value, imports, f"{where}.{name}")
                _set(made, name, inside)
            if depth < _DEPTH:
                _overlay(
                    inside,
                    value.attributes,
                    _attributes(value.attributes, imports),
                    imports,
                    f"{where}.{name}",
                    depth + 1,
                )
        elif _made_by_constructor(made, name, value):
            continue
        else:
            module = value.module if isinstance(value, Reference) else None
            raise NotRestoredError(f"its attribute {name} can't be restored: {_words(value)}", module)


def _made_by_constructor(made: object, name: str, value: object) -> bool:
    """Whether something that was not read is there anew: a function or a generator that the constructor made."""
    code = isinstance(value, Unread) and ("function" in value.words or value.words.startswith(_MADE_ANEW))
    return code and getattr(made, name, None) is not None


def _is_space(value: object) -> bool:
    return isinstance(value, SavedObject) and ".spaces." in value.class_path


def _instance(value: SavedObject, imports: Sequence[str], where: str) -> object:
    module, _, name = value.class_path.rpartition(".")
    cls: Any = getattr(imported(module, imports), name, None) if module else None
    if not inspect.isclass(cls):
        raise NotRestoredError(
            f"its attribute {where.rpartition('.')[2]} is an object of {value.class_path}", module or None
        )
    return cls.__new__(cls)


def _set(made: object, name: str, value: object) -> None:
    try:
        setattr(made, name, value)
    except AttributeError:  # a property, which follows from other attributes
        return


def _words(value: object) -> str:
    if isinstance(value, Unread):
        return value.words
    return str(value) if isinstance(value, Reference) else f"a {type(value).__name__}"
