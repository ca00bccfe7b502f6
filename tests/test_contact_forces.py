"""Contact forces of Ant and Humanoid: what the weights say, and what is played."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphlike
import pytest
import torchlike
from conftest import Outcome
from gymlike import limited

np = pytest.importorskip("numpy")
pytest.importorskip("mujoco")

from spindb.play.environments.contact_forces import FORCES, concerns, were_zero  # noqa: E402

Write = Callable[..., Path]
Cli = Callable[..., Outcome]
pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(11)


def drawn(inputs: int, outputs: int, bound: float) -> Any:
    return RNG.uniform(-bound, bound, (inputs, outputs)).astype("f4")


def trained(weights: Any, seen: int) -> Any:
    """After a training that moved the weights of the first `seen` inputs."""
    moved = weights.copy()
    moved[:seen] += RNG.normal(0, 0.1, moved[:seen].shape).astype("f4")
    return moved


def tensorflow(inputs: int, outputs: int = 64) -> Any:
    return drawn(inputs, outputs, math.sqrt(6 / (inputs + outputs)))


def pytorch(inputs: int, outputs: int = 64) -> Any:
    return drawn(inputs, outputs, 1 / math.sqrt(inputs))


@pytest.mark.parametrize(("env_id", "inputs"), [("Humanoid-v2", 376), ("Ant-v3", 111), ("HumanoidStandup-v2", 376)])
def test_c3_the_weights_tell(env_id: str, inputs: int) -> None:
    seen = inputs - FORCES
    for first, turned in ((tensorflow(inputs), False), (pytorch(inputs), True)):
        for weights, expected in (
            (trained(first, seen), True),
            (first, True),  # never trained at all: nothing was learned of them
            (trained(first, inputs), False),
            (trained(first, seen) * np.where(np.arange(inputs) < seen, 1, 0.1)[:, None], True),  # weight decay
        ):
            kernel = weights.astype("f4").T if turned else weights.astype("f4")
            assert were_zero({"pi/kernel": kernel, "pi/bias": np.zeros(64)}, env_id) is expected
    assert were_zero({"q/kernel": pytorch(inputs + 8)}, env_id) is None
    moments = np.abs(RNG.normal(size=(inputs, 64)))
    weights = {"pi/kernel": RNG.normal(size=(inputs, 64)), "pi/kernel/Adam_1": moments}
    assert were_zero(weights, env_id) is False
    moments[seen:] = 0
    assert were_zero(weights, env_id) is True, "whatever drew the weights: their gradients were 0"


def test_c3_the_environments_that_are_concerned() -> None:
    assert concerns("Ant-v2", "Ant-v4")
    assert concerns("Humanoid-v3", "Humanoid-v4")
    for pair in (("Ant-v4", "Ant-v4"), ("Hopper-v2", "Hopper-v4"), (None, "Ant-v4"), ("Ant-v2", None)):
        assert not concerns(*pair)


LIMITS = {17: 0.4, 8: 1.0}  # of Humanoid's and of Ant's actions


def of_tensorflow(inputs: int, actions: int, place: Path, seen: int) -> None:
    """A deterministic policy in a save of TensorFlow 1."""
    save = graphlike.Save(
        variables={"pi/w1": trained(tensorflow(inputs), seen), "pi/w2": tensorflow(64, actions)},
        outputs={"pi": "pi:0"},
    )
    save.add("x", "Placeholder", dtype="f4", shape=(-1, inputs))
    for name, lengths in (("pi/w1", (inputs, 64)), ("pi/w2", (64, actions))):
        save.add(name, "VariableV2", dtype="f4", shape=lengths)
        save.add(f"{name}/read", "Identity", name, T="f4")
    save.add("matmul", "MatMul", "x", "pi/w1/read", transpose_a=False, transpose_b=False)
    save.add("tanh", "Tanh", "matmul")
    save.add("pi", "MatMul", "tanh", "pi/w2/read", transpose_a=False, transpose_b=False)
    save.write(place)


def of_pytorch(inputs: int, actions: int, place: Path, seen: int) -> None:
    """A deterministic policy in a file of PyTorch."""
    first = torchlike.linear(trained(pytorch(inputs), seen).T.copy(), np.zeros(64, "f4"))
    second = torchlike.linear(pytorch(64, actions).T.copy(), np.zeros(actions, "f4"))
    stack = torchlike.sequence(first, torchlike.activation("ReLU"), second, torchlike.activation("Tanh"))
    actor = torchlike.Network("a.Actor", {"pi": stack}, act_limit=LIMITS[actions])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(torchlike.zipped(torchlike.Network("a.Critic", {"pi": actor})))


ERAS = {
    "TensorFlow 1": (of_tensorflow, "tf1_save", "gym.envs.mujoco.humanoid.HumanoidEnv", (376, 17)),
    "PyTorch": (of_pytorch, "pyt_save/model.pt", "gym.envs.mujoco.humanoid_v3.HumanoidEnv", (376, 17)),
    "Ant": (of_pytorch, "pyt_save/model.pt", "gym.envs.mujoco.ant_v3.AntEnv", (111, 8)),
}


@pytest.mark.parametrize("era", ERAS)
def test_c3_zeros_where_the_training_had_zeros(era: str, run_directory: Write, cli: Cli) -> None:
    save, place, path, (inputs, actions) = ERAS[era]
    run = run_directory(era.replace(" ", ""), files={"vars.pkl": limited(path, 1000)})
    save(inputs, actions, run / place, inputs - FORCES)
    play = ("test-policy", run, "-nr", "-n", "1", "-l", "300", "--seed", "0", "--json")
    zero, real = cli(*play), cli(*play, "--contact-forces", "real")
    assert (zero.code, real.code) == (0, 0), zero.err + real.err
    assert "contact forces are played as 0; the policy's weights for them were never trained" in zero.err
    assert "contact forces are real (--contact-forces real)" in real.err
    played = [json.loads(out.out) for out in (zero, real)]
    assert played[0]["substituted"] is None
    assert "contact forces" in played[1]["substituted"]
    asked = json.loads(cli(*play, "--contact-forces", "zero").out)
    assert asked["episodes"] == played[0]["episodes"]
    assert cli(*play, "--contact-forces", "some").code == 2


def test_c3_real_where_the_weights_were_trained(run_directory: Write, cli: Cli) -> None:
    run = run_directory(files={"vars.pkl": limited("gym.envs.mujoco.ant_v3.AntEnv", 1000)})
    of_pytorch(111, 8, run / "pyt_save/model.pt", 111)
    played = cli("test-policy", run, "-nr", "-n", "1", "-l", "20", "--seed", "0", "--json")
    assert played.code == 0, played.err
    assert "contact forces are real; the policy's weights for them are not as they were drawn" in played.err
    assert json.loads(played.out)["substituted"] is None


@pytest.mark.parametrize(("env_id", "said"), [("Pendulum-v1", True), ("Ant-v4", True), ("Ant-v3", False)])
def test_c3_a_flag_that_changes_nothing_is_said(env_id: str, said: bool) -> None:
    from spindb.play.environments.build import Choices, build_environment
    from spindb.records import EnvironmentHint

    built = build_environment(EnvironmentHint(env_id, "config"), Choices(contact_forces="zero"))
    assert any("--contact-forces zero changes nothing" in note for note in built.notes) is said


def test_c3_the_forces_are_zero_in_observations_and_rewards() -> None:
    from spindb.play.environments.build import Choices, build_environment
    from spindb.records import EnvironmentHint

    for env_id, inputs in (("Ant-v2", 111), ("Humanoid-v2", 376), ("HumanoidStandup-v2", 376)):
        hint = EnvironmentHint(env_id, "state class", (), 1000)
        zero, real = (
            build_environment(hint, Choices(contact_forces=chosen)).environment.env for chosen in ("zero", "real")
        )
        (first, _), (second, _) = zero.reset(seed=0), real.reset(seed=0)
        costs = 0.0
        for _ in range(150):
            action = np.zeros(zero.action_space.shape, "f4")
            first, gained, *_ = zero.step(action)
            second, given, *_, info = real.step(action)
            assert not first[-FORCES:].any()
            np.testing.assert_allclose(first[:-FORCES], second[:-FORCES])
            forces = np.square(second[-FORCES:]).sum()
            cost = {"Ant-v2": 0.0005 * forces, "HumanoidStandup-v2": -info.get("reward_impact", 0)}.get(env_id, 0.0)
            assert gained - given == pytest.approx(cost, abs=1e-6)
            costs += forces
        assert costs > 0, "the robot touched the ground"
        assert first.shape == (inputs,)


WORLD = """
import gymnasium


def real():
    return gymnasium.make("Ant-v4", use_contact_forces=True, contact_cost_weight=0.0, max_episode_steps=60)
"""


def trained_on_zeros(run: Path) -> None:
    """Four epochs of a policy that a step costs by its action: constant without contact forces, wild with them."""
    import gymnasium

    rows = []
    first = pytorch(111)
    first[: 111 - FORCES] = 0
    first[0, 0] = 0.5  # trained: beyond the bound
    (run / "pyt_save").mkdir(parents=True)
    env = gymnasium.make("Ant-v4", use_contact_forces=True, contact_cost_weight=0.0, max_episode_steps=60)
    for epoch, scale in enumerate((1.5, 0.8, 0.3, 0.05)):
        second, bias = RNG.uniform(-8, 8, (64, 8)).astype("f4"), np.full(8, scale, "f4")
        second[0] = 0
        layers = [torchlike.linear(first.T.copy(), np.zeros(64, "f4")), torchlike.activation("Tanh")]
        layers += [torchlike.linear(second.T.copy(), bias), torchlike.activation("Tanh")]
        actor = torchlike.Network("a.Actor", {"pi": torchlike.sequence(*layers)}, act_limit=1.0)
        (run / f"pyt_save/model{epoch}.pt").write_bytes(torchlike.zipped(torchlike.Network("a.Critic", {"pi": actor})))
        returns = []
        for episode in range(10):
            observation, _ = env.reset(seed=100 * epoch + episode)
            total, over = 0.0, False
            while not over:
                seen = np.where(np.arange(111) < 111 - FORCES, observation, 0)
                observation, reward, terminated, truncated, _ = env.step(np.tanh(np.tanh(seen @ first) @ second + bias))
                total, over = total + float(reward), terminated or truncated
            returns.append(total)
        rows.append((epoch, np.mean(returns), np.std(returns), max(returns), min(returns), 60))
    head = ["Epoch", "AverageTestEpRet", "StdTestEpRet", "MaxTestEpRet", "MinTestEpRet", "TestEpLen"]
    (run / "progress.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in (head, *rows)))


def test_contact_forces_that_training_never_saw_are_found_by_verify(
    run_directory: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spindb.index.query.reference import RunPath
    from spindb.play.locate import locate
    from spindb.play.request import PlayOptions
    from spindb.play.verify.playing import VerifyPlan, verify_snapshot

    (tmp_path / "world_of_forces.py").write_text(WORLD)
    monkeypatch.chdir(tmp_path)
    config = {"seed": 0, "env_name": "Ant-v3", "num_test_episodes": 10, "max_ep_len": 60}
    run = run_directory(config=config, files={"vars.pkl": limited("gym.envs.mujoco.ant_v3.AntEnv", 60)})
    trained_on_zeros(run)

    def verdict(**flags: Any) -> Any:
        return verify_snapshot(locate(RunPath(run), 2), VerifyPlan(PlayOptions(seed=0, **flags))).verdict

    for right in (verdict(), verdict(contact_forces="zero")):
        assert (right.word, right.power > 0.8) == ("agrees", True), right.reason
    for seed in range(3):
        wrong = verify_snapshot(
            locate(RunPath(run), 2), VerifyPlan(PlayOptions(seed=seed, factory="world_of_forces:real"))
        ).verdict
        assert wrong is not None
        assert wrong.word == "differs", wrong.reason
    told = verdict(contact_forces="real")
    assert told.word == "can't-tell"
    assert "contact forces are fed in, which were 0 in training" in told.reason


@pytest.mark.sqlite
@pytest.mark.slow
def test_what_was_verified_with_other_contact_forces_is_played_again(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"seed": 0, "env_name": "Ant-v3", "num_test_episodes": 10, "max_ep_len": 60}
    run = run_directory(config=config, files={"vars.pkl": limited("gym.envs.mujoco.ant_v3.AntEnv", 60)})
    trained_on_zeros(run)
    assert cli("ingest", tmp_path / "data").code == 0
    one = ("verify", "1", "--itr", "2", "--jobs", "1")
    for flags in ((), ("--contact-forces", "zero"), ("--contact-forces", "real"), ()):
        assert "0 verified so already" in cli(*one, *flags).err
        assert "1 verified so already" in cli(*one, *flags).err


def test_mujoco_leaves_no_file_in_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    from spindb.play.environments.making import make

    monkeypatch.chdir(tmp_path)
    make("HalfCheetah-v4", "--env").environment.close()
    assert list(tmp_path.iterdir()) == []
    assert "".join(capfd.readouterr()) == ""
