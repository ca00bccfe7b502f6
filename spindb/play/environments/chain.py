"""The wrappers that a saved environment had, around one that was built anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spindb.disk.saved_environment import SavedEnvironment, SavedLayer
from spindb.errors import EnvironmentBuildError
from spindb.play.environments.own import own_wrapper
from spindb.play.environments.packages import importable_module, is_of_gym
from spindb.play.environments.protocols import GymEnv
from spindb.play.environments.values import NotRestoredError, imported
from spindb.play.environments.wrappers import Rebuilt, has_no_effect, rebuild_wrapper
from spindb.play.environments.wrapping import Limit, around

_TIME_LIMIT = "TimeLimit"
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Chain:
    """``wrappers`` that change something, innermost first, and the time limit inside of them all."""

    wrappers: tuple[SavedLayer, ...] = ()
    limit: int | None = None
    """In steps; `UNLIMITED` where there is none, None where that is not known."""

    @property
    def limited_outside(self) -> bool:
        """Whether a time limit is among the wrappers."""
        return any(layer.name == _TIME_LIMIT and layer.limit for layer in self.wrappers)


@dataclass(frozen=True, slots=True)
class Stage:
    """A wrapper that was rebuilt: the saved one, in words, and the environment inside of it and around."""

    layer: SavedLayer
    words: str
    inside: GymEnv
    around: GymEnv


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An environment in its wrappers: those rebuilt, in words, and the names of those left out, outermost first."""

    environment: GymEnv
    wrappers: tuple[str, ...]
    left_out: tuple[str, ...]
    stages: tuple[Stage, ...] = ()
    """Those rebuilt, innermost first."""


def chain_of(saved: SavedEnvironment | None, hinted: int | None) -> Chain:
    """The wrappers of a saved environment; `hinted` is the limit that the database knows, where no state does."""
    if saved is None:
        return Chain((), hinted)
    innermost_first = [layer for layer in reversed(saved.wrappers) if not has_no_effect(layer)]
    limit: int | None = UNLIMITED
    if innermost_first and innermost_first[0].name == _TIME_LIMIT:
        limits = []
        # gym.make() puts one limit around what it builds, and a script often another around that: the least of them
        # ended episodes. One further out ends episodes too, but what lies between may count steps, so its place is
        # kept.
        while innermost_first and innermost_first[0].name == _TIME_LIMIT:
            limits.append(innermost_first.pop(0).limit)
        limit = min((steps for steps in limits if steps is not None), default=hinted)
    return Chain(tuple(innermost_first), limit)


def wrapped(env: GymEnv, chain: Chain, imports: Sequence[str], *, whole_state: bool, without: bool) -> Wrapped:
    """`env` in the wrappers of a chain.

    Args:
        env: built anew, with the chain's time limit.
        chain: of the saved environment.
        imports: modules that may be used.
        whole_state: whether the saved state can be unpickled, which ``--trust`` offers.
        without: leave out what can't be rebuilt; where all can be, leave out all. Time limits stay.

    Raises:
        EnvironmentBuildError: a wrapper can't be rebuilt, and `without` was not asked for.
    """
    inner = env
    words: list[str] = []
    stages: list[Stage] = []
    missing: list[tuple[SavedLayer, NotRestoredError]] = []
    for layer in chain.wrappers:
        try:
            # One that can't be rebuilt is passed over, and the rest goes on: the error then names all of them at once.
            inside, (env, shown) = env, _one(layer, env, imports)
            words.insert(0, shown)
            stages.append(Stage(layer, shown, inside, env))
        except NotRestoredError as error:
            missing.append((layer, error))
    if missing and not without:
        raise EnvironmentBuildError(_refusal(missing), hint=_what_to_type(missing, whole_state))
    # All could be rebuilt, and the wish to play without can only be about these. A limit does not change what the
    # policy sees or gets, only when an episode ends: it stays.
    if without and not missing:
        limits = [layer for layer in chain.wrappers if layer.name == _TIME_LIMIT]
        for layer in limits:
            inner, _ = _one(layer, inner, imports)
        left = [layer.class_path for layer in reversed(chain.wrappers) if layer not in limits]
        return Wrapped(inner, tuple(f"TimeLimit({layer.limit})" for layer in reversed(limits)), tuple(left))
    left = [layer.class_path or layer.name for layer, _ in reversed(missing)]
    return Wrapped(env, tuple(words), tuple(left), tuple(stages))


def _one(layer: SavedLayer, env: GymEnv, imports: Sequence[str]) -> Rebuilt:
    if layer.name == _TIME_LIMIT and layer.limit is not None:
        return Rebuilt(around(env, Limit, layer.limit), f"TimeLimit({layer.limit})")
    # A module that the user named goes before what is known by class names, but never for classes of the libraries
    # themselves: what those did in training is known here.
    if imported(layer.module, imports) is not None and not is_of_gym(layer.class_path):
        return own_wrapper(layer, env, imports)
    return rebuild_wrapper(layer, env, imports)


def _refusal(missing: Sequence[tuple[SavedLayer, NotRestoredError]]) -> str:
    lines = [f"  {layer.class_path or layer.name}: {error}" for layer, error in reversed(missing)]
    what = "a wrapper that" if len(missing) == 1 else f"{len(missing)} wrappers that"
    return f"the policy was trained inside {what} can't be rebuilt from the saved state:\n" + "\n".join(lines)


def _what_to_type(missing: Sequence[tuple[SavedLayer, NotRestoredError]], whole_state: bool) -> str:
    modules = dict.fromkeys(
        module for layer, error in missing if (module := _module(error.module or importable_module(layer.class_path)))
    )
    typed = " ".join(f"--import {module}" for module in modules)
    ways = [f"{typed} builds what stands in it by its own code, where that can be imported,"] if modules else []
    ways.append("--without-wrappers plays without what can't be rebuilt, and says so beside the result,")
    if whole_state:
        ways.append("--trust unpickles the saved state, which executes code of its choice,")
    return "\n".join([*ways, "or --env-factory module:function builds the environment by your own code"])


def _module(name: str | None) -> str | None:
    return None if name is None or is_of_gym(f"{name}.") or name.partition(".")[0] in ("__main__", "numpy") else name
