"""The usual shapes of PyTorch modules, saved by our own logger, play as PyTorch itself has them."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.errors import PolicyError
from spindb.logger import EpochLogger
from spindb.play.load import load_policy
from spindb.play.policies import load_snapshot
from spindb.records import SnapshotRecord

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

X = np.random.default_rng(5).normal(size=(6, 5)).astype("f4")
PICTURES = np.random.default_rng(6).normal(size=(3, 4, 20, 22)).astype("f4")


def mlp(*sizes: int, activation: Any = None, output: Any = None) -> Any:
    layers: list[Any] = []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = place == len(sizes) - 2
        layers += [nn.Linear(inputs, outputs), (output or nn.Identity)() if last else (activation or nn.Tanh)()]
    return nn.Sequential(*layers)


@pytest.fixture
def author(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a module of a class that can't be imported once it was saved."""
    module = types.ModuleType("someones_code")
    monkeypatch.setitem(sys.modules, "someones_code", module)

    class Net(nn.Module):  # type: ignore[name-defined,misc]
        """Whatever its author's forward does."""

    Net.__module__, Net.__qualname__ = "someones_code", "Net"
    module.Net = Net  # type: ignore[attr-defined]

    def make(**parts: Any) -> Any:
        made = Net()
        for name, part in parts.items():
            setattr(made, name, part)
        return made

    return make


def saved(directory: Path, module: Any) -> Path:
    """A run in which our logger saved the module."""
    logger = EpochLogger(output_dir=directory, exp_name="shapes")
    logger.save_config({"seed": 0})
    logger.setup_pytorch_saver(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what will not play by itself: test_logger_reads_back.py
        logger.save_state({"env": None}, None)
    logger.log_tabular("Epoch", 0)
    logger.dump_tabular()
    logger.close()
    sys.modules.pop("someones_code", None)
    return directory


def numbers(found: Any) -> np.ndarray:
    array: np.ndarray = found.detach().numpy()
    return array


def policy_of(directory: Path, **options: Any) -> Any:
    snapshot = SnapshotRecord("pyt_save", "pyt_save/model.pt", None)
    return load_snapshot(directory, snapshot, **options)


def test_a_bare_sequential(tmp_path: Path) -> None:
    net = mlp(5, 16, 3, activation=nn.ReLU)
    assert (
        load_policy(saved(tmp_path, net), action="argmax").act(X).tolist()
        == numbers(net(torch.tensor(X))).argmax(1).tolist()
    )


def test_a_bare_sequential_that_is_squashed(tmp_path: Path) -> None:
    net = mlp(5, 16, 2, output=nn.Tanh)
    assert load_policy(saved(tmp_path, net)).act(X) == pytest.approx(numbers(net(torch.tensor(X))), abs=1e-5)


def test_pi_and_v_as_sequentials(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(pi=mlp(5, 16, 3), v=mlp(5, 16, 1))
    policy = policy_of(saved(tmp_path, net), deterministic=True)
    assert policy.outputs(X)["pi"] == pytest.approx(numbers(net.pi(torch.tensor(X))), abs=1e-5)
    assert policy.value(X) == pytest.approx(numbers(net.v(torch.tensor(X)))[:, 0], abs=1e-5)


def test_an_actor_and_a_critic_that_choose(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(critic=mlp(5, 16, 1), actor=mlp(5, 16, 3))
    policy = policy_of(saved(tmp_path, net))
    assert policy.form.scores == "logits"
    assert policy.act(X) == pytest.approx(numbers(net.actor(torch.tensor(X))), abs=1e-5)
    assert policy.value(X[0]) == pytest.approx(float(net.critic(torch.tensor(X[0])).detach()), abs=1e-5)


def test_an_actor_with_a_mean_and_a_deviation_of_its_own(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(critic=mlp(5, 16, 1), actor_mean=mlp(5, 16, 2), actor_logstd=nn.Parameter(torch.full((1, 2), -1.0)))
    directory = saved(tmp_path, net)
    mean = numbers(net.actor_mean(torch.tensor(X)))
    assert load_policy(directory, deterministic=True).act(X) == pytest.approx(mean, abs=1e-5)
    drawn = np.stack([load_policy(directory).act(np.repeat(X[:1], 4000, axis=0))])[0]
    assert drawn.std(axis=0) == pytest.approx(np.exp([-1, -1]), rel=0.06)


def test_a_q_network(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(q_net=mlp(5, 16, 3, activation=nn.ReLU))
    policy = policy_of(saved(tmp_path, net))
    assert policy.act(X) == pytest.approx(numbers(net.q_net(torch.tensor(X))), abs=1e-5)
    assert policy.form.scores == "values"


def test_a_categorical_actor_alone(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(logits_net=mlp(5, 16, 3))
    policy = load_policy(saved(tmp_path, net), deterministic=True)
    assert policy.act(X).tolist() == numbers(net.logits_net(torch.tensor(X))).argmax(1).tolist()


def test_a_gaussian_actor_with_two_heads(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(shared_net=mlp(5, 16, output=nn.ReLU), mu_net=nn.Linear(16, 2), var_net=nn.Linear(16, 2))
    policy = load_policy(saved(tmp_path, net), deterministic=True, action="clip")
    assert policy.act(X) == pytest.approx(numbers(net.mu_net(net.shared_net(torch.tensor(X)))), abs=1e-5)
    assert any("var_net may be a deviation" in note for note in policy.notes)


def test_a_squashed_gaussian_and_a_limit_in_a_tensor(tmp_path: Path, author: Callable[..., Any]) -> None:
    pi = author(net=mlp(5, 16, output=nn.ReLU), mu_layer=nn.Linear(16, 2), log_std_layer=nn.Linear(16, 2))
    pi.act_limit = torch.tensor([2.0, 3.0])
    wanted = numbers(torch.tanh(pi.mu_layer(pi.net(torch.tensor(X)))) * pi.act_limit)
    policy = load_policy(saved(tmp_path, author(pi=pi)), deterministic=True)
    assert policy.act(X) == pytest.approx(wanted, abs=1e-5)


def test_normalised_layers(tmp_path: Path, author: Callable[..., Any]) -> None:
    stack = nn.Sequential(
        *(
            nn.BatchNorm1d(5),
            nn.Linear(5, 16),
            nn.LayerNorm(16),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(16, 2),
            nn.Tanh(),
        )
    )
    stack[0].running_mean.copy_(torch.arange(5) / 5.0)
    stack[0].running_var.copy_(torch.arange(1, 6) / 3.0)
    policy = load_policy(saved(tmp_path, author(pi=author(net=stack))))
    assert policy.act(X) == pytest.approx(numbers(stack.eval()(torch.tensor(X))), abs=1e-5)
    assert "its BatchNorm uses its running statistics, as in evaluation" in policy.notes
    assert "its Dropout is left out, as in evaluation" in policy.notes


def test_pictures(tmp_path: Path, author: Callable[..., Any]) -> None:
    stack = nn.Sequential(
        *(nn.Conv2d(4, 8, 5, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)),
        *(nn.ELU(), nn.Flatten(), nn.Linear(48, 3)),
    ).eval()
    policy = policy_of(saved(tmp_path, author(q_net=stack)))
    policy.observation_shape = PICTURES.shape[1:]
    assert policy.act(PICTURES) == pytest.approx(numbers(stack(torch.tensor(PICTURES))), abs=1e-5)


def test_an_embedding(tmp_path: Path, author: Callable[..., Any]) -> None:
    stack = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 3))
    policy = policy_of(saved(tmp_path, author(q_net=stack)))
    assert policy.act(np.int64(3)) == pytest.approx(numbers(stack(torch.tensor(3))), abs=1e-6)
    assert policy.act(np.arange(7)) == pytest.approx(numbers(stack(torch.arange(7))), abs=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"])
def test_a_state_is_carried_through_an_episode(kind: str, tmp_path: Path, author: Callable[..., Any]) -> None:
    cell = kind.endswith("Cell")
    options = {} if cell else {"num_layers": 2}
    pi = author(net=mlp(5, 8, output=nn.ReLU), rnn=getattr(nn, kind)(8, 6, **options), head=mlp(6, 2, output=nn.Tanh))
    policy = load_policy(saved(tmp_path, author(pi=pi, v=mlp(5, 8, 1))))
    for _ in range(2):
        policy.begin_episode()
        state = None
        for x in X:
            body = pi.net(torch.tensor(x[None]))
            if cell:
                state = pi.rnn(body, state)
                out = state[0] if kind == "LSTMCell" else state
            else:
                out, state = pi.rnn(body[None], state)
                out = out[0]
            assert policy.act(x) == pytest.approx(numbers(pi.head(out))[0], abs=1e-5)
    with pytest.raises(PolicyError, match="carries the state of 1 episodes, and was given 6 observations"):
        policy.act(X)
    assert policy.value(X).shape == (6,)


def test_a_state_dict(tmp_path: Path, author: Callable[..., Any]) -> None:
    net = author(pi=author(logits_net=mlp(5, 16, 3)), v=author(v_net=mlp(5, 16, 1)))
    policy = load_policy(saved(tmp_path, net.state_dict()), deterministic=True)
    assert policy.act(X).tolist() == numbers(net.pi.logits_net(torch.tensor(X))).argmax(1).tolist()
    assert policy.notes[0].endswith("Tanh between its layers (that is Spinning Up's, and assumed)")


def test_a_state_dict_takes_its_activation_from_the_config(tmp_path: Path, author: Callable[..., Any]) -> None:
    pi = author(net=mlp(5, 8, 8, activation=nn.ELU, output=nn.ELU), mu_layer=nn.Linear(8, 2))
    pi.log_std_layer = nn.Linear(8, 2)
    logger = EpochLogger(output_dir=tmp_path, exp_name="weights")
    logger.save_config({"ac_kwargs": {"activation": nn.ELU, "hidden_sizes": [8, 8]}})
    logger.setup_pytorch_saver(author(pi=pi).state_dict())
    logger.save_state({}, None)
    logger.close()
    policy = load_policy(tmp_path, deterministic=True)
    assert policy.act(X) == pytest.approx(numbers(torch.tanh(pi.mu_layer(pi.net(torch.tensor(X))))), abs=1e-5)
    assert policy.notes[0].endswith("ELU between its layers (the run's config says so)")


def test_an_unknown_critic_takes_no_actor_with_it(tmp_path: Path, author: Callable[..., Any]) -> None:
    pi = author(net=mlp(5, 8, 2, output=nn.Tanh))
    policy = load_policy(saved(tmp_path, author(pi=pi, q1=author(a=nn.Linear(7, 1), b=nn.Linear(7, 1)))))
    assert policy.act(X) == pytest.approx(numbers(pi.net(torch.tensor(X))), abs=1e-5)
    assert not policy.has("q1")
    assert any(note.startswith("its critic q1 is not known here") for note in policy.notes)


def critics(author: Callable[..., Any], *names: str) -> Any:
    """An actor-critic with critics of observation and action, as SAC's, TD3's and DDPG's."""
    return author(pi=author(net=mlp(5, 8, 2, output=nn.Tanh)), **{name: author(q=mlp(7, 8, 1)) for name in names})


@pytest.mark.parametrize(
    ("names", "there"), [(("q1", "q2"), "value functions there: q1, q2"), (("q",), "value function there: q")]
)
def test_a_save_without_v_names_what_there_is(
    names: tuple[str, ...], there: str, tmp_path: Path, author: Callable[..., Any]
) -> None:
    """Of SAC, TD3 and DDPG; the lower of two is what `q` gives."""
    net = critics(author, *names)
    wanted = [numbers(getattr(net, name).q(torch.tensor(np.hstack([X, X[:, :2]]))))[:, 0] for name in names]
    directory = saved(tmp_path, net)
    policy = load_policy(directory)
    with pytest.raises(PolicyError, match=f"was saved without v; {there}$") as caught:
        policy.value(X)
    assert "policy.q(observation, action) is" in str(caught.value.hint)
    assert policy.q(X, X[:, :2]) == pytest.approx(np.min(wanted, axis=0), abs=1e-5)


def test_a_save_without_any_value_function_says_so(tmp_path: Path, author: Callable[..., Any]) -> None:
    policy = load_policy(saved(tmp_path, critics(author)))
    for ask in (lambda: policy.value(X), lambda: policy.q(X, X[:, :2])):
        with pytest.raises(PolicyError, match=r"was saved without [vq] or any other value function$"):
            ask()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("name", ["v", "q2"])
def test_h5_a_critic_that_is_not_finite_is_said(
    name: str, bad: float, tmp_path: Path, author: Callable[..., Any]
) -> None:
    from spindb.play.rollouts.value_trace import broken_values

    names = ("q1", "q2") if name == "q2" else ()
    net = critics(author, *names)
    net.v = None if names else author(q=mlp(5, 8, 1))
    with torch.no_grad():
        getattr(net, name).q[2].bias[0] = bad
    policy = load_policy(saved(tmp_path, net))
    assert policy.act(X).shape == (6, 2), "the actor plays"
    told = f"{name} is NaN or infinite: that stands in {name}.q.2.bias; the training diverged"
    assert broken_values(policy) == ((told,) if bad else ())


def test_a_forward_that_is_code_is_refused(tmp_path: Path, author: Callable[..., Any]) -> None:
    with pytest.raises(
        PolicyError, match=r"Its modules: someones_code\.Net, torch\.nn\.modules\.linear\.Linear"
    ) as caught:
        load_policy(saved(tmp_path, author(fc1=nn.Linear(5, 8), fc2=nn.Linear(8, 2))))
    assert "--import FILE.py" in str(caught.value.hint)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_an_archive_of_torchscript_is_refused_in_words(tmp_path: Path) -> None:
    saved(tmp_path, mlp(5, 2))
    torch.jit.save(torch.jit.trace(mlp(5, 2), torch.tensor(X)), tmp_path / "pyt_save/model.pt")
    with pytest.raises(
        PolicyError, match="a TorchScript archive: its network is code in code/, which only PyTorch runs"
    ):
        load_policy(tmp_path)


SCRIPT = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(5, 8), torch.nn.Linear(8, 2)

    def forward(self, x):
        return torch.tanh(self.fc2(torch.relu(self.fc1(x))))


if __name__ == "__main__":
    raise SystemExit("training")
"""


HIDDEN = """
import torch


class Hidden(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers = torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Identity()
        self.shared_net = torch.nn.Sequential(*layers)
        self.mu_net, self.var_net = torch.nn.Linear(8, 2), torch.nn.Linear(8, 2)

    def forward(self, x):
        body = torch.nn.functional.leaky_relu(self.shared_net(x))
        return torch.distributions.Normal(self.mu_net(body), self.var_net(body).abs()).mean
"""


def test_h4_an_activation_that_was_not_saved_is_never_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare Gaussian actor whose forward has one between its body and its heads; by its author's code it plays."""
    from spindb.play.environments.importable import import_named

    script = tmp_path / "train.py"
    script.write_text(HIDDEN)
    main = types.ModuleType("__main__")
    exec(compile(HIDDEN, "train.py", "exec"), main.__dict__)  # noqa: S102
    main.Hidden.__module__ = "__main__"
    net = main.Hidden()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "__main__", main)
        saved(tmp_path / "run", net)
    with pytest.raises(PolicyError, match="which activation its forward applies before mu_net was not saved") as caught:
        policy_of(tmp_path / "run")
    assert "--trust" in str(caught.value.hint)
    import_named(str(script))
    policy = load_policy(tmp_path / "run", trust=True, action="sample")
    assert policy.act(X[0]) == pytest.approx(numbers(net(torch.tensor(X[0]))), abs=1e-6)


def test_a_class_of_a_script_plays_with_trust_and_that_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spindb.play.environments.importable import import_named

    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    main = types.ModuleType("__main__")
    exec(compile(SCRIPT.partition("if __name__")[0], "train.py", "exec"), main.__dict__)  # noqa: S102
    main.Net.__module__ = "__main__"
    net = main.Net()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "__main__", main)
        saved(tmp_path / "run", net)
    with pytest.raises(
        PolicyError, match=r"Net was defined in a script \(__main__\): --import FILE.py names that script"
    ):
        policy_of(tmp_path / "run", trust=True)
    import_named(str(script))
    policy = policy_of(tmp_path / "run", trust=True)
    assert policy.act(X[0]) == pytest.approx(numbers(net(torch.tensor(X[0]))), abs=1e-6)
    assert not policy.form.settled
