"""PyTorch's actor-critics as graphs, against arithmetic; genuine files of PyTorch where it is installed."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.disk.codecs import torchfiles, torchtensors
from spindb.disk.codecs.pickles import PickleError
from spindb.disk.codecs.torchfiles import Module, read_module
from spindb.disk.codecs.torchtensors import Tensor
from spindb.disk.described import Built, Global
from spindb.errors import PolicyError
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.policies.torch_mlp import graph_of_module

RNG = np.random.default_rng(7)
X = RNG.normal(size=(16, 3)).astype("f4") * 3
WEIGHT, BIAS = RNG.normal(size=(2, 3)).astype("f4"), np.array([0.5, -1.0], "f4")
NONE: dict[str, Any] = {}


def tensor(values: np.ndarray) -> Tensor:
    strides = tuple(stride // values.itemsize for stride in values.strides)
    return Tensor(values.dtype.str[1:], values.shape, strides, 0, values.tobytes())


def linear(weight: np.ndarray = WEIGHT, bias: np.ndarray | None = BIAS) -> Module:
    tensors = {"weight": tensor(weight)} | ({} if bias is None else {"bias": tensor(bias)})
    return Module("torch.nn.modules.linear.Linear", tensors, {}, {})


def layer(kind: str, **attributes: Any) -> Module:
    return Module(f"torch.nn.modules.activation.{kind}", {}, {}, attributes)


def sequence(*layers: Module, kind: str = "Sequential") -> Module:
    children = {str(place): item for place, item in enumerate(layers)}
    return Module(f"torch.nn.modules.container.{kind}", {}, children, {})


def network(**children: Module) -> Module:
    return Module("someone.ActorCritic", {}, children, {})


def actor(stack: Module, **attributes: Any) -> Module:
    return Module("someone.Actor", {}, {"net": stack}, attributes)


def policy_of(module: Module, **options: Any) -> GraphPolicy:
    return GraphPolicy(graph_of_module(Path("model.pt"), module), **options)


def each(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    return np.array([[function(float(value)) for value in row] for row in values])


ACTIVATIONS: dict[str, tuple[dict[str, Any], Callable[[float], float]]] = {
    "Identity": (NONE, lambda x: x),
    "Dropout": ({"p": 0.5}, lambda x: x),
    "Tanh": (NONE, math.tanh),
    "ReLU": (NONE, lambda x: max(x, 0)),
    "ReLU6": (NONE, lambda x: min(max(x, 0), 6)),
    "ELU": ({"alpha": 1.0}, lambda x: x if x > 0 else math.exp(x) - 1),
    "LeakyReLU": ({"negative_slope": 0.01}, lambda x: x if x > 0 else 0.01 * x),
    "Sigmoid": (NONE, lambda x: 1 / (1 + math.exp(-x))),
    "Softplus": ({"beta": 1}, lambda x: math.log(1 + math.exp(x))),
    "Softsign": (NONE, lambda x: x / (1 + abs(x))),
    "SiLU": (NONE, lambda x: x / (1 + math.exp(-x))),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activation(kind: str) -> None:
    attributes, function = ACTIVATIONS[kind]
    policy = policy_of(network(pi=actor(sequence(linear(), layer(kind, **attributes)))))
    assert policy.act(X) == pytest.approx(each(function, X @ WEIGHT.T + BIAS), rel=1e-4, abs=1e-5)


def test_layers_without_biases_and_lists_of_layers() -> None:
    second = RNG.normal(size=(4, 2)).astype("f4")
    stack = sequence(linear(bias=None), sequence(layer("Tanh"), linear(second, None)), kind="ModuleList")
    assert policy_of(network(pi=actor(stack))).act(X) == pytest.approx(np.tanh(X @ WEIGHT.T) @ second.T, abs=1e-5)


@pytest.mark.parametrize(
    ("attributes", "tensors", "scale"),
    [
        ({}, {}, 1),
        ({"act_limit": 2.5}, {}, 2.5),
        ({}, {"act_limit": tensor(np.array([2.0, 4.0], "f4"))}, [2, 4]),
        ({"act_limit": 9.0}, {"act_limit": tensor(np.array([2.0, 4.0], "f4"))}, [2, 4]),
    ],
    ids=["none", "one number", "a number each", "the tensor first"],
)
def test_actions_are_scaled_to_their_limit(attributes: Any, tensors: Any, scale: Any) -> None:
    pi = Module("someone.Actor", tensors, {"net": sequence(linear(), layer("Tanh"))}, attributes)
    expected = np.asarray(scale) * np.tanh(X @ WEIGHT.T + BIAS)
    assert policy_of(network(pi=pi)).act(X) == pytest.approx(expected, abs=1e-5)


def test_the_actor_is_called_pi_or_actor() -> None:
    first, second = actor(sequence(linear())), actor(sequence(linear(-WEIGHT, -BIAS)))
    expected = X @ WEIGHT.T + BIAS
    assert policy_of(network(actor=first)).act(X) == pytest.approx(expected, abs=1e-5)
    assert policy_of(network(actor=second, pi=first)).act(X) == pytest.approx(expected, abs=1e-5)
    assert set(policy_of(network(actor=first)).weights()) == {"actor.net.0.weight", "actor.net.0.bias"}


CRITIC = RNG.normal(size=(1, 5)).astype("f4")


def critic(weight: np.ndarray, *, name: str = "q") -> Module:
    return Module("someone.Critic", {}, {name: sequence(linear(weight, np.array([0.5], "f4")))}, {})


def test_critics() -> None:
    v, twin = RNG.normal(size=(1, 3)).astype("f4"), RNG.normal(size=(1, 5)).astype("f4")
    pi = actor(sequence(linear()))
    policy = policy_of(network(pi=pi, v=critic(v, name="v_net"), q1=critic(CRITIC), q2=critic(twin)))
    assert policy.value(X) == pytest.approx((X @ v.T + 0.5)[:, 0], abs=1e-4)
    assert isinstance(policy.value(X[0]), float)
    actions = RNG.normal(size=(16, 2)).astype("f4")
    both = np.concatenate([X, actions], axis=1)
    q1, q2 = ((both @ w.T + 0.5)[:, 0] for w in (CRITIC, twin))
    assert policy.q(X, actions) == pytest.approx(np.minimum(q1, q2), abs=1e-4)
    assert policy.evaluate("q2", X, actions) == pytest.approx(q2, abs=1e-4)
    assert policy.q(X[3], actions[3]) == pytest.approx(min(q1[3], q2[3]), abs=1e-4)
    assert sorted(policy.names) == ["pi", "v"]
    one = policy_of(network(pi=pi, q=critic(CRITIC)))
    assert one.q(X, actions) == pytest.approx(q1, abs=1e-4)
    bare = policy_of(network(pi=pi, v=sequence(linear(v, None))))  # no module around its layers
    assert bare.value(X) == pytest.approx((X @ v.T)[:, 0], abs=1e-4)
    hidden = RNG.normal(size=(4, 3)).astype("f4")
    deep = policy_of(
        network(
            pi=pi, v=sequence(linear(hidden, None), layer("ReLU"), linear(hidden[:1, :1] * np.ones((1, 4), "f4"), None))
        )
    )
    assert deep.value(X) == pytest.approx(np.maximum(X @ hidden.T, 0).sum(axis=1) * hidden[0, 0], abs=1e-4)


def test_a_gaussian_draws_around_its_mean() -> None:
    log_std = np.array([-1.0, 0.5], "f4")
    pi = Module("someone.Actor", {"log_std": tensor(log_std)}, {"mu_net": sequence(linear())}, {})
    policy = policy_of(network(pi=pi))
    assert policy.stochastic
    policy.seed(1)
    drawn = policy.act(np.repeat(X[:1], 20_000, axis=0))
    mean = (X @ WEIGHT.T + BIAS)[0]
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.05)
    assert drawn.std(axis=0) == pytest.approx(np.exp(log_std), rel=0.03)
    assert policy.outputs(X)["mu"] == pytest.approx(X @ WEIGHT.T + BIAS, abs=1e-5)
    assert policy_of(network(pi=pi), deterministic=True).act(X[0]) == pytest.approx(mean, abs=1e-5)


def test_the_first_layer_says_what_is_observed() -> None:
    """Not what else an actor holds: a deviation as a row, or weights of another kind."""
    tensors = {"log_std": tensor(np.zeros((1, 2), "f4")), "weight": tensor(np.zeros(4, "f4"))}
    pi = Module("someone.Actor", tensors, {"mu_net": sequence(linear())}, {})
    assert policy_of(network(pi=pi)).observation_shape == (3,)


@pytest.mark.parametrize(("written", "used"), [(-30.0, -20.0), (0.3, 0.3), (5.0, 2.0)])
def test_the_deviation_of_a_squashed_gaussian_is_cut_off(written: float, used: float) -> None:
    """Between e^-20 and e^2, as Spinning Up's SAC does; seen before it is squashed."""
    head = linear(np.zeros((2, 3), "f4"), np.full(2, written, "f4"))
    children = {"net": sequence(layer("Identity")), "mu_layer": linear(), "log_std_layer": head}
    policy = policy_of(network(pi=Module("someone.Actor", {}, children, {"act_limit": 3.0})))
    mean = X @ WEIGHT.T + BIAS
    assert policy.outputs(X)["mu"] == pytest.approx(3 * np.tanh(mean), abs=1e-5)
    found = policy.tensor("pi.log_std", X)
    assert np.asarray(found) == pytest.approx(np.full((16, 2), used), abs=1e-6)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (network(), "it has no actor (a child called pi or actor) and is no stack of layers"),
        (network(fc1=linear(), fc2=linear()), "it has no actor (a child called pi or actor) and is no stack of layers"),
        (network(pi=Module("someone.Actor", {}, {}, {})), "its actor is of no kind that is known"),
        (
            network(pi=Module("someone.Actor", {}, {"a": linear(), "b": linear()}, {})),
            "its actor is of no kind that is known",
        ),
        (network(pi=actor(sequence(Module("someone.Noise", {}, {}, {})))), "it holds a someone.Noise"),
        (network(pi=actor(sequence(linear(), layer("GLU")))), "it holds a torch.nn.modules.activation.GLU"),
        (
            network(pi=network(shared_net=sequence(linear()), mu_net=linear(), var_net=linear())),
            "shared_net ends with a linear layer; which activation its forward applies before mu_net was not saved",
        ),
    ],
)
def test_what_can_not_be_rebuilt_is_said(module: Module, why: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy_of(module)
    assert caught.value.message.startswith(f"model.pt can't be rebuilt without its author's code: {why}. Its modules: ")
    assert "someone.ActorCritic" in caught.value.message
    assert str(caught.value.hint).startswith("--trust plays it by that code")


def test_tensors_may_be_views() -> None:
    """Transposed, or a part of a longer storage: strides and offsets count elements."""
    storage = np.arange(20, dtype="f4")
    transposed = Tensor("f4", (2, 3), (1, 2), 4, storage.tobytes())
    expected = storage[4:10].reshape(3, 2).T
    module = Module("torch.nn.modules.linear.Linear", {"weight": transposed}, {}, {})
    policy = policy_of(network(pi=actor(sequence(module))))
    assert policy.weights()["pi.net.0.weight"].tolist() == expected.tolist()
    assert policy.act(X) == pytest.approx(X @ expected.T, rel=1e-5)
    assert policy.observation_shape == (3,)


# Genuine files.


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_tensors_of_every_type_are_read_as_torch_wrote_them(torch: Any, kind: str, legacy: bool) -> None:
    module = torch.nn.Module()
    values = torch.arange(12).reshape(3, 4).to(getattr(torch, kind))
    module.register_buffer("whole", values)
    module.register_buffer("view", values.T[1:])
    module.register_buffer("other", torch.tensor([1.5, -2.0]))
    file = io.BytesIO()
    torch.save(module, file, _use_new_zipfile_serialization=not legacy)
    found = read_module(file.getvalue())
    assert found.class_path == "torch.nn.modules.module.Module"
    for name, wanted in module.named_buffers():
        read = found.tensors[name]
        flat = np.frombuffer(read.storage, "<" + read.dtype)[read.offset :]
        strides = tuple(flat.itemsize * stride for stride in read.strides)
        assert np.lib.stride_tricks.as_strided(flat, read.shape, strides).tolist() == wanted.tolist()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_genuine_actor_critic_acts_as_torch_has_it(
    torch: Any, legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authors_actor.py").write_text("import torch\n\n\nclass Actor(torch.nn.Module):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import authors_actor

    made = torch.nn.Module()
    made.pi = authors_actor.Actor()
    made.pi.pi = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ELU(), torch.nn.Linear(8, 2), torch.nn.Tanh())
    made.pi.act_limit = np.float32(2.0)
    made.q = torch.nn.Module()
    made.q.q = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    path = tmp_path / "model.pt"
    torch.save(made, path, _use_new_zipfile_serialization=not legacy)
    sys.modules.pop("authors_actor")
    policy = policy_of(read_module(path.read_bytes()))
    with torch.no_grad():
        observations = torch.as_tensor(X)
        actions = 2 * made.pi.pi(observations)
        worth = made.q.q(torch.cat([observations, actions], dim=-1))[:, 0]
    assert policy.act(X) == pytest.approx(actions.numpy(), abs=1e-5)
    assert policy.q(X, actions.numpy()) == pytest.approx(worth.numpy(), abs=1e-4)


def test_what_a_file_holds_is_checked_before_it_is_used() -> None:
    storage = Built(Global("persistent", "id"), (("storage", Global("torch", "FloatStorage"), "0", "cpu", 4),))
    rebuilt = Built(Global("torch._utils", "_rebuild_tensor_v2"), (storage, 0, (2, 2), "strides"))
    with pytest.raises(PickleError) as caught:
        torchtensors.tensor_of(rebuilt, {"0": bytes(16)})
    assert str(caught.value) == "a tensor of the shape (2, 2) and the strides 'strides'"
    value = b"\0\0\0@"
    for dtype, number in (
        (Built(Global("numpy", "dtype"), ("f4",)), 2.0),
        (Built(Global("numpy", "dtype")), None),
        ("f4", None),
    ):
        scalar = Built(Global("numpy.core.multiarray", "scalar"), (dtype, value))
        assert torchtensors.scalar_of(scalar) == number
    nested = Built(Global("someone", "Module"))
    for _ in range(60):
        nested = Built(Global("someone", "Module"), state={"_modules": {"inner": nested}})
    with pytest.raises(PickleError, match="modules nested more than 50 deep"):
        torchfiles._Modules({}).module(nested, 0)
