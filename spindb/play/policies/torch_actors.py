"""PyTorch modules recognised by their structure: which part acts, what its output is, which parts are critics.

An actor is the child called ``pi``, ``actor`` or the like, or the module itself. Its kinds: ``logits_net``
(categorical); ``mu_net`` and ``log_std`` (Gaussian); a body with two heads for mean and deviation (squashed where they
are called ``net``, ``mu_layer`` and ``log_std_layer``, as in Spinning Up's SAC); one stack of layers; layers around an
LSTM or GRU. What an author's ``forward`` does between and after its layers can't be seen: where that matters the action
is left open (`spindb.play.policies.forms`) or the module is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spindb.disk.codecs.torchfiles import Module
from spindb.disk.codecs.torchtensors import Tensor
from spindb.errors import PolicyError
from spindb.play.policies.forms import SETTLED, Form, Scores
from spindb.play.policies.torch_layers import apply, is_stack, kind_of, last_layer
from spindb.play.policies.torch_recurrent import RECURRENT, step
from spindb.play.policies.torch_writer import TorchWriter

_ACTORS = ("pi", "actor", "policy", "actor_net", "policy_net", "pi_net", "network", "net", "model", "fc")
_DRAWN_FROM = ("pi", "actor", "actor_net", "pi_net")  # actors whose outputs are logits if there is one per action
_VALUES = ("q_net", "q_network", "qnet", "qf", "q", "q_func", "q_function")
_CRITICS = {"v": "v", "critic": "v", "vf": "v", "value": "v", "value_net": "v", "q": "q", "q1": "q1", "q2": "q2"}
_LIMITS = ("act_limit", "action_limit", "max_action", "act_bound", "action_bound", "action_scale", "act_scale", "limit")
_SHIFTS = ("action_bias", "act_bias")
_BODIES = ("net", "shared_net", "shared", "body", "trunk", "backbone")
_MEANS = ("mu_layer", "mu_net", "mu", "mean", "mean_layer", "mean_net", "mean_linear", "fc_mean", "actor_mean")
_LOG_STDS = ("log_std_layer", "log_std_net", "log_std", "log_std_linear", "fc_logstd", "logstd", "actor_logstd")
_DEVIATIONS = ("var_net", "std_net", "sigma", "sigma_net", "std", "var", "var_layer", "std_layer")
_LOG_STD_RANGE = (-20.0, 2.0)  # of Spinning Up's squashed Gaussian actor
_SQUASHED = "Tanh"


class Network:
    """Finds the actor and the critics of a module and writes them to a graph."""

    def __init__(self, writer: TorchWriter, module: Module) -> None:
        self.writer = writer
        self.module = module
        self.outputs: dict[str, str] = {}
        self.form = SETTLED

    def write(self) -> dict[str, str]:
        """Write the actor and the critics; returns the inputs by name.

        Raises:
            PolicyError: no actor was recognised; the message says why.
        """
        name, actor = self._actor_of(self.module)
        self._observation(actor)
        self._actor(actor, name)
        return self._critics(skip=name)

    def _actor_of(self, module: Module) -> tuple[str, Module]:
        """Name and module of the actor; an empty name and the module itself if it is not an actor-critic."""
        children = module.children
        # CleanRL's agents: actor_mean and actor_logstd are parts of the module itself.
        if "actor_mean" in children:
            return "", module
        for name in _ACTORS[:2]:
            if name in children:
                return name, children[name]
        # Before the less certain names: a module that is itself an actor may have a child called net.
        if _kind(module) is not None:
            return "", module
        for name in (*_ACTORS[2:], *_VALUES):
            if name in children and not (name in ("q", "qf") and len(children) > 1):
                return name, children[name]
        raise self.writer.unknown("it has no actor (a child called pi or actor) and is no stack of layers")

    def _observation(self, actor: Module) -> None:
        """What is observed, by the first layer."""
        layer, weight = _first_layer(actor)
        kind = kind_of(layer) if layer is not None else ""
        if kind == "Embedding":
            self.writer.add("x", "Placeholder", dtype="i8", shape=(-1,))
            self.writer.axes["x"] = 1
        elif kind.startswith("Conv") or kind == "BatchNorm2d":
            self.writer.add("x", "Placeholder", dtype="f4", shape=None)
            self.writer.axes["x"] = 4
        elif kind == "Flatten":
            self.writer.add("x", "Placeholder", dtype="f4", shape=None)
            self.writer.axes["x"] = 3  # any more than two: Flatten leaves a flat observation unchanged
        else:
            self.writer.add("x", "Placeholder", dtype="f4", shape=None if weight is None else (-1, weight.shape[-1]))

    # Actors.

    def _actor(self, actor: Module, at: str) -> None:
        kind = _kind(actor)
        if kind == "categorical":
            self._categorical(actor, at)
        elif kind == "gaussian":
            self._gaussian(actor, at)
        elif kind == "heads":
            self._heads(actor, at)
        elif kind == "recurrent":
            self._last(actor, at, self._recurrent(actor, at), [*actor.children.values()][-1])
        elif kind == "stack":
            self._last(actor, at, apply(self.writer, actor, at, "x"))
        elif kind == "one":
            ((name, stack),) = actor.children.items()
            self._last(actor, _inner(at, name), apply(self.writer, stack, _inner(at, name), "x"), stack)
        else:
            raise self.writer.unknown("its actor is of no kind that is known")

    def _categorical(self, actor: Module, at: str) -> None:
        place = _inner(at, "logits_net")
        logits = self.outputs["logits"] = apply(self.writer, actor.children["logits_net"], place, "x")
        drawn = self.writer.add(f"{at}.multinomial", "Multinomial", logits, self.writer.constant(np.int32(1)))
        self.outputs["pi"] = self.writer.add(f"{at}.action", "Squeeze", drawn, squeeze_dims=[1])

    def _gaussian(self, actor: Module, at: str) -> None:
        name, deviation = _gaussian_parts(actor)
        mean = self.outputs["mu"] = apply(self.writer, actor.children[name], _inner(at, name), "x")
        log_std = self.writer.variable(_inner(at, deviation))
        if len(actor.tensors[deviation].shape) == 2:
            log_std = self.writer.new("Squeeze", log_std, squeeze_dims=[0])
        self.outputs["pi"] = self._normal(at, mean, self.writer.new("Exp", log_std))

    def _heads(self, actor: Module, at: str) -> None:
        """An actor of a body, a head for the mean, and one for the deviation."""
        writer, children = self.writer, actor.children
        body_name, mean_name, deviation_name = _heads_of(actor)
        body = apply(writer, children[body_name], _inner(at, body_name), "x")
        if kind_of(last_layer(children[body_name])) == "Linear":
            raise self._hidden_activation(body_name, mean_name)
        mean = apply(writer, children[mean_name], _inner(at, mean_name), body)
        second = apply(writer, children[deviation_name], _inner(at, deviation_name), body)
        # Other names do not show whether the head is a deviation, a variance or a logarithm.
        if deviation_name not in _LOG_STDS:
            self.outputs["pi"] = self.outputs["mu"] = mean
            writer.note(f"{deviation_name} may be a deviation, a variance or a logarithm: the mean alone is played")
            self.form = Form(
                False, met=f"{mean_name} gives a mean, which its forward may squash", limit=self._limit(actor)
            )
            return
        limits = (writer.number(limit) for limit in _LOG_STD_RANGE)
        log_std = writer.add(f"{at}.log_std", "ClipByValue", second, *limits)
        drawn = self._normal(at, mean, writer.new("Exp", log_std))
        # Only with Spinning Up's names is it known that forward squashes the action.
        if (body_name, mean_name, deviation_name) != ("net", "mu_layer", "log_std_layer"):
            self.outputs |= {"pi": drawn, "mu": mean}
            self.form = Form(
                False, met=f"{mean_name} gives a mean, which its forward may squash", limit=self._limit(actor)
            )
            return
        self.outputs["mu"] = self._limited(actor, writer.add(f"{at}.tanh_mu", "Tanh", mean))
        self.outputs["pi"] = self._limited(actor, writer.add(f"{at}.tanh", "Tanh", drawn))

    def _recurrent(self, actor: Module, at: str) -> str:
        """Layers with recurrent ones among them, in the order of their definition."""
        source, before, behind = "x", None, ""
        for name, child in actor.children.items():
            place = _inner(at, name)
            if before is not None and kind_of(last_layer(before)) == "Linear":
                raise self._hidden_activation(behind, name)
            if kind_of(child) in RECURRENT:
                source = step(self.writer, child, place, source)
            else:
                source = apply(self.writer, child, place, source)
            before, behind = child, name
        self.writer.note(
            "its layers are taken in the order of their definition, and carry their state through an episode"
        )
        return source

    def _hidden_activation(self, first: str, second: str) -> PolicyError:
        """The error for two adjacent linear layers: the author's forward certainly has an activation between them."""
        return self.writer.unknown(
            f"{first} ends with a linear layer; which activation its forward applies before {second} was not saved"
        )

    def _last(self, actor: Module, at: str, found: str, stack: Module | None = None) -> None:
        """Use the last layer's output: it is the action if it is squashed, otherwise its meaning is open."""
        last = kind_of(last_layer(stack if stack is not None else actor))
        name = at.split(".")[0]
        limit = self._limit(actor)
        scores: Scores | None = "logits" if name in _DRAWN_FROM else "values" if _names_values(at) else None
        met = f"the last layer of {name or 'its stack'} is a {last}"
        # The last layer is better evidence than the actor's name.
        if last in ("Softmax", "LogSoftmax"):
            scores = "probabilities" if last == "Softmax" else "logits"
        if last in (_SQUASHED, "Hardtanh", "Sigmoid"):
            self.outputs["pi"] = self._limited(actor, found)
            self.form = Form(met=met, limit=limit, squashed=True)
            return
        self.outputs["pi"] = found
        self.form = Form(False, scores, met, limit)

    def _normal(self, at: str, mean: str, deviation: str) -> str:
        noise = self.writer.add(f"{at}.noise", "RandomStandardNormal", self.writer.new("Shape", mean), dtype="f4")
        return self.writer.new("Add", mean, self.writer.new("Mul", deviation, noise))

    # The saved limits of actions.

    def _limited(self, actor: Module, action: str) -> str:
        """The action scaled by the saved limit and shifted, if they were saved."""
        limit, shift = self._limit(actor), self._kept(actor, _SHIFTS)
        scaled = action if limit is None else self.writer.new("Mul", self.writer.constant(limit), action)
        return scaled if shift is None else self.writer.new("Add", scaled, self.writer.constant(shift))

    def _limit(self, actor: Module) -> Any:
        return self._kept(actor, _LIMITS)

    def _kept(self, actor: Module, names: tuple[str, ...]) -> Any:
        """The first of these attributes, buffers or parameters of the actor, else of the whole module.

        Raises:
            PolicyError: it exists but can't be read: assuming 1 would play a wrong action.
        """
        for module in (actor, self.module):
            for name in names:
                if name in module.tensors or name in module.arrays:
                    return float_array(module.tensors.get(name) or module.arrays[name])
                if name in module.unread:
                    raise self.writer.unknown(f"its {name} can't be read: it is {module.unread[name]}")
                value = module.attributes.get(name)
                if isinstance(value, (int, float, tuple, list)) and not isinstance(value, bool):
                    return np.asarray(value, dtype=np.float32)
                if value is not None:
                    raise self.writer.unknown(f"its {name} can't be read: it is {value!r}")
        return None

    # Critics.

    def _critics(self, skip: str) -> dict[str, str]:
        """Write the supported critics; a note lists the others, because the actor plays without them."""
        inputs = {"x": "x"}
        if skip == "":
            children = {n: c for n, c in self.module.children.items() if n in ("critic", "v", "vf", "value")}
        else:
            children = {n: c for n, c in self.module.children.items() if n != skip}
        for child_name, critic in children.items():
            name = _CRITICS.get(child_name)
            if name is None:
                continue
            try:
                self._critic(name, child_name, critic, inputs)
            except PolicyError as error:
                why = error.message.partition("author's code: ")[2].partition(". Its modules")[0]
                self.writer.note(f"its critic {child_name} is not known here ({why}): it plays without")
        return inputs

    def _critic(self, name: str, at: str, critic: Module, inputs: dict[str, str]) -> None:
        writer = self.writer
        (inner, stack), *more = critic.children.items() if critic.children else [("", critic)]
        if is_stack(critic):
            inner, stack, more = "", critic, []
        if more:
            raise writer.unknown(f"it holds a {critic.class_path}")
        _, weight = _first_layer(stack)
        shape = writer.nodes["x"].attributes["shape"]
        observed = shape[-1] if shape else None
        # A critic whose first layer takes just the observation returns a value per action (a Q network of discrete
        # actions).
        alone = name == "v" or (weight is not None and observed == weight.shape[-1])
        if not alone and "a" not in inputs:
            inputs["a"] = writer.add("a", "Placeholder", dtype="f4")
            writer.add("x,a", "ConcatV2", "x", "a", writer.constant(np.int32(-1)))
        found = apply(writer, stack, _inner(at, inner), "x" if alone else "x,a")
        last = last_layer(stack).tensors.get("weight")
        if name == "v" or not alone:
            self.outputs[name] = writer.new("Squeeze", found, squeeze_dims=[1])
        elif last is not None and len(last.shape) == 2:
            self.outputs[name] = self._chosen(found, last.shape[0], inputs)
            if self.form.scores is None and not self.form.settled:
                self.form = replace(self.form, scores="logits")

    def _chosen(self, values: str, count: int, inputs: dict[str, str]) -> str:
        """The value of the given action, from values of all actions."""
        writer = self.writer
        if "a" not in inputs:
            inputs["a"] = writer.add("a", "Placeholder", dtype="f4")
        whole = writer.new("Squeeze", writer.new("Cast", "a", DstT="i4"), squeeze_dims=[1])
        numbers = (writer.constant(np.int32(count)), writer.number(1), writer.number(0))
        chosen = writer.new("Mul", values, writer.new("OneHot", whole, *numbers))
        return writer.new("Sum", chosen, writer.constant(np.int32(1)))


def float_array(tensor: Tensor) -> Any:
    """A small tensor's values, float32."""
    flat = np.frombuffer(tensor.storage, "<" + tensor.dtype)[tensor.offset :]
    strides = tuple(flat.itemsize * stride for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False).astype(np.float32)


def _inner(at: str, name: str) -> str:
    return f"{at}.{name}".strip(".")


def _names_values(at: str) -> bool:
    return any(part in _VALUES for part in at.split("."))


def _kind(actor: Module) -> str | None:
    """The kind of an actor, or None."""
    children = actor.children
    if "logits_net" in children:
        return "categorical"
    if _gaussian_parts(actor)[0]:
        return "gaussian"
    if all(_heads_of(actor)):
        return "heads"
    if is_stack(actor):
        return "stack"
    if any(kind_of(child) in RECURRENT for child in children.values()):
        return "recurrent" if all(kind_of(c) in RECURRENT or is_stack(c) for c in children.values()) else None
    return "one" if len(children) == 1 and is_stack(next(iter(children.values()))) else None


def _gaussian_parts(actor: Module) -> tuple[str, str]:
    """Names of the mean's stack and of the parameter with the log deviation; empty if it has none."""
    mean = next((name for name in _MEANS if name in actor.children), "")
    deviation = next((name for name in _LOG_STDS if name in actor.tensors), "")
    others = [n for n in actor.children if n != mean and n not in _CRITICS]
    return (mean, deviation) if mean and deviation and not others else ("", "")


def _heads_of(actor: Module) -> tuple[str, str, str]:
    """Names of body, mean and deviation; empty for missing ones."""
    known = (_BODIES, _MEANS, (*_LOG_STDS, *_DEVIATIONS))
    found = [next((name for name in names if name in actor.children), "") for names in known]
    return found[0], found[1], found[2]


def _first_layer(module: Module) -> tuple[Module | None, Tensor | None]:
    """The first layer that determines the observation, and its weight, whose last axis is the number of inputs."""
    kind = kind_of(module)
    if kind in ("Flatten", "Embedding") or kind.startswith(("Conv", "BatchNorm2d")):
        return module, None
    for name in ("weight", "weight_ih_l0", "weight_ih"):
        tensor = module.tensors.get(name)
        if tensor is not None and kind in ("Linear", "LayerNorm", "BatchNorm1d", *RECURRENT):
            return module, tensor
    for child in module.children.values():
        found = _first_layer(child)
        if found[0] is not None:
            return found
    return None, None
