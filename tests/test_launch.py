"""The command that a run was probably launched with, and its neighbours: sizes, curves in characters, differences."""

from __future__ import annotations

import math

import pytest

from spindb.analysis.differences import Difference, Fact, differences
from spindb.analysis.drawing.size import figure_size
from spindb.analysis.drawing.sparkline import sparkline
from spindb.errors import UsageError
from spindb.train.command import launch

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


EVERY = ("env", "env_name", "exp_name", "seed", "ac_kwargs", "gamma", "epochs", "steps_per_epoch", "max_ep_len")
EVERY += ("save_freq", "actor_critic", "env_fn")
ON_POLICY = (*EVERY, "vf_lr", "train_v_iters", "lam")
OFF_POLICY = (*EVERY, "replay_size", "polyak", "batch_size", "start_steps", "update_after", "update_every")
OFF_POLICY += ("num_test_episodes",)
PARAMETERS = {
    "vpg": (*ON_POLICY, "pi_lr"),
    "ppo": (*ON_POLICY, "pi_lr", "clip_ratio", "train_pi_iters", "target_kl"),
    "trpo": (*ON_POLICY, "delta", "damping_coeff", "cg_iters", "backtrack_iters", "backtrack_coeff", "algo"),
    "ddpg": (*OFF_POLICY, "pi_lr", "q_lr", "act_noise"),
    "td3": (*OFF_POLICY, "pi_lr", "q_lr", "act_noise", "target_noise", "noise_clip", "policy_delay"),
    "sac": (*OFF_POLICY, "lr", "alpha"),
}
"""As the signatures in Spinning Up's documentation have them."""


@pytest.mark.parametrize("algo", PARAMETERS)
def test_parameters_of_each_algorithm(algo: str) -> None:
    """With one more, no launcher of Spinning Up's takes them."""
    config = dict.fromkeys(PARAMETERS[algo], 1)
    command = launch(config, algo, "A-v0", [])
    assert command is not None
    assert command.startswith(f"python -m spinup.run {algo} --env ")
    left_out = {"env", "env_name", "actor_critic", "env_fn"}
    assert all(f" --{key} 1" in command for key in config.keys() - left_out)
    assert not any(f" --{key} " in command for key in left_out - {"env"})
    other = launch(config | {"my_own": 1}, algo, "A-v0", [])
    assert other is not None
    assert other.startswith(f"{algo}(env='A-v0', ")
    assert "my_own=1" in other


def test_where_a_parameter_is_strange_a_call_is_shown() -> None:
    config = {"net": [8, 8], "word": "two words", "rate": 0.5, "flag": True, "seed": 1}
    assert launch(config, "mine", "A-v0", []) == (
        "mine(env='A-v0', seed=1, flag=True, net=[8, 8], rate=0.5, word='two words')"
    )
    assert launch(config, "mine", None, []) == "mine(seed=1, flag=True, net=[8, 8], rate=0.5, word='two words')"
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


def fact(text: str, *, shown: str | None = None, exact: str | None = None) -> Fact:
    return Fact(text, shown or text, exact or text)


def test_differences() -> None:
    runs = [
        {"b": fact("1"), "a": fact("1"), "same": fact("x")},
        {"a": fact("2"), "same": fact("x")},
        {"a": fact("1"), "b": fact("1"), "same": fact("x")},
    ]
    a = Difference("a", ("1", "2", "1"), ("1", "2", "1"))
    b = Difference("b", ("1", None, "1"), ("1", None, "1"))
    assert differences(runs) == [a, b]
    assert differences(runs, everything=True) == [a, b, Difference("same", ("x",) * 3, ("x",) * 3)]
    assert differences(runs[:1]) == []


def test_values_that_are_equal_differ_in_nothing_however_they_are_written() -> None:
    assert differences([{"lr": fact("0.001", exact="1e-3")}, {"lr": fact("0.001", exact="0.001")}]) == []


def test_differences_are_short_where_that_tells_them_apart() -> None:
    """Else whole."""
    short = [{"k": fact("<a at 1>", shown="<a>")}, {"k": fact("<b at 2>", shown="<b>", exact="<b at 0x2>")}]
    assert differences(short) == [Difference("k", ("<a>", "<b>"), ("<a at 1>", "<b at 0x2>"))]
    alike = [{"k": fact("0.123456", shown="0.12")}, {"k": fact("0.123457", shown="0.12")}, {}]
    assert differences(alike) == [Difference("k", ("0.123456", "0.123457", None), ("0.123456", "0.123457", None))]
