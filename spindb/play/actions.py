"""How a policy's outputs become actions: decided by the environment's action space, before the first step.

A policy and a space fit where both are of choices or both of numbers, of one shape, and where the policy's own bounds
are the space's. What a save leaves open (`spindb.play.policies.forms`) is decided by the space where that leaves one
meaning, else it is an error that offers a rule:

- ``argmax``: one number per choice; the greatest is taken;
- ``sample``: one number per choice, logits from which the choice is drawn (of a Gaussian: its draws as they are);
- ``tanh``: an action that is to be squashed by tanh and scaled to the space's bounds;
- ``clip``: an action as it is, cut to the space's bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spindb.errors import PolicyError, UsageError
from spindb.index.read.evaluation_options import engine_text
from spindb.play.arrays import Array, Doubles, Observation
from spindb.play.engine.operations import draw_categories
from spindb.play.policies import Policy
from spindb.play.policies.forms import Form

Rule = Literal["argmax", "sample", "tanh", "clip"]
RULES: tuple[Rule, ...] = ("argmax", "sample", "tanh", "clip")
_CHOICES: tuple[Rule, ...] = ("argmax", "sample")
_TOLERANCE = 1e-3  # of bounds, relative: they went through float32


def rule_of(name: str | None) -> Rule | None:
    """A rule by its name.

    Raises:
        UsageError: there is none of that name.
    """
    found = next((rule for rule in RULES if rule == name), None)
    if name is not None and found is None:
        raise UsageError(f"no action rule is called {name!r}", hint=f"rules: {', '.join(RULES)}")
    return found


@dataclass(frozen=True, slots=True)
class Space:
    """An action space: ``choices`` per dimension (one number: a single choice), or bounds of numbers."""

    words: str
    shape: tuple[int, ...]
    choices: tuple[int, ...] = ()
    start: int = 0
    low: Doubles | None = None
    high: Doubles | None = None

    @property
    def bounds(self) -> tuple[Doubles, Doubles] | None:
        """The least and the greatest number of each dimension; None where it is of choices."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def space_of(space: Any) -> Space | None:
    """What a space of gym or gymnasium says; None for kinds that are not compared (Dict, Tuple, none at all)."""
    names = {cls.__name__ for cls in type(space).__mro__}
    if "MultiDiscrete" in names:
        counts = np.asarray(space.nvec)
        words = f"MultiDiscrete({counts.tolist()})"
        return Space(words, counts.shape, tuple(int(n) for n in counts.ravel())) if counts.ndim == 1 else None
    if "Discrete" in names:
        return Space(f"Discrete({int(space.n)})", (), (int(space.n),), int(getattr(space, "start", 0)))
    if "Box" in names:
        low, high = (np.asarray(bound, dtype=np.float64) for bound in (space.low, space.high))
        shape = tuple(int(length) for length in space.shape)
        return Space(f"Box of shape {shape}, {_range(low, high)}", shape, low=low, high=high)
    return None


def settle(policy: Policy, space: Any = None, rule: Rule | None = None, *, where: str = "the environment") -> Policy:
    """The policy, with outputs that are actions of the space; the same object where nothing is to be done.

    Args:
        policy: as it was loaded.
        space: the environment's ``action_space``; None where the environment is not known.
        rule: what an open output is.
        where: what messages call the environment.

    Raises:
        PolicyError: the policy's actions are not the space's, or what its output is stays open.
    """
    known = space_of(space)
    found = _probe(policy)
    _say_nan(policy, found)
    if known is None:
        return _without_space(policy, rule, found)
    if known.choices:
        return _choosing(policy, known, rule, found, where)
    return _moving(policy, known, rule, found, where)


def _probe(policy: Policy) -> Array | None:
    """The action for an observation of zeros, without a draw; None where that can't be had."""
    shape = policy.observation_shape
    found = None if shape is None else policy.probe(np.zeros(shape, dtype=np.float32))
    return None if found is None else np.asarray(found)


def _say_nan(policy: Policy, found: Array | None) -> None:
    """Note that a policy acts NaN. Without a broken weight it is the zeros that it can't take: a policy may divide by
    what it observes."""
    if found is None or found.dtype.kind != "f" or not np.isnan(found).any() or not (broken := policy.nan_weights()):
        return
    places = f"{', '.join(broken[:3])}{' …' if len(broken) > 3 else ''}"
    note = f"it acts NaN, since NaN stands in {places}: training diverged (spindb snapshots lists the others)"
    if note not in policy.notes:
        policy.notes = (*policy.notes, note)


def _without_space(policy: Policy, rule: Rule | None, found: Array | None) -> Policy:
    form = policy.form
    if rule is None:
        if form.settled:
            return policy
        raise _open(policy, form, "", RULES)
    if rule in _CHOICES and found is not None and found.ndim == 1 and found.dtype.kind == "f":
        return Decided(policy, rule, Space("", (), (found.shape[0],)), form.scores == "probabilities", asked=rule)
    return Decided(policy, rule, Space("", ()), asked=rule)


def _choosing(policy: Policy, space: Space, rule: Rule | None, found: Array | None, where: str) -> Policy:
    form = policy.form
    asked = rule
    if rule in ("tanh", "clip"):
        raise PolicyError(f"--action {rule} is for actions that are numbers; {where} takes {space.words}")
    if found is None or (found.dtype.kind in "iub"):
        return _settled_choice(policy, space, rule, found, where)
    if found.size != sum(space.choices) or found.ndim > 1:
        raise PolicyError(
            f"{_save(policy)} gives {_numbers(found)}; {where} takes {space.words}", hint=_OTHER_ENVIRONMENT
        )
    if rule is None:
        if form.scores == "values" or policy.deterministic:
            rule = "argmax"
        elif form.scores is not None:
            rule = "sample"
        else:
            raise _open(policy, form, f"; {where} takes {space.words}", _CHOICES)
    elif rule == "sample" and policy.deterministic:
        rule = "argmax"
    return Decided(policy, rule, space, form.scores == "probabilities", asked=asked)


def _settled_choice(policy: Policy, space: Space, rule: Rule | None, found: Array | None, where: str) -> Policy:
    """Of a policy that chooses itself."""
    if found is not None and found.shape != space.shape:
        raise PolicyError(
            f"{_save(policy)} chooses actions of shape {found.shape}; {where} takes {space.words}",
            hint=_OTHER_ENVIRONMENT,
        )
    count = policy.choices()
    if count is not None and len(space.choices) == 1 and count != space.choices[0]:
        raise PolicyError(
            f"{_save(policy)} chooses among {count} actions; {where} takes {space.words}", hint=_OTHER_ENVIRONMENT
        )
    if rule == "argmax" and policy.stochastic and not policy.deterministic:
        raise PolicyError(
            f"{_save(policy)} draws its action itself", hint="-d (deterministic=True) gives the likeliest"
        )
    return policy


def _moving(policy: Policy, space: Space, rule: Rule | None, found: Array | None, where: str) -> Policy:
    form = policy.form
    if rule == "argmax":
        raise PolicyError(f"--action argmax is for a choice among actions; {where} takes {space.words}")
    if found is None:
        if rule is None and not form.settled:
            raise _open(policy, form, f"; {where} takes {space.words}", ("tanh", "clip"))
        return policy if rule is None else Decided(policy, rule, space, asked=rule)
    if found.dtype.kind in "iub":
        raise PolicyError(
            f"{_save(policy)} chooses one of several actions; {where} takes {space.words}", hint=_OTHER_ENVIRONMENT
        )
    if found.size != int(np.prod(space.shape)):
        raise PolicyError(
            f"{_save(policy)} gives {_numbers(found)}; {where} takes {space.words}", hint=_OTHER_ENVIRONMENT
        )
    if rule is None and form.scores in ("values", "probabilities"):
        raise PolicyError(
            f"{_save(policy)} gives {form.scores} of {found.size} choices; {where} takes {space.words}",
            hint=_OTHER_ENVIRONMENT,
        )
    bounds = policy.bounds()
    if rule is None and not form.settled and bounds is None:
        raise _open(policy, form, f"; {where} takes {space.words}", ("tanh", "clip"))
    if rule is None and bounds is not None and not _same_bounds(bounds, space):
        raise PolicyError(
            f"{_save(policy)} gives actions {_range(*bounds)}; {where} takes {space.words}",
            hint="--action tanh scales them to these bounds, --action clip takes them as they are, cut to the bounds; "
            "or name the environment of the training with its wrappers: --env-factory module:function",
        )
    if rule is not None:
        return Decided(policy, rule, space, squashed=_within_one(bounds), asked=rule)
    return policy if found.shape == space.shape else Decided(policy, "sample", space)


_OTHER_ENVIRONMENT = "name the environment that it was trained in: --env ID or --env-factory module:function"


def _open(policy: Policy, form: Form, where: str, rules: Sequence[Rule]) -> PolicyError:
    return PolicyError(
        f"{_save(policy)} does not say how its outputs become actions: {form.met}{where}",
        hint=f"--action {'|'.join(rules)} says it (action= in Python): {'; '.join(_MEANT[rule] for rule in rules)}"
        + ("; -d takes the greatest as well" if tuple(rules) == _CHOICES else ""),
    )


_MEANT: Mapping[Rule, str] = {
    "argmax": "argmax takes the greatest (values, as of DQN)",
    "sample": "sample draws from them as logits (a categorical policy)",
    "tanh": "tanh squashes and scales them to the bounds",
    "clip": "clip takes them as they are, cut to the bounds",
}


def _save(policy: Policy) -> str:
    return str(getattr(policy, "save", "the policy"))


def _numbers(found: Array) -> str:
    return "one number" if found.size == 1 else f"{found.size} numbers"


def _range(low: Doubles, high: Doubles) -> str:
    """Bounds in words: one number where all dimensions have the same."""
    first, last = (_shown(bound) for bound in (low, high))
    return f"from {first} to {last}"


def _shown(bound: Doubles) -> str:
    values = np.unique(np.asarray(bound, dtype=np.float64))
    if len(values) == 1:
        return f"{values[0]:g}"
    return "[" + ", ".join(f"{value:g}" for value in np.ravel(bound)[:8]) + ("]" if np.size(bound) <= 8 else ", …]")


def _same_bounds(bounds: tuple[Array, Array], space: Space) -> bool:
    """Whether a policy's bounds are the space's, in one dimension at least: Spinning Up takes all from the first.

    Where the space has none, any will do.
    """
    low, high = (np.broadcast_to(np.ravel(bound), (int(np.prod(space.shape)),)) for bound in bounds)
    if space.bounds is None:
        return True
    space_low, space_high = map(np.ravel, space.bounds)
    upper = np.isclose(high, space_high, rtol=_TOLERANCE) | ~np.isfinite(space_high)
    lower = np.isclose(low, space_low, rtol=_TOLERANCE) | ~np.isfinite(space_low)
    symmetric = np.isclose(low, -high, rtol=_TOLERANCE)  # the limit is the greatest action, whatever the least is
    return bool((upper & (lower | symmetric)).any())


def _within_one(bounds: tuple[Array, Array] | None) -> bool:
    """Whether a policy gives numbers between -1 and 1: squashed already."""
    return bounds is not None and bool((np.abs(bounds[0]) <= 1.0).all() and (np.abs(bounds[1]) <= 1.0).all())


class Decided:
    """A policy whose outputs are made actions by a rule; all else is the policy's own.

    Attributes:
        policy: as it was loaded.
        rule: which rule.
        asked: the rule that was asked for; None where the action space decided.
        space: the actions that it makes.
        probabilities: scores are probabilities, not logits.
        squashed: the policy's outputs lie between -1 and 1.
    """

    def __init__(
        self,
        policy: Policy,
        rule: Rule,
        space: Space,
        probabilities: bool = False,
        *,
        squashed: bool = False,
        asked: Rule | None = None,
    ) -> None:
        self.policy = policy
        self.rule: Rule = rule
        self.asked: Rule | None = asked
        self.space = space
        self.probabilities = probabilities
        self.squashed = squashed
        self.rng = np.random.default_rng()
        drawn = rule == "sample" and bool(space.choices)
        self.stochastic = policy.stochastic or drawn
        self.deterministic = policy.deterministic
        self.notes = (*policy.notes, *self._words())
        self.engine = engine_text(policy.engine, asked)

    def _words(self) -> tuple[str, ...]:
        if self.space.choices:
            how = (
                "the greatest of its outputs is the action"
                if self.rule == "argmax"
                else (
                    "actions are drawn from its outputs, taken for "
                    + ("probabilities" if self.probabilities else "logits")
                )
            )
            return (how,)
        words = {
            "tanh": "its outputs are scaled to the bounds" if self.squashed else "its outputs are squashed by tanh",
            "clip": "its outputs are cut to the bounds",
        }
        return (f"{words[self.rule]} (--action {self.rule})",) if self.rule in words else ()

    def act(self, observation: Observation) -> Array:
        """See `spindb.play.policies.Policy`."""
        found: Array = np.asarray(self.policy.act(observation))
        if self.space.choices:
            return self._chosen(found)
        bounds = self.space.bounds
        if self.rule == "tanh":
            found = found if self.squashed else np.tanh(found)
            if bounds is not None and all(np.isfinite(bound).all() for bound in bounds):
                low, high = bounds
                found = (np.reshape((low + high) / 2, -1) + np.reshape((high - low) / 2, -1) * found).astype(np.float32)
            elif self.policy.form.limit is not None:
                found = found * self.policy.form.limit
        elif self.rule == "clip" and bounds is not None:
            found = np.clip(found, bounds[0].reshape(-1), bounds[1].reshape(-1)).astype(found.dtype)
        if bounds is None:
            return found
        batch = found.shape[:-1] if found.ndim > 1 and found.size != int(np.prod(self.space.shape)) else ()
        return found.reshape((*batch, *self.space.shape))

    __call__ = act

    def _chosen(self, scores: Array) -> Array:
        """Of scores of shape (…, choices), the choice of each dimension of the space."""
        rows = scores.reshape(-1, scores.shape[-1])
        parts = np.split(rows, np.cumsum(self.space.choices)[:-1], axis=-1)
        found: Array = np.stack([self._choice(part) for part in parts], axis=-1) + self.space.start
        if self.space.shape == ():
            found = found[:, 0]
        if scores.ndim == 1:
            found = found[0]
        return found

    def _choice(self, rows: Array) -> Array:
        if self.rule == "argmax":
            return np.asarray(np.argmax(rows, axis=-1))
        if self.probabilities:
            with np.errstate(divide="ignore"):
                rows = np.log(rows)
        drawn: Array = draw_categories(self.rng, rows)[:, 0]
        return drawn

    def seed(self, seed: int) -> None:
        """See `spindb.play.policies.Policy`."""
        self.policy.seed(seed)
        self.rng = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "policy":
            raise AttributeError(name)
        return getattr(self.policy, name)
