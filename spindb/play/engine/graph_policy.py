"""Policies that are evaluated by numpy, independent of the library that saved them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spindb.disk.codecs.graphs import DTYPES
from spindb.errors import PolicyError
from spindb.play.arrays import Action, Array, Observation
from spindb.play.engine.array_policy import ArrayPolicy, require_names
from spindb.play.engine.problems import UnsupportedGraphError, shown_name
from spindb.play.engine.program import PLACEHOLDERS, VARIABLES, Program
from spindb.play.policies.bounds import bounds_of
from spindb.play.policies.network import Graph
from spindb.play.policies.placeholders import completed, fillings

_MAX_NODES = 500_000  # of all outputs together


class GraphPolicy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    def __init__(self, graph: Graph, *, deterministic: bool = False) -> None:
        """Prepare all outputs of a graph.

        Raises:
            UnsupportedGraphError: an output needs an unsupported operation.
            PolicyError: the graph is damaged, or has no `x` or `pi`.
        """
        super().__init__(graph.save, deterministic)
        outputs, without = completed(graph.outputs)
        graph = replace(graph, outputs=outputs, notes=(*graph.notes, *without)) if without else graph
        require_names(graph.save, graph.inputs, graph.outputs)
        self.filled, notes = fillings(graph)
        self.notes = (*graph.notes, *notes)
        self.form = graph.form
        self.graph = graph
        self._inputs = {name: graph.resolve(tensor)[0] for name, tensor in graph.inputs.items()}
        self._require_placeholders()
        self._programs: dict[str, Program] = {}
        # The action first: if it is unsupported, that is the error to report.
        for name, tensor in sorted(graph.outputs.items(), key=lambda item: item[0] != "pi"):
            program = self._program(tensor)
            needed = [n for n in program.placeholders if n not in self._fed()]
            if needed:  # `fillings` refused those of the action
                self.notes = (
                    *self.notes,
                    f"{name} needs a value for the placeholder {shown_name(needed[0])}: left out",
                )
                continue
            self._programs[name] = program
            if sum(len(program.order) for program in self._programs.values()) > _MAX_NODES:
                raise PolicyError(f"{graph.save}: its outputs need more than {_MAX_NODES:,} nodes")
        self._programs = {name: self._programs[name] for name in graph.outputs if name in self._programs}
        if self._inputs.get("a") in self._programs["pi"].placeholders:
            raise PolicyError(f"{self.save}: its action needs an action: the input a is none, or pi is not a policy")
        self._alone = [n for n, p in self._programs.items() if self._inputs.get("a") not in p.placeholders]
        self.action_name = "mu" if deterministic and "mu" in graph.outputs else "pi"
        self.stochastic = self._programs["pi"].random
        placeholder = graph.node(self._inputs["x"]).attributes
        self.observation_dtype = placeholder.get("dtype") or "f4"
        shape = placeholder.get("shape")
        rest = tuple(shape[1:]) if isinstance(shape, tuple) and shape else None
        # Without all lengths, every array is taken as a single observation.
        self.observation_shape = rest if rest is not None and min(rest, default=0) >= 0 else None
        self._sure: Program | None = None

    def probe(self, observation: Observation) -> Array | None:
        rows, one = self.rows(observation)
        found = self._certain()(self._feed(rows, None))
        return self._first(found) if one else found

    def bounds(self) -> tuple[Array, Array] | None:
        return bounds_of(self.graph, self.graph.outputs["pi"], self._programs["pi"])

    def choices(self) -> int | None:
        if "logits" in self._programs and self.observation_shape is not None:
            return int(np.shape(self.evaluate("logits", np.zeros((1, *self.observation_shape), "f4")))[-1])
        # The logits of a Multinomial have a column per action.
        draws = [node for node in self._certain().order if node.op == "Multinomial"]
        if len(draws) != 1 or self.observation_shape is None:
            return None
        rows = np.zeros((1, *self.observation_shape), self.observation_dtype)
        return int(np.shape(self._program(draws[0].inputs[0])(self._feed(rows, None)))[-1])

    def nan_weights(self, output: str = "") -> list[str]:
        program = self._programs[output] if output else self._certain()
        used = [node.name for node in program.order if node.op in VARIABLES]
        values = {name: np.asarray(self.graph.variables[name]) for name in used}
        return [name for name, value in values.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]

    def _certain(self) -> Program:
        """The program of the deterministic action."""
        if self._sure is None:
            self._sure = Program(self.graph, self.graph.outputs[self.action_name], filled=self.filled)
        return self._sure

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the graph; the programs, which contain functions, are made again."""
        kept = {"notes": self.notes, "rng": self.rng, "observation_shape": self.observation_shape}
        return _again, (type(self), self.graph, self.deterministic, kept)

    @property
    def names(self) -> Sequence[str]:
        return self._alone

    def has(self, name: str) -> bool:
        return name in self._programs

    def actions(self, observations: Array) -> Array:
        return self.evaluate(self.action_name, observations)

    def evaluate(self, name: str, observations: Array, actions: Array | None = None) -> Array:
        if name not in self._programs:
            there = ", ".join(sorted(self._programs))
            raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {there}")
        return self._programs[name](self._feed(observations, actions))

    def weights(self) -> dict[str, Array]:
        return dict(self.graph.variables)

    def tensor(self, name: str, observation: Observation, action: Action | None = None) -> Array:
        rows, one = self.rows(observation)
        actions = None if action is None else np.asarray(action, dtype=np.float32).reshape(len(rows), -1)
        found = self._program(name)(self._feed(rows, actions))
        batched = np.ndim(found) > 0 and len(found) == 1
        alone: Array = found[0] if one and batched else found
        return alone

    def _require_placeholders(self) -> None:
        """Refuse inputs that nothing can be fed to, or of types that numpy does not have."""
        for name in {"x", "a"} & set(self._inputs):
            node = self.graph.node(self._inputs[name])
            if node.op not in PLACEHOLDERS:
                raise PolicyError(
                    f"{self.save} is damaged: its input {name} is a {shown_name(node.op)}, no placeholder"
                )
            if node.attributes.get("dtype", "f4") not in DTYPES.values():
                raise UnsupportedGraphError(self.save, f"numpy does not have the type of the input {name}")

    def _fed(self) -> set[str]:
        """The placeholders that are given a value at each evaluation."""
        return {*self._inputs.values(), *self.graph.states}

    def _program(self, tensor: str) -> Program:
        return Program(self.graph, tensor, None if self.deterministic else lambda: self.rng, filled=self.filled)

    def _feed(self, observations: Array, actions: Array | None) -> dict[str, Array]:
        feed = {self._inputs["x"]: observations}
        if actions is not None and "a" in self._inputs:
            feed[self._inputs["a"]] = actions
        return feed


def _again(kind: type[GraphPolicy], graph: Graph, deterministic: bool, kept: Mapping[str, Any]) -> GraphPolicy:
    policy = kind(graph, deterministic=deterministic)
    policy.__dict__.update(kept)
    return policy
