"""Inputs of a saved graph beside observation and action: filled with what they are when a policy plays.

A placeholder with a default takes it (`program`). A dropout mask is ones: ``MatMul(Diag(mask), W)`` tells that it is
one, and that it is as long as `W` has rows. A switch for training (``is_training``) is off, a share that dropout
keeps is one, both known by name and type. Whatever else an action needs is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.play.engine.budget import RESULT, elements
from spindb.play.engine.problems import shown_name
from spindb.play.policies.network import Graph

_OPEN = ("Placeholder", "PlaceholderV2")
_DIAGONALS = ("Diag", "MatrixDiag", "MatrixDiagV2", "MatrixDiagV3")
_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2")
_PASSED = ("Identity", "StopGradient", "ReadVariableOp", "Cast")
_TRAINING = re.compile(r"(^|_)(is_?)?(train(ing)?|phase|learning_phase)(_phase|_mode|_flag|_ph)?(_\d+)?\Z", re.I)
_KEPT = re.compile(r"keep_?(prob|rate)\w*\Z", re.I)
_MASK = re.compile(r"(mask|dropout)", re.I)


def completed(outputs: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The outputs with an action: ``mu`` if no ``pi`` was saved, and a note about it."""
    if "pi" in outputs or "mu" not in outputs:
        return dict(outputs), ()
    return {**outputs, "pi": outputs["mu"]}, ("it saves no pi: its mu is the action, and nothing is drawn",)


def fillings(graph: Graph) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Values for the placeholders that the outputs need beside the inputs, by name, and notes of what was filled.

    Raises:
        PolicyError: the action needs one whose value is not known; other outputs that do are left to fail alone.
    """
    given = {*(graph.resolve(tensor)[0] for tensor in graph.inputs.values()), *graph.states}
    values: dict[str, Any] = {}
    notes: dict[str, None] = {}
    for output in sorted(graph.outputs, key=lambda name: name != "pi"):
        open_ones = [n for n in _needed(graph, graph.outputs[output]) if n not in given and n not in values]
        for name in open_ones:
            found = _value(graph, name)
            if found is not None:
                values[name], note = found
                notes[note] = None
            elif output == "pi":
                raise PolicyError(
                    f"{graph.save} needs a value for the placeholder {shown_name(name)} beside the observation, "
                    "and does not say which",
                    hint="a graph saved with tf.placeholder_with_default, or without that input, plays",
                )
    return values, tuple(notes)


def _needed(graph: Graph, tensor: str) -> list[str]:
    try:
        return [name for name, node in graph.needed(tensor).items() if node.op in _OPEN]
    except PolicyError:
        return []


def _value(graph: Graph, name: str) -> tuple[Any, str] | None:
    """The value of a placeholder, and what to say of it; None where it is not known."""
    node = graph.node(name)
    dtype, shape = node.attributes.get("dtype") or "f4", node.attributes.get("shape")
    last = name.rpartition("/")[2]
    if not isinstance(dtype, str):
        return None
    if dtype == "?" and _TRAINING.search(last):
        return np.zeros((), dtype="?"), f"{shown_name(last)} is off: it plays, it does not train"
    if dtype.startswith("f") and _KEPT.search(last):
        return np.ones((), dtype=dtype), f"{shown_name(last)} is 1: nothing is dropped"
    length = _mask_length(graph, name)
    lengths: tuple[int, ...] | None = None if length is None else (length,)
    if lengths is None and _MASK.search(name) and isinstance(shape, tuple) and all(n > 0 for n in shape):
        lengths = shape
    if lengths is None or not dtype.startswith("f") or elements(lengths) * 8 > RESULT:
        return None
    return np.ones(lengths, dtype=dtype), "dropout masks are ones: nothing is dropped"


def _mask_length(graph: Graph, name: str) -> int | None:
    """The length of a mask that is converted to a diagonal matrix and multiplied with a variable or constant."""
    users = _users(graph)
    for diagonal in (user for user in users.get(name, ()) if graph.node(user).op in _DIAGONALS):
        for user in users.get(diagonal, ()):
            product = graph.node(user)
            if product.op not in _PRODUCTS:
                continue
            sides = [source for source, _ in graph.sources(product)]
            if len(sides) != 2:
                continue
            left = sides[0] == diagonal
            shape = _shape_of(graph, sides[1] if left else sides[0])
            if shape is None or len(shape) != 2:
                continue
            turned = bool(product.attributes.get("transpose_b" if left else "transpose_a"))
            # A diagonal matrix on the left has as many columns as the other factor has rows, on the right the
            # reverse.
            return int(shape[(0 if left else 1) ^ turned])
    return None


def _users(graph: Graph) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        for source in node.inputs:
            if not source.startswith("^"):
                users.setdefault(source.partition(":")[0], []).append(node.name)
    return users


def _shape_of(graph: Graph, name: str) -> tuple[int, ...] | None:
    """The shape of a variable or constant, through identities."""
    for _ in range(20):
        node = graph.node(name)
        if node.op in _PASSED:
            name = graph.sources(node)[0][0]
            continue
        if node.op == "Const":
            value = node.attributes.get("value")
            return getattr(value, "shape", None)
        try:
            return tuple(np.shape(graph.variables[name]))
        except (KeyError, PolicyError):
            return None
    return None
