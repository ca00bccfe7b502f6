"""Reads SavedModels as graphs for numpy, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk import limits
from spindb.disk.codecs.graphs import DTYPES, read_graph
from spindb.disk.codecs.savedmodel import Entry, read_index, read_part, shard_file
from spindb.disk.regular import read_regular
from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.problems import evaluating
from spindb.play.policies.network import Graph
from spindb.records import SnapshotRecord


def load_tf1_by_numpy(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> GraphPolicy:
    """The policy in the SavedModel at `save`, by numpy; see `spindb.play.policies.load_snapshot`."""
    return GraphPolicy(read_policy_save(save, snapshot.inputs, snapshot.outputs), deterministic=deterministic)


def read_policy_save(save: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Graph:
    """The graph of the SavedModel at `save`, with these inputs and outputs.

    Raises:
        PolicyError: the save is damaged.
    """
    with evaluating(save):
        return Graph(save, read_graph(graph_bytes(save)), Variables(save), inputs, outputs)


def graph_bytes(save: Path) -> bytes:
    """The content of ``saved_model.pb``.

    Raises:
        SavedModelError: it can't be read, is not a regular file, or exceeds the limit.
    """
    return read_part(save, "saved_model.pb", limits.SAVED_MODEL)


def saved_parts(save: Path) -> tuple[bytes, Mapping[str, Any]]:
    """The parts of a save for TensorFlow: the graph's bytes, and the variables by node name.

    Raises:
        SavedModelError, OSError: one of them can't be read.
    """
    return graph_bytes(save), Variables(save)


class Variables(Mapping[str, Any]):
    """The arrays of a variables bundle by name, read on access; only types that numpy has."""

    def __init__(self, save: Path) -> None:
        """Read the index of the SavedModel at `save`. Raises `SavedModelError` or `OSError` if it is damaged."""
        self._save = save
        index = read_part(save, "variables/variables.index", limits.VARIABLES_INDEX)
        self._entries: dict[str, Entry] = read_index(index)
        self._shards: dict[int, memoryview] = {}

    def __iter__(self) -> Iterator[str]:
        return (name for name, entry in self._entries.items() if entry.dtype in DTYPES)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Any:
        if name not in self._entries:
            raise PolicyError(f"{self._save} is damaged: no value was saved for the variable {name!r}")
        entry = self._entries[name]
        try:
            if any(length < 0 for length in entry.shape):
                raise ValueError(f"its shape is {entry.shape}")
            if entry.shard not in self._shards:
                data = read_regular(shard_file(self._save, entry.shard), limits.VARIABLES_DATA)
                self._shards[entry.shard] = memoryview(data)
            part = self._shards[entry.shard][entry.offset : entry.offset + entry.size]  # a view, not a copy
            return np.frombuffer(part, "<" + DTYPES[entry.dtype]).reshape(entry.shape)
        except Exception as error:
            reason = "no type that numpy has" if isinstance(error, KeyError) else error
            raise PolicyError(f"{self._save} is damaged: the variable {name[:80]!r} can't be read: {reason}") from error
