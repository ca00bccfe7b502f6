"""Policies evaluated by numpy, whatever they were saved by: without TensorFlow's or PyTorch's seconds and megabytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spindb.disk.graphs import DTYPES
from spindb.errors import PolicyError
from spindb.play.engine.problems import UnsupportedGraphError, shown
from spindb.play.policies.arrays import ArrayPolicy, require_names
from spindb.play.policies.program import PLACEHOLDERS, Graph, Program

_MAX_NODES = 500_000  # of all outputs together


class GraphPolicy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    def __init__(self, graph: Graph, *, deterministic: bool = False) -> None:
        """Make a graph act.

        Raises:
            UnsupportedGraphError: an output needs an operation that is not known here.
            PolicyError: the graph is damaged, or names no `x` or `pi`.
        """
        super().__init__(graph.save, deterministic)
        require_names(graph.save, graph.inputs, graph.outputs)
        self.graph = graph
        self._inputs = {name: graph.resolve(tensor)[0] for name, tensor in graph.inputs.items()}
        self._require_placeholders()
        self._programs: dict[str, Program] = {}
        for name, tensor in graph.outputs.items():
            self._programs[name] = self._program(tensor)
            if sum(len(program.order) for program in self._programs.values()) > _MAX_NODES:
                raise PolicyError(f"{graph.save}: its outputs need more than {_MAX_NODES:,} nodes")
        self._alone = [n for n, p in self._programs.items() if self._inputs.get("a") not in p.placeholders]
        self.action_name = "mu" if deterministic and "mu" in graph.outputs else "pi"
        self.stochastic = self._programs["pi"].random
        placeholder = graph.node(self._inputs["x"]).attributes
        self.observation_dtype = placeholder.get("dtype") or "f4"
        shape = placeholder.get("shape")
        rest = tuple(shape[1:]) if isinstance(shape, tuple) else ()
        self.observation_shape = rest if rest and min(rest) >= 0 else None

    @property
    def names(self) -> Sequence[str]:
        return self._alone

    def has(self, name: str) -> bool:
        return name in self._programs

    def actions(self, observations: Any) -> Any:
        return self.evaluate(self.action_name, observations)

    def evaluate(self, name: str, observations: Any, actions: Any = None) -> Any:
        if name not in self._programs:
            there = ", ".join(sorted(self._programs))
            raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {there}")
        return self._programs[name](self._feed(observations, actions))

    def weights(self) -> dict[str, Any]:
        return dict(self.graph.variables)

    def tensor(self, name: str, observation: Any, action: Any = None) -> Any:
        rows, one = self.rows(observation)
        actions = None if action is None else np.asarray(action, dtype=np.float32).reshape(len(rows), -1)
        found = self._program(name)(self._feed(rows, actions))
        batched = np.ndim(found) > 0 and len(found) == 1
        return found[0] if one and batched else found

    def _require_placeholders(self) -> None:
        """Refuse inputs that nothing can be fed to, or of types that numpy does not have."""
        for name in {"x", "a"} & set(self._inputs):
            node = self.graph.node(self._inputs[name])
            if node.op not in PLACEHOLDERS:
                raise PolicyError(f"{self.save} is damaged: its input {name} is a {shown(node.op)}, no placeholder")
            if node.attributes.get("dtype", "f4") not in DTYPES.values():
                raise UnsupportedGraphError(self.save, f"numpy does not have the type of the input {name}")

    def _program(self, tensor: str) -> Program:
        return Program(self.graph, tensor, None if self.deterministic else lambda: self.rng)

    def _feed(self, observations: Any, actions: Any) -> dict[str, Any]:
        feed = {self._inputs["x"]: observations}
        if actions is not None and "a" in self._inputs:
            feed[self._inputs["a"]] = actions
        return feed
