"""Policies saved by TensorFlow 1 (``simple_save``, ``tf1_save``), run through ``tf.compat.v1``.

The graph carries the seeds of its random operations, so a fresh session repeats the sampled actions of
the stack that saved it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spindb.errors import PolicyError
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


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False) -> TF1Policy:
    """The policy in the SavedModel at `save`; see `spindb.play.policies.load_snapshot`."""
    return TF1Policy(save, snapshot.inputs, snapshot.outputs, deterministic=deterministic)


class TF1Policy:
    """See `spindb.play.policies.Policy`."""

    def __init__(
        self, save: Path, inputs: dict[str, str] | Any, outputs: dict[str, str] | Any, *, deterministic: bool = False
    ) -> None:
        for kind, names, needed in (("input", inputs, "x"), ("output", outputs, "pi")):
            if needed not in names:
                there = ", ".join(sorted(names)) or "none"
                raise PolicyError(f"{save} names no {kind} {needed!r}; {kind}s there: {there}")
        tensorflow = import_tensorflow()
        v1 = tensorflow.compat.v1
        self.save = save
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
        self.deterministic = deterministic and "mu" in self._outputs
        self._action = self._outputs["mu" if self.deterministic else "pi"]
        shape = self._inputs["x"].shape
        self.observation_shape = tuple(shape.as_list()[1:]) if shape.rank is not None else None
        if self.observation_shape is not None and None in self.observation_shape:
            self.observation_shape = None

    def act(self, observation: Any) -> Any:
        """The action for one observation."""
        return self._run(self._action, observation)

    __call__ = act

    def outputs(self, observation: Any) -> dict[str, Any]:
        """All outputs that need nothing but the observation, evaluated together.

        Those that take an action as well (``q``) are left out.
        """
        alone = {n: t for n, t in self._outputs.items() if not self._needs_action(t)}
        return {name: value[0] for name, value in self._session.run(alone, self._feed(observation)).items()}

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _run(self, tensor: Any, observation: Any) -> Any:
        return self._session.run(tensor, self._feed(observation))[0]

    def _feed(self, observation: Any) -> dict[Any, Any]:
        numpy = importlib.import_module("numpy")
        placeholder = self._inputs["x"]
        row = numpy.asarray(observation, dtype=placeholder.dtype.as_numpy_dtype)
        if self.observation_shape is not None and row.shape != self.observation_shape:
            raise PolicyError(
                f"the policy takes observations of shape {self.observation_shape}, not {row.shape}: {self.save}"
            )
        return {placeholder: row[None]}

    def _needs_action(self, tensor: Any) -> bool:
        """Whether the tensor depends on the placeholder of the action."""
        action = self._inputs.get("a")
        seen, pending = set(), [tensor.op]
        while action is not None and pending:
            operation = pending.pop()
            if operation is action.op:
                return True
            if operation not in seen:
                seen.add(operation)
                pending += [source.op for source in operation.inputs]
        return False
