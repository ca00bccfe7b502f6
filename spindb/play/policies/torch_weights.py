"""The module behind a ``state_dict``: known by the names of its tensors, which say everything but the activations.

Layers without tensors are gaps in the numbers of a stack (``pi.mu_net.0``, ``2``, ``4``). What stands in them is the
activation in the run's config, else the one that Spinning Up uses for such a network: that is assumed, and said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spindb.disk import limits
from spindb.disk.codecs.torchfiles import Module, Weights
from spindb.disk.codecs.torchtensors import Tensor
from spindb.disk.formats import files_of
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError

_ACTIVATION = re.compile(
    r"(?<![A-Za-z])activation[^,}\]]{0,80}?\b(Tanh|ReLU|ELU|LeakyReLU|SiLU|GELU|Sigmoid|SELU|Softplus)\b"
)
_OFF_POLICY = ("q", "q1", "q2")
_GATES = {4: "LSTM", 3: "GRU", 1: "RNN"}


def module_of(save: Path, weights: Weights) -> tuple[Module, str]:
    """The module of these weights, and a note about assumptions.

    Raises:
        PolicyError: the names do not determine the module.
    """
    names = {name.split(".")[0] for name in weights.tensors}
    configured = _configured(save)
    # Spinning Up's off-policy algorithms use ReLU by default, the on-policy ones Tanh. Only SAC has a mu_layer.
    usual = "ReLU" if names & set(_OFF_POLICY) or any(".mu_layer." in f".{n}" for n in weights.tensors) else "Tanh"
    activation = configured or usual
    source = "the run's config says so" if configured else "that is Spinning Up's, and assumed"
    module = _Rebuilder(save, activation).module(weights.tensors, "")
    return module, f"it holds weights alone, without the network: {activation} between its layers ({source})"


def _configured(save: Path) -> str | None:
    """The one activation that the config of the run names."""
    try:
        config = files_of(save.parent.parent).config
        if config is None:
            return None
        text = read_regular(save.parent.parent / config, limits.CONFIG).decode("utf-8", "replace")
    except OSError:
        return None
    found = set(_ACTIVATION.findall(text))
    return found.pop() if len(found) == 1 else None


class _Rebuilder:
    def __init__(self, save: Path, activation: str) -> None:
        self.save = save
        self.activation = Module(f"torch.nn.modules.activation.{activation}", {}, {}, {})

    def module(self, tensors: Mapping[str, Tensor], at: str) -> Module:
        """The module of the tensors with one prefix."""
        own = {name: tensor for name, tensor in tensors.items() if "." not in name}
        inner: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            first, dot, rest = name.partition(".")
            if dot:
                inner.setdefault(first, {})[rest] = tensor
        if own and not inner:
            return self.layer(own, at)
        children = {name: self.module(part, f"{at}.{name}".strip(".")) for name, part in inner.items()}
        if children and all(name.isdecimal() for name in children):
            return Module("torch.nn.modules.container.Sequential", own, self.filled(children, at), {})
        return Module("weights", own, children, {})

    def filled(self, children: Mapping[str, Module], at: str) -> dict[str, Module]:
        """The layers of a stack with activations in its gaps, and at the end where Spinning Up has one."""
        found: dict[str, Module] = {}
        previous = None
        for number in sorted(map(int, children)):
            if previous is not None:
                gap = number - previous - 1
                if gap > 1 or (gap == 0 and {_kind(children[str(n)]) for n in (previous, number)} == {"Linear"}):
                    raise self.unknown(f"what stands between {at}.{previous} and {at}.{number}")
                if gap:
                    found[str(previous + 1)] = self.activation
            found[str(number)] = children[str(number)]
            previous = number
        assert previous is not None
        name = at.rpartition(".")[2]
        if name == "net" and at.startswith(("pi.", "actor.")):  # the body of a squashed Gaussian
            found[str(previous + 1)] = self.activation
        elif at in ("pi.pi", "actor.pi"):  # a deterministic actor
            found[str(previous + 1)] = Module("torch.nn.modules.activation.Tanh", {}, {}, {})
        return found

    def layer(self, own: Mapping[str, Tensor], at: str) -> Module:
        """A layer, identified by its tensors."""
        weight = own.get("weight")
        if {"running_mean", "running_var"} <= set(own):
            return Module("torch.nn.modules.batchnorm.BatchNorm1d", own, {}, {})
        if weight is not None and len(weight.shape) == 2:
            return Module("torch.nn.modules.linear.Linear", own, {}, {})
        if weight is not None and len(weight.shape) == 1 and "bias" in own:
            return Module("torch.nn.modules.normalization.LayerNorm", own, {}, {})
        # weight_ih has (gates x hidden) rows and weight_hh has hidden columns: their quotient is the number of
        # gates.
        rows = own.get("weight_ih_l0") or own.get("weight_ih")
        hidden = own.get("weight_hh_l0") or own.get("weight_hh")
        if rows is not None and hidden is not None and len(hidden.shape) == 2 and hidden.shape[1]:
            kind = _GATES.get(rows.shape[0] // hidden.shape[1])
            cell = "" if "weight_ih_l0" in own else "Cell"
            layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in own)
            if kind is not None and not any(name.endswith("_reverse") for name in own):
                return Module(f"torch.nn.modules.rnn.{kind}{cell}", own, {}, {"num_layers": layers or 1})
        if weight is None:
            return Module("weights", own, {}, {})
        raise self.unknown(f"what layer {at} is")

    def unknown(self, what: str) -> PolicyError:
        return PolicyError(
            f"{self.save} holds weights alone, not the network that they belong to; their names do not say {what}",
            hint="save the module itself (torch.save(module)), not its state_dict()",
        )


def _kind(module: Module) -> str:
    return module.class_path.rpartition(".")[2]
