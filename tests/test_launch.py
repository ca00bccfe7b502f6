"""The command that a run was probably launched with, and its neighbours: sizes, curves in characters, differences."""

from __future__ import annotations

import math

import pytest

from spindb.analysis.differences import Difference, differences
from spindb.analysis.extent import figure_size
from spindb.analysis.launch import launch
from spindb.analysis.spark import sparkline
from spindb.errors import UsageError

PPO = {"exp_name": "my run", "seed": 3, "pi_lr": 0.0003, "epochs": 50, "ac_kwargs.hidden_sizes": [64, 32]}


def test_the_environment_the_experiment_and_the_seed_come_first() -> None:
    """Then everything by name; blanks are quoted, lists have none."""
    assert launch(PPO, "ppo", "CartPole-v1", ["pyt_save"]) == (
        "python -m spinup.run ppo_pytorch --env CartPole-v1 --exp_name 'my run' --seed 3 "
        "--ac_kwargs:hidden_sizes '[64,32]' --epochs 50 --pi_lr 0.0003"
    )


@pytest.mark.parametrize(
    ("kinds", "algorithm"),
    [(["tf1_save"], "ppo_tf1"), (["pyt_save", "tf1_save"], "ppo_pytorch"), (["simple_save"], "ppo"), ([], "ppo")],
)
def test_the_framework_follows_from_the_first_snapshot(kinds: list[str], algorithm: str) -> None:
    command = launch(PPO, "ppo", "CartPole-v1", kinds)
    assert command is not None
    assert command.startswith(f"python -m spinup.run {algorithm} --env")


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("tf1_save", "tf.nn.relu"), ("simple_save", "tf.nn.relu"), ("pyt_save", "torch.nn.relu"), ("", "relu")],
)
def test_an_activation_is_named_with_its_module(kind: str, shown: str) -> None:
    command = launch(PPO | {"ac_kwargs.activation": "relu"}, "ppo", "A-v0", [kind] if kind else [])
    assert command is not None
    assert f"--ac_kwargs:activation {shown} " in command


def test_what_is_only_a_trace_of_an_object_is_left_out() -> None:
    traces = {"actor_critic": "MLPActorCritic", "env_fn": "<function <lambda>>", "logger_kwargs": "x", "gamma": "<obj>"}
    command = launch(PPO | traces | {"env_name": "A-v0"}, "ppo", "A-v0", [])
    assert command is not None
    for word in ("actor_critic", "env_fn", "gamma", "env_name"):
        assert word not in command


@pytest.mark.parametrize(
    ("algo", "own"),
    [
        ("vpg", {"pi_lr": 1, "vf_lr": 1, "train_v_iters": 1, "lam": 1, "max_ep_len": 1, "save_freq": 1}),
        ("ppo", {"clip_ratio": 1, "train_pi_iters": 1, "target_kl": 1, "lam": 1, "steps_per_epoch": 1}),
        ("trpo", {"delta": 1, "damping_coeff": 1, "cg_iters": 1, "backtrack_iters": 1, "backtrack_coeff": 1}),
        ("ddpg", {"q_lr": 1, "act_noise": 1, "polyak": 1, "replay_size": 1, "num_test_episodes": 1}),
        ("td3", {"target_noise": 1, "noise_clip": 1, "policy_delay": 1, "start_steps": 1, "update_every": 1}),
        ("sac", {"lr": 1, "alpha": 1, "batch_size": 1, "update_after": 1, "gamma": 1, "epochs": 1}),
    ],
)
def test_parameters_of_each_algorithm(algo: str, own: dict[str, int]) -> None:
    """As the signatures in Spinning Up's documentation have them; of one more, no launcher knows."""
    command = launch(own, algo, "A-v0", [])
    assert command is not None
    assert command.startswith(f"python -m spinup.run {algo} --env A-v0 ")
    assert all(f"--{key} 1" in command for key in own)
    other = launch(own | {"my_own": 1}, algo, "A-v0", [])
    assert other is not None
    assert other.startswith(f"{algo}(env='A-v0', ")
    assert "my_own=1" in other


def test_where_a_parameter_is_strange_a_call_is_shown() -> None:
    config = {"net": [8, 8], "word": "two words", "rate": 0.5, "flag": True, "seed": 1}
    assert launch(config, "mine", "A-v0", []) == (
        "mine(env='A-v0', seed=1, flag=True, net=[8, 8], rate=0.5, word='two words')"
    )
    assert launch(config, "mine", None, []) == "mine(seed=1, flag=True, net=[8, 8], rate=0.5, word='two words')"
    assert launch(PPO, "ppo", None, []) is not None
    assert str(launch(PPO, "ppo", None, [])).startswith("ppo(exp_name='my run', seed=3")


def test_too_little_gives_nothing() -> None:
    assert launch(PPO, None, "A-v0", []) is None
    assert launch({"a": 1, "b": 1, "c": 1}, "ppo", "A-v0", []) is None
    assert launch({"a": 1, "b": 1, "c": 1, "d": 1}, "ppo", "A-v0", []) is not None


# Curves in characters.


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 10, ""),
        ([5.0], 10, "▁"),
        ([3.0, 3.0], 10, "▁▁"),
        ([0.0, 7.0], 10, "▁█"),
        (list(range(8)), 8, "▁▂▃▄▅▆▇█"),
        (list(range(8)), 10, "▁▂▃▄▅▆▇█"),
        ([-7, -6, -5, -4, -3, -2, -1, 0], 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 7, 7], 2, "▁█"),
        ([0, 2, 7, 7, 0, 0], 3, "▂█▁"),
        ([0.0, math.nan, 7.0], 3, "▁·█"),
        ([math.nan, math.inf], 2, "··"),
        ([0.0, math.inf, 7.0, math.nan], 2, "▁█"),
        ([0.0, 1.0, 7.0], 2, "▁█"),
    ],
)
def test_sparkline(values: list[float], width: int, expected: str) -> None:
    assert sparkline(values, width) == expected


def test_a_sparkline_is_ten_wide_unless_asked_otherwise() -> None:
    assert len(sparkline(list(range(95)))) == 10
    assert len(sparkline(list(range(95)), 12)) == 12


# Sizes of pictures.


@pytest.mark.parametrize(
    ("text", "size"),
    [(None, None), ("6x4", (6, 4)), ("6.5x4.25", (6.5, 4.25)), ("1x1", (1, 1)), ("100x100", (100, 100))],
)
def test_sizes(text: str | None, size: tuple[float, float] | None) -> None:
    assert figure_size(text) == size


@pytest.mark.parametrize(
    "text", ["6", "x", "6x", "x4", "6x4x2", "-6x4", "0.5x4", "6x0.99", "101x4", "6x100.5", "6 x 4"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="width and height in inches, 1 to 100"):
        figure_size(text)


# Differences.


def test_differences() -> None:
    runs = [{"b": "1", "a": "1", "same": "x"}, {"a": "2", "same": "x"}, {"a": "1", "b": "1", "same": "x"}]
    assert differences(runs) == [Difference("a", ("1", "2", "1")), Difference("b", ("1", None, "1"))]
    assert differences(runs, everything=True) == [*differences(runs), Difference("same", ("x", "x", "x"))]
    assert differences(runs[:1]) == []
