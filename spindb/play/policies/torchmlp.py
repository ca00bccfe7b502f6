"""Spinning Up's actor-critics as PyTorch saved them (``pyt_save/model*.pt``), as graphs for numpy.

A network is told by the structure of its modules, not by where its class stands: an actor ``pi`` with ``logits_net``
(categorical), with ``mu_net`` and ``log_std`` (Gaussian), with ``net``, ``mu_layer`` and ``log_std_layer`` (squashed
Gaussian, SAC), or with a stack of its own and a limit (DDPG, TD3); critics ``v``, ``q``, ``q1``, ``q2``. Weights are
called as in the module's ``state_dict()``, a layer's output by the layer's place: ``pi.mu_net.1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk import limits
from spindb.disk.nodes import Constant, Node
from spindb.disk.regular import read_regular
from spindb.disk.torchfiles import Module, Tensor, read_module
from spindb.errors import PolicyError
from spindb.play.engine.budget import Budget, elements
from spindb.play.engine.problems import evaluating
from spindb.play.policies.graph import GraphPolicy
from spindb.play.policies.program import Graph
from spindb.records import SnapshotRecord

_LOG_STD_RANGE = (-20.0, 2.0)  # of Spinning Up's squashed Gaussian actor
_ACTIVATIONS: Mapping[str, str] = {
    "Identity": "Identity",
    "Dropout": "Identity",  # a policy that plays is not in training
    "Tanh": "Tanh",
    "ReLU": "Relu",
    "ReLU6": "Relu6",
    "ELU": "Elu",
    "LeakyReLU": "LeakyRelu",
    "Sigmoid": "Sigmoid",
    "Softplus": "Softplus",
    "Softsign": "Softsign",
}
"""PyTorch's activations as TensorFlow's operations."""
_SETTINGS = {"LeakyReLU": ("negative_slope", 0.01), "ELU": ("alpha", 1.0), "Softplus": ("beta", 1)}
"""What these activations can be set to, and what is computed here."""

_HINT = (
    "--trust plays it by that code, where its modules can be imported: that executes what the file says, "
    "and needs pip install 'spindb[torch]'"
)


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False) -> GraphPolicy:
    """The policy in the file at `save`; see `spindb.play.policies.load_snapshot`."""
    with evaluating(save):
        return GraphPolicy(graph_of(save, read_module(read_regular(save, limits.MODULE))), deterministic=deterministic)


def graph_of(save: Path, module: Module) -> Graph:
    """The graph of an actor-critic that was read from `save`.

    Raises:
        PolicyError: it is none that is known; the message says what was met.
    """
    return _ActorCritic(save, module).graph()


class _ActorCritic:
    """Gathers nodes while it walks the modules."""

    def __init__(self, save: Path, module: Module) -> None:
        self.save = save
        self.module = module
        self.nodes: dict[str, Node] = {}
        budget = Budget()
        self.variables = {name: _array(tensor, budget) for name, tensor in _tensors(module)}
        self.outputs: dict[str, str] = {}

    def graph(self) -> Graph:
        name = next((name for name in ("pi", "actor") if name in self.module.children), None)
        if name is None:
            raise self._unknown(self.module, "it has no actor (a child called pi)")
        actor = self.module.children[name]
        first = next((t for n, t in _tensors(actor) if n.endswith("weight") and len(t.shape) == 2), None)
        shape = (-1, int(first.shape[1])) if first is not None else None
        self._add("x", "Placeholder", dtype="f4", shape=shape)
        self._actor(actor, name)
        inputs = {"x": "x"}
        if any(critic in self.module.children for critic in ("q", "q1", "q2")):
            inputs["a"] = self._add("a", "Placeholder", dtype="f4")
            self._add("x,a", "ConcatV2", "x", "a", self._constant(np.int32(-1)))
        for critic in ("v", "q", "q1", "q2"):
            self._critic(critic, "x" if critic == "v" else "x,a")
        return Graph(self.save, self.nodes, self.variables, inputs, self.outputs)

    # Actors, told by their structure.

    def _actor(self, actor: Module, at: str) -> None:
        children = actor.children
        if "logits_net" in children:
            logits = self.outputs["logits"] = self._stack(children["logits_net"], f"{at}.logits_net", "x")
            drawn = self._add(f"{at}.multinomial", "Multinomial", logits, self._constant(np.int32(1)))
            self.outputs["pi"] = self._add(f"{at}.action", "Squeeze", drawn, squeeze_dims=[1])
        elif "mu_net" in children and "log_std" in actor.tensors:
            mean = self.outputs["mu"] = self._stack(children["mu_net"], f"{at}.mu_net", "x")
            self.outputs["pi"] = self._normal(at, mean, self._variable(f"{at}.log_std"))
        elif {"net", "mu_layer", "log_std_layer"} <= set(children):
            body = self._stack(children["net"], f"{at}.net", "x")
            mean, log_std = (self._stack(children[n], f"{at}.{n}", body) for n in ("mu_layer", "log_std_layer"))
            limits = (self._constant(np.float32(limit)) for limit in _LOG_STD_RANGE)
            drawn = self._normal(at, mean, self._add(f"{at}.log_std", "ClipByValue", log_std, *limits))
            self.outputs["mu"] = self._limited(actor, at, self._add(f"{at}.tanh_mu", "Tanh", mean))
            self.outputs["pi"] = self._limited(actor, at, self._add(f"{at}.tanh", "Tanh", drawn))
        elif len(children) == 1:
            (name, stack), *_ = children.items()
            self.outputs["pi"] = self._limited(actor, at, self._stack(stack, f"{at}.{name}", "x"))
        else:
            raise self._unknown(actor, "its actor is of no kind that is known")

    def _normal(self, at: str, mean: str, log_std: str) -> str:
        noise = self._add(f"{at}.noise", "RandomStandardNormal", self._new("Shape", mean), dtype="f4")
        return self._new("Add", mean, self._new("Mul", self._new("Exp", log_std), noise))

    def _limited(self, actor: Module, at: str, action: str) -> str:
        """Scaled to the greatest action; as it is where none was kept."""
        if "act_limit" in actor.tensors:
            return self._new("Mul", self._variable(f"{at}.act_limit"), action)
        return self._new("Mul", self._constant(np.float32(actor.attributes.get("act_limit", 1.0))), action)

    def _critic(self, name: str, source: str) -> None:
        critic = self.module.children.get(name)
        if critic is None:
            return
        (inner, stack), *more = critic.children.items() if critic.children else [("", critic)]
        found = self._stack(critic, name, source) if more else self._stack(stack, f"{name}.{inner}", source)
        self.outputs[name] = self._new("Squeeze", found, squeeze_dims=[1])

    def _stack(self, module: Module, at: str, source: str) -> str:
        """A linear layer, an activation, or a sequence of these, applied to the tensor `source`."""
        kind = module.class_path.rpartition(".")[2]
        if "weight" in module.tensors and len(module.tensors["weight"].shape) == 2 and kind == "Linear":
            if "bias" not in module.tensors:
                return self._add(at, "MatMul", source, self._variable(f"{at}.weight"), transpose_b=True)
            product = self._new("MatMul", source, self._variable(f"{at}.weight"), transpose_b=True)
            return self._add(at, "BiasAdd", product, self._variable(f"{at}.bias"))
        if not module.tensors and (kind in _ACTIVATIONS or kind == "SiLU"):
            return self._activation(module, kind, at, source)
        if kind == "Sequential" or (module.children and not module.tensors and kind == "ModuleList"):
            for name, child in module.children.items():
                source = self._stack(child, f"{at}.{name}", source)
            return source
        raise self._unknown(module, f"it holds a {module.class_path}")

    def _activation(self, module: Module, kind: str, at: str, source: str) -> str:
        name, usual = _SETTINGS.get(kind, ("", None))
        if module.attributes.get(name, usual) != usual:
            raise self._unknown(module, f"its {kind} has {name}={module.attributes[name]}")
        if kind == "SiLU":
            return self._add(at, "Mul", source, self._new("Sigmoid", source))
        slope = {"alpha": usual} if kind == "LeakyReLU" else {}
        return self._add(at, _ACTIVATIONS[kind], source, **slope)

    # Nodes.

    def _add(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        self.nodes[name] = Node(name, op, inputs, attributes)
        return name

    def _new(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node that nobody will ask for by name."""
        return self._add(f"{op}_{len(self.nodes)}", op, *inputs, **attributes)

    def _variable(self, name: str) -> str:
        return self._add(name, "Variable")

    def _constant(self, value: Any) -> str:
        return self._new("Const", value=Constant(value.dtype.str[1:], value.shape, value.tobytes(), ()))

    def _unknown(self, module: Module, why: str) -> PolicyError:
        met = ", ".join(sorted(_classes(self.module)))
        return PolicyError(
            f"{self.save} can't be rebuilt without its author's code: {why}. Its modules: {met}", hint=_HINT
        )


def _array(tensor: Tensor, budget: Budget) -> Any:
    """The tensor's values, without a copy where they lie in order as they are computed with.

    Raises:
        ValueError: its shape asks for more than the file can hold.
    """
    values = np.frombuffer(tensor.storage, "<" + tensor.dtype)[tensor.offset :]
    count = elements(tensor.shape)
    if count > len(values):  # strides of 0 repeat values: a few bytes can stand for terabytes
        budget.spend(count * values.itemsize, 0)
    strides = tuple(values.itemsize * stride for stride in tensor.strides)
    found = np.lib.stride_tricks.as_strided(values, tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(found, dtype=np.float32 if tensor.dtype.startswith("f") else None).reshape(tensor.shape)


def _tensors(module: Module, prefix: str = "") -> list[tuple[str, Tensor]]:
    own = [(prefix + name, tensor) for name, tensor in module.tensors.items()]
    return own + [pair for name, child in module.children.items() for pair in _tensors(child, f"{prefix}{name}.")]


def _classes(module: Module) -> set[str]:
    return {module.class_path}.union(*(_classes(child) for child in module.children.values()))
