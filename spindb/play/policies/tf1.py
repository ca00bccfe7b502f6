"""Policies saved by TensorFlow 1 (``simple_save``, ``tf1_save``), run through ``tf.compat.v1``.

The graph carries the seeds of its random operations, so a fresh session repeats the sampled actions of
the stack that saved it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spindb.errors import PolicyError
from spindb.play.policies.arrays import ArrayPolicy, require_names
from spindb.records import SnapshotRecord


def import_tensorflow() -> Any:
    """TensorFlow without its start-up chatter.

    Raises:
        PolicyError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels round differently
    try:
        with _without_chatter():
            tensorflow = importlib.import_module("tensorflow")
    except ImportError as error:
        raise PolicyError(
            f"TensorFlow can't be imported: {error}", hint="pip install 'spindb[play]' installs what playing needs"
        ) from error
    tensorflow.get_logger().setLevel("ERROR")
    return tensorflow


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Send what native code writes to stderr nowhere: TensorFlow reports what it did not find."""
    try:
        descriptor = sys.stderr.fileno()
        kept = os.dup(descriptor)
    except (OSError, ValueError, AttributeError):  # no real stderr here
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False) -> ArrayPolicy:
    """The policy in the SavedModel at `save`, by numpy; by TensorFlow where numpy does not know an operation.

    See `spindb.play.policies.load_snapshot`.
    """
    from spindb.play.policies.saved import load as load_by_numpy

    return by_numpy_else_tensorflow(
        lambda: load_by_numpy(save, snapshot, deterministic=deterministic),
        lambda: load_by_tensorflow(save, snapshot, deterministic=deterministic),
    )


def by_numpy_else_tensorflow(
    by_numpy: Callable[[], ArrayPolicy], by_tensorflow: Callable[[], TF1Policy]
) -> ArrayPolicy:
    """The policy that numpy makes; where it does not know an operation TensorFlow's, with a note that says so."""
    from spindb.play.engine.problems import UnsupportedGraphError

    try:
        return by_numpy()
    except UnsupportedGraphError as unsupported:
        policy = by_tensorflow()
        policy.notes = (f"played by TensorFlow: {unsupported.reason}", *policy.notes)
        return policy


def load_by_tensorflow(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False) -> TF1Policy:
    """The policy in the SavedModel at `save`, by TensorFlow: any graph, and the draws of its own op seeds."""
    return TF1Policy(save, snapshot.inputs, snapshot.outputs, deterministic=deterministic)


class TF1Policy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    engine = "tensorflow"

    def __init__(
        self,
        save: Path,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        *,
        deterministic: bool = False,
        stochastic: bool | None = None,
    ) -> None:
        """Load the SavedModel at `save`; whether its action is drawn is found in the graph unless it is known."""
        require_names(save, inputs, outputs)
        tensorflow = import_tensorflow()
        v1 = tensorflow.compat.v1
        self._graph = tensorflow.Graph()
        self._session = v1.Session(graph=self._graph, config=v1.ConfigProto(device_count={"GPU": 0}))
        try:
            with self._graph.as_default(), _without_chatter():
                v1.saved_model.load(self._session, ["serve"], str(save))
            self._inputs = {name: self._graph.get_tensor_by_name(tensor) for name, tensor in inputs.items()}
            self._outputs = {name: self._graph.get_tensor_by_name(tensor) for name, tensor in outputs.items()}
        except (OSError, RuntimeError, KeyError, ValueError, tensorflow.errors.OpError) as error:
            self._session.close()
            raise PolicyError(f"{save} can't be loaded by TensorFlow {tensorflow.__version__}: {error}") from error
        super().__init__(save, deterministic and "mu" in self._outputs)
        self._action = self._outputs["mu" if self.deterministic else "pi"]
        self._alone = [name for name, tensor in self._outputs.items() if not self._needs_action(tensor)]
        drawn = any("Random" in op or op == "Multinomial" for op in self._ancestors(self._outputs["pi"]))
        self.stochastic = drawn if stochastic is None else stochastic
        if deterministic and not self.deterministic and self.stochastic:
            self.notes = ("TensorFlow has no deterministic output here (mu): actions are drawn",)
        self.observation_dtype = self._inputs["x"].dtype.as_numpy_dtype
        shape = self._inputs["x"].shape
        known = tuple(shape.as_list()[1:]) if shape.rank is not None else None
        self.observation_shape = None if known is None or None in known else known

    @property
    def names(self) -> list[str]:
        return self._alone

    def has(self, name: str) -> bool:
        return name in self._outputs

    def actions(self, observations: Any) -> Any:
        return self._session.run(self._action, {self._inputs["x"]: observations})

    def evaluate(self, name: str, observations: Any, actions: Any = None) -> Any:
        if name not in self._outputs:
            there = ", ".join(sorted(self._outputs))
            raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {there}")
        if name not in self._alone and actions is None:
            raise PolicyError(f"{self.save}: {name} takes an action as well")
        feed = {self._inputs["x"]: observations}
        if name not in self._alone:
            feed[self._inputs["a"]] = actions
        return self._session.run(self._outputs[name], feed)

    def weights(self) -> dict[str, Any]:
        from spindb.play.policies.saved import Variables

        return dict(Variables(self.save))

    def tensor(self, name: str, observation: Any, action: Any = None) -> Any:
        rows, one = self.rows(observation)
        feed = {self._inputs["x"]: rows}
        if action is not None and "a" in self._inputs:
            feed[self._inputs["a"]] = action
        try:
            found = self._session.run(name if ":" in name else f"{name}:0", feed)
        except (KeyError, ValueError) as error:
            raise PolicyError(f"{self.save} is damaged: its graph has no node {name!r}") from error
        return found[0] if one and hasattr(found, "__len__") and len(found) == 1 else found

    def outputs(self, observation: Any) -> dict[str, Any]:
        """As `ArrayPolicy.outputs`, evaluated together: all of one draw."""
        rows, one = self.rows(observation)
        found = self._session.run({name: self._outputs[name] for name in self._alone}, {self._inputs["x"]: rows})
        return {name: value[0] if one else value for name, value in found.items()}

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _needs_action(self, tensor: Any) -> bool:
        """Whether the tensor depends on the placeholder of the action."""
        action = self._inputs.get("a")
        return action is not None and action.op.name in self._ancestors(tensor, names=True)

    @staticmethod
    def _ancestors(tensor: Any, *, names: bool = False) -> set[str]:
        """Types (or names) of all operations that the tensor depends on."""
        seen, pending = set(), [tensor.op]
        while pending:
            operation = pending.pop()
            if operation not in seen:
                seen.add(operation)
                pending += [source.op for source in operation.inputs]
        return {operation.name if names else operation.type for operation in seen}
