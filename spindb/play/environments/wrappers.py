"""gym's and gymnasium's wrappers, rebuilt with the values that were saved.

Running statistics (`NormalizeObservation`, `NormalizeReward`) are as they were when the snapshot was saved, and frozen:
playing a policy does not change them. A wrapper of gymnasium since 1.0 is made by its own class from the arguments that
it recorded; older ones, and those of gym, are wrappers of ours that compute the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spindb.disk.saved_environment import SavedLayer
from spindb.disk.saved_values import SavedObject
from spindb.play.arrays import Action, Array
from spindb.play.environments.libraries import without_output
from spindb.play.environments.packages import is_of_gym
from spindb.play.environments.protocols import GymEnv, GymSpace
from spindb.play.environments.values import NotRestoredError, restored
from spindb.play.environments.wrapping import Actions, Frames, Observations, Rewards, Timed, around, box

_CHECKS = (
    "OrderEnforcing PassiveEnvChecker StepAPICompatibility EnvCompatibility ApplyAPICompatibility CompatibilityV21 "
    "AutoResetWrapper Autoreset RecordEpisodeStatistics RecordVideo Monitor HumanRendering HumanRenderingV0 "
    "RenderCollection RenderCollectionV0 ResultsWriter"
)
_WITHOUT_EFFECT = frozenset(_CHECKS.split())
"""They check, record or show: what a policy meets, and what it earns, is the same without them."""
_MONITORS = ("gym.", "gymnasium.", "baselines.", "stable_baselines.", "stable_baselines3.", "spindb.", "shimmy.")
_SINCE_1_CLASSES = (
    "AtariPreprocessing DelayObservation DtypeObservation DiscretizeObservation FilterObservation FlattenObservation "
    "FrameStackObservation GrayscaleObservation TransformObservation MaxAndSkipObservation NormalizeObservation "
    "ResizeObservation ReshapeObservation RescaleObservation TimeAwareObservation ClipAction DiscretizeAction "
    "TransformAction RescaleAction StickyAction RepeatAction ClipReward TransformReward NormalizeReward"
)
_OWN_CLASS = frozenset(_SINCE_1_CLASSES.split())
"""Of gymnasium since 1.0: made by its own class. None of them writes files or shows anything."""
_SINCE_1 = ("common", "stateful_action", "stateful_observation", "stateful_reward", "atari_preprocessing")
_SINCE_1_MODULES = tuple(
    f"gymnasium.wrappers.{name}"
    for name in (*_SINCE_1, "transform_action", "transform_observation", "transform_reward")
)

_SIZES = ("stack_size", "num_stack", "screen_size", "shape", "delay", "bins")
_LARGEST = 10_000


class Rebuilt(NamedTuple):
    """The environment with the wrapper around it, and the wrapper in words."""

    environment: GymEnv
    words: str


def has_no_effect(layer: SavedLayer) -> bool:
    """Whether a wrapper changes nothing that a policy meets or earns."""
    return layer.name in _WITHOUT_EFFECT and layer.class_path.startswith(_MONITORS)


def rebuild_wrapper(layer: SavedLayer, env: GymEnv, imports: Sequence[str]) -> Rebuilt:
    """A wrapper of gym or gymnasium around `env`.

    Raises:
        NotRestoredError: it is none that is known, or one of its values can't be had.
    """
    if not is_of_gym(layer.class_path):
        raise NotRestoredError(f"its class stands in {layer.module or 'no module'}", layer.module or None)
    recorded = layer.module in _SINCE_1_MODULES and layer.name in _OWN_CLASS and "_saved_kwargs" in layer.attributes
    recipe = _by_gymnasium if recorded else _RECIPES.get(layer.name)
    if recipe is None:
        raise NotRestoredError("spindb does not know this wrapper")
    try:
        return recipe(WrapperValues(layer, imports), env)
    except NotRestoredError:
        raise
    except Exception as error:  # an environment that is not what the wrapper was around
        raise NotRestoredError(f"it can't go around this environment: {type(error).__name__}: {error}") from error


class WrapperValues:
    """Attributes of a saved wrapper, restored when asked for."""

    def __init__(self, layer: SavedLayer, imports: Sequence[str]) -> None:
        self.layer = layer
        self.imports = imports

    def get(self, *names: str, default: Any = ...) -> Any:
        """The first attribute of these names."""
        for name in names:
            if name in self.layer.attributes:
                try:
                    return restored(self.layer.attributes[name], self.imports)
                except NotRestoredError as error:
                    raise NotRestoredError(f"its {name} is {error}", error.module) from error
        if default is ...:
            raise NotRestoredError(f"its {names[0]} was not saved")
        return default

    def statistics(self, name: str) -> dict[str, Any]:
        """Mean, variance and count of a running mean."""
        found = self.layer.attributes.get(name)
        if not isinstance(found, SavedObject):
            raise NotRestoredError(f"its {name} was not saved")
        inner = WrapperValues(SavedLayer(found.class_path, found.attributes), self.imports)
        return {key: inner.get(key) for key in ("mean", "var", "count")}


def _by_gymnasium(values: WrapperValues, env: GymEnv) -> Rebuilt:
    from gymnasium import wrappers  # a second of import

    layer, imports = values.layer, values.imports
    recorded = layer.attributes["_saved_kwargs"]
    given = WrapperValues(SavedLayer(layer.class_path, recorded if isinstance(recorded, dict) else {}), imports)
    arguments = {name: given.get(name) for name in given.layer.attributes}
    cls = getattr(wrappers, layer.name, None)
    if cls is None:
        raise NotRestoredError("the gymnasium that is installed has no such wrapper")
    _require_small(arguments)
    with without_output():
        made = cls(env, **arguments)
    counted = ""
    for name in ("obs_rms", "return_rms"):
        if hasattr(made, name):
            statistics = values.statistics(name)
            for key, value in statistics.items():
                setattr(getattr(made, name), key, value)
            made._update_running_mean = False
            counted = _steps_counted(statistics["count"])
    if "discounted_reward" in layer.attributes and hasattr(made, "discounted_reward"):
        made.discounted_reward = values.get("discounted_reward")
    return Rebuilt(made, layer.name + (counted or _in_parentheses(arguments)))


def _require_small(arguments: Mapping[str, Any]) -> None:
    """Refuse sizes that a damaged or hostile state asks memory for."""
    for name, value in arguments.items():
        for size in value if isinstance(value, (list, tuple)) else (value,):
            if name in _SIZES and isinstance(size, int) and size > _LARGEST:
                raise NotRestoredError(f"its {name} is {size:,}, more than {_LARGEST:,}")


def _steps_counted(count: ArrayLike) -> str:
    return f" (statistics of {int(np.max(count)):,} steps, frozen)"


def _in_parentheses(arguments: Mapping[str, Any]) -> str:
    shown = [f"{name}={_short(value)}" for name, value in arguments.items()]
    return f"({', '.join(shown)})" if shown else ""


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        same = value.size and (value == value.flat[0]).all()
        return f"{value.flat[0]:g}" if same else f"an array of shape {value.shape}"
    return getattr(value, "__name__", None) or repr(value)


# One function per wrapper of gym, and of gymnasium before 1.0.


def _rescale_action(values: WrapperValues, env: GymEnv) -> Rebuilt:
    space = env.action_space
    least, most = (
        (np.zeros(space.shape, space.dtype) + values.get(*names)).astype(space.dtype)
        for names in (("min_action", "a"), ("max_action", "b"))
    )

    def change(action: Action) -> Action:
        scaled = space.low + (space.high - space.low) * ((action - least) / (most - least))
        cut: Array = np.clip(scaled, space.low, space.high)
        return cut

    made = around(env, Actions, change, box(space, least, most, space.dtype))
    return Rebuilt(made, "RescaleAction" + _in_parentheses({"min": least, "max": most}))


def _clip_action(_: WrapperValues, env: GymEnv) -> Rebuilt:
    space = env.action_space
    return Rebuilt(around(env, Actions, lambda action: np.clip(action, space.low, space.high)), "ClipAction")


def _normalize_observation(values: WrapperValues, env: GymEnv) -> Rebuilt:
    known, epsilon = values.statistics("obs_rms"), values.get("epsilon", default=1e-8)
    mean, scale = known["mean"], np.sqrt(known["var"] + epsilon)
    space = env.observation_space
    if np.shape(mean) != space.shape:
        raise NotRestoredError(f"its statistics have shape {np.shape(mean)}, observations {space.shape}")
    made = around(env, Observations, lambda observation: (observation - mean) / scale)
    return Rebuilt(made, "NormalizeObservation" + _steps_counted(known["count"]))


def _normalize_reward(values: WrapperValues, env: GymEnv) -> Rebuilt:
    known, epsilon = values.statistics("return_rms"), values.get("epsilon", default=1e-8)
    scale = float(np.sqrt(known["var"] + epsilon))
    made = around(env, Rewards, lambda reward: reward / scale)
    return Rebuilt(made, "NormalizeReward" + _steps_counted(known["count"]))


def _frame_stack(values: WrapperValues, env: GymEnv) -> Rebuilt:
    count = int(values.get("num_stack", "k"))
    _require_small({"num_stack": count})
    return Rebuilt(around(env, Frames, count), f"FrameStack({count})")


def _flatten(_: WrapperValues, env: GymEnv) -> Rebuilt:
    space = env.observation_space
    spaces = importlib.import_module(f"{type(space).__module__.partition('.')[0]}.spaces.utils")
    made = around(env, Observations, lambda found: spaces.flatten(space, found), spaces.flatten_space(space))
    return Rebuilt(made, "FlattenObservation")


def _flatten_dict(values: WrapperValues, env: GymEnv) -> Rebuilt:
    keys = values.get("dict_keys")
    parts = [env.observation_space.spaces[key] for key in keys]
    low, high = (np.concatenate([getattr(part, side).ravel() for part in parts]) for side in ("low", "high"))

    def change(observation: Mapping[str, Array]) -> Array:
        return np.concatenate([np.asarray(observation[key]).ravel() for key in keys])

    made = around(env, Observations, change, box(parts[0], low, high, low.dtype))
    return Rebuilt(made, f"FlattenDictWrapper({', '.join(map(str, keys))})")


def _filter_observation(values: WrapperValues, env: GymEnv) -> Rebuilt:
    keys = values.get("_filter_keys", "filter_keys")
    kind: Callable[[Mapping[str, GymSpace]], GymSpace] = type(env.observation_space)
    space = kind({key: env.observation_space.spaces[key] for key in keys})
    made = around(env, Observations, lambda found: {key: found[key] for key in keys}, space)
    return Rebuilt(made, f"FilterObservation({', '.join(map(str, keys))})")


def _transform_observation(values: WrapperValues, env: GymEnv) -> Rebuilt:
    change = values.get("f", "func")
    return Rebuilt(around(env, Observations, change), f"TransformObservation({_short(change)})")


def _transform_reward(values: WrapperValues, env: GymEnv) -> Rebuilt:
    change = values.get("f", "func")
    return Rebuilt(around(env, Rewards, change), f"TransformReward({_short(change)})")


def _clip_reward(values: WrapperValues, env: GymEnv) -> Rebuilt:
    least, most = values.get("min_r", "min_reward"), values.get("max_r", "max_reward")
    words = "ClipReward" + _in_parentheses({"min": least, "max": most})
    return Rebuilt(around(env, Rewards, lambda reward: np.clip(reward, least, most)), words)


def _sign_reward(_: WrapperValues, env: GymEnv) -> Rebuilt:
    return Rebuilt(around(env, Rewards, np.sign), "SignReward")


def _time_aware(_: WrapperValues, env: GymEnv) -> Rebuilt:
    return Rebuilt(around(env, Timed), "TimeAwareObservation")


def _of_library(*names: str, attributes: Mapping[str, str]) -> Callable[[WrapperValues, GymEnv], Rebuilt]:
    """By the class of that name that the environment's own library has, which asks for its own kind of spaces."""

    def make(values: WrapperValues, env: GymEnv) -> Rebuilt:
        library = type(env.observation_space).__module__.partition(".")[0]
        wrappers = importlib.import_module(f"{library}.wrappers")
        cls = next((found for name in names if (found := getattr(wrappers, name, None))), None)
        if cls is None:
            raise NotRestoredError(f"{library} has no such wrapper")
        arguments = {name: values.get(attribute) for name, attribute in attributes.items() if _has(values, attribute)}
        _require_small(arguments)
        return Rebuilt(cls(env, **arguments), names[0] + _in_parentheses(arguments))

    return make


def _has(values: WrapperValues, attribute: str) -> bool:
    return attribute in values.layer.attributes


_ATARI = "noop_max frame_skip screen_size terminal_on_life_loss grayscale_obs grayscale_newaxis scale_obs"
_RECIPES: Mapping[str, Callable[[WrapperValues, GymEnv], Rebuilt]] = {
    "RescaleAction": _rescale_action,
    "ClipAction": _clip_action,
    "NormalizeObservation": _normalize_observation,
    "NormalizeReward": _normalize_reward,
    "FrameStack": _frame_stack,
    "FlattenObservation": _flatten,
    "FlattenDictWrapper": _flatten_dict,
    "FilterObservation": _filter_observation,
    "TransformObservation": _transform_observation,
    "TransformReward": _transform_reward,
    "ClipReward": _clip_reward,
    "SignReward": _sign_reward,
    "TimeAwareObservation": _time_aware,
    "AtariPreprocessing": _of_library("AtariPreprocessing", attributes={name: name for name in _ATARI.split()}),
    "GrayScaleObservation": _of_library(
        "GrayscaleObservation", "GrayScaleObservation", attributes={"keep_dim": "keep_dim"}
    ),
    "ResizeObservation": _of_library("ResizeObservation", attributes={"shape": "shape"}),
}
