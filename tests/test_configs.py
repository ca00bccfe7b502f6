"""``config.json``: types kept, addresses normalised, the logger's own fields apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.disk.configs import ConfigText, algorithm, environment_id, leaf, number_of


def leaves(text: str) -> dict[str, tuple[str, str, float | None]]:
    return {found.key: (found.type, found.value, found.number) for found in ConfigText(text.encode()).leaves()}


def test_types_are_kept() -> None:
    text = """{"a": 1, "b": 1.0, "c": true, "d": null, "e": [64, 64], "f": {"g": "tanh", "h": {}}, "i": "0.1",
               "j": NaN, "k": Infinity, "l": 100000000000000000000}"""
    assert leaves(text) == {
        "a": ("int", "1", 1.0),
        "b": ("float", "1.0", 1.0),
        "c": ("bool", "true", None),
        "d": ("null", "null", None),
        "e": ("list", "[64, 64]", None),
        "f.g": ("str", '"tanh"', None),
        "f.h": ("dict", "{}", None),
        "i": ("str", '"0.1"', 0.1),
        "j": ("float", "NaN", None),
        "k": ("float", "Infinity", float("inf")),
        "l": ("int", "100000000000000000000", 1e20),
    }


def test_addresses_are_normalised_and_the_raw_text_kept() -> None:
    first = leaf("env_fn", "<function <lambda> at 0x7f9108b7ab00>")
    second = leaf("env_fn", "<function <lambda> at 0x7f3958a788c0>")
    assert first.value == second.value == '"<function <lambda> at 0x…>"'
    assert first.raw == '"<function <lambda> at 0x7f9108b7ab00>"'


def test_what_the_logger_wrote_about_itself_is_internal() -> None:
    config = {
        "logger": {"<spinup.utils.logx.EpochLogger object at 0x7f30abc806d0>": {"first_row": True}},
        "logger_kwargs": {"output_dir": "/data"},
        "gamma": 0.99,
    }
    found = ConfigText(json.dumps(config).encode()).leaves()
    assert [f.key for f in found if not f.internal] == ["gamma"]
    assert len([f for f in found if f.internal]) == 2


BROKEN = [
    (b"{", "config-broken", 1),
    (b'{\n"a": 1,\n"b" 2}', "config-broken", 3),
    (b"[1]", "config-broken", None),
    (b"", "config-broken", 1),
    (b"[" * 100_000, "config-broken", None),
    (b'{"a": 1, "a": 2}', "config-duplicate-key", None),
    (b'{"a": "\xff"}', "encoding", None),
    (b'{"a.b": 1, "a": {"b": 2}}', "config-key-twice", None),
]


@pytest.mark.parametrize(("data", "code", "line"), BROKEN)
def test_broken_configs_are_problems(data: bytes, code: str, line: int | None) -> None:
    config = ConfigText(data)
    config.leaves()
    assert [(p.code, p.line) for p in config.problems] == [(code, line)]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_error(data: bytes) -> None:
    ConfigText(data).leaves()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4))
def test_every_leaf_is_canonical_json(config: dict[str, object]) -> None:
    for found in ConfigText(json.dumps(config).encode()).leaves():
        again = json.dumps(json.loads(found.raw or found.value), sort_keys=True, ensure_ascii=False)
        assert again == (found.raw or found.value)


def test_numbers_that_are_none() -> None:
    assert [number_of(v) for v in (True, None, [1], "1e-3", "nan", "1_0", "abc", 10**400)] == [
        *(None, None, None, 0.001, None, None, None, None)
    ]


ALGORITHMS = [
    ({"damping_coeff": 0.1, "train_v_iters": 80}, "trpo"),
    ({"clip_ratio": 0.2, "train_v_iters": 80}, "ppo"),
    ({"policy_delay": 2, "act_noise": 0.1, "polyak": 0.9}, "td3"),
    ({"lr": 1e-3, "polyak": 0.9, "alpha": 0.2}, "sac"),
    ({"act_noise": 0.1, "polyak": 0.9, "pi_lr": 1e-3}, "ddpg"),
    ({"train_v_iters": 80, "lam": 0.97}, "vpg"),
    ({"algo": "Rainbow"}, "rainbow"),
    ({"gamma": 0.99}, None),
]


@pytest.mark.parametrize(("config", "algo"), ALGORITHMS)
def test_the_algorithm_by_its_keys(config: dict[str, object], algo: str | None) -> None:
    assert algorithm(config)[0] == algo


def test_the_environment_where_the_config_names_one() -> None:
    assert environment_id({"env_name": "Hopper-v2"}) == "Hopper-v2"
    assert environment_id({"env": "<TimeLimit<CartPole>>", "env_fn": "x"}) is None


def test_values_that_are_equal_and_not_the_same_stay_apart() -> None:
    values = [1, 1.0, True, 0, 0.0, -0.0, False, "1", None, [1], [1.0]]
    made = [(leaf("k", value).type, leaf("k", value).value) for value in (*values, *values)]
    assert made[: len(values)] == made[len(values) :]
    assert len(set(made)) == len(values)
    assert leaf("k", 1) != leaf("k", 1, internal=True)
