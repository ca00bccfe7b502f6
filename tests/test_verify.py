"""Snapshots played as their return was logged: right ones agree, wrong environments and wrong snapshots are found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import pytest
import torchlike
from conftest import Outcome, rows_of, settle

from spindb.index.query.reference import RunPath
from spindb.play.locate import locate
from spindb.play.request import PlayOptions
from spindb.play.verify.playing import VerifyPlan, verify_snapshot
from spindb.verdicts import AGREES, CANT_TELL, DIFFERS

Cli = Callable[..., Outcome]
STEPS, SCALES = 12_000, (0.0, 2.0, 4.0, 8.0)
BALANCE = np.array([0.05, 0.2, 1.0, 0.6])  # of position, speed, angle and its speed: above 0 push right

WORLDS = '''
import gymnasium


class Mirrored(gymnasium.ObservationWrapper):
    """Left is right: what a policy learned in it fails outside of it."""

    def observation(self, observation):
        return -observation


def right(limit=300):
    return gymnasium.make("CartPole-v1", max_episode_steps=limit)


def gravity():
    env = right()
    env.unwrapped.gravity = 40.0
    return env


def half():
    return right(150)


def mirrored():
    return Mirrored(right())
'''


def network(scale: float) -> torchlike.Network:
    """A categorical actor that balances the better the greater its scale."""
    weight = np.stack([-scale * BALANCE, scale * BALANCE]).astype("f4")
    logits = torchlike.sequence(torchlike.linear(weight, np.zeros(2, "f4")))
    pi = torchlike.Network("someone.core.MLPCategoricalActor", {"logits_net": logits})
    return torchlike.Network("someone.core.MLPActorCritic", {"pi": pi})


def trained(env: Any, scale: float, rng: np.random.Generator) -> dict[str, float]:
    """A row of a log as on-policy training writes it: of the episodes that ended within the epoch."""
    returns, lengths = [], []
    observation, _ = env.reset(seed=int(rng.integers(2**31)))
    total, length = 0.0, 0
    for _ in range(STEPS):
        right = rng.random() < 1 / (1 + np.exp(-2 * scale * float(BALANCE @ observation)))
        observation, reward, terminated, truncated, _ = env.step(int(right))
        total, length = total + float(reward), length + 1
        if terminated or truncated:
            returns.append(total)
            lengths.append(length)
            observation, _ = env.reset()
            total, length = 0.0, 0
    means = {"AverageEpRet": fmean(returns), "StdEpRet": pstdev(returns), "MaxEpRet": max(returns)}
    return {**means, "MinEpRet": min(returns), "EpLen": fmean(lengths)}


def run(directory: Path, env: Any) -> None:
    """A run of four epochs, each with a snapshot."""
    rng = np.random.default_rng(5)
    (directory / "pyt_save").mkdir(parents=True)
    rows = []
    for epoch, scale in enumerate(SCALES):
        (directory / "pyt_save" / f"model{epoch}.pt").write_bytes(torchlike.zipped(network(scale)))
        rows.append({"Epoch": epoch, **trained(env, scale, rng), "TotalEnvInteracts": STEPS * (epoch + 1)})
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    (directory / "progress.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    config = {"exp_name": "balance", "seed": 0, "steps_per_epoch": STEPS, "env_name": "CartPole-v1", "max_ep_len": 300}
    (directory / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, one of them trained with a wrapper, and the module with their environments."""
    place = tmp_path_factory.mktemp("verify")
    (place / "worlds_of_verify.py").write_text(WORLDS)
    worlds: dict[str, Any] = {}
    exec(WORLDS, worlds)  # noqa: S102 - our own
    run(place / "data" / "balance_s0", worlds["right"]())
    run(place / "data" / "mirrored_s0", worlds["mirrored"]())
    return place


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    settle(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    return tmp_path


def verdict(directory: Path, itr: int, world: str = "right", seed: int = 0, **plan: Any) -> Any:
    flags = PlayOptions(seed=seed, factory=f"worlds_of_verify:{world}")
    return verify_snapshot(locate(RunPath(directory), itr), VerifyPlan(flags, **plan)).verdict


def test_the_right_environment_agrees(study: Path) -> None:
    for itr in range(4):
        found = verdict(study / "data" / "balance_s0", itr)
        assert (found.word, found.reason, found.epoch) == (AGREES, "", itr)
        assert found.power > 0.8
    assert verdict(study / "data" / "mirrored_s0", 3, "mirrored").word == AGREES


@pytest.mark.parametrize(
    ("run", "world"), [("balance_s0", "gravity"), ("balance_s0", "half"), ("mirrored_s0", "right")]
)
def test_a_wrong_environment_is_found(study: Path, run: str, world: str) -> None:
    """Another gravity, half the time limit, a wrapper left out."""
    assert all(verdict(study / "data" / run, 3, world, seed).word == DIFFERS for seed in range(5))


def test_a_snapshot_of_another_epoch_is_found(study: Path) -> None:
    directory = study / "data" / "balance_s0"
    lines = [line.split("\t") for line in (directory / "progress.txt").read_text().splitlines()]
    means = [float(line[1]) for line in lines[1:]]
    tries = found = 0
    saved = {itr: (directory / "pyt_save" / f"model{itr}.pt").read_bytes() for itr in range(4)}
    for itr in range(4):
        for other in range(4):
            if abs(means[itr] - means[other]) >= 0.3 * (max(means) - min(means)):
                (directory / "pyt_save" / f"model{itr}.pt").write_bytes(saved[other])
                tries += 1
                found += verdict(directory, itr, seed=other).word == DIFFERS
        (directory / "pyt_save" / f"model{itr}.pt").write_bytes(saved[itr])
    assert tries >= 6
    assert found >= 0.9 * tries


def test_returns_that_were_never_logged_are_not_told(study: Path) -> None:
    directory = study / "data" / "balance_s0"
    text = (directory / "progress.txt").read_text().splitlines(keepends=True)
    (directory / "progress.txt").write_text("".join(text[:-1]))
    found = verdict(directory, 3)
    assert (found.word, found.reason, found.played) == (CANT_TELL, "epoch 3 was not logged", None)


def test_few_episodes_are_not_enough(study: Path) -> None:
    found = verdict(study / "data" / "balance_s0", 2, first=5, most=5)
    assert found.word == CANT_TELL
    assert "5, at least 8 are needed" in found.reason


@pytest.mark.sqlite
@pytest.mark.slow
def test_verdicts_are_kept_shown_and_found(study: Path, cli: Cli) -> None:
    cli("ingest", "data")
    right = ("--env-factory", "worlds_of_verify:right", "--jobs", "2")
    first = cli("verify", "--all-snapshots", *right)
    assert first.code == 1, "the wrapper is missing"
    assert "8 snapshots of 2 runs, 0 verified so already" in first.err
    assert "run 2 itr 3 differs: the difference is" in first.err
    again = cli("verify", "--all-snapshots", *right)
    assert "8 snapshots of 2 runs, 8 verified so already" in again.err
    assert again.out == first.out
    assert len(rows_of(study / "spindb.db", "SELECT id FROM evaluations WHERE verdict IS NOT NULL")) == 8
    assert cli("runs", "verified=differs", "--ids").out == "2\n"
    assert cli("runs", "verified=agrees", "verified!=differs", "--ids").out == "1\n"
    assert cli("runs", "verified:none", "--ids").out == ""
    assert cli("runs", "verified=wrong").code == 2
    assert "agrees, differs" in cli("runs", "--columns", "id,verified", "2").out
    assert "agrees" in cli("snapshots", "1").out
    assert json.loads(cli("snapshots", "1", "--json").out)[0]["verdict"] == "agrees"
    assert json.loads(cli("show", "2", "--json").out)["evaluations"][3]["verdict"] == "differs"
    assert "differs" in cli("show", "2").out
    kept = cli("verify", "2", "--env-factory", "worlds_of_verify:mirrored", "--jobs", "1")
    assert kept.code == 0
    assert cli("runs", "verified=differs", "--ids").out == "2\n", "other snapshots of it still differ"
    assert cli("db", "dump", "--out", "kept.yaml").code == 0
    cli("--db", "other.db", "ingest", "data")
    cli("--db", "other.db", "db", "restore", "kept.yaml")
    assert cli("--db", "other.db", "runs", "verified=differs", "--ids").out == "2\n"


@pytest.mark.sqlite
def test_a_statement_is_repeated_elsewhere(study: Path, cli: Cli) -> None:
    cli("ingest", "data")
    right = ("--env-factory", "worlds_of_verify:right", "--jobs", "1")
    assert cli("verify", "1", *right, "--statement", "verdict.json").code == 0
    text = Path("verdict.json").read_text()
    assert str(study) not in text
    (stated,) = json.loads(text)["snapshots"]
    assert (stated["verdict"]["word"], len(stated["weights"]), stated["seed"]) == ("agrees", 32, 0)
    shutil.move("data", "elsewhere")
    assert cli("--db", "second.db", "ingest", "elsewhere").code == 0
    checked = cli("--db", "second.db", "verify", *right, "--check", "verdict.json")
    assert (checked.code, "confirmed by the same episodes" in checked.out) == (0, True)
    wrong = cli("--db", "second.db", "verify", "--env-factory", "worlds_of_verify:half", "--check", "verdict.json")
    assert (wrong.code, "not confirmed: the verdict is differs" in wrong.out) == (1, True)
    Path("verdict.json").write_text(text.replace(stated["weights"], "0" * 32))
    gone = cli("--db", "second.db", "verify", *right, "--check", "verdict.json", "--json")
    assert (gone.code, json.loads(gone.out)[0]["found_as"]) == (1, None)
    for broken in ("", "{}", '{"format": "spindb verdicts", "version": 2}', text.replace('"episodes"', '"x"', 1)):
        Path("broken.json").write_text(broken)
        assert cli("verify", "1", "--check", "broken.json").code == 2
    assert cli("verify", "1", "--check", "missing.json").code == 2


@pytest.mark.sqlite
def test_test_policy_says_whether_it_agrees(study: Path, cli: Cli) -> None:
    cli("ingest", "data")
    right = ("--env-factory", "worlds_of_verify:right", "-nr", "--seed", "1")
    told = cli("test-policy", "1", "-n", "30", *right).err
    assert "logged at epoch 3: " in told
    assert ", played 30 episodes: " in told
    assert ": agrees\n" in told
    found = json.loads(cli("test-policy", "1", "-n", "30", *right, "--json").out)
    assert found["verdict"]["word"] == "agrees"
    assert "not compared with the log: the logged return is of sampled" in cli("test-policy", "1", "-d", *right).err
    cut = cli("test-policy", "1", "-n", "9", "-l", "20", *right).err
    assert "not compared with the log: --len 20 is not how long episodes were" in cut
    few = cli("test-policy", "1", "-n", "2", *right)
    assert "too few episodes were played: 2" in few.err
    assert cli("runs", "verified=can't-tell", "--ids").out == "", "too few are not kept as a verdict"


@pytest.mark.sqlite
def test_what_can_not_be_verified_is_refused_in_words(study: Path, cli: Cli) -> None:
    cli("ingest", "data")
    assert cli("verify", "1", "--itr", "9").code == 3
    assert cli("verify", "name=none").code == 3
    assert cli("verify", "1", "--env", "a", "--env-factory", "b:c").code == 2
    assert cli("verify", "1", "--itr", "1", "--all-snapshots").code == 2
    assert cli("verify", "1", "--check", "a", "--statement", "b").code == 2
    failed = cli("verify", "1", "--env-factory", "worlds_of_verify:nothing", "--jobs", "1")
    assert failed.code == 1
    assert "has no attribute 'nothing'" in failed.err
    right = ("--env-factory", "worlds_of_verify:right", "--jobs", "1")
    shown = json.loads(cli("verify", "1", "--itr", "1", *right, "--json").out)
    assert shown["failed"] == []
    assert shown["snapshots"][0]["verdict"] == "agrees"
    assert shown["snapshots"][0]["interval"][0] < shown["snapshots"][0]["difference"]


BARE = """
import gymnasium


def make():
    return gymnasium.make("MountainCarContinuous-v0", max_episode_steps=200)
"""


def wrapped(directory: Path, name: str = "pi") -> None:
    """A run in a car whose pushes cost, rescaled in training: an action of 2 is a push of 1."""
    import cloudpickle
    import gymnasium

    bare = gymnasium.make("MountainCarContinuous-v0", max_episode_steps=200)
    env = gymnasium.wrappers.RescaleAction(bare, -2, 2)
    (directory / "pyt_save").mkdir(parents=True)
    rng, rows = np.random.default_rng(1), []
    for epoch, bias in enumerate((0.25, 0.5, 0.9, 1.6)):
        weight = np.array([[0.5, 0.0]], "f4")
        layers = [torchlike.linear(weight, np.full(1, bias, "f4"))]
        layers += [torchlike.activation("Tanh")] if name == "pi" else []
        stack = torchlike.sequence(*layers)
        acts = torchlike.Network("a.Actor", {"pi": stack}, act_limit=2.0) if name == "pi" else stack
        module = torchlike.Network("a.Critic", {name: acts})
        (directory / "pyt_save" / f"model{epoch}.pt").write_bytes(torchlike.zipped(module))
        returns = []
        for _ in range(10):
            observation, _ = env.reset(seed=int(rng.integers(2**31)))
            total, over = 0.0, False
            while not over:
                observation, reward, terminated, over, _ = env.step(2 * np.tanh(weight @ observation + bias))
                total += float(reward)
                assert not terminated
            returns.append(total)
        rows.append([epoch, fmean(returns), pstdev(returns), max(returns), min(returns), 200])
    head = ["Epoch", "AverageTestEpRet", "StdTestEpRet", "MaxTestEpRet", "MinTestEpRet", "TestEpLen"]
    (directory / "progress.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in [head, *rows]))
    (directory / "config.json").write_text(json.dumps({"seed": 0, "env_name": "MountainCarContinuous-v0"}))
    (directory / "vars.pkl").write_bytes(cloudpickle.dumps({"env": env}))


def of_wrapped(directory: Path, **flags: Any) -> Any:
    return verify_snapshot(locate(RunPath(directory), 2), VerifyPlan(PlayOptions(seed=0, **flags))).verdict


def test_a_wrapper_left_out_never_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the flag that says so it can't be told; in an environment of somebody's own it differs."""
    wrapped(tmp_path / "run")
    (tmp_path / "bare_of_verify.py").write_text(BARE)
    monkeypatch.chdir(tmp_path)
    right = of_wrapped(tmp_path / "run")
    assert (right.word, right.reason) == (AGREES, "")
    assert of_wrapped(tmp_path / "run", factory="bare_of_verify:make", action="clip").word == DIFFERS
    left = of_wrapped(tmp_path / "run", without_wrappers=True, action="clip")
    assert left.word == CANT_TELL
    assert "played without gymnasium.wrappers.transform_action.RescaleAction" in left.reason


def test_another_rule_for_actions_is_found(tmp_path: Path) -> None:
    wrapped(tmp_path / "run", "policy")
    right = of_wrapped(tmp_path / "run", action="tanh")
    assert (right.word, right.reason) == (AGREES, "")
    for wrong in ("clip", "sample"):
        assert of_wrapped(tmp_path / "run", action=wrong).word == DIFFERS
    assert of_wrapped(tmp_path / "run", action="tanh", without_wrappers=True).word == CANT_TELL


@pytest.mark.sqlite
@pytest.mark.slow
def test_what_was_verified_with_other_flags_is_played_again(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrapped(tmp_path / "data" / "car_s0", "policy")
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    one = ("verify", "1", "--jobs", "1", "--action")
    for flags in (("tanh",), ("clip",), ("tanh", "--without-wrappers"), ("clip", "--without-wrappers"), ("tanh",)):
        assert "0 verified so already" in cli(*one, *flags).err, flags
        assert "1 verified so already" in cli(*one, *flags).err, flags
    kept = rows_of(tmp_path / "spindb.db", "SELECT engine, env_source, verdict FROM evaluations ORDER BY id")
    assert [row[0] for row in kept] == [f"numpy --action {rule}" for rule in ("tanh", "clip", "tanh", "clip", "tanh")]
    assert ["without" in row[1] for row in kept] == [False, False, True, True, False]
    assert [row[2] for row in kept] == [AGREES, DIFFERS, CANT_TELL, CANT_TELL, AGREES]
