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
from spindb.disk.codecs.onnx import Model, OnnxError, Step, read_onnx
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.problems import evaluating, shown_name
from spindb.play.policies.forms import SETTLED, Form, Scores
from spindb.play.policies.network import Graph
from spindb.play.policies.onnx_operations import OPERATIONS
from spindb.play.policies.onnx_writer import OnnxWriter, Translation
from spindb.play.policies.recurrent import policy_of

_SCORES: Mapping[str, Scores] = {"Softmax": "probabilities", "LogSoftmax": "logits"}
BESIDE = ("v", "q", "logits", "mu")


def read_model(path: Path) -> Model:
    """The ONNX model in the file at `path`.

    Raises:
        PolicyError: it can't be read, or is none that is played here; the message says why.
    """
    return model_in(path, model_bytes(path))


def model_bytes(path: Path) -> bytes:
    """The content of the file at `path`; raises as `read_model`."""
    try:
        return read_regular(path, limits.ONNX)
    except OSError as error:
        raise PolicyError(f"{path} can't be loaded: {error.strerror or error}") from error


def model_in(path: Path, data: bytes) -> Model:
    """The ONNX model in the bytes of the file at `path`; raises as `read_model`."""
    try:
        return read_onnx(data)
    except OnnxError as error:
        raise PolicyError(f"{path} can't be loaded: {error}") from error


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
    form = form_of(path, model)
    writer = OnnxWriter(path, model)
    for step in model.steps:
        _write(writer, step)
    return Graph(path, writer.nodes, writer.variables, {"x": writer.observation}, _outputs(writer, model), form=form)


def form_of(path: Path, model: Model) -> Form:
    """What the action of a model is.

    Raises:
        PolicyError: it is no policy.
    """
    if len(model.inputs) != 1:
        names = ", ".join(shown_name(item.name) for item in model.inputs[:5]) or "none"
        raise PolicyError(f"{path} is not a policy: a policy takes an observation alone; inputs there: {names}")
    if "logits" in model.outputs or "action" in model.outputs:
        return SETTLED
    if "output" not in model.outputs:
        there = ", ".join(shown_name(name) for name in model.outputs[:5]) or "none"
        raise PolicyError(f"{path} names no output 'action'; outputs there: {there}")
    last = next((step.node.op for step in model.steps if "output" in step.outputs), "")
    values: Scores | None = "values" if model.metadata.get("scores") == "values" else None
    return Form(False, _SCORES.get(last, values), shown_name(model.metadata.get("met", "")))


def _outputs(writer: OnnxWriter, model: Model) -> dict[str, str]:
    """The outputs by the names that policies have."""
    found = {name: writer.tensor(name) for name in model.outputs}
    kept: dict[str, str] = {name: found[name] for name in BESIDE if name in found}
    if "logits" in found:
        drawn = writer.new("Multinomial", found["logits"], writer.constant(np.int32(1)))
        return {**kept, "pi": writer.new("Squeeze", drawn, squeeze_dims=[1])}
    if "action" in found and "sample" in found:
        return {**kept, "pi": found["sample"], "mu": found["action"]}
    return {**kept, "pi": found["action" if "action" in found else "output"]}


def _write(writer: OnnxWriter, step: Step) -> None:
    translate = OPERATIONS.get(step.node.op)
    if translate is None:
        raise writer.unknown(step.node.op)
    found = translate(Translation.of(writer, step))
    for name, ours in zip(step.outputs, (found,) if isinstance(found, str) else found, strict=False):
        writer.names[name] = ours
