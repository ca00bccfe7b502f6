"""Exported policies that carry what wrappers did: onnxruntime in the bare environment acts as test-policy does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torchlike
from conftest import Outcome
from gymlike import limited, state_of
from test_wrappers import LIMIT, NEW, OLD, SWING, old_pendulum, pendulum, spec

np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
cloudpickle = pytest.importorskip("cloudpickle")
gymnasium = pytest.importorskip("gymnasium")

import own_wrappers  # noqa: E402 - needs gym

from spindb.index.query.reference import RunPath  # noqa: E402
from spindb.play.environments import build  # noqa: E402
from spindb.play.locate import locate  # noqa: E402
from spindb.play.request import PlayOptions  # noqa: E402
from spindb.play.session import opened  # noqa: E402

Write = Callable[..., Path]
Cli = Callable[..., Outcome]
pytestmark = pytest.mark.filterwarnings("ignore")


class Recorded(gymnasium.Wrapper):  # type: ignore[misc]
    """The bare environment: keeps what it gave and what it was given."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observations: list[Any] = []
        self.actions: list[Any] = []

    def reset(self, **given: Any) -> Any:
        found = self.env.reset(**given)
        self.observations.append(np.array(found[0]))
        return found

    def step(self, action: Any) -> Any:
        self.actions.append(np.array(action))
        found = self.env.step(action)
        self.observations.append(np.array(found[0]))
        return found


def played_by_spindb(run: Path, monkeypatch: pytest.MonkeyPatch, **flags: Any) -> Recorded:
    """An episode as test-policy plays it; what the innermost environment met."""
    made: list[Recorded] = []
    make = build.make

    def recorded(*arguments: Any, **named: Any) -> Any:
        found = make(*arguments, **named)
        made.append(Recorded(found.environment))
        return replace(found, environment=made[0])

    monkeypatch.setattr(build, "make", recorded)
    with opened(locate(RunPath(run)), PlayOptions(1, 60, True, 3, **flags)) as session:
        session.roll_out()
    monkeypatch.undo()
    return made[0]


def exported(cli: Cli, run: Path, out: Path, *flags: str) -> tuple[Any, Mapping[str, str], str]:
    outcome = cli("export-policy", run, "--onnx", "--with-wrappers", "-o", out, *flags)
    assert outcome.code == 0, outcome.err
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    return session, {prop.key: prop.value for prop in onnx.load(out).metadata_props}, outcome.err


def actor(inputs: int, outputs: int, *, last: str | None = "Tanh", name: str = "pi") -> bytes:
    """A deterministic policy of a last layer that is squashed, or not."""
    rng = np.random.default_rng(2)
    layers = [torchlike.linear(rng.normal(size=(outputs, inputs)).astype("f4"), np.full(outputs, 0.1, "f4"))]
    stack = torchlike.sequence(*layers, *([torchlike.activation(last)] if last else []))
    if name == "pi" and last:
        stack = torchlike.Network("a.Actor", {"pi": stack}, act_limit=1.0)
    return torchlike.zipped(torchlike.Network("a.Critic", {name: stack}))


def lived(env: Any) -> bytes:
    """An environment with some steps behind it, pickled."""
    env.reset(seed=1)
    for _ in range(6):
        env.step(env.action_space.sample())
    return bytes(cloudpickle.dumps({"env": env}))


CARRIED: dict[str, tuple[Callable[[], bytes], bytes, tuple[str, ...], tuple[str, ...]]] = {
    "normalised and rescaled": (
        lambda: lived(NEW.NormalizeReward(NEW.NormalizeObservation(NEW.RescaleAction(pendulum(), -1, 1)))),
        actor(3, 1),
        (),
        ("NormalizeObservation (statistics of 7 steps, frozen)", "RescaleAction(min_action=-1, max_action=1)"),
    ),
    "old gym": (
        lambda: lived(OLD.NormalizeObservation(OLD.RescaleAction(old_pendulum(), -1, 1))),
        actor(3, 1),
        (),
        ("NormalizeObservation (statistics of 7 steps, frozen)", "RescaleAction(min=-1, max=1)"),
    ),
    "of 0.15": (
        lambda: state_of(
            ("gym.wrappers.clip_action.ClipAction", {}),
            ("gym.wrappers.rescale_action.RescaleAction", {"a": -0.5, "b": 0.75}),
            LIMIT,
            (SWING, {"spec": spec("Pendulum-v0")}),
        ),
        actor(3, 1),
        ("--action", "clip"),
        ("its outputs are cut to the bounds (--action clip)", "ClipAction", "RescaleAction(min=-0.5, max=0.75)"),
    ),
    "rescaled observations": (
        lambda: lived(NEW.ClipAction(NEW.ReshapeObservation(NEW.RescaleObservation(pendulum(), -0.5, 1), (3,)))),
        actor(3, 1, last=None),
        ("--action", "sample"),
        ("RescaleObservation(min_obs=-0.5, max_obs=1)", "ReshapeObservation(shape=(3,))", "ClipAction"),
    ),
    "a rule of numbers": (
        lambda: lived(NEW.FlattenObservation(pendulum())),
        actor(3, 1, last=None),
        ("--action", "tanh"),
        ("FlattenObservation", "its outputs are squashed by tanh (--action tanh)"),
    ),
    "choices": (
        lambda: lived(NEW.NormalizeObservation(gymnasium.make("CartPole-v1"))),
        actor(4, 2, last=None, name="q_net"),
        (),
        ("NormalizeObservation (statistics of 7 steps, frozen)", "the greatest of its outputs is the action"),
    ),
    "logits": (
        lambda: lived(gymnasium.make("CartPole-v1")),
        actor(4, 2, last=None),
        (),
        ("the greatest of its outputs is the action",),
    ),
    "nothing": (lambda: lived(gymnasium.make("MountainCarContinuous-v0")), actor(2, 1), (), ("nothing",)),
}


@pytest.mark.parametrize("name", CARRIED)
def test_g3_what_wrappers_did_is_carried(
    name: str, run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, policy, flags, words = CARRIED[name]
    run = run_directory(files={"vars.pkl": state(), "pyt_save/model.pt": policy})
    session, about, said = exported(cli, run, tmp_path / "policy.onnx", *flags)
    rule = {"action": flags[1]} if flags else {}
    met = played_by_spindb(run, monkeypatch, **rule)
    observations = np.array(met.observations[:-1])
    (actions,) = session.run(["action"], {"observation": observations})
    assert len(met.actions) >= 8
    np.testing.assert_allclose(actions, np.array(met.actions), rtol=1e-4, atol=1e-5)
    for word in words:
        assert word in about["carried"]
        assert word in said
    if name == "logits":
        many = np.repeat(observations[:1], 4000, axis=0)
        assert set(session.run(["sample"], {"observation": many})[0].tolist()) == {0, 1}


def test_g3_arrays_carry_it_too(run_directory: Write, cli: Cli, tmp_path: Path) -> None:
    state = lived(NEW.NormalizeObservation(NEW.RescaleAction(pendulum(), -1, 1)))
    run = run_directory(files={"vars.pkl": state, "pyt_save/model.pt": actor(3, 1)})
    assert cli("export-policy", run, "--npz", "--with-wrappers", "-o", tmp_path / "p.npz").code == 0
    program = json.loads(str(np.load(tmp_path / "p.npz")["program"]))
    assert "NormalizeObservation" in program["about"]["carried"]
    assert {step["op"] for step in program["steps"]} >= {"Sub", "Div", "Tanh", "Mul", "Add"}


def test_g3_contact_forces_are_carried_as_zeros(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco")
    from test_contact_forces import FORCES, of_pytorch

    run = run_directory(files={"vars.pkl": limited("gym.envs.mujoco.ant_v3.AntEnv", 1000)})
    of_pytorch(111, 8, run / "pyt_save/model.pt", 111 - FORCES)
    alone = cli("export-policy", run, "--onnx", "-o", tmp_path / "alone.onnx")
    assert "not carried is what stood between environment and network: contact forces of 0" in alone.err
    session, about, _ = exported(cli, run, tmp_path / "policy.onnx")
    assert "contact forces of 0" in about["carried"]
    met = played_by_spindb(run, monkeypatch)
    (actions,) = session.run(["action"], {"observation": np.array(met.observations[:-1])})
    np.testing.assert_allclose(actions, np.array(met.actions), rtol=1e-4, atol=1e-5)
    assert np.abs(np.array(met.observations)[:, -FORCES:]).max() > 0


REFUSED: dict[str, tuple[Callable[[], Any], tuple[str, ...], str]] = {
    "stacked": (lambda: NEW.FlattenObservation(NEW.FrameStackObservation(pendulum(), 3)), (),
                "FrameStackObservation can't be carried into an export: it stacks observations of several steps"),
    "timed": (lambda: NEW.TimeAwareObservation(pendulum()), (), "it counts the steps of an episode"),
    "a function": (lambda: OLD.TransformObservation(old_pendulum(), np.sin), (), "a function that may be anything"),
    "own": (lambda: own_wrappers.Scaled(pendulum(), 0.5), ("--import", "own_wrappers"), "it is its author's code"),
    "not rebuilt": (lambda: own_wrappers.Scaled(pendulum(), 0.5), (), "can't be rebuilt from the saved state"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_g3_what_can_not_be_carried_is_refused(name: str, run_directory: Write, cli: Cli, tmp_path: Path) -> None:
    made, flags, words = REFUSED[name]
    size = int(np.prod(made().observation_space.shape))
    run = run_directory(files={"vars.pkl": lived(made()), "pyt_save/model.pt": actor(size, 1)})
    refused = cli(
        "export-policy", run, "--onnx", "--with-wrappers", "--action", "clip", "-o", tmp_path / "p.onnx", *flags
    )
    assert refused.code == 5
    assert words in refused.err
    assert "without --with-wrappers the network alone is exported" in refused.err
    assert not (tmp_path / "p.onnx").exists()
    alone = cli("export-policy", run, "--onnx", "--action", "clip", "-o", tmp_path / "p.onnx")
    assert alone.code == 0
    assert "note: not carried is what stood between environment and network" in alone.err
    about = {prop.key: prop.value for prop in onnx.load(tmp_path / "p.onnx").metadata_props}
    assert about["not_carried"].split(", ")[0] == type(made()).__name__


def test_g3_an_open_output_is_settled_by_the_rule_alone(run_directory: Write, cli: Cli, tmp_path: Path) -> None:
    run = run_directory(files={"pyt_save/model.pt": actor(4, 2, last=None, name="policy")})
    out = tmp_path / "p.onnx"
    refused = cli("export-policy", run, "--onnx", "-o", out)
    assert refused.code == 5
    assert "does not say how its outputs become actions" in refused.err
    assert "--with-wrappers lets the environment's action space decide" in refused.err
    assert cli("export-policy", run, "--onnx", "--action", "argmax", "-o", out).code == 0
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    action, pi = session.run(["action", "pi"], {"observation": np.eye(4, dtype="f4")})
    assert action.tolist() == pi.argmax(axis=1).tolist()
    run = run_directory(files={"pyt_save/model.pt": actor(4, 2, last=None, name="q_net")})
    assert cli("export-policy", run, "--onnx", "-o", out).code == 0
    assert cli("export-policy", run, "--onnx", "--env", "CartPole-v1").code == 2


def test_g3_a_state_that_is_cut_off_is_said(run_directory: Write, cli: Cli, tmp_path: Path) -> None:
    state = lived(NEW.RescaleAction(pendulum(), -1, 1))
    run = run_directory(
        config={"env": "Pendulum-v1", "seed": 0}, files={"vars.pkl": state[:60], "pyt_save/model.pt": actor(3, 1)}
    )
    outcome = cli("export-policy", run, "--onnx", "--with-wrappers", "--action", "tanh", "-o", tmp_path / "p.onnx")
    assert outcome.code == 0, outcome.err
    assert "arguments and wrappers that it kept are unknown" in outcome.err
