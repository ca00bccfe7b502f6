"""Identifies the environment in a saved state, without executing anything.

``vars.pkl`` contains ``{'env': env}``. Most gym environments have a spec with their id. Environments that
pickle their constructor's arguments ("EzPickle": Box2D, MuJoCo) have no spec; their class, time limit and arguments
identify them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spindb.canonical import equal_value
from spindb.disk.codecs.pickles import PickleError, read_pickle
from spindb.disk.described import Array, Built
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
_OLD_STATE = 5  # name of the generator, key, position, has_gauss, gauss
_KEY_BYTES = 624 * 4  # the key of the Mersenne twister: 624 words of 32 bits
INNER = ("env", "_env", "venv")
"""Attributes of wrappers that contain the inner environment."""
SPECS = ("spec", "_spec", "_cached_spec")
"""Attributes of environments that contain the spec: the registered id and its arguments."""


def environment_in_state(data: bytes) -> EnvironmentHint:
    """Information on the environment in a saved state (the bytes of ``vars.pkl``).

    Raises:
        PickleError: the state can't be read; the message says why.
    """
    state = read_pickle(data)
    if not isinstance(state, dict) or "env" not in state:
        raise PickleError("the saved state holds no environment under the key 'env'")
    layers = list(layers_of(state["env"]))
    if not layers:
        raise PickleError(f"the saved environment is a {type(state['env']).__name__}, not an object")
    if layers[0].called and layers[0].state is None:
        raise PickleError(f"holds no environment: unpickling it would call {layers[0].call}")
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
    told = ", ".join(f"{name}={_short(value)}" for name, value in found.arguments.items())
    return f"the saved state holds {classes[-1]} made with {told}, which no id stands for: no id is claimed"


def _short(value: Any) -> str:
    if not _is_plain(value):
        return f"<{type(value).__name__}>"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


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


@dataclass(frozen=True, slots=True)
class SavedRandom:
    """The state of numpy's Mersenne twister in a saved environment.

    ``key`` is 624 little-endian uint32 as bytes; ``position``, ``has_gauss`` and ``gauss`` are numpy's.
    """

    key: bytes
    position: int
    has_gauss: int
    gauss: float


def random_in_state(data: bytes) -> SavedRandom | None:
    """The random state of the innermost environment that has one, or None.

    Raises:
        PickleError: the state can't be read.
    """
    state = read_pickle(data)
    layers = list(layers_of(state.get("env"))) if isinstance(state, dict) else []
    for layer in reversed(layers):
        for name in ("np_random", "_np_random"):
            found = _saved_random(layer.attributes.get(name), data)
            if found is not None:
                return found
    return None


def attributes_in_state(data: bytes) -> dict[str, Any]:
    """The innermost environment's attributes that are plain values: constructor arguments and current state.

    Raises:
        PickleError: the state can't be read.
    """
    state = read_pickle(data)
    layers = list(layers_of(state.get("env"))) if isinstance(state, dict) else []
    attributes = layers[-1].attributes if layers else {}
    return {str(name): value for name, value in attributes.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, (bool, int, float, str)) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _saved_random(value: Any, data: bytes) -> SavedRandom | None:
    """The state of a pickled ``RandomState``: a tuple before numpy 1.17, a dict since."""
    if not isinstance(value, Built) or "randomstate" not in value.class_path.lower():
        return None
    state = value.state
    if isinstance(state, dict) and isinstance(state.get("state"), dict):
        inner = state["state"]
        parts = (inner.get("key"), inner.get("pos"), state.get("has_gauss", 0), state.get("gauss", 0.0))
    elif isinstance(state, tuple) and len(state) == _OLD_STATE:
        parts = state[1:]
    else:
        return None
    key, position, has_gauss, gauss = parts
    raw = _array_bytes(key, data)
    if raw is None or len(raw) != _KEY_BYTES or not isinstance(position, int):
        return None
    return SavedRandom(raw, position, int(has_gauss), float(gauss))


def _array_bytes(value: Any, data: bytes) -> bytes | None:
    """The bytes of an array: raw in a joblib file, or in the state of a plain pickle's ``_reconstruct``."""
    if isinstance(value, Array):
        return data[value.start : value.start + value.count]
    if isinstance(value, Built) and value.class_path.endswith("multiarray._reconstruct"):
        parts = value.state if isinstance(value.state, tuple) else ()
        return parts[-1] if parts and isinstance(parts[-1], bytes) else None
    return None


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


def layers_of(env: Any) -> Iterator[Built]:
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


def spec_id(spec: Any) -> str | None:
    """The id in an ``EnvSpec``: an attribute of its state, or its first constructor argument."""
    if not isinstance(spec, Built):
        return None
    found = spec.attributes.get("id") or spec.attributes.get("_id")
    if found is None and isinstance(spec.args, tuple) and spec.args and isinstance(spec.args[0], str):
        found = spec.args[0]
    return found if is_environment_id(found) else None
