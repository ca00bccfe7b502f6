"""PyTorch's modules as they were saved (``pyt_save/model*.pt``), as graphs for numpy.

A network is recognised by the structure of its modules, not by where its class stands: see `torch_actors`. Its layers
are written by `torch_layers` and `torch_recurrent`. A ``state_dict`` is a module again by the names of its tensors
(`torch_weights`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk import limits
from spindb.disk.codecs.torchfiles import Module, Weights, read_saved
from spindb.disk.codecs.torchtensors import Tensor
from spindb.disk.regular import read_regular
from spindb.play.engine.budget import Budget, elements
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.problems import evaluating
from spindb.play.policies.network import Graph
from spindb.play.policies.recurrent import policy_of
from spindb.play.policies.torch_actors import Network
from spindb.play.policies.torch_weights import module_of
from spindb.play.policies.torch_writer import TorchWriter
from spindb.records import SnapshotRecord


def load_torch_by_numpy(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> GraphPolicy:
    """The policy in the file at `save`; see `spindb.play.policies.load_snapshot`."""
    with evaluating(save):
        found = read_saved(read_regular(save, limits.MODULE))
        note: tuple[str, ...] = ()
        if isinstance(found, Weights):
            found, assumed = module_of(save, found)
            note = (assumed,)
        return policy_of(graph_of_module(save, found, note), deterministic=deterministic)


def graph_of_module(save: Path, module: Module, notes: tuple[str, ...] = ()) -> Graph:
    """The graph of a module that was read from `save`.

    Raises:
        PolicyError: its structure is not supported; the message says why.
    """
    budget = Budget()
    variables = {name: _array(tensor, budget) for name, tensor in _tensors(module)}
    writer = TorchWriter(save, module, variables)
    network = Network(writer, module)
    inputs = network.write()
    return Graph(
        save,
        writer.nodes,
        variables,
        inputs,
        network.outputs,
        form=network.form,
        states=writer.states,
        notes=(*notes, *writer.notes),
    )


def _array(tensor: Tensor, budget: Budget) -> Any:
    """The tensor's values as a contiguous array; not copied if they are already contiguous float32.

    Raises:
        ValueError: the shape exceeds the limits.
    """
    values = np.frombuffer(tensor.storage, "<" + tensor.dtype)[tensor.offset :]
    count = elements(tensor.shape)
    if count > len(values):  # strides of 0 repeat values: a few bytes can expand to terabytes
        budget.spend(count * values.itemsize, 0)
    strides = tuple(values.itemsize * stride for stride in tensor.strides)
    found = np.lib.stride_tricks.as_strided(values, tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(found, dtype=np.float32 if tensor.dtype.startswith("f") else None).reshape(tensor.shape)


def _tensors(module: Module, prefix: str = "") -> list[tuple[str, Tensor]]:
    own = [(prefix + name, tensor) for name, tensor in module.tensors.items()]
    return own + [pair for name, child in module.children.items() for pair in _tensors(child, f"{prefix}{name}.")]
