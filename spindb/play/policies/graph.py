"""TensorFlow 1 graphs evaluated by numpy: for feed-forward policies, without TensorFlow's seconds and megabytes.

The nodes that an output needs are put in order once; what depends on no input is computed once; each step then is a
list of numpy calls. Random operations draw from numpy's generator: equal in distribution to TensorFlow's, not draw by
draw. In deterministic mode they give what is most likely, the mean of a normal and the greatest logit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk.graphs import DTYPES, Constant, Node, read_graph
from spindb.disk.savedmodel import Entry, SavedModelError, read_index, shard_file
from spindb.errors import PolicyError
from spindb.play.policies.arrays import ArrayPolicy, require_names
from spindb.play.policies.operations import OPERATIONS, RANDOM
from spindb.records import SnapshotRecord

_VARIABLES = ("VariableV2", "Variable", "VarHandleOp")
_PASSED_ON = ("Identity", "StopGradient", "Snapshot", "ReadVariableOp", "CheckNumerics")
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")

_NONE = -1
Step = tuple[int, Callable[..., Any], int, int]
"""Where the result goes, the function, and where its one or two inputs are; with none it takes all values."""


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False) -> GraphPolicy:
    """The policy in the SavedModel at `save`; see `spindb.play.policies.load_snapshot`."""
    return GraphPolicy(save, snapshot.inputs, snapshot.outputs, deterministic=deterministic)


class UnsupportedGraphError(PolicyError):
    """The graph holds operations that this engine does not know; TensorFlow does."""


class GraphPolicy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    def __init__(
        self, save: Path, inputs: Mapping[str, str], outputs: Mapping[str, str], *, deterministic: bool = False
    ) -> None:
        """Read the SavedModel at `save`.

        Raises:
            UnsupportedGraphError: an output needs an operation that is not known here.
            PolicyError: the save is damaged, or names no `x` or `pi`.
        """
        super().__init__(save, deterministic)
        require_names(save, inputs, outputs)
        try:
            self._nodes = read_graph((save / "saved_model.pb").read_bytes())
            self._variables = _Variables(save)
        except (OSError, SavedModelError) as error:
            raise PolicyError(f"{save} can't be loaded: {error}") from error
        self._inputs = {name: _split(tensor)[0] for name, tensor in inputs.items()}
        self._programs: dict[str, _Program] = {}
        self._outputs = dict(outputs)
        for name in outputs:
            self._programs[name] = _Program(self, outputs[name])
        self._alone = [n for n, p in self._programs.items() if self._inputs.get("a") not in p.placeholders]
        self.action_name = "mu" if deterministic and "mu" in outputs else "pi"
        self.stochastic = self._programs["pi"].random
        placeholder = self._nodes[self._inputs["x"]].attributes
        self.observation_dtype = placeholder.get("dtype") or "f4"
        shape = placeholder.get("shape")
        rest = tuple(shape[1:]) if shape is not None else ()
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
        feed = {self._inputs["x"]: observations}
        if actions is not None and "a" in self._inputs:
            feed[self._inputs["a"]] = actions
        return self._programs[name](feed)

    def weights(self) -> dict[str, Any]:
        return read_weights(self.save)

    def tensor(self, name: str, observation: Any, action: Any = None) -> Any:
        rows, one = self.rows(observation)
        feed = {self._inputs["x"]: rows}
        if action is not None and "a" in self._inputs:
            feed[self._inputs["a"]] = np.asarray(action, dtype=np.float32).reshape(len(rows), -1)
        found = _Program(self, name)(feed)
        batched = np.ndim(found) > 0 and len(found) == 1
        return found[0] if one and batched else found

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            PolicyError: the graph has none.
        """
        if name not in self._nodes:
            raise PolicyError(f"{self.save} is damaged: its graph has no node {name!r}")
        return self._nodes[name]

    def variable(self, name: str) -> Any:
        """The value of a variable."""
        return self._variables[name]


class _Variables:
    """The arrays of a variables bundle, read when asked for."""

    def __init__(self, save: Path) -> None:
        self.save = save
        self.entries: dict[str, Entry] = read_index((save / "variables" / "variables.index").read_bytes())
        self.shards: dict[int, bytes] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.entries:
            raise PolicyError(f"{self.save} is damaged: no value was saved for the variable {name!r}")
        entry = self.entries[name]
        if entry.shard not in self.shards:
            self.shards[entry.shard] = shard_file(self.save, entry.shard).read_bytes()
        data = self.shards[entry.shard][entry.offset : entry.offset + entry.size]
        try:
            return np.frombuffer(data, "<" + DTYPES[entry.dtype]).reshape(entry.shape)
        except (KeyError, ValueError) as error:
            raise PolicyError(f"{self.save} is damaged: the variable {name!r} can't be read: {error}") from error


def read_weights(save: Path) -> dict[str, Any]:
    """All variables of a SavedModel that numpy has a type for, by name."""
    variables = _Variables(save)
    return {name: variables[name] for name, entry in variables.entries.items() if entry.dtype in DTYPES}


class _Program:
    """The steps to one tensor."""

    def __init__(self, policy: GraphPolicy, tensor: str) -> None:
        self.policy = policy
        self.placeholders: list[str] = []
        self.random = False
        self.slots: dict[str, int] = {}
        self.constant: list[bool] = []
        self.values: list[Any] = []
        self.steps: list[Step] = []
        name, port = _split(tensor)
        self.target = self._add_all(name)
        self.port = port

    def __call__(self, feed: Mapping[str, Any]) -> Any:
        values = self.values.copy()
        for name in self.placeholders:
            if name not in feed:
                raise PolicyError(f"{self.policy.save}: this output takes an action as well")
            values[self.slots[name]] = feed[name]
        with np.errstate(all="ignore"):  # a diverged policy gives NaN, as it did in TensorFlow
            for slot, function, first, second in self.steps:
                if second >= 0:
                    values[slot] = function(values[first], values[second])
                elif first >= 0:
                    values[slot] = function(values[first])
                else:
                    values[slot] = function(values)
        found = values[self.target]
        return found[self.port] if isinstance(found, tuple) else found

    def _add_all(self, target: str) -> int:
        """Put the node and what it needs in order, without recursion: graphs can be deep."""
        pending = [target]
        while pending:
            name = pending[-1]
            if name in self.slots:
                pending.pop()
                continue
            node = self.policy.node(name)
            needed = [source for source, _ in _data_inputs(node) if source not in self.slots]
            if node.op in ("PlaceholderWithDefault",):
                needed = []
            if len(pending) > len(self.policy._nodes):
                raise UnsupportedGraphError(f"{self.policy.save}: the graph has a loop")
            if needed:
                pending += needed
            else:
                self._add(node)
                pending.pop()
        return self.slots[target]

    def _step(self, slot: int, function: Callable[..., Any], sources: tuple[int, ...]) -> None:
        """Add a step; nearly all operations have one input or two, which are called without unpacking."""
        if 1 <= len(sources) <= 2:
            self.steps.append((slot, function, sources[0], sources[1] if len(sources) == 2 else _NONE))
        else:
            self.steps.append((slot, lambda values: function(*[values[s] for s in sources]), _NONE, _NONE))

    def _add(self, node: Node) -> None:
        if node.op in _PASSED_ON and _data_inputs(node)[0][1] == 0:
            self.slots[node.name] = self.slots[_data_inputs(node)[0][0]]
            return
        slot = self.slots[node.name] = len(self.values)
        self.values.append(None)
        self.constant.append(True)
        if node.op in _PLACEHOLDERS:
            self.placeholders.append(node.name)
            self.constant[slot] = False
        elif node.op == "Const":
            self.values[slot] = _array(node.attributes["value"])
        elif node.op in _VARIABLES:
            self.values[slot] = self.policy.variable(node.name)
        elif node.op in RANDOM:
            self.random = True
            self.constant[slot] = False
            likeliest, drawn = RANDOM[node.op](node.attributes)
            policy = self.policy
            function = likeliest if policy.deterministic else lambda *args: drawn(policy.rng, *args)
            self._step(slot, function, self._sources(node)[0])
        elif node.op in OPERATIONS:
            self._add_operation(slot, node)
        else:
            raise UnsupportedGraphError(f"{self.policy.save}: the operation {node.op} is not known to the numpy engine")

    def _add_operation(self, slot: int, node: Node) -> None:
        sources, ports = self._sources(node)
        function = OPERATIONS[node.op](node.attributes)
        if any(ports):  # takes a second output of some node
            inner = function

            def function(*args: Any) -> Any:
                return inner(*(a[p] if isinstance(a, tuple) else a for a, p in zip(args, ports, strict=True)))

        if all(self.constant[source] for source in sources):
            with np.errstate(all="ignore"):
                self.values[slot] = function(*(self.values[source] for source in sources))
        else:
            self.constant[slot] = False
            self._step(slot, function, sources)

    def _sources(self, node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
        pairs = _data_inputs(node)
        return tuple(self.slots[name] for name, _ in pairs), tuple(port for _, port in pairs)


def _data_inputs(node: Node) -> list[tuple[str, int]]:
    return [_split(source) for source in node.inputs if not source.startswith("^")]


def _split(tensor: str) -> tuple[str, int]:
    name, _, port = tensor.partition(":")
    return name, int(port or 0)


def _array(constant: Constant) -> Any:
    """The array of a constant: raw bytes, or values of which the last repeats."""
    if not constant.dtype:
        raise UnsupportedGraphError("a constant of a type that numpy does not have")
    if constant.raw:
        return np.frombuffer(constant.raw, "<" + constant.dtype).reshape(constant.shape)
    count = int(np.prod(constant.shape))
    values = list(constant.values) or [0]
    values += [values[-1]] * (count - len(values))
    return np.array(values[:count], dtype=constant.dtype).reshape(constant.shape)
