"""One step of PyTorch's LSTM, GRU and RNN, layers and cells, with the state as input and output.

Equations: pytorch.org/docs (``torch.nn.LSTM``, ``GRU``, ``RNN``). The order of the gates in the weights is: input,
forget, cell, output; reset, update, new.
"""

from __future__ import annotations

import numpy as np

from spindb.disk.codecs.torchfiles import Module
from spindb.play.policies.network import State
from spindb.play.policies.torch_layers import kind_of
from spindb.play.policies.torch_writer import TorchWriter

RECURRENT = ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell")
_MAX_LAYERS = 16
_LAST = np.int32(1)  # the axis of the gates


def step(writer: TorchWriter, module: Module, at: str, source: str) -> str:
    """One step of a recurrent module on the tensor `source`; returns the output of its last layer.

    Raises:
        PolicyError: it is bidirectional, projects its output, or lacks weights.
    """
    kind = kind_of(module)
    settings = module.attributes
    if settings.get("bidirectional") or settings.get("proj_size"):
        raise writer.unknown(f"its {kind} runs in both directions, or projects its output")
    layers = 1 if kind.endswith("Cell") else int(settings.get("num_layers", 1))
    if not 1 <= layers <= _MAX_LAYERS:
        raise writer.unknown(f"its {kind} has {layers} layers")
    for layer in range(layers):
        suffix = "" if kind.endswith("Cell") else f"_l{layer}"
        source = _layer(writer, module, at, suffix, source)
    return writer.add(at, "Identity", source)


def _layer(writer: TorchWriter, module: Module, at: str, suffix: str, source: str) -> str:
    kind = kind_of(module).removesuffix("Cell")
    hidden_weight = module.tensors.get(f"weight_hh{suffix}")
    if f"weight_ih{suffix}" not in module.tensors or hidden_weight is None or len(hidden_weight.shape) != 2:
        raise writer.unknown(f"it holds a {module.class_path} without its weights")
    size = hidden_weight.shape[1]
    # The state before the step is a placeholder; writer.states maps it to the tensor of the state after the step.
    before = _state(writer, f"{at}.h{suffix}", size)
    given, carried = (
        _gates(writer, module, at, f"{which}{suffix}", tensor) for which, tensor in _sides(source, before)
    )
    if kind == "LSTM":
        cell = _state(writer, f"{at}.c{suffix}", size)
        gates = _parts(writer, writer.new("Add", given, carried), 4)
        kept, added = writer.new("Sigmoid", gates[1]), writer.new("Sigmoid", gates[0])
        fresh = writer.new("Mul", added, writer.new("Tanh", gates[2]))
        after_cell = writer.new("Add", writer.new("Mul", kept, cell), fresh)
        after = writer.new("Mul", writer.new("Sigmoid", gates[3]), writer.new("Tanh", after_cell))
        writer.states[cell] = State(after_cell, size)
    elif kind == "GRU":
        reset, update, new = _parts(writer, given, 3)
        reset_before, update_before, new_before = _parts(writer, carried, 3)
        # The reset gate is applied to the product with the hidden weights, including its bias, so both products are
        # kept apart.
        share = writer.new("Sigmoid", writer.new("Add", reset, reset_before))
        kept = writer.new("Sigmoid", writer.new("Add", update, update_before))
        fresh = writer.new("Tanh", writer.new("Add", new, writer.new("Mul", share, new_before)))
        # The same as (1 - update) * fresh + update * before.
        after = writer.new("Add", fresh, writer.new("Mul", kept, writer.new("Sub", before, fresh)))
    else:
        name = str(module.attributes.get("nonlinearity", "tanh"))
        if name not in ("tanh", "relu"):
            raise writer.unknown(f"its {kind} has nonlinearity={name}")
        after = writer.new("Tanh" if name == "tanh" else "Relu", writer.new("Add", given, carried))
    writer.states[before] = State(after, size)
    return after


def _sides(source: str, before: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("ih", source), ("hh", before)


def _gates(writer: TorchWriter, module: Module, at: str, which: str, source: str) -> str:
    product = writer.new("MatMul", source, writer.variable(f"{at}.weight_{which}"), transpose_b=True)
    if f"bias_{which}" not in module.tensors:
        return product
    return writer.new("BiasAdd", product, writer.variable(f"{at}.bias_{which}"))


def _parts(writer: TorchWriter, gates: str, count: int) -> list[str]:
    axis = writer.constant(_LAST)
    split = writer.new("Split", axis, gates, num_split=count)
    # The first output of a node has no number in its name.
    return [split if part == 0 else f"{split}:{part}" for part in range(count)]


def _state(writer: TorchWriter, name: str, size: int) -> str:
    return writer.add(name, "Placeholder", dtype="f4", shape=(-1, size))
