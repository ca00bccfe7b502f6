"""Policies saved by TensorFlow 2 (``checkpoint/``): SavedModels whose signature names its tensors as the author did.

By numpy where it knows the operations, else by TensorFlow. A variable's value is found through the graph that restores
it: an assignment to the variable, of an output of ``RestoreV2``, which takes the names in the variables' file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spindb.disk.codecs.nodes import Constant, Node
from spindb.disk.codecs.savedmodel import read_signature
from spindb.disk.codecs.torchfiles import Module
from spindb.play.engine.array_policy import ArrayPolicy
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.problems import evaluating
from spindb.play.policies.forms import SETTLED, Form, Scores
from spindb.play.policies.network import Graph
from spindb.play.policies.placeholders import fillings
from spindb.play.policies.savedmodel import graph_bytes, read_policy_save
from spindb.play.policies.tf1 import TF1Policy, by_numpy_else_tensorflow
from spindb.play.policies.torch_writer import TorchWriter
from spindb.records import SnapshotRecord

_INPUTS: Mapping[str, tuple[str, ...]] = {
    "x": ("x", "obs", "observation", "observations", "state"),
    "a": ("a", "act", "action", "actions"),
}
_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "pi": ("pi", "action", "actions", "act"),
    "mu": ("mu", "mean"),
    "log_std": ("log_std", "logstd", "log_sigma"),
    "logits": ("logits",),
    "v": ("v", "vf", "value", "values"),
    "q": ("q", "q_value", "q_values"),
}
"""Usual names in signatures, by their meaning. Keras's default names (``input_1``, ``output_1``) have none."""
_READER = "spindb.play.policies.tf2:restored_parts"
_LOG_STD_RANGE = (-20.0, 2.0)  # those of Spinning Up's squashed Gaussian
_NO_MODULE = Module("", {}, {}, {})
_MAX_PASSED = 20  # identities between what is read and where it is assigned


def load_tf2(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False) -> ArrayPolicy:
    """The policy in the SavedModel at `save`, by numpy; by TensorFlow where numpy does not know an operation.

    See `spindb.play.policies.load_snapshot`.
    """
    return _noted(
        save,
        snapshot,
        lambda graph: by_numpy_else_tensorflow(
            lambda: GraphPolicy(with_draws(graph), deterministic=deterministic),
            lambda: _by_tensorflow(graph, deterministic, trust),
        ),
    )


def load_tf2_by_numpy(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> ArrayPolicy:
    """As `load_tf2`, by numpy only."""
    return _noted(save, snapshot, lambda graph: GraphPolicy(with_draws(graph), deterministic=deterministic))


def load_tf2_by_tensorflow(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> ArrayPolicy:
    """As `load_tf2`, by TensorFlow only."""
    return _noted(save, snapshot, lambda graph: _by_tensorflow(graph, deterministic, trust))


def _noted(save: Path, snapshot: SnapshotRecord, make: Callable[[Graph], ArrayPolicy]) -> ArrayPolicy:
    """The policy of the graph, with notes about assumptions."""
    graph, notes = read_policy(save, snapshot)
    policy = make(graph)
    policy.notes = (*policy.notes, *notes)
    return policy


def _by_tensorflow(graph: Graph, deterministic: bool, trust: bool) -> TF1Policy:
    # determined here: TensorFlowSession does not look into functions
    drawn = "pi" in graph.outputs and graph.drawn(graph.outputs["pi"])
    filled, notes = fillings(graph)
    policy = TF1Policy(
        graph.save,
        graph.inputs,
        graph.outputs,
        reader=_READER,
        deterministic=deterministic,
        stochastic=drawn,
        trust=trust,
        filled=filled,
        form=graph.form,
    )
    policy.notes = (*policy.notes, *notes)
    return policy


def read_policy(save: Path, snapshot: SnapshotRecord) -> tuple[Graph, tuple[str, ...]]:
    """The graph with what its signature names called as spindb does (``x``, ``a``; ``pi``, ``mu``, ``v``, ``q``), and
    what was guessed.

    Of outputs whose names say nothing the action is the one that is drawn, its mean one of the same shape that is not.

    Raises:
        PolicyError: the save is damaged, or which input is the observation is not known.
    """
    found = read_policy_save(save, snapshot.inputs, snapshot.outputs)
    with evaluating(save):
        shapes = read_signature(graph_bytes(save)).shapes
    inputs = _by_meaning(snapshot.inputs, _INPUTS)
    if "x" not in inputs and len(inputs) == 1:
        inputs = {"x": next(iter(inputs.values()))}
    graph = Graph(save, found.nodes, _Restored(found), inputs, _by_meaning(snapshot.outputs, _OUTPUTS))
    if "x" not in inputs or "pi" in graph.outputs:
        return graph, ()  # without an observation, GraphPolicy raises the error
    outputs, form, note = _by_draws(graph, shapes)
    return Graph(save, graph.nodes, graph.variables, inputs, outputs, form=form), note


def restored_parts(save: Path) -> tuple[bytes, Mapping[str, Any]]:
    """The parts of a save for TensorFlow: the graph's bytes, and the variables by node name."""
    return graph_bytes(save), _Restored(read_policy_save(save, {}, {}))


def _by_meaning(tensors: Mapping[str, str], meanings: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Tensors by the meaning of their names; names without a meaning, or with a repeated one, are kept."""
    found: dict[str, str] = {}
    for name, tensor in sorted(tensors.items()):
        meaning = next((meaning for meaning, names in meanings.items() if name.lower() in names), name)
        found[name if meaning in found else meaning] = tensor
    return found


def _by_draws(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, str], Form, tuple[str, ...]]:
    """The outputs with an action, its form, and notes about assumptions.

    If no output is sampled and none is called an action, an output may be a mean, logits or values; the action space
    decides.
    """
    outputs = dict(graph.outputs)
    if not outputs:
        return outputs, SETTLED, ()
    drawn = [name for name, tensor in outputs.items() if graph.drawn(tensor)]
    candidates = drawn or [n for n in ("mu", "logits", "q") if n in outputs] or [n for n in outputs if n != "v"]
    action = (candidates or list(outputs))[0]
    alike = [n for n in outputs if n not in drawn and shapes.get(outputs[n]) == shapes.get(outputs[action])]
    others = ", ".join(name for name in outputs if name != action)
    note = (f"{action} is taken for the action, beside {others}",) if others else ()
    if not drawn:
        met = f"its signature gives {', '.join(sorted(outputs))}, of which none is drawn and none is called an action"
        scores: dict[str, Scores] = {"logits": "logits", "q": "values"}
        outputs["pi"] = outputs[action]
        return outputs, Form(False, scores.get(action), met), note
    outputs["pi"] = outputs.pop(action)
    if alike and "mu" not in outputs:
        outputs["mu"] = outputs.pop(alike[0])
    return outputs, SETTLED, note


def with_draws(graph: Graph) -> Graph:
    """The graph with samples from its mean and log deviation, if it has both as outputs and samples nothing."""
    outputs = graph.outputs
    if graph.form.settled or not {"mu", "log_std"} <= set(outputs) or outputs.get("pi") != outputs["mu"]:
        return graph
    writer = TorchWriter(graph.save, _NO_MODULE, {})
    limits = (writer.number(limit) for limit in _LOG_STD_RANGE)
    log_std = writer.new("ClipByValue", outputs["log_std"], *limits)
    noise = writer.new("RandomStandardNormal", writer.new("Shape", outputs["mu"]), dtype="f4")
    pi = writer.new("Add", outputs["mu"], writer.new("Mul", writer.new("Exp", log_std), noise))
    added = {f"spindb/{name}": _moved(node, writer.nodes) for name, node in writer.nodes.items()}
    return replace(graph, nodes={**graph.nodes, **added}, outputs={**outputs, "pi": f"spindb/{pi}"})


def _moved(node: Node, ours: Mapping[str, Node]) -> Node:
    """An added node, renamed so that it can't collide with names in the graph."""
    inputs = tuple(f"spindb/{name}" if name in ours else name for name in node.inputs)
    return Node(f"spindb/{node.name}", node.op, inputs, node.attributes)


class _Restored(Mapping[str, Any]):
    """The values of a graph's variables by node name."""

    def __init__(self, graph: Graph) -> None:
        self._saved = graph.variables
        self._keys: dict[str, str] = {}
        for node in graph.nodes.values():
            if node.op == "AssignVariableOp":
                variable, value, *_ = graph.sources(node) + [("", 0)] * 2
                name = _restored_from(graph, value)
                if name is not None:
                    self._keys[variable[0]] = name

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, name: str) -> Any:
        return self._saved[self._keys.get(name, name)]


def _restored_from(graph: Graph, value: tuple[str, int]) -> str | None:
    """The name in the variables' file from which a value is restored, or None."""
    for _ in range(_MAX_PASSED):  # bounded: a damaged graph may be cyclic
        node = graph.nodes.get(value[0])
        if node is None or node.op not in ("Identity", "RestoreV2"):
            return None
        sources = graph.sources(node)
        if node.op == "RestoreV2" and len(sources) > 1:
            names = graph.node(sources[1][0]).attributes.get("value")
            found = names.values[value[1]] if isinstance(names, Constant) and value[1] < len(names.values) else None
            return found.decode() if isinstance(found, bytes) else None
        if not sources:
            return None
        value = sources[0]
    return None
