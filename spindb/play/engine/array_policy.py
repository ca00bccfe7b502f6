"""Base class of policies: single observations and batches, seeds, outputs by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from spindb.errors import PolicyError
from spindb.play.arrays import Action, Array, Observation
from spindb.play.policies.forms import SETTLED, Form


class ArrayPolicy(ABC):
    """See `spindb.play.policies.Policy`. Subclasses list the outputs and evaluate them."""

    engine: ClassVar[str] = "numpy"
    form: Form = SETTLED
    notes: tuple[str, ...] = ()
    observation_dtype: str = "f4"
    save: Path
    deterministic: bool
    observation_shape: tuple[int, ...] | None
    stochastic: bool
    """Whether actions are sampled if `deterministic` is false."""

    def __init__(self, save: Path, deterministic: bool) -> None:
        self.save = save
        self.deterministic = deterministic
        self.rng = np.random.default_rng()

    @abstractmethod
    def evaluate(self, name: str, observations: Array, actions: Array | None = None) -> Array:
        """An output for observations of shape (n, *observation_shape), shape (n, …).

        Raises:
            PolicyError: there is no such output.
        """

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The outputs that depend only on observations."""

    @abstractmethod
    def actions(self, observations: Array) -> Array:
        """Actions for observations of shape (n, *observation_shape), shape (n, *action_shape)."""

    def probe(self, observation: Observation) -> Array | None:
        """The deterministic action for one observation, or None if there is none."""
        return None

    def bounds(self) -> tuple[Array, Array] | None:
        """Lower and upper bounds of its actions for any observation; None if unbounded or unknown."""
        return None

    def choices(self) -> int | None:
        """The number of discrete actions; None if unknown."""
        return None

    def nan_weights(self, output: str = "") -> list[str]:
        """Names of weights with NaN or infinity, of an output or (by default) of the action."""
        return []

    def begin_episode(self) -> None:  # noqa: B027 - most carry nothing
        """An episode begins: forget the state of the one before."""

    def seed(self, seed: int) -> None:
        """Reseed the draws of actions, the same for equal seeds."""
        self.rng = np.random.default_rng(seed)

    def act(self, observation: Observation) -> Array:
        """The action for one observation, or the actions for many: see `Policy.act`."""
        rows, one = self.rows(observation)
        found = self.actions(rows)
        if not one and len(rows) != (len(found) if np.ndim(found) else -1):
            raise PolicyError(f"{self.save} gives actions of shape {np.shape(found)} for {len(rows)} observations")
        return self._first(found) if one else found

    __call__ = act

    def outputs(self, observation: Observation) -> dict[str, Array]:
        """All outputs that depend only on the observation, by name; for many observations, one row each."""
        rows, one = self.rows(observation)
        found = {name: self.evaluate(name, rows) for name in self.names}
        return {name: self._first(value) if one else value for name, value in found.items()}

    def value(self, observation: Observation) -> Array | float:
        """V of one observation, or of many, shape (n,).

        Raises:
            PolicyError: no ``v`` was saved; the message names the value functions that were.
        """
        if not self.has("v"):
            raise self._without("v")
        rows, one = self.rows(observation)
        found = self.evaluate("v", rows)
        return self._number(found) if one else found

    def q(self, observation: Observation, action: Action) -> Array | float:
        """Q of an observation and an action; the lower one of two Q functions. For many, shape (n,).

        Raises:
            PolicyError: no ``q``, ``q1`` or ``q2`` was saved; the message names the value functions that were.
        """
        if not any(map(self.has, ("q", "q1"))):
            raise self._without("q")
        rows, one = self.rows(observation)
        acts = np.asarray(action, dtype=np.float32)
        acts = acts.reshape(len(rows), -1)
        names = [name for name in ("q1", "q2") if self.has(name)] or ["q"]
        found: Array = np.min([self.evaluate(name, rows, acts) for name in names], axis=0)
        return self._number(found) if one else found

    def _without(self, wanted: str) -> PolicyError:
        """The error for a value function that was not saved; lists the saved ones."""
        there = [name for name in ("v", "q", "q1", "q2") if self.has(name)]
        if not there:
            return PolicyError(f"{self.save} was saved without {wanted} or any other value function")
        hint = (
            "policy.value(observation) is V"
            if wanted == "q"
            else f"policy.q(observation, action) is {'the lower of both' if len(there) > 1 else 'its value'}; "
            "with action=policy.act(observation) it is the worth of what the policy does there.\n"
            "The mean of that over many draws is V; what SAC learned as V also counts the entropy"
        )
        listed = (
            f"value function there: {there[0]}" if len(there) == 1 else f"value functions there: {', '.join(there)}"
        )
        return PolicyError(f"{self.save} was saved without {wanted}; {listed}", hint=hint)

    def _first(self, found: Array) -> Array:
        """The first row of a result for one observation."""
        try:
            first: Array = found[0]
        except (IndexError, TypeError):
            raise PolicyError(f"{self.save} gives an array of shape {np.shape(found)} for one observation") from None
        return first

    def _number(self, found: Array) -> float:
        """The first row of a result for one observation, as a number."""
        try:
            return float(found[0])
        except (IndexError, TypeError):
            raise PolicyError(f"{self.save} gives an array of shape {np.shape(found)} for a value") from None

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is an output of that name."""

    @abstractmethod
    def weights(self) -> dict[str, Array]:
        """All saved arrays, by their names in the file."""

    def tensor(self, name: str, observation: Observation, action: Action | None = None) -> Array:
        """Any tensor of the graph by its name, for one observation or many.

        Raises:
            PolicyError: there is none, or no graph.
        """
        raise PolicyError(
            f"{self.save} holds no graph whose tensors have names: outputs() and weights() are what it has"
        )

    def rows(self, observation: Observation) -> tuple[Array, bool]:
        """The observations as rows, shape (n, *observation_shape), and whether a single one was given.

        Raises:
            PolicyError: the shape does not fit the policy.
        """
        given = np.asarray(observation, dtype=self.observation_dtype)
        shape = self.observation_shape
        if shape is None:
            return given[None], True
        if given.shape == shape:
            return given[None], True
        if given.shape[1:] == shape and given.ndim == len(shape) + 1:
            return given, False
        raise PolicyError(f"the policy takes observations of shape {shape}, not {given.shape}: {self.save}")

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Release the policy's resources."""


def require_names(save: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Refuse a SavedModel without an input ``x`` or an output ``pi``.

    Raises:
        PolicyError: one is missing; the message lists the existing ones.
    """
    for kind, names, needed in (("input", inputs, "x"), ("output", outputs, "pi")):
        if needed not in names:
            there = ", ".join(sorted(names)) or "none"
            raise PolicyError(f"{save} names no {kind} {needed!r}; {kind}s there: {there}")
