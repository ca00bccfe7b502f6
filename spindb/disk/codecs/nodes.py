"""Nodes of a graph, common to TensorFlow and ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Constant:
    """A TensorProto: type, shape, and raw bytes or a list of values (the last value fills the rest)."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """An operation; ``inputs`` are tensor names as in the file: ``name``, ``name:1``, ``^name`` for a control input."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
