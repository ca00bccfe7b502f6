"""Policies for other stacks: as an ONNX file, checked by onnxruntime, or as arrays with the list of operations."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.play.arrays import Array
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.export.onnx_plan import OPSET, Plan
from spindb.play.export.wrapped import WrappedPolicy

_IR_VERSION = 8  # of the ONNX format that came with opset 18: later runtimes read it too
_CHECKED = 1000
_TOLERANCE = 1e-4


def write_npz(path: Path, plan: Plan, about: Mapping[str, str]) -> None:
    """Write arrays by name, and ``program``: JSON with input, steps, outputs, opset and `about`."""
    program = {
        "about": dict(about),
        "opset": OPSET,
        "input": {"name": "observation", "shape": [None, *plan.observation_shape], "dtype": plan.observation_dtype},
        "steps": [
            {"op": s.op, "inputs": s.inputs, "output": s.output, "attributes": dict(s.attributes)} for s in plan.steps
        ],
        "outputs": dict(plan.outputs),
    }
    with path.open("wb") as file:
        np.savez(file, program=np.array(json.dumps(program)), **plan.arrays)


def write_onnx(path: Path, plan: Plan, about: Mapping[str, str]) -> None:
    """Write an ONNX model: input ``observation`` of shape (n, …), outputs as the plan has them, `about` as metadata.

    Raises:
        PolicyError: ONNX's own checker refuses what was made.
    """
    import onnx  # an extra

    helper = onnx.helper

    def number(name: str) -> int:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(name)))

    def attribute(name: str, value: Any) -> Any:
        return number(value) if name in ("to", "dtype") else value

    nodes = [
        helper.make_node(s.op, s.inputs, [s.output], **{k: attribute(k, v) for k, v in s.attributes.items()})
        for s in plan.steps
    ]
    nodes += [helper.make_node("Identity", [tensor], [name]) for name, tensor in plan.outputs.items()]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", number(plan.observation_dtype), ["n", *plan.observation_shape])],
        [onnx.ValueInfoProto(name=name) for name in plan.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in plan.arrays.items()],
    )
    model = helper.make_model(
        graph, producer_name="spindb", ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, dict(about))
    try:
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model)
    except Exception as error:  # onnx raises what its C++ raises
        raise PolicyError(f"no valid ONNX model came of it: {str(error).splitlines()[0]}") from error
    path.write_bytes(model.SerializeToString())


def largest_difference(path: Path, policy: GraphPolicy | WrappedPolicy) -> float:
    """Run an ONNX file by onnxruntime beside the policy, which must be deterministic, on 1,000 observations.

    Args:
        path: the file.
        policy: whose outputs must come out; within wrappers, the observations are those of its
            environment under drawn actions.

    Returns:
        The largest difference of any output that is not drawn, relative where the value is above 1.

    Raises:
        PolicyError: they differ by more than 1e-4, or onnxruntime can't run the file.
    """
    import onnxruntime  # an extra

    onnxruntime.set_default_logger_severity(4)  # 4: nothing below fatal
    whole = policy if isinstance(policy, WrappedPolicy) else WrappedPolicy(policy, policy)
    observations = whole.observations(_CHECKED)
    seen = whole.seen(observations)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        theirs = dict(zip(names, session.run(names, {"observation": observations}), strict=True))
    except Exception as error:  # onnxruntime raises classes of its C++ part
        raise PolicyError(f"onnxruntime can't run what was made: {str(error).splitlines()[0]}") from error
    ours = {"action": whole.actions(seen)} | {
        name: whole.graph.evaluate(name, seen) for name in names if name not in ("action", "sample")
    }
    largest: float = max(_difference(ours[name], theirs[name]) for name in ours)
    if not largest <= _TOLERANCE:
        raise PolicyError(f"onnxruntime's outputs differ from the policy's by {largest:.2g}: nothing was written")
    return largest


def _difference(ours: Array, theirs: Array) -> float:
    if np.shape(ours) != np.shape(theirs):
        return math.inf
    wide = np.asarray(ours, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(wide - theirs) / np.maximum(np.abs(wide), 1)
    same = (wide == theirs) | (np.isnan(wide) & np.isnan(theirs))  # a diverged policy stays one
    return float(np.where(same, 0, apart).max())
