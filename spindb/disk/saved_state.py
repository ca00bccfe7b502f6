"""A saved state (``vars.pkl`` and the like) as plain data, parsed once and without executing anything.

Everything that builds an environment anew reads a `SavedState`; ingest needs the hint alone, which
`spindb.disk.environments.environment_in_state` gives for less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spindb.disk.described import Array, Built
from spindb.disk.environments import hint_of, is_plain, layers_in_state, why_not_built
from spindb.disk.saved_environment import SavedEnvironment, environment_of_layers
from spindb.records import EnvironmentHint

_OLD_STATE = 5  # name of the generator, key, position, has_gauss, gauss
_KEY_BYTES = 624 * 4


@dataclass(frozen=True, slots=True)
class SavedRandom:
    """The state of numpy's Mersenne twister as a saved environment holds it.

    ``key`` is 624 little-endian uint32 as bytes; ``position``, ``has_gauss`` and ``gauss`` are numpy's.
    """

    key: bytes
    position: int
    has_gauss: int
    gauss: float


@dataclass(frozen=True, slots=True)
class SavedState:
    """What a saved state holds of its environment."""

    hint: EnvironmentHint
    """Its id as far as the state says one, its classes (outermost first) and its time limit in steps."""
    environment: SavedEnvironment
    """Its wrappers with their values, and what it was made with."""
    attributes: Mapping[str, object]
    """Those attributes of the innermost environment that are plain values."""
    random: SavedRandom | None
    """The random state of the innermost environment that has one."""
    refusal: str | None = None
    """Why ``hint`` says nothing, where the state holds a call and not an object."""


def saved_state(data: bytes) -> SavedState:
    """Parse the bytes of a saved state.

    Raises:
        PickleError: the state can't be read, or holds no environment.
    """
    layers = layers_in_state(data)
    return SavedState(
        hint_of(layers),
        environment_of_layers(layers, data),
        {str(name): value for name, value in layers[-1].attributes.items() if is_plain(value)},
        _random_of(layers, data),
        why_not_built(layers),
    )


def _random_of(layers: Sequence[Built], data: bytes) -> SavedRandom | None:
    # Wrappers have a property of that name that leads inwards, and some a generator of their own: innermost first.
    for layer in reversed(layers):
        for name in ("np_random", "_np_random"):
            found = _saved_random(layer.attributes.get(name), data)
            if found is not None:
                return found
    return None


def _saved_random(value: object, data: bytes) -> SavedRandom | None:
    """Of a pickled ``RandomState``: a tuple in numpy before 1.17, a dict since."""
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


def _array_bytes(value: object, data: bytes) -> bytes | None:
    """The bytes of an array: raw in a file of joblib, or in the state of a plain pickle's ``_reconstruct``."""
    if isinstance(value, Array):
        return data[value.start : value.start + value.count]
    if isinstance(value, Built) and value.class_path.endswith("multiarray._reconstruct"):
        parts = value.state if isinstance(value.state, tuple) else ()
        return parts[-1] if parts and isinstance(parts[-1], bytes) else None
    return None
