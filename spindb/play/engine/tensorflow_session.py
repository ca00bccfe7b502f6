"""A saved graph in a TensorFlow session, used inside `spindb.play.engine.tensorflow_process`.

The graph contains the seeds of its random operations, so a new session repeats the sampled actions of the original
stack. The graph is checked before (`spindb.play.engine.tensorflow_graph`). TensorFlow's own loader, which executes
operations chosen by the file, is used only for trusted graphs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.extras import install_command
from spindb.play.arrays import Array
from spindb.play.engine.tensorflow_graph import pure_part, require_small_results

_IN_THIS_THREAD = -1
"""Run operations in the calling thread: waking other threads takes longer than the operations of a policy. Within a
kernel the threads are unchanged, so results are the same."""


def import_tensorflow() -> Any:
    """Import TensorFlow without its start-up messages.

    Raises:
        PolicyError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels round differently
    try:
        with _without_chatter():
            tensorflow = importlib.import_module("tensorflow")
    except ImportError as error:
        raise PolicyError(f"TensorFlow can't be imported: {error}", hint=install_command("tensorflow")) from error
    tensorflow.get_logger().setLevel("ERROR")
    return tensorflow


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Discard output of native code on stderr: TensorFlow reports missing devices and libraries there."""
    try:
        descriptor = sys.stderr.fileno()
        kept = os.dup(descriptor)
    except (OSError, ValueError, AttributeError):  # stderr has no descriptor, as in some notebooks
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


@dataclass(frozen=True, slots=True)
class SavedGraph:
    """The content of ``saved_model.pb``, the values of variables by node name, and the tensor names of inputs and
    outputs."""

    save: Path
    data: bytes
    variables: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class TensorFlowSession:
    """A graph that can be evaluated.

    Attributes:
        notes: what to know when it is played.
        alone: outputs that follow from observations alone.
        drawn: whether `pi` depends on a draw.
        dtype, shape: of the observations, numpy's name and one length per axis; None where the graph says none.
    """

    def __init__(self, saved: SavedGraph, trust: bool = False) -> None:
        """Load the graph. With `trust`, a refused graph is loaded by TensorFlow's own loader.

        Raises:
            ImpureGraphError: it contains an operation that is not pure.
            PolicyError: it can't be loaded.
        """
        self._tensorflow = import_tensorflow()
        self._saved = saved
        self._whole = False
        self.notes: list[str] = []
        try:
            self._open()
        except PolicyError as refused:
            if not trust:
                raise
            self._whole = True
            self._open()
            self.notes.append(f"loaded as the file says (--trust): {refused.message.partition(': ')[2]}")
        self.alone = [name for name, tensor in self._outputs.items() if not self._needs_action(tensor)]
        self.drawn = any("Random" in op or op == "Multinomial" for op in _ancestors(self._outputs["pi"]))
        observations = self._inputs["x"]
        self.dtype = np.dtype(observations.dtype.as_numpy_dtype).str
        known = observations.shape.as_list()[1:] if observations.shape.rank is not None else None
        self.shape = None if known is None or None in known else known

    def _open(self, more: Iterable[str] = ()) -> None:
        """Open a session of the whole graph, or of the part that the outputs and the tensors in `more` need."""
        saved, v1 = self._saved, self._tensorflow.compat.v1
        names = [*saved.inputs.values(), *saved.outputs.values(), *more]
        part, variables = (None, []) if self._whole else pure_part(saved.save, saved.data, names)
        graph = self._tensorflow.Graph()
        config = v1.ConfigProto(device_count={"GPU": 0}, inter_op_parallelism_threads=_IN_THIS_THREAD)
        session = v1.Session(graph=graph, config=config)
        try:
            with _by_tensorflow(saved.save, "can't be loaded"), graph.as_default(), _without_chatter():
                if part is None:
                    v1.saved_model.load(session, ["serve"], str(saved.save))
                else:
                    v1.import_graph_def(part, name="")
                    require_small_results(saved.save, graph.get_operations())
                    restore_variables(self._tensorflow, session, {name: saved.variables[name] for name in variables})
                self._inputs, self._outputs = (
                    {name: graph.get_tensor_by_name(tensor) for name, tensor in named.items()}
                    for named in (saved.inputs, saved.outputs)
                )
        except BaseException:
            session.close()
            raise
        self._session, self._graph = session, graph

    def run(self, names: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """The values of outputs from one evaluation (one sample), for arrays by input name.

        Raises:
            PolicyError: TensorFlow can't evaluate them.
        """
        return self._run([self._outputs[name] for name in names], feed)

    def tensor(self, name: str, feed: Mapping[str, Array]) -> Array:
        """The value of any tensor of the graph, checked like the outputs.

        Raises:
            PolicyError: there is none, it is not pure, or TensorFlow can't evaluate it.
        """
        wanted = name if ":" in name else f"{name}:0"
        if not self._whole and not self._has_node(wanted):
            session = self._session
            self._open([wanted])
            session.close()
        try:
            fetched = self._graph.get_tensor_by_name(wanted)
        except (KeyError, ValueError) as error:
            raise PolicyError(f"{self._saved.save} is damaged: its graph has no node {name!r}") from error
        return self._run([fetched], feed)[0]

    def _run(self, fetched: list[Any], feed: Mapping[str, Array]) -> list[Array]:
        fed = {self._inputs[name]: value for name, value in feed.items() if name in self._inputs}
        with _by_tensorflow(self._saved.save, "can't be evaluated"):
            found: list[Any] = self._session.run(fetched, fed)
            return found

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _has_node(self, tensor: str) -> bool:
        try:
            self._graph.get_operation_by_name(tensor.partition(":")[0])
        except (KeyError, ValueError):
            return False
        return True

    def _needs_action(self, tensor: Any) -> bool:
        """Whether the tensor depends on the placeholder of the action."""
        action = self._inputs.get("a")
        return action is not None and action.op.name in _ancestors(tensor, names=True)


def restore_variables(tensorflow: Any, session: Any, values: Mapping[str, Any]) -> None:
    """Assign values to the variables of the session's graph, by node name."""
    v1 = tensorflow.compat.v1
    assigned, feed = [], {}
    with session.graph.as_default():
        for name, saved in values.items():
            variable, value = session.graph.get_operation_by_name(name), np.asarray(saved)
            holder = v1.placeholder(value.dtype, value.shape)
            feed[holder] = value
            if variable.type == "VarHandleOp":
                assigned.append(tensorflow.raw_ops.AssignVariableOp(resource=variable.outputs[0], value=holder))
            else:
                assigned.append(v1.assign(variable.outputs[0], holder, validate_shape=False).op)
    session.run(assigned, feed)


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
    """Convert TensorFlow's exceptions to `PolicyError`, with the first line of the message."""
    try:
        yield
    except PolicyError:
        raise
    except Exception as error:
        message = str(getattr(error, "message", None) or error).strip()
        lines = [line for line in message.splitlines() if line.strip() and not line.startswith("Graph execution")]
        line = next(iter(lines), "")[:300]
        raise PolicyError(f"{save} {what} by TensorFlow: {type(error).__name__}: {line}") from error
