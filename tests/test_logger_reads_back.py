"""The logger reads back what it saved and says what will not play; ONNX twins play without the author's code."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.disk.formats import read_run
from spindb.disk.formats.spinningup import SpinningUp
from spindb.errors import PolicyError
from spindb.logger import EpochLogger
from spindb.play.load import load_policy, load_policy_and_env

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

    class Einsummed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)
        def forward(self, x):
            return torch.tanh(torch.einsum("ni,oi->no", torch.relu(self.first(x)), self.second.weight))

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


def test_f2_the_spread_of_a_traced_gaussian_is_drawn(code: Any, tmp_path: Path) -> None:
    module = code.Coded(code.GaussianPi())
    save(tmp_path / "run", module, save_onnx=True)
    policy = load_policy(tmp_path / "run")
    policy.seed(0)
    assert policy.act(np.repeat(X[:1], 4000, axis=0)).std(axis=0) == pytest.approx(np.exp([-1, -1]), rel=0.06)


def test_f2_a_twin_is_no_snapshot_of_its_own(code: Any, tmp_path: Path) -> None:
    save(tmp_path / "run", code.MLPActor(), save_onnx=True)
    assert sorted(path.name for path in (tmp_path / "run/pyt_save").iterdir()) == ["model.onnx", "model.pt"]
    record = read_run(SpinningUp(), tmp_path / "run", ".")
    assert [snapshot.path for snapshot in record.snapshots] == ["pyt_save/model.pt"]
    assert record.problems == ()


def test_f2_a_twin_of_another_save_is_not_played(code: Any, tmp_path: Path) -> None:
    module, other = code.MLPActor(), code.MLPActor()
    save(tmp_path / "run", module, save_onnx=True)
    place = tmp_path / "run/pyt_save/model.pt"
    sys.modules["someones"] = code
    torch.save(other, place)
    with pytest.raises(PolicyError, match=r"model\.onnx was not traced of model\.pt as it is: it is not played"):
        load_policy(tmp_path / "run")


def test_f2_a_later_save_without_a_twin_takes_the_old_one_away(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Tanh())
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        for save_onnx in (True, False):
            logger.setup_pytorch_saver(module, save_onnx=save_onnx)
            logger.save_state({}, 3)
            assert (tmp_path / "run/pyt_save/model3.onnx").exists() == save_onnx


def test_f2_code_that_decides_by_values_has_no_twin(code: Any, tmp_path: Path) -> None:
    said = save(tmp_path / "run", code.Decides(), save_onnx=True)
    assert said[0].startswith("no ONNX twin was saved: its output is not that of the module")
    assert not (tmp_path / "run/pyt_save/model.onnx").exists()


def test_f2_tracing_leaves_the_training_as_it_was(code: Any, tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 2)
    )
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with EpochLogger(tmp_path / "run", quiet=True) as logger, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        logger.setup_pytorch_saver(module, save_onnx=True)
        torch.manual_seed(7)
        drawn = torch.rand(3)
        torch.manual_seed(7)
        logger.save_state({"env": Env(CHOICES)})
    assert torch.equal(torch.rand(3), drawn)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert (tmp_path / "run/pyt_save/model.onnx").exists()


def test_f2_what_numpy_lacks_plays_by_onnxruntime_where_that_is_trusted(
    code: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    module = code.Einsummed()
    (said,) = save(tmp_path / "run", module, save_onnx=True)
    assert "model.onnx: numpy does not know ONNX's operation Einsum" in said
    assert "--trust plays it by onnxruntime" in said
    refuse_imports(monkeypatch)
    with pytest.raises(PolicyError, match="Einsum"):
        load_policy(tmp_path / "run")
    policy = load_policy(tmp_path / "run", trust=True, action="clip")
    assert policy.engine.startswith("onnxruntime")
    assert pickle.loads(pickle.dumps(policy.policy)).act(X) == pytest.approx(told(module), abs=1e-5)


def test_f2_a_problem_is_said_once_and_another_one_too(tmp_path: Path) -> None:
    def stack(*sizes: int) -> Any:
        return torch.nn.Sequential(*(torch.nn.Linear(n, m) for n, m in pairwise(sizes)))

    with warnings.catch_warnings(record=True) as caught, EpochLogger(tmp_path / "run", quiet=True) as logger:
        warnings.simplefilter("always")
        for itr, module in enumerate((stack(4, 2), stack(4, 2), stack(4, 8, 2), torch.nn.Bilinear(2, 2, 2))):
            logger.setup_pytorch_saver(module)
            logger.save_state({}, itr)
    said = [str(item.message) for item in caught]
    assert len(said) == 2
    assert "model0.pt does not say how its outputs become actions" in said[0]
    assert "model3.pt" in said[1]


def test_f3_a_torchscript_module_is_saved_and_said(code: Any, tmp_path: Path) -> None:
    module = scripted(code.MLPActor())
    (said,) = save(tmp_path / "run", module)
    assert "a TorchScript archive" in said
    assert "save_onnx=True" in said
    policy = load_policy(tmp_path / "run", trust=True, action="clip")
    assert policy.act(X) == pytest.approx(told(module), abs=1e-5)


def test_f3_of_a_module_that_cannot_be_pickled_the_weights_are_saved(code: Any, tmp_path: Path) -> None:
    module = code.MLPActor()
    module.scale = lambda value: value
    said = save(tmp_path / "run", module, save_onnx=True)
    assert said[0].startswith("the module can't be pickled (")
    assert said[0].endswith("its weights alone were saved")
    assert len(said) == 1
    assert load_policy(tmp_path / "run", deterministic=True).act(X) == pytest.approx(told(module), abs=1e-5)


def test_f2_an_environment_that_nothing_builds_is_said(tmp_path: Path) -> None:
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        logger.setup_pytorch_saver(torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Hardtanh(-2, 2)))
        with pytest.warns(RuntimeWarning, match="which environment to play in is not known") as caught:
            logger.save_state({"env": Env(NUMBERS)})
    assert "--import test_logger_reads_back builds it anew" in str(caught[0].message)
    assert "--env-factory" in str(caught[0].message)


class Scaled(gymnasium.ObservationWrapper):  # type: ignore[misc,name-defined]
    """Somebody's own wrapper."""

    def observation(self, observation: Any) -> Any:
        return observation / 10


def test_f2_a_wrapper_that_nothing_rebuilds_is_said_and_a_known_environment_is_not(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Hardtanh(-2, 2))
    env = gymnasium.make("Pendulum-v1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the precision of bounds
        rescaled = gymnasium.wrappers.NormalizeObservation(gymnasium.wrappers.RescaleAction(env, -2.0, 2.0))
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        logger.setup_pytorch_saver(module)
        logger.save_state({"env": rescaled}, 0)
        with pytest.warns(RuntimeWarning, match="trained inside a wrapper that can't be rebuilt") as caught:
            logger.save_state({"env": Scaled(env)}, 1)
    assert "--import test_logger_reads_back" in str(caught[0].message)


def test_f2_an_id_that_the_training_registered_is_said(tmp_path: Path) -> None:
    gymnasium.register("Mine-v0", entry_point=lambda: Env(NUMBERS))
    try:
        with EpochLogger(tmp_path / "run", quiet=True) as logger:
            logger.setup_pytorch_saver(torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Hardtanh(-2, 2)))
            env = gymnasium.make("Mine-v0", disable_env_checker=True)
            env.unwrapped.spec.entry_point = f"{__name__}:Env"
            with pytest.warns(RuntimeWarning, match="Mine-v0 is registered by the module") as caught:
                logger.save_state({"env": env})
        assert f"--import {__name__}" in str(caught[0].message)
    finally:
        del gymnasium.registry["Mine-v0"]


@pytest.mark.slow
def test_f2_a_tensorflow_graph_without_an_action_is_said(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed").compat.v1
    with tf.Graph().as_default(), tf.Session() as session, EpochLogger(tmp_path / "run", quiet=True) as logger:
        x = tf.placeholder("float32", (None, 4))
        pi = 2 * tf.tanh(tf.matmul(x, tf.get_variable("w", (4, 2))))
        session.run(tf.global_variables_initializer())
        logger.setup_tf_saver(session, {"x": x}, {"pi": pi})
        logger.save_state({}, 0)
        logger.setup_tf_saver(session, {"x": x}, {"act": pi})
        with pytest.warns(RuntimeWarning, match="names no output 'pi'; outputs there: act"):
            logger.save_state({}, 1)


SCRIPT = """
import sys, gymnasium, torch
from spindb.logger import EpochLogger

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(3, 8), torch.nn.Linear(8, 1)
    def forward(self, obs):
        return 2 * torch.tanh(self.fc2(torch.relu(self.fc1(obs))))

torch.manual_seed(0)
net = Net()
logger = EpochLogger(sys.argv[1], quiet=True)
logger.save_config({"seed": 0, "env": "Pendulum-v1"})
for itr, save_onnx in enumerate((False, True)):
    logger.setup_pytorch_saver(net, save_onnx=save_onnx)
    logger.save_state({"env": gymnasium.make("Pendulum-v1")}, itr)
logger.close()
print(net(torch.ones(3)).item())
"""


@pytest.mark.slow
def test_f2_a_class_of_a_script_plays_by_its_twin(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "train.py"), str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr.count("RuntimeWarning") == 1
    assert "train.py" in result.stderr.partition("RuntimeWarning")[0]
    assert "__main__.Net" in result.stderr
    assert "save_onnx=True" in result.stderr
    with pytest.raises(PolicyError, match="can't be rebuilt without its author's code"):
        load_policy(tmp_path / "run", 0)
    env, policy = load_policy_and_env(tmp_path / "run", 1, deterministic=True)
    assert policy.act(np.ones(3)) == pytest.approx(float(result.stdout), abs=1e-5)
    assert policy.act(env.reset(seed=0)[0]).shape == (1,)
