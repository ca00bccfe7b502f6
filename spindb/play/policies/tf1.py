"""Policies saved by TensorFlow 1 (``simple_save``, ``tf1_save``): by numpy where it knows the operations, else by
TensorFlow, in a process of its own (`spindb.play.engine.evaluator`).

The graph carries the seeds of its random operations, so that a policy that is loaded anew repeats the sampled actions
of the stack that saved it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.play.arrays import Action, Array, Observation
from spindb.play.engine.array_policy import ArrayPolicy, require_names
from spindb.play.engine.evaluator import Evaluator
from spindb.play.engine.problems import UnsupportedGraphError
from spindb.play.policies.forms import SETTLED, Form
from spindb.play.policies.placeholders import completed, fillings
from spindb.play.policies.savedmodel import Variables, load_tf1_by_numpy, read_policy_save
from spindb.records import SnapshotRecord

_READER = "spindb.play.policies.savedmodel:saved_parts"


def load_tf1(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False) -> ArrayPolicy:
    """The policy in the SavedModel at `save`, by numpy, or by TensorFlow if numpy lacks an operation.

    See `spindb.play.policies.load_snapshot`.
    """
    return by_numpy_else_tensorflow(
        lambda: load_tf1_by_numpy(save, snapshot, deterministic=deterministic),
        lambda: load_tf1_by_tensorflow(save, snapshot, deterministic=deterministic, trust=trust),
    )


def by_numpy_else_tensorflow(
    by_numpy: Callable[[], ArrayPolicy], by_tensorflow: Callable[[], TF1Policy]
) -> ArrayPolicy:
    """The policy by numpy, or by TensorFlow with a note if numpy lacks an operation."""
    try:
        return by_numpy()
    except UnsupportedGraphError as unsupported:
        policy = by_tensorflow()
        policy.notes = (f"played by TensorFlow: {unsupported.reason}", *policy.notes)
        return policy


def load_tf1_by_tensorflow(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> TF1Policy:
    """The policy in the SavedModel at `save`, by TensorFlow: only pure graphs, with samples by the graph's seeds."""
    outputs, without = completed(snapshot.outputs)
    filled, notes = fillings(read_policy_save(save, snapshot.inputs, outputs))
    policy = TF1Policy(save, snapshot.inputs, outputs, deterministic=deterministic, trust=trust, filled=filled)
    policy.notes = (*policy.notes, *without, *notes)
    return policy


class TF1Policy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    engine = "tensorflow"

    def __init__(
        self,
        save: Path,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        *,
        reader: str = _READER,
        deterministic: bool = False,
        stochastic: bool | None = None,
        trust: bool = False,
        filled: Mapping[str, Any] | None = None,
        form: Form = SETTLED,
    ) -> None:
        """Load the SavedModel at `save`.

        `stochastic` None: determine from the graph whether the action is sampled. `filled` are values of further
        placeholders by name, `form` is the meaning of ``pi``. `reader` is the function that returns the graph's bytes
        and the variables by node name. With `trust`, a graph that is refused is loaded by TensorFlow's own loader,
        which executes operations chosen by the file.

        Raises:
            PolicyError: it can't be loaded, for example because it contains forbidden operations.
        """
        require_names(save, inputs, outputs)
        self._filled = {f"{name}:0": value for name, value in (filled or {}).items()}
        self._made = (
            save,
            dict(inputs),
            dict(outputs),
            reader,
            deterministic,
            stochastic,
            trust,
            dict(filled or {}),
            form,
        )
        self.form = form
        every = {**inputs, **{name: name for name in self._filled}}
        evaluator = self._evaluator = Evaluator(save, reader, every, outputs, trust=trust)
        super().__init__(save, deterministic and "mu" in outputs)
        self.notes = evaluator.notes
        self._inputs, self._outputs = dict(inputs), dict(outputs)
        self.stochastic = evaluator.drawn if stochastic is None else stochastic
        if deterministic and not self.deterministic and self.stochastic:
            self.notes = (*self.notes, "TensorFlow has no deterministic output here (mu): actions are drawn")
        self._action_name = "mu" if self.deterministic else "pi"
        self.observation_dtype = evaluator.dtype
        self.observation_shape = evaluator.shape

    @property
    def names(self) -> list[str]:
        return self._evaluator.alone

    def has(self, name: str) -> bool:
        return name in self._outputs

    def actions(self, observations: Array) -> Array:
        return self._evaluator.run([self._action_name], {"x": observations, **self._filled})[0]

    def evaluate(self, name: str, observations: Array, actions: Array | None = None) -> Array:
        if name not in self._outputs:
            there = ", ".join(sorted(self._outputs))
            raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {there}")
        feed = {"x": observations, **self._filled}
        if name not in self.names:
            if actions is None:
                raise PolicyError(f"{self.save}: {name} takes an action as well")
            feed["a"] = actions
        return self._evaluator.run([name], feed)[0]

    def weights(self) -> dict[str, Array]:
        return dict(Variables(self.save))

    def tensor(self, name: str, observation: Observation, action: Action | None = None) -> Array:
        rows, one = self.rows(observation)
        feed = {"x": rows, **self._filled}
        if action is not None and "a" in self._inputs:
            feed["a"] = np.asarray(action)
        found = self._evaluator.tensor(name, feed)
        alone: Array = found[0] if one and np.ndim(found) and len(found) == 1 else found
        return alone

    def outputs(self, observation: Observation) -> dict[str, Array]:
        """As `ArrayPolicy.outputs`, from a single evaluation, so that all outputs belong to the same sample."""
        rows, one = self.rows(observation)
        found = dict(zip(self.names, self._evaluator.run(self.names, {"x": rows, **self._filled}), strict=True))
        return {name: self._first(value) if one else value for name, value in found.items()}

    def probe(self, observation: Observation) -> Array | None:
        """The mean, if it is an output: a sample would advance the graph's random state and change later episodes."""
        name = "mu" if "mu" in self._outputs else None if self.stochastic else "pi"
        if name is None:
            return None
        rows, one = self.rows(observation)
        found = self.evaluate(name, rows)
        return self._first(found) if one else found

    def nan_weights(self, output: str = "") -> list[str]:
        """For the action, of all saved variables: this engine does not know which ones an output needs."""
        if output:
            return []
        values = {name: np.asarray(value) for name, value in self.weights().items()}
        return [name for name, value in values.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]

    def __reduce__(self) -> tuple[object, ...]:
        """Unpickling loads the policy from its path again; samples by the graph's seeds restart."""
        return _again, (self._made, self.notes)

    def close(self) -> None:
        """End the session."""
        self._evaluator.close()


def _again(made: tuple[Any, ...], notes: tuple[str, ...]) -> TF1Policy:
    save, inputs, outputs, reader, deterministic, stochastic, trust, filled, form = made
    policy = TF1Policy(
        save,
        inputs,
        outputs,
        reader=reader,
        deterministic=deterministic,
        stochastic=stochastic,
        trust=trust,
        filled=filled,
        form=form,
    )
    policy.notes = notes
    return policy
