"""Spinning Up's actor-critics as PyTorch saved them (``pyt_save/model*.pt``), rebuilt on numpy from their weights.

A network is told by the structure of its modules, not by where its class stands: an actor ``pi`` with ``logits_net``
(categorical), with ``mu_net`` and ``log_std`` (Gaussian), with ``net``, ``mu_layer`` and ``log_std_layer`` (squashed
Gaussian, SAC), or with a stack of its own and a limit (DDPG, TD3); critics ``v``, ``q``, ``q1``, ``q2``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk.pickles import PickleError
from spindb.disk.torchfiles import Module, Tensor, read_module
from spindb.errors import PolicyError
from spindb.play.policies.arrays import ArrayPolicy
from spindb.play.policies.operations import draw_categories
from spindb.records import SnapshotRecord

_LOG_STD_RANGE = (-20.0, 2.0)  # of Spinning Up's squashed Gaussian actor
_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "LeakyReLU": lambda x: np.where(x > 0, x, np.float32(0.01) * x),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softplus": lambda x: np.logaddexp(x, np.zeros_like(x)),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Dropout": lambda x: x,  # a policy that plays is not in training
}
_SETTINGS = {"LeakyReLU": ("negative_slope", 0.01), "ELU": ("alpha", 1.0), "Softplus": ("beta", 1)}
"""What these activations can be set to, and what is computed here."""

Layer = Callable[[Any], Any]
_HINT = "pip install torch, then play it with your own code: python -c 'import torch; torch.load(…)'"


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False) -> TorchPolicy:
    """The policy in the file at `save`; see `spindb.play.policies.load_snapshot`."""
    try:
        module = read_module(save.read_bytes())
    except (OSError, PickleError) as error:
        raise PolicyError(f"{save} can't be loaded: {error}") from error
    return TorchPolicy(save, module, deterministic=deterministic)


class TorchPolicy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    def __init__(self, save: Path, module: Module, *, deterministic: bool = False) -> None:
        super().__init__(save, deterministic)
        self._module = module
        actor = module.children.get("pi") or module.children.get("actor")
        if actor is None:
            raise self._unknown(module, "it has no actor (a child called pi)")
        self._outputs: dict[str, Callable[[Any], Any]] = {}
        self._critics: dict[str, Layer] = {}
        self._mode: Layer
        self._draw: Callable[[Any], Any] = self._actor(actor)
        self.stochastic = self._draw is not self._outputs.get("pi")
        self._critics_of(module)
        first = next((t for name, t in _tensors(actor) if name.endswith("weight")), None)
        self.observation_shape = (int(first.shape[1]),) if first is not None else None

    @property
    def names(self) -> Sequence[str]:
        return [*self._outputs, *(["v"] if "v" in self._critics else [])]

    def has(self, name: str) -> bool:
        return name in self._outputs or name in self._critics

    def weights(self) -> dict[str, Any]:
        return {name: _array(tensor) for name, tensor in _tensors(self._module)}

    def actions(self, observations: Any) -> Any:
        with np.errstate(all="ignore"):
            return self._mode(observations) if self.deterministic else self._draw(observations)

    def evaluate(self, name: str, observations: Any, actions: Any = None) -> Any:
        with np.errstate(all="ignore"):
            if name in self._outputs:
                return self._outputs[name](observations)
            if name not in self._critics:
                there = ", ".join([*self._outputs, *self._critics])
                raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {there}")
            if name == "v":
                return self._critics["v"](observations)[:, 0]
            if actions is None:
                raise PolicyError(f"{self.save}: {name} takes an action as well")
            return self._critics[name](np.concatenate([observations, actions], axis=-1))[:, 0]

    # Actors, told by their structure.

    def _actor(self, actor: Module) -> Callable[[Any], Any]:
        """Fill `outputs`, set what is likeliest, and return what draws an action."""
        children = actor.children
        if "logits_net" in children:
            return self._categorical(self._stack(children["logits_net"]))
        if "mu_net" in children and "log_std" in actor.tensors:
            return self._gaussian(self._stack(children["mu_net"]), np.exp(_array(actor.tensors["log_std"])))
        if {"net", "mu_layer", "log_std_layer"} <= set(children):
            return self._squashed(actor)
        if len(children) == 1:
            stack = self._stack(next(iter(children.values())))
            limit = self._limit(actor)

            def act(x: Any) -> Any:
                return limit * stack(x)

            self._mode = self._outputs["pi"] = act
            return act
        raise self._unknown(actor, "its actor is of no kind that is known")

    def _categorical(self, logits: Layer) -> Callable[[Any], Any]:
        self._outputs["logits"] = logits
        self._mode = lambda x: np.argmax(logits(x), axis=-1)
        return lambda x: draw_categories(self.rng, logits(x))[:, 0]

    def _gaussian(self, mean: Layer, std: Any) -> Callable[[Any], Any]:
        self._mode = self._outputs["mu"] = mean
        return lambda x: self._normal(mean(x), std)

    def _squashed(self, actor: Module) -> Callable[[Any], Any]:
        body, mean, log_std = (self._stack(actor.children[n]) for n in ("net", "mu_layer", "log_std_layer"))
        limit = self._limit(actor)
        self._mode = self._outputs["mu"] = lambda x: limit * np.tanh(mean(body(x)))

        def draw(x: Any) -> Any:
            inner = body(x)
            std = np.exp(np.clip(log_std(inner), *_LOG_STD_RANGE))
            return limit * np.tanh(self._normal(mean(inner), std))

        return draw

    def _normal(self, mean: Any, std: Any) -> Any:
        return (mean + std * self.rng.standard_normal(mean.shape)).astype(np.float32)

    def _limit(self, actor: Module) -> Any:
        """The greatest action; 1 where none was kept."""
        tensor = actor.tensors.get("act_limit")
        return _array(tensor) if tensor is not None else np.float32(actor.attributes.get("act_limit", 1.0))

    def _critics_of(self, module: Module) -> None:
        for name in ("v", "q", "q1", "q2"):
            critic = module.children.get(name)
            if critic is not None:
                inner = next(iter(critic.children.values())) if len(critic.children) == 1 else critic
                self._critics[name] = self._stack(inner)

    def _stack(self, module: Module) -> Layer:
        """A linear layer, an activation, or a sequence of these, as a function."""
        kind = module.class_path.rpartition(".")[2]
        if "weight" in module.tensors and len(module.tensors["weight"].shape) == 2 and kind == "Linear":
            weight = np.ascontiguousarray(_array(module.tensors["weight"]).T)
            if "bias" not in module.tensors:
                return lambda x: x @ weight
            bias = _array(module.tensors["bias"])
            return lambda x: x @ weight + bias
        if kind in _ACTIVATIONS and not module.tensors:
            name, usual = _SETTINGS.get(kind, ("", None))
            if module.attributes.get(name, usual) != usual:
                raise self._unknown(module, f"its {kind} has {name}={module.attributes[name]}")
            return _ACTIVATIONS[kind]
        if kind == "Sequential" or (module.children and not module.tensors and kind == "ModuleList"):
            layers = [self._stack(child) for child in module.children.values()]

            def run(x: Any) -> Any:
                for layer in layers:
                    x = layer(x)
                return x

            return run
        raise self._unknown(module, f"it holds a {module.class_path}")

    def _unknown(self, module: Module, why: str) -> PolicyError:
        met = ", ".join(sorted(_classes(self._module)))
        return PolicyError(
            f"{self.save} can't be rebuilt without its author's code: {why}. Its modules: {met}", hint=_HINT
        )


def _array(tensor: Tensor) -> Any:
    values = np.frombuffer(tensor.storage, "<" + tensor.dtype)
    step = values.itemsize
    strides = tuple(step * stride for stride in tensor.strides)
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.array(view, dtype=np.float32 if tensor.dtype.startswith("f") else None)


def _tensors(module: Module, prefix: str = "") -> list[tuple[str, Tensor]]:
    own = [(prefix + name, tensor) for name, tensor in module.tensors.items()]
    return own + [pair for name, child in module.children.items() for pair in _tensors(child, f"{prefix}{name}.")]


def _classes(module: Module) -> set[str]:
    return {module.class_path}.union(*(_classes(child) for child in module.children.values()))
