"""Recurrent policies: LSTM, GRU and RNN networks, evaluated by numpy."""

from __future__ import annotations

import numpy as np

from spindb.errors import PolicyError
from spindb.play.arrays import Array
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.program import Program
from spindb.play.policies.network import Graph


def policy_of(graph: Graph, *, deterministic: bool = False) -> GraphPolicy:
    """A policy of a graph: `RecurrentPolicy` if the graph has a state, else `GraphPolicy`. Raises as `GraphPolicy`."""
    return (RecurrentPolicy if graph.states else GraphPolicy)(graph, deterministic=deterministic)


class RecurrentPolicy(GraphPolicy):
    """See `spindb.play.policies.Policy`.

    `act` continues from the state of the last call; `begin_episode` resets it. Several observations at once belong to
    as many parallel episodes.
    """

    def __init__(self, graph: Graph, *, deterministic: bool = False) -> None:
        super().__init__(graph, deterministic=deterministic)
        self._names = list(graph.states)
        self._state: dict[str, Array] | None = None
        after = [graph.states[name].after for name in self._names]
        generator = None if deterministic else (lambda: self.rng)
        tensor = graph.outputs[self.action_name]
        self._step = Program(graph, tensor, generator, after, filled=self.filled)

    def begin_episode(self) -> None:
        self._state = None

    def actions(self, observations: Array) -> Array:
        before = self._carried(len(observations))
        found, *after = self._step.all({**super()._feed(observations, None), **before})
        self._state = dict(zip(self._names, after, strict=True))
        return found

    def _carried(self, count: int) -> dict[str, Array]:
        """The state of `count` parallel episodes, zeros at their start.

        Raises:
            PolicyError: another number of episodes is in progress.
        """
        if self._state is None:
            return {n: np.zeros((count, state.size), dtype=np.float32) for n, state in self.graph.states.items()}
        carried = len(next(iter(self._state.values())))
        if carried != count:
            raise PolicyError(
                f"{self.save} carries the state of {carried} episodes, and was given {count} observations",
                hint="policy.begin_episode() begins anew",
            )
        return self._state

    def _feed(self, observations: Array, actions: Array | None) -> dict[str, Array]:
        """Inputs for evaluating an output with the present state, without changing it."""
        count = len(observations)
        carried = self._state if self._state is not None else self._carried(count)
        if len(next(iter(carried.values()))) != count:
            carried = {name: np.zeros((count, state.size), "f4") for name, state in self.graph.states.items()}
        return {**super()._feed(observations, actions), **carried}
