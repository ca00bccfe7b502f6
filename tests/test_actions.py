"""How outputs become actions: the action space decides before the first step, and what stays open is asked for."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchlike
from test_torch_networks import BIAS, RNG, WEIGHT, X, actor, layer, linear, network, policy_of, sequence, tensor

from spindb.disk.codecs.nodes import Node
from spindb.disk.codecs.torchfiles import Module
from spindb.errors import PolicyError, UsageError
from spindb.index.read.evaluation_options import recorded_rule
from spindb.play.actions import Decided, Rule, rule_of, settle
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.policies.network import Graph

gymnasium = pytest.importorskip("gymnasium")
Box, Discrete, MultiDiscrete = gymnasium.spaces.Box, gymnasium.spaces.Discrete, gymnasium.spaces.MultiDiscrete
TWO = Box(-1.0, 1.0, (2,))
RAW = X @ WEIGHT.T + BIAS


def plain(name: str = "pi", **options: Any) -> GraphPolicy:
    """A stack that ends with a linear layer, called so."""
    return policy_of(network(**{name: sequence(linear(), layer("Identity"))}), **options)


def squashed(**attributes: Any) -> GraphPolicy:
    return policy_of(network(pi=actor(sequence(linear(), layer("Tanh")), **attributes)))


def test_h2_logits_are_no_continuous_action() -> None:
    """A discrete SAC actor: one child, no tanh, critics of the observation alone."""
    head = linear(RNG.normal(size=(2, 3)).astype("f4"))
    module = network(pi=actor(sequence(linear())), q1=actor(sequence(head)), q2=actor(sequence(head)))
    choosing = settle(policy_of(module), Discrete(2))
    choosing.seed(0)
    drawn = np.array([choosing.act(X[0]) for _ in range(4000)])
    shares = np.exp(RAW[0]) / np.exp(RAW[0]).sum()
    assert np.bincount(drawn, minlength=2) / 4000 == pytest.approx(shares, abs=0.03)
    assert choosing.stochastic
    certain = settle(policy_of(module, deterministic=True), Discrete(2))
    assert certain.act(X).tolist() == RAW.argmax(axis=1).tolist()
    assert certain.q(X, certain.act(X)) == pytest.approx(
        (X @ head_weight(head).T + BIAS)[np.arange(16), RAW.argmax(axis=1)], abs=1e-4
    )
    with pytest.raises(PolicyError, match=r"does not say how its outputs become actions.*Box of shape") as caught:
        settle(policy_of(module), TWO)
    assert str(caught.value.hint).startswith("--action tanh|clip says it")


def head_weight(head: Module) -> np.ndarray:
    return np.frombuffer(head.tensors["weight"].storage, "f4").reshape(2, 3)


@pytest.mark.parametrize("name", ["policy", "network", "model", "net"])
def test_what_may_be_logits_or_values_is_asked_for(name: str) -> None:
    with pytest.raises(PolicyError, match=r"the last layer of .* is a Linear; CartPole takes Discrete\(2\)$") as caught:
        settle(plain(name), Discrete(2), where="CartPole")
    assert "--action argmax|sample says it" in str(caught.value.hint)
    assert settle(plain(name, deterministic=True), Discrete(2)).act(X).tolist() == RAW.argmax(axis=1).tolist()
    assert settle(plain(name), Discrete(2), "argmax").act(X[3]) == RAW[3].argmax()
    drawn = settle(plain(name), Discrete(2), "sample")
    assert drawn.stochastic
    assert recorded_rule(drawn.engine) == "sample"


@pytest.mark.parametrize("name", ["q_net", "q_network", "qf"])
def test_a_q_network_takes_the_greatest(name: str) -> None:
    policy = settle(plain(name), Discrete(2))
    assert policy.act(X).tolist() == RAW.argmax(axis=1).tolist()
    assert not policy.stochastic
    assert recorded_rule(policy.engine) is None
    with pytest.raises(PolicyError, match="gives values of 2 choices; the environment takes Box of shape"):
        settle(plain(name), TWO)


def test_spaces_of_several_choices_and_of_other_starts() -> None:
    several = settle(plain(deterministic=True), MultiDiscrete([1, 1]))
    assert several.act(X[0]).tolist() == [0, 0]
    assert several.act(X).shape == (16, 2)
    later = settle(plain(deterministic=True), Discrete(2, start=5))
    assert set(later.act(X).tolist()) <= {5, 6}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("tanh", 2 * np.tanh(RAW)), ("clip", np.clip(RAW, -2, 2)), ("sample", RAW)],
)
def test_rules_for_numbers(rule: Rule, wanted: Any) -> None:
    policy = settle(plain(), Box(-2.0, 2.0, (2,)), rule)
    assert policy.act(X) == pytest.approx(wanted, abs=1e-5)
    assert policy.act(X[0]) == pytest.approx(wanted[0], abs=1e-5)
    assert recorded_rule(policy.engine) == rule


def test_h1_bounds_are_compared() -> None:
    """A limit that was lost, or another environment: 1 where the space says 2."""
    assert settle(squashed(act_limit=2.0), Box(-2.0, 2.0, (2,))).bounds() == (-2, 2)
    for space in (Box(-2.0, 2.0, (2,)), Box(np.array([-2, -3], "f4"), np.array([2, 3], "f4"))):
        with pytest.raises(
            PolicyError, match=r"gives actions from -1 to 1; Pendulum takes Box of shape \(2,\), "
        ) as caught:
            settle(squashed(), space, where="Pendulum")
        assert "--action tanh scales them" in str(caught.value.hint)
    scaled = settle(squashed(), Box(-2.0, 2.0, (2,)), "tanh")  # not squashed twice
    assert scaled.act(X) == pytest.approx(2 * np.tanh(RAW), abs=1e-5)
    for space in (
        TWO,
        Box(-np.inf, np.inf, (2,)),
        Box(np.array([-1, -3], "f4"), np.array([1, 3], "f4")),
        Box(0, 1, (2,)),
    ):
        policy = squashed()
        assert settle(policy, space) is policy


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        (tensor(np.array([2.0, 4.0], "f4")), [2, 4]),
        (tensor(np.array([2.0, 4.0], "f8")), [2, 4]),
        (tensor(np.array(3, "i8")), [3, 3]),
    ],
)
def test_h1_a_limit_kept_as_tensor_or_array_is_read(limit: Any, wanted: Any) -> None:
    for name in ("act_limit", "max_action", "action_scale"):
        pi = Module("someone.Actor", {}, {"net": sequence(linear(), layer("Tanh"))}, {}, {name: limit})
        assert policy_of(network(pi=pi)).act(X) == pytest.approx(np.array(wanted) * np.tanh(RAW), abs=1e-5)


def test_h1_a_limit_that_can_not_be_read_is_refused() -> None:
    stack = {"net": sequence(linear(), layer("Tanh"))}
    for pi in (
        Module("someone.Actor", {}, stack, {}, {}, {"act_limit": "jax.Array(…)"}),
        Module("someone.Actor", {}, stack, {"act_limit": "two"}),
    ):
        with pytest.raises(PolicyError, match="its act_limit can't be read: it is "):
            policy_of(network(pi=pi))


def test_policies_of_another_action_space_are_refused() -> None:
    logits = network(pi=Module("someone.A", {}, {"logits_net": sequence(linear())}, {}))
    assert settle(policy_of(logits), Discrete(2)).stochastic
    for policy, space, words in (
        (policy_of(logits), Discrete(3), r"chooses among 2 actions; the environment takes Discrete\(3\)"),
        (policy_of(logits), TWO, r"chooses one of several actions; the environment takes Box"),
        (
            policy_of(logits),
            MultiDiscrete([2, 2]),
            r"chooses actions of shape \(\); .* MultiDiscrete",
        ),
        (squashed(), Box(-1, 1, (3,)), r"gives 2 numbers; the environment takes Box of shape \(3,\)"),
        (plain(), Discrete(3), r"gives 2 numbers; the environment takes Discrete\(3\)"),
    ):
        with pytest.raises(PolicyError, match=words) as caught:
            settle(policy, space)
        assert caught.value.exit_code == 5
        assert "--env ID" in str(caught.value.hint)


def test_rules_of_the_other_kind_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"--action clip is for actions that are numbers; .* Discrete\(2\)"):
        settle(plain(), Discrete(2), "clip")
    with pytest.raises(PolicyError, match="--action argmax is for a choice among actions"):
        settle(plain(), TWO, "argmax")
    logits = network(pi=Module("someone.A", {}, {"logits_net": sequence(linear())}, {}))
    with pytest.raises(PolicyError, match="draws its action itself"):
        settle(policy_of(logits), Discrete(2), "argmax")
    assert rule_of(None) is None
    with pytest.raises(UsageError, match="no action rule is called 'max'"):
        rule_of("max")


def test_without_an_environment_what_is_open_stays_open() -> None:
    with pytest.raises(PolicyError, match="does not say how its outputs become actions"):
        settle(plain())
    assert settle(plain(), None, "argmax").act(X[0]) == RAW[0].argmax()
    assert settle(plain(), None, "tanh").act(X[0]) == pytest.approx(np.tanh(RAW[0]), abs=1e-6)
    assert settle(plain(), None, "clip").act(X[0]) == pytest.approx(RAW[0], abs=1e-6)
    policy = squashed()
    assert settle(policy) is policy


def test_probabilities_are_drawn_from() -> None:
    policy = settle(policy_of(network(pi=sequence(linear(), layer("Softmax", dim=-1)))), Discrete(2))
    policy.seed(1)
    drawn = np.array([policy.act(X[1]) for _ in range(4000)])
    shares = np.exp(RAW[1]) / np.exp(RAW[1]).sum()
    assert np.bincount(drawn, minlength=2) / 4000 == pytest.approx(shares, abs=0.03)
    assert "taken for probabilities" in policy.notes[-1]


def test_h5_weights_that_are_nan_are_said() -> None:
    broken = linear(np.array([[np.nan, 1, 1], [0, 0, 0]], "f4"))
    module = network(pi=actor(sequence(linear(np.eye(3, dtype="f4"), None), broken, layer("Tanh"))))
    for space in (TWO, None):
        policy = settle(policy_of(module), space)
        assert "it acts NaN, since NaN stands in pi.net.1.weight: training diverged" in policy.notes[-1]
        assert np.isnan(policy.act(X)).any()
        assert sum("acts NaN" in note for note in settle(policy, space).notes) == 1


def test_g3_a_policy_travels_by_pickle() -> None:
    policy = settle(plain("actor"), Discrete(2))
    assert isinstance(policy, Decided)
    again = pickle.loads(pickle.dumps(policy))
    for one in (policy, again):
        one.seed(7)
    assert [int(policy.act(x)) for x in X] == [int(again.act(x)) for x in X]
    assert again.notes == policy.notes
    gaussian = Module("someone.A", {"log_std": tensor(np.zeros(2, "f4"))}, {"mu_net": sequence(linear())}, {})
    drawn = policy_of(network(pi=gaussian))
    drawn.seed(3)
    drawn.act(X)
    copy = pickle.loads(pickle.dumps(drawn))
    assert copy.act(X).tolist() == drawn.act(X).tolist()  # the generator's state goes along
    assert set(copy.weights()) == set(drawn.weights())


def test_bounds_follow_from_the_last_operations() -> None:
    def bounds(*nodes: Node) -> Any:
        graph = {"x": Node("x", "Placeholder", (), {"dtype": "f4", "shape": (-1, 2)})} | {n.name: n for n in nodes}
        found = GraphPolicy(Graph(Path("save"), graph, VARIABLES, {"x": "x"}, {"pi": nodes[-1].name})).bounds()
        return None if found is None else [np.ravel(side).tolist() for side in found]

    tanh, two = Node("tanh", "Tanh", ("x",), {}), Node("two", "Variable", (), {})
    assert bounds(tanh) == [[-1], [1]]
    assert bounds(tanh, two, Node("pi", "Mul", ("two", "tanh"), {})) == [[-2, -3], [2, 3]]
    assert bounds(tanh, two, Node("pi", "Sub", ("tanh", "two"), {})) == [[-3, -4], [-1, -2]]
    assert bounds(tanh, two, Node("pi", "RealDiv", ("tanh", "two"), {})) == [[-1 / 2, -1 / 3], [1 / 2, 1 / 3]]
    assert bounds(Node("pi", "Sigmoid", ("x",), {})) == [[0], [1]]
    assert bounds(Node("pi", "Relu", ("x",), {})) is None
    assert bounds(two, Node("pi", "Minimum", ("x", "two"), {})) is None
    assert bounds(tanh, Node("pi", "Add", ("tanh", "x"), {})) is None


VARIABLES = {"two": np.array([2.0, 3.0])}


# At the command line.


def q_network(*, limit: float | None = None) -> bytes:
    """A file of PyTorch: a stack called network, of four numbers to two."""
    stack = torchlike.sequence(torchlike.linear(np.eye(2, 4, dtype="f4"), np.zeros(2, "f4")))
    own = {} if limit is None else {"act_limit": limit}
    return torchlike.zipped(torchlike.Network("someone.Net", {"network": stack}, **own))


def pendulum(*, limit: float | None) -> bytes:
    layers = torchlike.linear(np.full((1, 3), 0.1, "f4"), np.zeros(1, "f4")), torchlike.activation("Tanh")
    own = {} if limit is None else {"act_limit": limit}
    pi = torchlike.Network("someone.Actor", {"net": torchlike.sequence(*layers)}, **own)
    return torchlike.zipped(torchlike.Network("someone.AC", {"pi": pi}))


def test_the_command_line_asks_and_takes_the_answer(run_directory: Any, cli: Any, tmp_path: Path) -> None:
    run = run_directory(config={"env": "CartPole-v1"}, files={"pyt_save/model.pt": q_network()})
    db = f"--db={tmp_path}/a.db"
    assert cli("ingest", run.parent, db).code == 0
    refused = cli("test-policy", run, "-nr", "-n", 2, db)
    assert refused.code == 5
    assert "the last layer of network is a Linear; CartPole-v1 takes Discrete(2)" in refused.err
    assert "--action argmax|sample says it" in refused.err
    played = cli("test-policy", run, "-nr", "-n", 2, "--action", "argmax", "--seed", 0, "--json", db)
    assert played.code == 0
    assert '"engine": "numpy --action argmax"' in played.out
    assert "the greatest of its outputs is the action" in played.err
    assert cli("test-policy", run, "-nr", "--action", "best", db).code == 2


def test_a_sweep_takes_the_same_flag(run_directory: Any, cli: Any, tmp_path: Path) -> None:
    run = run_directory(config={"env": "CartPole-v1"}, files={"pyt_save/model.pt": q_network()})
    db = f"--db={tmp_path}/a.db"
    cli("ingest", run.parent, db)
    refused = cli("sweep", "1", "-n", 2, "--jobs", 1, db)
    assert refused.code == 1
    assert "does not say how its outputs become actions" in refused.err
    for rule, done in (("argmax", 0), ("argmax", 1), ("sample", 0)):
        swept = cli("sweep", "1", "-n", 2, "--jobs", 1, "--action", rule, db)
        assert swept.code == 0
        assert f"1 snapshot of 1 run, {done} evaluated so already" in swept.err


def test_c4_another_action_space_is_no_traceback(run_directory: Any, cli: Any) -> None:
    run = run_directory(config={"env": "Pendulum-v1"}, files={"pyt_save/model.pt": pendulum(limit=None)})
    outcome = cli("test-policy", run, "-nr", "-n", 1)
    assert outcome.code == 5
    assert "gives actions from -1 to 1; Pendulum-v1 takes Box of shape (1,), from -2 to 2" in outcome.err
    assert cli("test-policy", run, "-nr", "-n", 1, "--action", "tanh").code == 0
    right = run_directory("b/b_s0", config={"env": "Pendulum-v1"}, files={"pyt_save/model.pt": pendulum(limit=2.0)})
    assert cli("test-policy", right, "-nr", "-n", 1).code == 0
    choosing = cli("test-policy", right, "-nr", "-n", 1, "--env", "MountainCar-v0")
    assert choosing.code == 5
    assert cli("test-policy", right, "-nr", "--seed", -1).code == 2


@pytest.mark.parametrize("container", [torchlike.zipped, torchlike.legacy], ids=["zip", "legacy"])
def test_h5_a_damaged_pickle_is_told_by_ingest(container: Any, run_directory: Any, cli: Any, tmp_path: Path) -> None:
    net = torchlike.sequence(torchlike.linear(np.eye(2, 4, dtype="f4"), np.zeros(2, "f4")))
    data = container(torchlike.Network("someone.Net", {"network": net}))
    place = data.index(b"someone") + 9
    run = run_directory(
        files={"pyt_save/model.pt": data[:place] + b"\r\n\xff\xfe" + data[place + 4 :], "pyt_save/model1.pt": data}
    )
    db = f"--db={tmp_path}/a.db"
    outcome = cli("ingest", run.parent, db)
    listed = cli("snapshots", "1", db, "--json")
    unloadable = [one["unloadable"] for one in json.loads(listed.out)]
    assert sorted(reason is None for reason in unloadable) == [False, True]
    assert any("damaged" in str(reason) for reason in unloadable), unloadable
    assert "model.pt" in outcome.err
