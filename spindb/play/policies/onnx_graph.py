"""ONNX models as graphs for numpy: the operations of ONNX in those of the one engine, which keeps their budget.

Outputs have the names that ``spindb export-policy --onnx`` and our logger's twins give them: ``action``; ``sample``, a
draw; ``logits``, ``v``, ``q``; ``output``, where the author's code leaves open what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from spindb.disk import limits
from spindb.disk.onnxfiles import Model, OnnxError, Step, read_onnx
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError
from spindb.play.engine.problems import evaluating, shown
from spindb.play.policies.forms import SETTLED, Form, Scores
from spindb.play.policies.graph import GraphPolicy, policy_of
from spindb.play.policies.network import Graph
from spindb.play.policies.onnx_operations import OPERATIONS
from spindb.play.policies.onnx_writer import Told, Writer

_SCORES: Mapping[str, Scores] = {"Softmax": "probabilities", "LogSoftmax": "logits"}
_BESIDE = ("v", "q", "logits", "mu")


def read_model(path: Path) -> Model:
    """The ONNX model in the file at `path`.

    Raises:
        PolicyError: it can't be read, or is none that is played here; the message says why.
    """
    try:
        return read_onnx(read_regular(path, limits.ONNX))
    except OnnxError as error:
        raise PolicyError(f"{path} can't be loaded: {error}") from error
    except OSError as error:
        raise PolicyError(f"{path} can't be loaded: {error.strerror or error}") from error


def policy_from(path: Path, model: Model, *, deterministic: bool = False) -> GraphPolicy:
    """The policy in an ONNX model that was read from `path`, by numpy.

    Raises:
        UnsupportedGraphError: it holds an operation that is not known here.
        PolicyError: it is damaged, or no policy.
    """
    with evaluating(path):
        policy = policy_of(graph_of(path, model), deterministic=deterministic)
        if policy.form.scores is None and policy.bounds() is not None:  # squashed and scaled: compared with the space
            policy.form = replace(policy.form, settled=True, squashed=True)
        return policy


def graph_of(path: Path, model: Model) -> Graph:
    """The graph of an ONNX model; raises as `policy_from`."""
    if len(model.inputs) != 1:
        names = ", ".join(shown(item.name) for item in model.inputs[:5]) or "none"
        raise PolicyError(f"{path} is no policy: a policy takes an observation alone; inputs there: {names}")
    writer = Writer(path, model)
    for step in model.steps:
        _write(writer, step)
    outputs, form = _meaning(writer, model)
    return Graph(path, writer.nodes, writer.variables, {"x": writer.observation}, outputs, form=form)


def _meaning(writer: Writer, model: Model) -> tuple[dict[str, str], Form]:
    """The outputs by the names that policies have, and what the action is."""
    found = {name: writer.tensor(name) for name in model.outputs}
    kept: dict[str, str] = {name: found[name] for name in _BESIDE if name in found}
    if "logits" in found:
        drawn = writer.new("Multinomial", found["logits"], writer.constant(np.int32(1)))
        return {**kept, "pi": writer.new("Squeeze", drawn, squeeze_dims=[1])}, SETTLED
    if "action" in found:
        if "sample" in found:
            return {**kept, "pi": found["sample"], "mu": found["action"]}, SETTLED
        return {**kept, "pi": found["action"]}, SETTLED
    if "output" in found:
        scores: Scores | None = "values" if model.metadata.get("scores") == "values" else None
        last = writer.nodes[found["output"].partition(":")[0]].op
        scores = _SCORES.get(last, scores)
        return {**kept, "pi": found["output"]}, Form(False, scores, model.metadata.get("met", "")[: limits.MESSAGE])
    there = ", ".join(shown(name) for name in model.outputs[:5]) or "none"
    raise PolicyError(f"{writer.save} names no output 'action'; outputs there: {there}")


def _write(writer: Writer, step: Step) -> None:
    told = OPERATIONS.get(step.node.op)
    if told is None:
        raise writer.unknown(step.node.op)
    found = told(Told(writer, step))
    for name, ours in zip(step.outputs, (found,) if isinstance(found, str) else found, strict=False):
        writer.names[name] = ours
