"""Policies evaluated by numpy: against TensorFlow on the same graphs, and against arithmetic for PyTorch's files."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchlike
from conftest import REPOSITORY, Outcome

import spindb
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.codecs.torchfiles import read_module
from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.engine.problems import UnsupportedGraphError
from spindb.play.policies.savedmodel import read_policy_save
from spindb.play.policies.torch_mlp import graph_of_module

EXAMPLE = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-003" / "cartpole-ppo_lr0-003_s0"
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(3, 5)).astype("f4")
OBSERVATIONS = RNG.normal(size=(64, 3)).astype("f4")


# TensorFlow's graphs.

EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "mlp": lambda tf, x: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, tf.constant(WEIGHTS)), [1.0] * 5)),
    "activations": lambda tf, x: tf.nn.elu(x) + tf.nn.softplus(x) * tf.sigmoid(x) - tf.nn.softsign(x),
    "relu6, leaky": lambda tf, x: tf.nn.relu6(4 * x) + tf.nn.leaky_relu(x, 0.3),
    "softmax": lambda tf, x: tf.nn.softmax(x) + tf.nn.log_softmax(x),
    "arithmetic": lambda tf, x: tf.exp(-tf.square(x)) / (1 + tf.abs(x)) + tf.pow(tf.abs(x), 1.5),
    "logarithms": lambda tf, x: tf.math.log1p(tf.abs(x)) - tf.math.log(1 + tf.abs(x)),
    "roots": lambda tf, x: tf.sqrt(tf.abs(x)) + tf.math.rsqrt(1 + tf.abs(x)) + tf.sign(x),
    "clipping": lambda tf, x: tf.clip_by_value(x, -0.5, 0.25) + tf.minimum(tf.maximum(x, -0.1), 0.1),
    "shapes": lambda tf, x: tf.reshape(tf.transpose(tf.expand_dims(x, 1), [0, 2, 1]), [-1, 3]),
    "slices": lambda tf, x: tf.concat([x[:, 1:], x[:, :1], x[:, ::-1]], axis=1),
    "one column": lambda tf, x: tf.squeeze(x[:, :1], axis=1),
    "split, stack": lambda tf, x: tf.stack(tf.split(x, 3, axis=1)[::-1], axis=1)[:, :, 0],
    "first part": lambda tf, x: tf.split(x, 3, axis=1)[0] * 2,
    "last part": lambda tf, x: tf.identity(tf.split(x, 3, axis=1)[2]),
    "sums": lambda tf, x: tf.reduce_sum(x, 1, keepdims=True) + tf.reduce_mean(x, 1, keepdims=True) * tf.reduce_max(x),
    "choices": lambda tf, x: tf.where(x > 0.1, x, tf.zeros_like(x)),
    "logic": lambda tf, x: tf.cast(tf.logical_and(x < 1, tf.logical_not(x <= 0)), tf.float32),
    "normalised": lambda tf, x: (x - tf.reduce_mean(x, 1, keepdims=True)) / tf.sqrt(
        tf.reduce_mean(tf.math.squared_difference(x, tf.reduce_mean(x, 1, keepdims=True)), 1, keepdims=True) + 1e-5
    ),
    "one hot": lambda tf, x: tf.one_hot(tf.argmax(x, axis=1), 3),
    "gathered": lambda tf, x: tf.gather(x, [2, 0], axis=1),
    "tiled": lambda tf, x: tf.tile(x, [1, 2]) * tf.fill([6], 2.0),
    "filled": lambda tf, x: x * tf.ones_like(x) + tf.zeros(tf.shape(x)),
}  # fmt: skip


def save_graph(place: Path, expression: Callable[[Any, Any], Any]) -> tuple[dict[str, str], dict[str, str]]:
    """A SavedModel of one expression of a placeholder."""
    from spindb.play.engine.tensorflow_session import import_tensorflow

    tf = import_tensorflow()
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 3), name="x")
        offset = v1.get_variable("offset", initializer=np.array([0.5, -0.5, 0.25], dtype="f4"))
        pi = tf.identity(expression(tf, x + offset), name="pi")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(place), {"x": x}, {"pi": pi})
    return {"x": "x:0"}, {"pi": "pi:0"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_operation_is_tensorflows(name: str, tmp_path: Path) -> None:
    from spindb.play.policies.tf1 import TF1Policy

    names = save_graph(tmp_path / "save", EXPRESSIONS[name])
    ours, theirs = (
        GraphPolicy(read_policy_save(tmp_path / "save", *names)),
        TF1Policy(tmp_path / "save", *names),
    )
    assert np.allclose(ours.act(OBSERVATIONS), theirs.act(OBSERVATIONS), rtol=1e-5, atol=1e-5)
    assert np.shape(ours.act(OBSERVATIONS[0])) == np.shape(theirs.act(OBSERVATIONS[0]))
    assert not ours.stochastic
    theirs.close()


@pytest.mark.slow
def test_an_unknown_operation_is_played_by_tensorflow_and_said(tmp_path: Path) -> None:
    from spindb.play.policies import load_snapshot
    from spindb.records import SnapshotRecord

    inputs, outputs = save_graph(
        tmp_path / "tf1_save", lambda tf, x: tf.linalg.matvec(tf.linalg.cholesky(tf.eye(3)), x)
    )
    with pytest.raises(UnsupportedGraphError, match="numpy does not know the operation Cholesky"):
        GraphPolicy(read_policy_save(tmp_path / "tf1_save", inputs, outputs))
    snapshot = SnapshotRecord("tf1_save", "tf1_save", None, inputs=inputs, outputs=outputs)
    policy = load_snapshot(tmp_path, snapshot)
    assert policy.engine == "tensorflow"
    assert "played by TensorFlow: numpy does not know the operation Cholesky" in policy.notes[0]
    assert policy.act(OBSERVATIONS).shape == (64, 3)
    policy.close()


@pytest.mark.slow
@pytest.mark.parametrize("itr", [0, 10])
def test_a_trained_policy_is_the_same_in_both(itr: int) -> None:
    """A save of the examples: values equal, actions drawn with equal frequencies."""
    ours = spindb.load_policy(EXAMPLE, itr=itr)
    theirs = spindb.load_policy(EXAMPLE, itr=itr, engine="tensorflow")
    assert (ours.engine, theirs.engine) == ("numpy", "tensorflow")
    assert ours.stochastic
    assert theirs.stochastic
    observations = RNG.normal(size=(50, 4)).astype("f4") * 0.2
    assert np.allclose(ours.value(observations), theirs.value(observations), atol=1e-4)
    many = np.repeat(observations[:5], 4000, axis=0)
    ours.seed(0)
    drawn = [policy.act(many).reshape(5, 4000).mean(axis=1) for policy in (ours, theirs)]
    assert np.abs(drawn[0] - drawn[1]).max() < 0.05
    theirs.close()


def test_draws_begin_anew_with_a_seed_and_end_with_deterministic() -> None:
    policy = spindb.load_policy(EXAMPLE, itr=0)
    observations = RNG.normal(size=(200, 4)).astype("f4")
    policy.seed(3)
    first = policy.act(observations)
    second = policy.act(observations)
    policy.seed(3)
    assert (policy.act(observations) == first).all()
    assert (first != second).any()
    mode = spindb.load_policy(EXAMPLE, itr=0, deterministic=True)
    assert mode.deterministic
    assert (mode.act(observations) == mode.act(observations)).all()


def test_what_is_asked_for_must_be_there() -> None:
    policy = spindb.load_policy(EXAMPLE, itr=0)
    assert isinstance(policy.value(np.zeros(4)), float)
    with pytest.raises(PolicyError, match=r"was saved without q; value function there: v$") as caught:
        policy.q(np.zeros(4), [0])
    assert caught.value.hint == "policy.value(observation) is V"
    with pytest.raises(PolicyError, match=r"takes observations of shape \(4,\), not \(3,\)"):
        policy.act(np.zeros(3))


def test_damaged_graphs_are_refused_in_words(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(EXAMPLE / "tf1_save0", tmp_path / "save")
    names = ({"x": "x:0"}, {"pi": "nowhere:0"})
    with pytest.raises(PolicyError, match="has no node 'nowhere'"):
        GraphPolicy(read_policy_save(tmp_path / "save", *names))
    graph = (tmp_path / "save" / "saved_model.pb").read_bytes()
    for size in (0, 10, 1000, len(graph) // 2):
        (tmp_path / "save" / "saved_model.pb").write_bytes(graph[:size])
        with pytest.raises(PolicyError):
            GraphPolicy(read_policy_save(tmp_path / "save", *names))


# PyTorch's files.


def layers(*sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (RNG.normal(size=(b, a)).astype("f4"), RNG.normal(size=b).astype("f4")) for a, b in itertools.pairwise(sizes)
    ]


def forward(weights: list[tuple[np.ndarray, np.ndarray]], x: np.ndarray, act: Callable[[Any], Any] = np.tanh) -> Any:
    for number, (weight, bias) in enumerate(weights):
        x = x @ weight.T + bias
        x = act(x) if number + 1 < len(weights) else x
    return x


def stack(weights: list[tuple[np.ndarray, np.ndarray]], act: str = "Tanh", last: str = "Identity") -> torchlike.Network:
    parts = []
    for number, pair in enumerate(weights):
        parts += [torchlike.linear(*pair), torchlike.activation(act if number + 1 < len(weights) else last)]
    return torchlike.sequence(*parts)


def network(pi: torchlike.Network, **critics: torchlike.Network) -> torchlike.Network:
    made = {k: torchlike.Network("someone.core.Critic", {f"{k[0]}_net": v}) for k, v in critics.items()}
    return torchlike.Network("someone.core.MLPActorCritic", {"pi": pi, **made})


@pytest.fixture(params=[torchlike.zipped, torchlike.legacy], ids=["zip", "legacy"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., GraphPolicy]:
    def call(made: torchlike.Network, **options: Any) -> GraphPolicy:
        path = tmp_path / "model.pt"
        path.write_bytes(request.param(made))
        return GraphPolicy(graph_of_module(path, read_module(path.read_bytes())), **options)

    return call


def test_categorical(load: Callable[..., GraphPolicy]) -> None:
    pi, v = layers(3, 8, 4), layers(3, 8, 1)
    actor = torchlike.Network("someone.core.MLPCategoricalActor", {"logits_net": stack(pi)})
    policy = load(network(actor, v=stack(v)))
    logits = forward(pi, OBSERVATIONS)
    assert np.allclose(policy.outputs(OBSERVATIONS)["logits"], logits, atol=1e-5)
    assert np.allclose(policy.value(OBSERVATIONS), forward(v, OBSERVATIONS)[:, 0], atol=1e-5)
    assert policy.observation_shape == (3,)
    drawn = policy.act(np.repeat(OBSERVATIONS[:1], 20000, axis=0))
    chances = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert np.abs(np.bincount(drawn, minlength=4) / 20000 - chances).max() < 0.02
    assert (load(network(actor, v=stack(v)), deterministic=True).act(OBSERVATIONS) == logits.argmax(axis=1)).all()


def test_gaussian(load: Callable[..., GraphPolicy]) -> None:
    pi, log_std = layers(3, 8, 2), np.array([-0.5, 0.5], dtype="f4")
    actor = torchlike.Network("someone.core.MLPGaussianActor", {"mu_net": stack(pi)}, log_std=log_std)
    policy = load(network(actor))
    mu = forward(pi, OBSERVATIONS)
    assert np.allclose(policy.outputs(OBSERVATIONS)["mu"], mu, atol=1e-5)
    drawn = policy.act(np.repeat(OBSERVATIONS[:1], 20000, axis=0))
    assert np.allclose(drawn.mean(axis=0), mu[0], atol=0.05)
    assert np.allclose(drawn.std(axis=0), np.exp(log_std), rtol=0.05)
    assert np.allclose(load(network(actor), deterministic=True).act(OBSERVATIONS[0]), mu[0], atol=1e-5)


def test_squashed_gaussian(load: Callable[..., GraphPolicy]) -> None:
    body, mean, log_std = layers(3, 8, 8), layers(8, 2), [(np.zeros((2, 8), "f4"), np.array([-9.0, 9.0], "f4"))]
    actor = torchlike.Network(
        "someone.core.SquashedGaussianMLPActor",
        {
            "net": stack(body, "ReLU", "ReLU"),
            "mu_layer": torchlike.linear(*mean[0]),
            "log_std_layer": torchlike.linear(*log_std[0]),
        },
        act_limit=2.0,
    )
    q1, q2 = layers(5, 8, 1), layers(5, 8, 1)
    policy = load(network(actor, q1=stack(q1, "ReLU"), q2=stack(q2, "ReLU")))

    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    mu = 2 * np.tanh(forward(mean, relu(forward(body, OBSERVATIONS, relu))))
    assert np.allclose(policy.outputs(OBSERVATIONS)["mu"], mu, atol=1e-5)
    drawn = policy.act(np.repeat(OBSERVATIONS[:1], 5000, axis=0))
    assert np.allclose(drawn[:, 0], mu[0, 0], atol=0.01)  # e^-9
    assert drawn[:, 1].std() > 1  # e^2, where it is cut off
    assert np.abs(drawn).max() <= 2
    both = np.concatenate([OBSERVATIONS, mu], axis=1)
    lower = np.minimum(forward(q1, both, relu), forward(q2, both, relu))[:, 0]
    assert np.allclose(policy.q(OBSERVATIONS, mu), lower, atol=1e-4)


def test_deterministic_actor(load: Callable[..., GraphPolicy]) -> None:
    pi = layers(3, 8, 2)
    actor = torchlike.Network("someone.core.MLPActor", {"pi": stack(pi, "ReLU", "Tanh")}, act_limit=3.0)
    policy = load(network(actor))
    expected = 3 * np.tanh(forward(pi, OBSERVATIONS, lambda x: np.maximum(x, 0)))
    assert np.allclose(policy.act(OBSERVATIONS), expected, atol=1e-5)
    assert not policy.stochastic


def test_what_is_no_mlp_is_told_precisely(load: Callable[..., GraphPolicy]) -> None:
    kernel = torchlike.Network("torch.nn.modules.conv.Conv3d", weight=np.zeros((2, 3, 3, 3, 3), "f4"))
    actor = torchlike.Network("someone.vision.Actor", {"logits_net": torchlike.sequence(kernel)})
    with pytest.raises(PolicyError, match=r"it holds a torch\.nn\.modules\.conv\.Conv3d") as caught:
        load(network(actor))
    assert "someone.vision.Actor" in str(caught.value)
    along = torchlike.Network("torch.nn.modules.activation.Softmax", dim=0)
    odd = torchlike.Network("someone.Actor", {"mu_net": torchlike.sequence(along)}, log_std=np.zeros(1, "f4"))
    with pytest.raises(PolicyError, match=r"its Softmax is along axis 0"):
        load(network(odd))
    with pytest.raises(PolicyError, match="it has no actor"):
        load(torchlike.Network("someone.Net", {"body": kernel}))


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("wrap", [lambda item: item, lambda item: {"model": item}, lambda item: [item]])
def test_hostile_files_execute_nothing_and_show_what_they_wanted(
    wrap: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(wrap(Hostile()), protocol=2)
    system: dict[str, Any] = {"little_endian": True}
    head = b"".join(pickle.dumps(item, protocol=2) for item in (0x1950A86A20F9469CFC6C, 1001, system))
    with pytest.raises(PickleError) as caught:
        read_module(head + data + pickle.dumps([], protocol=2))
    assert not Path("executed").exists()
    with pytest.raises(PickleError, match=r"not a file of torch\.save: "):
        read_module(data)
    if wrap(1) == 1:
        assert "it would call" in str(caught.value)
        assert "system" in str(caught.value)
        assert "touch executed" in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 no zip", b"\x80\x02.", b"version https://git-lfs", b"\x80\x02}q\x00."]
)
def test_no_files_of_torch(data: bytes) -> None:
    with pytest.raises(PickleError):
        read_module(data)


@pytest.mark.parametrize("container", [torchlike.zipped, torchlike.legacy])
def test_files_that_are_cut_off(container: Callable[[torchlike.Network], bytes]) -> None:
    whole = container(network(torchlike.Network("someone.A", {"pi": stack(layers(3, 8, 2))})))
    for size in range(0, len(whole) - 1, 97):
        with pytest.raises(PickleError):
            read_module(whole[:size])


def test_a_pytorch_run_plays_from_the_command_line(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.chdir(tmp_path)
    actor = torchlike.Network("someone.core.MLPCategoricalActor", {"logits_net": stack(layers(4, 8, 2))})
    saved = {
        "pyt_save/model1.pt": torchlike.zipped(network(actor)),
        "pyt_save/model.pt": torchlike.legacy(network(actor)),
    }
    directory = run_directory("ppo_s0", config={"env": "CartPole-v1"}, files=saved)
    assert cli("ingest", "data").code in (0, 1)
    played = [
        json.loads(cli("test-policy", directory, "-nr", "-n", "3", "--seed", "5", "--json").out) for _ in range(2)
    ]
    assert played[0]["episodes"] == played[1]["episodes"]
    assert (played[0]["engine"], played[0]["partial"]) == ("numpy", False)
    assert played[0]["snapshot"] == "pyt_save/model1.pt"
    other = cli("test-policy", directory, "-nr", "-n", "1", "--engine", "tensorflow")
    assert other.code == 5
    assert "not played by tensorflow" in other.err
    assert cli("test-policy", directory, "--engine", "abacus").code == 2
    rows = json.loads(cli("runs", "eval.mean>0", "--json", "--columns", "id,eval.mean,eval.episodes").out)
    assert rows[0]["eval.episodes"] == 6
    assert rows[0]["eval.mean"] == played[0]["mean_return"]


def test_an_interruption_keeps_what_was_done(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.chdir(tmp_path)
    actor = torchlike.Network("someone.core.MLPCategoricalActor", {"logits_net": stack(layers(4, 8, 2))})
    saved = {"pyt_save/model.pt": torchlike.zipped(network(actor))}
    directory = run_directory("ppo_s0", config={"env": "CartPole-v1"}, files=saved)
    cli("ingest", "data")
    steps = []

    def act(self: GraphPolicy, observation: Any) -> Any:
        steps.append(1)
        if len(steps) == 300:
            raise KeyboardInterrupt
        return int(len(steps) % 2)

    monkeypatch.setattr(GraphPolicy, "__call__", act)
    outcome = cli("test-policy", directory, "-nr", "-n", "100")
    assert outcome.code == 130
    assert "AverageEpRet" in outcome.out
    assert "interrupted by SIGINT: " in outcome.err
    assert "of 100 episodes were played" in outcome.err
    assert "interrupted" in cli("show", "1").out
    (evaluation,) = json.loads(cli("show", "1", "--json").out)["evaluations"]
    assert evaluation["partial"]
    assert evaluation["engine"] == "numpy"


AUTHORS_CODE = """
import torch


class Actor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv1d(1, 2, 3)
        self.mean = torch.nn.GRUCell(4, 2)

    def forward(self, x):
        return self.convolution(x[None, None]).reshape(-1)


class ActorCritic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pi = Actor()
        self.v = torch.nn.Linear(4, 1)

    def act(self, observation, deterministic=False):
        with torch.no_grad():
            logits = self.pi(observation)
            return int(logits.argmax()) % 2 if deterministic else int(torch.randint(2, ()))
"""


@pytest.mark.slow
def test_what_is_no_mlp_plays_by_its_authors_code_when_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Outcome]
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    (tmp_path / "authors_core.py").write_text(AUTHORS_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import authors_core

    (tmp_path / "run" / "pyt_save").mkdir(parents=True)
    module = authors_core.ActorCritic()
    torch.save(module, tmp_path / "run" / "pyt_save" / "model.pt")
    played = ("test-policy", "run/", "-nr", "-n", 2, "-d", "--seed", 1, "--env", "CartPole-v1")
    refused = cli(*played)
    assert refused.code == 5
    assert "can't be rebuilt without its author's code: " in refused.err
    assert "--trust plays it by that code" in refused.err
    outcome = cli(*played, "--trust")
    assert outcome.code == 0
    assert "unpickled and played by its author's code" in outcome.err
    assert "AverageEpRet" in outcome.out
