"""The logger reads back what it saved and says what will not play; ONNX twins play without the author's code."""

from __future__ import annotations

import importlib
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.logger import EpochLogger
from spindb.play.load import load_policy

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed")
X = np.random.default_rng(3).normal(size=(7, 4)).astype("f4")
NUMBERS, CHOICES = "Box", "Discrete"

CODE = textwrap.dedent(
    """
    import torch
    from torch import nn
    from torch.distributions import Categorical, Normal

    class MLPActor(nn.Module):
        def __init__(self, limit=2.0):
            super().__init__()
            self.limit = limit
            self.fc1, self.fc2 = nn.Linear(4, 16), nn.Linear(16, 2)
        def forward(self, obs):
            return torch.tanh(self.fc2(torch.relu(self.fc1(obs)))) * self.limit

    class Agent(nn.Module):  # CleanRL
        def __init__(self):
            super().__init__()
            self.critic = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
            self.actor = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))

    class ActorCritic(nn.Module):
        def __init__(self):
            super().__init__()
            self.pi = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
            self.v = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))

    class QNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        def forward(self, x):
            return self.network(x)

    class DQN(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 16), nn.Linear(16, 2)
        def forward(self, x):
            return self.fc2(torch.relu(self.fc1(x)))

    class GaussianPi(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 16), nn.Linear(16, 2)
            self.spread = nn.Parameter(-torch.ones(2))
        def forward(self, obs, act=None):
            return Normal(self.second(torch.tanh(self.first(obs))), torch.exp(self.spread)), None

    class CategoricalPi(GaussianPi):
        def forward(self, obs, act=None):
            return Categorical(logits=self.second(torch.tanh(self.first(obs)))), None

    class Coded(nn.Module):  # an actor-critic as Spinning Up's, of modules whose forward is code
        def __init__(self, pi):
            super().__init__()
            self.pi = pi
            self.value = nn.Linear(4, 1)
        def v(self, obs):
            return torch.squeeze(torch.relu(self.value(obs)), -1)
        def act(self, obs):
            with torch.no_grad():
                return self.pi(obs)[0].sample().numpy()

    class Squashed(nn.Module):  # SAC
        def __init__(self):
            super().__init__()
            self.body, self.mean, self.spread = nn.Linear(4, 16), nn.Linear(16, 2), nn.Linear(16, 2)
        def forward(self, obs, deterministic=False, with_logprob=True):
            h = torch.relu(self.body(obs))
            mean = self.mean(h)
            action = mean if deterministic else Normal(mean, self.spread(h).clamp(-5, 1).exp()).rsample()
            return 2 * torch.tanh(action), None

    class SquashedCritic(nn.Module):
        def __init__(self):
            super().__init__()
            self.pi = Squashed()
        def act(self, obs, deterministic=False):
            with torch.no_grad():
                return self.pi(obs, deterministic, False)[0].numpy()

    class Decides(nn.Module):  # its way depends on values
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 2), nn.Linear(4, 2)
        def forward(self, obs):
            return self.fc1(obs) if float(obs.sum()) > 0 else self.fc2(obs)
    """
)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An author's module, which is gone once `gone` was called."""
    place = tmp_path / "code"
    place.mkdir()
    (place / "someones.py").write_text(CODE)
    monkeypatch.syspath_prepend(place)
    yield importlib.import_module("someones")
    sys.modules.pop("someones", None)


class Env(gymnasium.Env):  # type: ignore[misc,name-defined]
    """What a policy of four numbers observes, and two numbers or one of two choices."""

    def __init__(self, kind: str) -> None:
        box = gymnasium.spaces.Box
        self.observation_space = box(-10.0, 10.0, (4,), np.float32)
        self.action_space = box(-2.0, 2.0, (2,), np.float32) if kind == NUMBERS else gymnasium.spaces.Discrete(2)


def save(directory: Path, module: Any, kind: str = NUMBERS, **options: Any) -> list[str]:
    """Save a module by our logger; returns what it warned of, but for the environment."""
    torch.manual_seed(1)
    with warnings.catch_warnings(record=True) as caught, EpochLogger(directory, quiet=True) as logger:
        warnings.simplefilter("always")
        logger.save_config({"seed": 0})
        logger.setup_pytorch_saver(module, **options)
        logger.save_state({"env": Env(kind)}, None)
        logger.log_tabular("Epoch", 0)
        logger.dump_tabular()
    sys.modules.pop("someones", None)
    assert all(item.category is RuntimeWarning for item in caught), [str(item.message) for item in caught]
    return [text for item in caught if not (text := str(item.message)).startswith("the environment that was saved")]


def told(module: Any) -> np.ndarray:
    """What PyTorch makes of the observations."""
    with torch.no_grad():
        found = module(torch.tensor(X))
        found = found[0] if isinstance(found, tuple) else found
        return np.asarray(getattr(found, "mean", found) if not isinstance(found, torch.Tensor) else found)


def refuse_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The author's code is gone."""
    monkeypatch.setitem(sys.modules, "someones", None)


PLAIN: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "pi and v as Sequentials": (lambda code: code.ActorCritic(), lambda module: module.pi, CHOICES),
    "CleanRL's actor and critic": (lambda code: code.Agent(), lambda module: module.actor, CHOICES),
    "a squashed Sequential": (
        lambda code: torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Hardtanh(-2, 2)),
        lambda module: module,
        NUMBERS,
    ),
}
"""Modules that numpy plays, what of them acts, and in which space."""


@pytest.mark.parametrize("name", [n for n in PLAIN if "squashed" not in n])
@pytest.mark.parametrize("save_onnx", [False, True])
def test_f2_a_save_that_plays_says_nothing(
    name: str, save_onnx: bool, code: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, acting, kind = PLAIN[name]
    module = make(code)
    assert save(tmp_path / "run", module, kind, save_onnx=save_onnx) == []
    refuse_imports(monkeypatch)
    policy = load_policy(tmp_path / "run", deterministic=True, action="argmax")
    assert policy.act(X).tolist() == told(acting(module)).argmax(1).tolist()


def test_f2_a_bare_stack_whose_output_is_open_is_said_with_the_rule_that_decides(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    (said,) = save(tmp_path / "run", module, CHOICES)
    assert said.startswith("what was saved will not play by itself: pyt_save/model.pt does not say")
    assert "--action argmax|sample says it" in said
    assert load_policy(tmp_path / "run", action="argmax").act(X).tolist() == told(module).argmax(1).tolist()


@pytest.mark.parametrize("name", ["MLPActor", "DQN"])
def test_f2_a_module_whose_forward_is_code_is_said_with_both_ways_out(name: str, code: Any, tmp_path: Path) -> None:
    (said,) = save(tmp_path / "run", getattr(code, name)(), CHOICES if name == "DQN" else NUMBERS)
    assert "can't be rebuilt without its author's code" in said
    assert "save_onnx=True" in said
    assert "test-policy --trust" in said
    assert str(tmp_path) not in said


def test_f2_a_state_dict_of_no_usual_names_is_said(code: Any, tmp_path: Path) -> None:
    said = save(tmp_path / "run", code.MLPActor().state_dict(), save_onnx=True)
    assert said[0] == "no ONNX twin was saved: a OrderedDict has no forward: save the module itself"
    assert len(said) == 2
    assert "pyt_save/model.pt" in said[1]


def scripted(module: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


CODED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "fc1 and fc2 with a forward": (lambda code: code.MLPActor(), lambda module: module, NUMBERS),
    "a Q network of layers": (lambda code: code.DQN(), lambda module: module, CHOICES),
    "a Q network": (lambda code: code.QNetwork(), lambda module: module, CHOICES),
    "a Gaussian": (lambda code: code.Coded(code.GaussianPi()), lambda module: module.pi, NUMBERS),
    "a categorical": (lambda code: code.Coded(code.CategoricalPi()), lambda module: module.pi, CHOICES),
    "a squashed Gaussian": (
        lambda code: code.SquashedCritic(),
        lambda module: lambda x: module.pi(x, True, False),
        NUMBERS,
    ),
    "TorchScript": (lambda code: scripted(code.MLPActor()), lambda module: module, NUMBERS),
}
"""Modules whose forward is code."""


@pytest.mark.parametrize("name", CODED)
def test_f2_a_twin_plays_without_the_authors_code(
    name: str, code: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, acting, kind = CODED[name]
    module = make(code)
    assert save(tmp_path / "run", module, kind, save_onnx=True) == []
    refuse_imports(monkeypatch)
    policy = load_policy(tmp_path / "run", deterministic=True, **({"action": "argmax"} if "Q" in name else {}))
    with torch.no_grad():
        distribution = acting(module)(torch.tensor(X))
    if kind == CHOICES:
        found = distribution[0].logits if isinstance(distribution, tuple) else distribution
        assert policy.act(X).tolist() == found.argmax(1).tolist()
        if not isinstance(distribution, tuple) and hasattr(policy, "policy"):
            assert policy.policy.act(X) == pytest.approx(found.numpy(), abs=1e-5)
    else:
        assert policy.act(X) == pytest.approx(told(acting(module)), abs=1e-5)
    if name in ("a Gaussian", "a categorical"):
        with torch.no_grad():
            assert policy.value(X) == pytest.approx(module.v(torch.tensor(X)).numpy(), abs=1e-5)
    if name != "a Q network":  # whose layers numpy knows
        assert any("played by its ONNX twin model.onnx, traced when it was saved" in note for note in policy.notes)
