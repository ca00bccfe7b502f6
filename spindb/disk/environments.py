"""Which environment a saved state holds, read without executing anything.

``vars.pkl`` holds ``{'env': env}``. Most of gym's environments carry a spec with their id; those
that pickle by their constructor's arguments ("EzPickle": Box2D, MuJoCo) carry none, but their class
and time limit give it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from spindb.canonical import equal_value
from spindb.disk.codecs.pickles import PickleError, read_pickle
from spindb.disk.described import Built
from spindb.disk.gymclasses import BASES, Identified, identify, same_environment
from spindb.records import EnvironmentHint

_MAX_CHAIN = 32  # nested wrappers; a state may refer to itself
_ID = re.compile(r"(?:[\w.\-]+:)?(?:[\w:\-]+/)?[\w.:\-]+\Z", re.ASCII)
_LONGEST_ID = 200
_NOTHING = "none null nil nan na n/a unknown undefined unspecified tbd todo true false default"
_NO_ID = frozenset(_NOTHING.split())
_LONGEST_VALUE = 60  # characters of an argument in a message
_ID_IN_NAME = re.compile(r"(?<![a-z0-9])([a-z][a-z0-9]*)-v(\d{1,2})(?![0-9])", re.IGNORECASE)
_MAX_LIMIT = 2**31  # steps; larger limits are damaged values
INNER = ("env", "_env", "venv")
"""Attributes of wrappers that contain the inner environment."""
SPECS = ("spec", "_spec", "_cached_spec")
"""Attributes of environments that contain the spec: the registered id and its arguments."""


def environment_in_state(data: bytes) -> EnvironmentHint:
    """Information on the environment in a saved state (the bytes of ``vars.pkl``).

    Raises:
        PickleError: the state can't be read; the message says why.
    """
    layers = layers_in_state(data)
    if (refusal := why_not_built(layers)) is not None:
        raise PickleError(refusal)
    return hint_of(layers)


def layers_in_state(data: bytes) -> tuple[Built, ...]:
    """The environment in a saved state, from its outermost wrapper inwards; at least one layer.

    Raises:
        PickleError: the state can't be read, or holds no environment.
    """
    state = read_pickle(data)
    if not isinstance(state, dict) or "env" not in state:
        raise PickleError("the saved state holds no environment under the key 'env'")
    layers = tuple(_layers_of(state["env"]))
    if not layers:
        raise PickleError(f"the saved environment is a {type(state['env']).__name__}, not an object")
    return layers


def why_not_built(layers: Sequence[Built]) -> str | None:
    """Why a saved environment says nothing: it is the result of a call, not an object with a state."""
    outermost = layers[0]
    if outermost.called and outermost.state is None:
        return f"holds no environment: unpickling it would call {outermost.call}"
    return None


def hint_of(layers: Sequence[Built]) -> EnvironmentHint:
    """The id, the classes and the time limit of a saved environment.

    An id in a spec is certain; the id that follows from class, limit and arguments is the next best.
    """
    classes = tuple(layer.class_path for layer in layers)
    # An episode ends at the shortest of several nested time limits.
    limit = min((steps for layer in layers if (steps := limit_of(layer))), default=None)
    for layer in layers:
        for name in SPECS:
            if found_id := spec_id(layer.attributes.get(name)):
                return EnvironmentHint(found_id, "state id", classes, limit)
    found = identify(classes, limit, layers[-1].attributes)
    return EnvironmentHint(found.id, "state class" if found.id else None, classes, limit, _why_no_id(classes, found))


def _why_no_id(classes: tuple[str, ...], found: Identified) -> str | None:
    """Why a known class has no id: it was created with arguments that no registered id has."""
    if found.id or not found.arguments:
        return None
    made_with = ", ".join(f"{name}={_short(value)}" for name, value in found.arguments.items())
    return f"the saved state holds {classes[-1]} made with {made_with}, which no known id has: the id stays unknown"


def _short(value: object) -> str:
    if not is_plain(value):
        return f"<{type(value).__name__}>"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def is_plain(value: object) -> bool:
    """Whether a value is a number, a text, None, or a flat list of these."""
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, (bool, int, float, str)) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def is_environment_id(text: object) -> bool:
    """Whether a text can be an environment's id: a word, optionally with ``module:`` or ``namespace/`` before it.

    The text of an object, a lambda or a ``functools.partial`` is not an id, nor is a number or a placeholder
    (``None``, ``unknown``).
    """
    return isinstance(text, str) and len(text) <= _LONGEST_ID and _is_id(text)


@lru_cache(maxsize=256)  # many runs have the same environment
def _is_id(text: str) -> bool:
    if not _ID.match(text):
        return False
    return text.lower() not in _NO_ID and isinstance(equal_value(text), str) and any(map(str.isalpha, text))


def classes_begun(mentioned: tuple[str, ...]) -> tuple[str, ...]:
    """The environment's classes in a truncated state: wrappers, then the inner environment, as far as known."""

    # A pickle names an object's class before its attributes, so classes after the first one that is not a wrapper
    # belong to attributes of that environment.
    chain: list[str] = []
    for path in mentioned:
        if path.startswith(("copyreg.", "copy_reg.", "builtins.", "__builtin__.", "joblib.", "numpy.")):
            continue
        chain.append(path)
        if ".wrappers." not in path:
            break
    return tuple(chain)


def environment_in_name(name: str, classes: tuple[str, ...] = ()) -> str | None:
    """The id in a directory's or experiment's name, ignoring case: ``grid-ppo_cartpole-v0_hid32``.

    None if `classes`, those of the saved environment, are known and the innermost is not a class of that id, because a
    state is stronger evidence. None for two ids: ``hopper-v2_to_walker2d-v2``.
    """
    spelled = {
        f"{base}-v{int(match[2])}"
        for match in _ID_IN_NAME.finditer(name.replace("_", " "))
        if (base := BASES.get(match[1].lower())) and (not classes or same_environment(base, classes[-1]))
    }
    return spelled.pop() if len(spelled) == 1 else None


def _layers_of(env: object) -> Iterator[Built]:
    """The environment from its outermost wrapper inwards."""
    for _ in range(_MAX_CHAIN):
        if not isinstance(env, Built):
            return
        yield env
        attributes = env.attributes
        env = next((attributes[name] for name in INNER if name in attributes), None)


def limit_of(layer: Built) -> int | None:
    """The number of steps after which a layer ends an episode; None if it has no time limit."""
    found = layer.attributes.get("_max_episode_steps")
    return found if isinstance(found, int) and 0 < found < _MAX_LIMIT else None


def spec_id(spec: object) -> str | None:
    """The id in an ``EnvSpec``: an attribute of its state, or its first constructor argument."""
    if not isinstance(spec, Built):
        return None
    found = spec.attributes.get("id") or spec.attributes.get("_id")
    if found is None and isinstance(spec.args, tuple) and spec.args and isinstance(spec.args[0], str):
        found = spec.args[0]
    return found if is_environment_id(found) else None
