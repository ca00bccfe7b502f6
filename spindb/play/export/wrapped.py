"""A policy with what the saved wrappers do to observations and actions, as one plan.

Between the environment inside of all wrappers and the network stand the wrappers that were saved (and zeros for contact
forces), and the rule that makes outputs actions (`spindb.play.actions`). Each known wrapper is written in ONNX's
operations; one that can't be is refused. The same is also computed here by the wrappers themselves, so that what was
exported can be compared with what is played.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spindb.disk.saved_environment import SavedLayer
from spindb.errors import EnvironmentBuildError, PolicyError
from spindb.play.actions import Decided, Rule, settle
from spindb.play.arrays import Array, Observation
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.environments.adapter import Environment
from spindb.play.environments.build import CONTACT_FORCES_ZERO, BuiltEnvironment, Choices
from spindb.play.environments.chain import Stage, chain_of
from spindb.play.environments.contact_forces import FORCES, concerns, were_zero
from spindb.play.environments.of_snapshot import environment_of, state_of
from spindb.play.environments.own import import_environments
from spindb.play.environments.packages import is_of_gym
from spindb.play.environments.protocols import GymSpace
from spindb.play.environments.wrappers import WrapperValues
from spindb.play.environments.wrapping import Layer
from spindb.play.export.onnx_plan import Plan, PlanStep, plan_of
from spindb.play.fit import require_fit
from spindb.play.locate import Playable
from spindb.play.policies import Policy
from spindb.play.process_state import unchanged_process

_UNCONCERNED = ("TimeLimit", "NormalizeReward", "TransformReward", "ClipReward", "SignReward")
"""They change neither observations nor actions."""
_WHY_NOT = {
    **dict.fromkeys(("FrameStack", "FrameStackObservation"), "it stacks observations of several steps"),
    **dict.fromkeys(("DelayObservation", "MaxAndSkipObservation"), "it keeps observations of earlier steps"),
    "TimeAwareObservation": "it counts the steps of an episode",
    **dict.fromkeys(("TransformObservation", "TransformAction"), "it applies a function that may be anything"),
    **dict.fromkeys(("StickyAction", "RepeatAction", "AtariPreprocessing"), "it repeats actions"),
    **dict.fromkeys(("FilterObservation", "FlattenDictWrapper"), "it takes observations by name, not an array"),
}
_BUILD_HINT = (
    "--import, --env and --env-factory say which environment it is, as of test-policy;\n"
    "without --with-wrappers the network alone is exported"
)
_HINT = "without --with-wrappers the network alone is exported; what this wrapper does is then left to you"


def _is_unconcerned(layer: SavedLayer) -> bool:
    return layer.name in _UNCONCERNED and is_of_gym(layer.class_path)


@dataclass
class _Writer:
    """Writes steps and arrays beside those of a plan; names that begin with `prefix` meet no others."""

    prefix: str
    steps: list[PlanStep] = field(default_factory=list)
    arrays: dict[str, Any] = field(default_factory=dict)

    def add(self, op: str, *inputs: str, **attributes: object) -> str:
        output = f"{self.prefix}_{op.lower()}_{len(self.steps)}"
        self.steps.append(PlanStep(op, inputs, output, attributes))
        return output

    def array(self, value: ArrayLike, dtype: str = "f4") -> str:
        name = f"{self.prefix}_constant_{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        return name

    def cut(self, name: str, low: ArrayLike, high: ArrayLike) -> str:
        return self.add("Min", self.add("Max", name, self.array(low)), self.array(high))

    def shaped(self, name: str, shape: Sequence[int]) -> str:
        return self.add("Reshape", name, self.array([-1, *shape], "i8"))


Recipe = Callable[[_Writer, Stage, str], str]


@dataclass(frozen=True, slots=True)
class WrappedPolicy:
    """A policy in what stands around it: takes observations of the innermost environment, gives actions for it.

    Attributes:
        graph: the network.
        policy: the same, or with the rule that makes its outputs actions.
        stages: the wrappers that change observations or actions, innermost first.
        environment: the one inside of them; None where none is known.
    """

    graph: GraphPolicy
    policy: Policy
    stages: tuple[Stage, ...] = ()
    environment: Environment | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The wrappers and the rule in it, in the order in which an observation meets it and an action leaves."""
        seen = [stage.words for stage in self.stages if stage.layer.name in _OBSERVATIONS]
        rule = self.policy.notes[len(self.graph.notes) :] if isinstance(self.policy, Decided) else ()
        acted = [stage.words for stage in reversed(self.stages) if stage.layer.name in _ACTIONS]
        return (*seen, *rule, *acted)

    def plan(self) -> Plan:
        """The policy's plan within the rest.

        Raises:
            PolicyError: the policy can't be written in ONNX's operations.
        """
        plan = plan_of(self.graph, as_it_is=isinstance(self.policy, Decided))
        before, after = _Writer("before"), _Writer("after")
        observed, shape, dtype = "observation", plan.observation_shape, plan.observation_dtype
        seeing = [stage for stage in self.stages if stage.layer.name in _OBSERVATIONS]
        if seeing and self.environment is not None:
            space = self.environment.env.observation_space
            shape, dtype = tuple(int(length) for length in space.shape), np.dtype(space.dtype).str[1:]
            observed = before.add("Cast", "observation", to="f8")  # a variance near 0 wants all digits of a mean
            for stage in seeing:
                observed = _OBSERVATIONS[stage.layer.name](before, stage, observed)
            observed = before.add("Cast", observed, to=plan.observation_dtype)

        def renamed(name: str) -> str:
            return observed if name == "observation" else name

        own = [replace(step, inputs=tuple(map(renamed, step.inputs))) for step in plan.steps]
        outputs = {name: renamed(tensor) for name, tensor in plan.outputs.items()}
        if isinstance(self.policy, Decided):
            outputs = _decided(after, self.policy, outputs)
        outputs |= {name: self._acted(after, outputs[name]) for name in ("action", "sample") if name in outputs}
        arrays = {**plan.arrays, **before.arrays, **after.arrays}
        return Plan(shape, dtype, arrays, (*before.steps, *own, *after.steps), outputs)

    def _acted(self, writer: _Writer, tensor: str) -> str:
        for stage in reversed(self.stages):
            if stage.layer.name in _ACTIONS:
                tensor = _ACTIONS[stage.layer.name](writer, stage, tensor)
        return tensor

    def observations(self, count: int) -> Array:
        """So many observations of the innermost environment, under drawn actions, else random ones; shape (count, …).

        Raises:
            PlaybackError: the environment's own code raised an exception.
        """
        env = self.environment
        space = None if env is None else env.action_space
        if env is None or space is None or not hasattr(space, "sample"):
            shape = (count, *(self.graph.observation_shape or ()))
            return np.random.default_rng(0).normal(size=shape).astype(self.graph.observation_dtype)
        space.seed(0)
        found = [env.reset(0)]
        while len(found) < count:
            step = env.step(space.sample())
            found.append(env.reset() if step.terminated or step.truncated else step.observation)
        plain = not any(stage.layer.name in _OBSERVATIONS for stage in self.stages)
        return np.asarray(found, dtype=self.graph.observation_dtype if plain else env.env.observation_space.dtype)

    def seen(self, observations: Array) -> Array:
        """What the network sees of observations of the innermost environment, by the wrappers themselves."""
        return np.asarray([self._seen(one) for one in observations], dtype=self.graph.observation_dtype)

    def _seen(self, observation: Observation) -> Any:
        for stage in self.stages:
            if stage.layer.name in _OBSERVATIONS:
                layer: Any = stage.around
                observation = layer.seen(observation) if isinstance(layer, Layer) else layer.observation(observation)
        return observation

    def actions(self, seen: Array) -> Array:
        """The actions for what the network sees, as the innermost environment is given them, by the wrappers."""
        found = np.asarray(self.policy.act(seen))
        for stage in reversed(self.stages):
            if stage.layer.name in _ACTIONS:
                layer: Any = stage.around
                act = layer.acted if isinstance(layer, Layer) else layer.action
                found = np.asarray([act(action) for action in found])
        return found


@contextlib.contextmanager
def wrapped_policy(
    playable: Playable, graph: GraphPolicy, choices: Choices, rule: Rule | None = None
) -> Iterator[tuple[WrappedPolicy, BuiltEnvironment]]:
    """A snapshot's policy in what stands around it in its environment, which is closed in the end.

    Args:
        playable: the snapshot.
        graph: its policy, deterministic.
        choices: what the user chose for the environment.
        rule: what outputs are whose meaning stays open.

    Raises:
        PlaybackError: no environment can be built, the policy does not fit, or a wrapper has no operations in ONNX.
    """
    with unchanged_process():
        for module in choices.imports:
            import_environments(module)
        try:
            built = environment_of(playable, choices, policy=graph)
        except EnvironmentBuildError as error:
            raise EnvironmentBuildError(error.message, hint=_BUILD_HINT) from error
        try:
            yield inside_wrappers(graph, require_fit(graph, built, rule), built), built
        finally:
            built.environment.close()


def network_alone(graph: GraphPolicy, rule: Rule | None = None) -> WrappedPolicy:
    """A policy without an environment, its outputs made actions by a rule; of values the greatest is taken.

    Raises:
        PolicyError: the rule is not for this policy.
    """
    if rule is None and not graph.form.settled and graph.form.scores == "values":
        rule = "argmax"
    return WrappedPolicy(graph, graph if rule is None else settle(graph, None, rule))


def wrappers_left_out(playable: Playable, graph: GraphPolicy) -> tuple[str, ...]:
    """What stood between environment and network in training, and is not in an export of the network alone."""
    saved = state_of(playable)
    chain = chain_of(saved.environment, None)
    found = [layer.name for layer in reversed(chain.wrappers) if not _is_unconcerned(layer)]
    trained = playable.env.id
    zero = trained is not None and concerns(trained, trained) and were_zero(graph.weights(), trained)
    return (*found, *((CONTACT_FORCES_ZERO,) if zero else ()))


def inside_wrappers(graph: GraphPolicy, policy: Policy, built: BuiltEnvironment) -> WrappedPolicy:
    """A policy in what stands around it in an environment.

    Args:
        graph: the network, deterministic.
        policy: the same, fitted to the environment (`spindb.play.fit.require_fit`).
        built: the environment, in the wrappers that were saved.

    Raises:
        PolicyError: one of the wrappers can't be written so; the message says which, and why.
    """
    stages = []
    for stage in built.stages:
        layer = stage.layer
        if _is_unconcerned(layer):
            continue
        ours = layer.class_path == CONTACT_FORCES_ZERO or is_of_gym(layer.class_path)
        if not ours or layer.name not in {*_OBSERVATIONS, *_ACTIONS}:
            why = (
                _WHY_NOT.get(layer.name, "it is not known in ONNX's operations") if ours else "it is its author's code"
            )
            raise PolicyError(f"{layer.class_path} can't be carried into an export: {why}", hint=_HINT)
        stages.append(stage)
    inside = built.stages[0].inside if built.stages else built.environment.env
    return WrappedPolicy(graph, policy, tuple(stages), Environment(inside, built.environment.name))


# One function per wrapper.


def _zero_forces(writer: _Writer, stage: Stage, name: str) -> str:
    kept = np.ones(stage.inside.observation_space.shape)
    kept[-FORCES:] = 0
    return writer.add("Mul", name, writer.array(kept, "f8"))


def _normalised(writer: _Writer, stage: Stage, name: str) -> str:
    values = WrapperValues(stage.layer, ())
    known, epsilon = values.statistics("obs_rms"), values.get("epsilon", default=1e-8)
    centred = writer.add("Sub", name, writer.array(known["mean"], "f8"))
    return writer.add("Div", centred, writer.array(np.sqrt(known["var"] + epsilon), "f8"))


def _rescaled_observation(writer: _Writer, stage: Stage, name: str) -> str:
    gain, shift = _affine(stage.inside.observation_space, stage.around.observation_space)
    return writer.add("Add", writer.add("Mul", name, writer.array(gain, "f8")), writer.array(shift, "f8"))


def _reshaped(writer: _Writer, stage: Stage, name: str) -> str:
    if not _is_box(stage.inside.observation_space):
        raise PolicyError(
            f"{stage.layer.class_path} can't be carried into an export: it takes observations of "
            f"{type(stage.inside.observation_space).__name__}, not an array",
            hint=_HINT,
        )
    return writer.shaped(name, stage.around.observation_space.shape)


def _retyped(writer: _Writer, stage: Stage, name: str) -> str:
    there = writer.add("Cast", name, to=np.dtype(stage.around.observation_space.dtype).str[1:])
    return writer.add("Cast", there, to="f8")


def _rescaled_action(writer: _Writer, stage: Stage, name: str) -> str:
    space = stage.inside.action_space
    gain, shift = _affine(stage.around.action_space, space)
    found = writer.add("Add", writer.add("Mul", name, writer.array(gain)), writer.array(shift))
    return writer.cut(found, space.low, space.high) if isinstance(stage.around, Layer) else found


def _clipped_action(writer: _Writer, stage: Stage, name: str) -> str:
    space = stage.inside.action_space
    return writer.cut(name, space.low, space.high)


def _is_box(space: object) -> bool:
    return any(cls.__name__ == "Box" for cls in type(space).__mro__)


def _affine(first: GymSpace, second: GymSpace) -> tuple[Array, Array]:
    """Factor and shift that take the bounds of one space to those of another; where they are infinite, 1 and 0."""
    low, high, least, most = (np.asarray(b, "f8") for b in (first.low, first.high, second.low, second.high))
    bounded = np.isfinite(low) & np.isfinite(high) & np.isfinite(least) & np.isfinite(most)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(bounded, (most - least) / (high - low), 1.0)
        shift = np.where(bounded, least - low * gain, 0.0)
    lower, upper = (np.isfinite(a) & np.isfinite(b) & ~bounded for a, b in ((low, least), (high, most)))
    with np.errstate(invalid="ignore"):
        shift = np.where(lower, least - low, np.where(upper, most - high, shift))
    return gain, shift


_OBSERVATIONS: Mapping[str, Recipe] = {
    CONTACT_FORCES_ZERO: _zero_forces,
    "NormalizeObservation": _normalised,
    "RescaleObservation": _rescaled_observation,
    "FlattenObservation": _reshaped,
    "ReshapeObservation": _reshaped,
    "DtypeObservation": _retyped,
}
_ACTIONS: Mapping[str, Recipe] = {"RescaleAction": _rescaled_action, "ClipAction": _clipped_action}


# The rule that makes outputs actions.


def _decided(writer: _Writer, policy: Decided, outputs: Mapping[str, str]) -> dict[str, str]:
    """Outputs with ``action`` and ``sample`` made actions; what the network gives stays as ``pi`` or ``mu``."""
    found = dict(outputs) if policy.policy.stochastic else {"pi": outputs["action"], **outputs}
    if policy.space.choices:
        scores = outputs["action"]
        found |= {"action": _choice(writer, policy, scores, draws=False)}
        form = policy.policy.form
        if policy.asked == "sample" or (policy.asked is None and form.scores in ("logits", "probabilities")):
            found["sample"] = _choice(writer, policy, scores, draws=True)
        return found
    return found | {name: _number(writer, policy, found[name]) for name in ("action", "sample") if name in found}


def _choice(writer: _Writer, policy: Decided, scores: str, *, draws: bool) -> str:
    space, axis = policy.space, writer.array([1], "i8")
    ends = np.cumsum((0, *space.choices))
    chosen = []
    for begin, end in pairwise(ends):
        part = writer.add("Slice", scores, writer.array([begin], "i8"), writer.array([end], "i8"), axis)
        if not draws:
            chosen.append(writer.add("ArgMax", part, axis=-1, keepdims=1))
            continue
        logits = writer.add("Log", part) if policy.probabilities else part
        chosen.append(writer.add("Multinomial", logits, sample_size=1, dtype="i8"))
    whole = writer.add("Concat", *chosen, axis=-1) if space.shape else writer.add("Squeeze", *chosen, axis)
    return writer.add("Add", whole, writer.array(space.start, "i8")) if space.start else whole


def _number(writer: _Writer, policy: Decided, name: str) -> str:
    space, bounds = policy.space, policy.space.bounds
    if policy.rule == "tanh":
        name = name if policy.squashed else writer.add("Tanh", name)
        limit = policy.policy.form.limit
        if bounds is not None and all(np.isfinite(bound).all() for bound in bounds):
            low, high = bounds
            scaled = writer.add("Mul", name, writer.array(np.reshape((high - low) / 2, -1)))
            name = writer.add("Add", scaled, writer.array(np.reshape((low + high) / 2, -1)))
        elif limit is not None:
            name = writer.add("Mul", name, writer.array(limit))
    elif policy.rule == "clip" and bounds is not None:
        name = writer.cut(name, np.reshape(bounds[0], -1), np.reshape(bounds[1], -1))
    return name if bounds is None else writer.shaped(name, space.shape)
