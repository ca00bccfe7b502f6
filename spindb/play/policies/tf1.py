"""Policies saved by TensorFlow 1 (``simple_save``, ``tf1_save``), run through ``tf.compat.v1``.

The graph carries the seeds of its random operations, so a fresh session repeats the sampled actions of
the stack that saved it.

What is evaluated is checked before (`spindb.play.engine.tensorflow_graph`); TensorFlow's own loader, which executes
operations of the file's choice, is used for graphs that are trusted alone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.play.engine.tensorflow_graph import pure_part, require_small_results
from spindb.play.policies.arrays import ArrayPolicy, require_names
from spindb.play.policies.saved import graph_bytes, read_saved
from spindb.records import SnapshotRecord

_SECONDS = 60
"""How long one evaluation may take: a loop of a stranger's graph need not end."""


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


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False) -> ArrayPolicy:
    """The policy in the SavedModel at `save`, by numpy; by TensorFlow where numpy does not know an operation.

    See `spindb.play.policies.load_snapshot`.
    """
    from spindb.play.policies.saved import load as load_by_numpy

    return by_numpy_else_tensorflow(
        lambda: load_by_numpy(save, snapshot, deterministic=deterministic),
        lambda: load_by_tensorflow(save, snapshot, deterministic=deterministic, trust=trust),
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


def load_by_tensorflow(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> TF1Policy:
    """The policy in the SavedModel at `save`, by TensorFlow: pure graphs, and the draws of its own op seeds."""
    require_names(save, snapshot.inputs, snapshot.outputs)
    graph = read_saved(save, snapshot.inputs, snapshot.outputs)
    return TF1Policy(save, snapshot.inputs, snapshot.outputs, graph.variables, deterministic=deterministic, trust=trust)


class TF1Policy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    engine = "tensorflow"

    def __init__(
        self,
        save: Path,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        variables: Mapping[str, Any],
        *,
        deterministic: bool = False,
        stochastic: bool | None = None,
        trust: bool = False,
    ) -> None:
        """Load the SavedModel at `save`; whether its action is drawn is found in the graph unless it is known.

        `variables` are their values by the names of their nodes. With `trust`, what can't be evaluated so is loaded by
        TensorFlow's own loader, which executes what the file says.

        Raises:
            ImpureGraphError: evaluating it would do more than compute.
            PolicyError: it can't be loaded.
        """
        require_names(save, inputs, outputs)
        self._tensorflow = import_tensorflow()
        self._variables = variables
        self._named = {"inputs": dict(inputs), "outputs": dict(outputs)}
        self._whole = False
        self.save = save
        try:
            self._open()
        except PolicyError as refused:
            if not trust:
                raise
            self._whole = True
            self._open()
            self.notes = (f"loaded as the file says (--trust): {refused.message.partition(': ')[2]}",)
        super().__init__(save, deterministic and "mu" in self._outputs)
        drawn = any("Random" in op or op == "Multinomial" for op in self._ancestors(self._outputs["pi"]))
        self.stochastic = drawn if stochastic is None else stochastic
        if deterministic and not self.deterministic and self.stochastic:
            self.notes = (*self.notes, "TensorFlow has no deterministic output here (mu): actions are drawn")
        self._action_name = "mu" if self.deterministic else "pi"
        self.observation_dtype = self._inputs["x"].dtype.as_numpy_dtype
        shape = self._inputs["x"].shape
        known = tuple(shape.as_list()[1:]) if shape.rank is not None else None
        self.observation_shape = None if known is None or None in known else known

    def _open(self, more: Iterable[str] = ()) -> None:
        """Begin a session of the graph, or of that part of it which the outputs and `more` tensors need."""
        tensorflow = self._tensorflow
        v1 = tensorflow.compat.v1
        names = [*self._named["inputs"].values(), *self._named["outputs"].values()]
        part, variables = (None, []) if self._whole else pure_part(self.save, graph_bytes(self.save), [*names, *more])
        graph = tensorflow.Graph()
        config = v1.ConfigProto(device_count={"GPU": 0}, operation_timeout_in_ms=_SECONDS * 1000)
        session = v1.Session(graph=graph, config=config)
        try:
            with _by_tensorflow(self.save, "can't be loaded"), graph.as_default(), _without_chatter():
                if part is None:
                    v1.saved_model.load(session, ["serve"], str(self.save))
                else:
                    v1.import_graph_def(part, name="")
                    require_small_results(self.save, graph.get_operations())
                    self._restore(session, graph, variables)
                found = {
                    kind: {name: graph.get_tensor_by_name(tensor) for name, tensor in named.items()}
                    for kind, named in self._named.items()
                }
        except BaseException:
            session.close()
            raise
        self._session, self._graph = session, graph
        self._inputs, self._outputs = found["inputs"], found["outputs"]
        self._alone = [name for name, tensor in self._outputs.items() if not self._needs_action(tensor)]

    def _restore(self, session: Any, graph: Any, names: Iterable[str]) -> None:
        """Assign the saved values to the variables."""
        v1 = self._tensorflow.compat.v1
        assigned, feed = [], {}
        for name in names:
            variable, value = graph.get_operation_by_name(name), np.asarray(self._variables[name])
            holder = v1.placeholder(value.dtype, value.shape)
            feed[holder] = value
            if variable.type == "VarHandleOp":
                assigned.append(self._tensorflow.raw_ops.AssignVariableOp(resource=variable.outputs[0], value=holder))
            else:
                assigned.append(v1.assign(variable.outputs[0], holder, validate_shape=False).op)
        session.run(assigned, feed)

    @property
    def names(self) -> list[str]:
        return self._alone

    def has(self, name: str) -> bool:
        return name in self._outputs

    def actions(self, observations: Any) -> Any:
        return self._run(self._outputs[self._action_name], {self._inputs["x"]: observations})

    def evaluate(self, name: str, observations: Any, actions: Any = None) -> Any:
        if name not in self._outputs:
            there = ", ".join(sorted(self._outputs))
            raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {there}")
        if name not in self._alone and actions is None:
            raise PolicyError(f"{self.save}: {name} takes an action as well")
        feed = {self._inputs["x"]: observations}
        if name not in self._alone:
            feed[self._inputs["a"]] = actions
        return self._run(self._outputs[name], feed)

    def weights(self) -> dict[str, Any]:
        from spindb.play.policies.saved import Variables

        return dict(Variables(self.save))

    def tensor(self, name: str, observation: Any, action: Any = None) -> Any:
        rows, one = self.rows(observation)
        wanted = name if ":" in name else f"{name}:0"
        if not self._whole and not self._has_node(wanted):
            session = self._session
            self._open([wanted])  # checked like the outputs
            session.close()
        feed = {self._inputs["x"]: rows}
        if action is not None and "a" in self._inputs:
            feed[self._inputs["a"]] = action
        try:
            fetched = self._graph.get_tensor_by_name(wanted)
        except (KeyError, ValueError) as error:
            raise PolicyError(f"{self.save} is damaged: its graph has no node {name!r}") from error
        found = self._run(fetched, feed)
        return found[0] if one and hasattr(found, "__len__") and len(found) == 1 else found

    def outputs(self, observation: Any) -> dict[str, Any]:
        """As `ArrayPolicy.outputs`, evaluated together: all of one draw."""
        rows, one = self.rows(observation)
        found = self._run({name: self._outputs[name] for name in self._alone}, {self._inputs["x"]: rows})
        return {name: self._first(value) if one else value for name, value in found.items()}

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _run(self, fetched: Any, feed: Mapping[Any, Any]) -> Any:
        with _by_tensorflow(self.save, "can't be evaluated"):
            return self._session.run(fetched, feed)

    def _has_node(self, tensor: str) -> bool:
        try:
            self._graph.get_operation_by_name(tensor.partition(":")[0])
        except (KeyError, ValueError):
            return False
        return True

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


@contextlib.contextmanager
def _by_tensorflow(save: Path, what: str) -> Iterator[None]:
    """Turn what TensorFlow raises into `PolicyError`, its many lines into one."""
    try:
        yield
    except PolicyError:
        raise
    except Exception as error:
        if type(error).__name__ == "DeadlineExceededError":
            raise PolicyError(f"{save} {what}: it did not end within {_SECONDS} seconds") from error
        message = str(getattr(error, "message", None) or error).strip()
        lines = [line for line in message.splitlines() if line.strip() and not line.startswith("Graph execution")]
        line = next(iter(lines), "")[:300]
        raise PolicyError(f"{save} {what} by TensorFlow: {type(error).__name__}: {line}") from error
