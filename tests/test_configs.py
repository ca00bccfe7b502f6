"""``config.json``: types kept, addresses normalised, the logger's own fields apart."""

from __future__ import annotations

import inspect
import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.disk import limits
from spindb.disk.configs import ConfigText, algorithm, environment_id, leaf, number_of, whole_number


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


# What is said of configs, in full.


@pytest.mark.parametrize(
    ("data", "path", "code", "message"),
    [
        (b"{", "config.json", "config-broken", "not JSON: Expecting property name enclosed in double quotes; no hyper"),
        (b"[1]", "config.json", "config-broken", "holds a list where a mapping was expected"),
        (b"3", "config.yml", "config-broken", "holds a int where a mapping was expected"),
        (
            b"[" * 100_000,
            "config.json",
            "config-broken",
            "can't be read: nested too deeply; no hyperparameters are known",
        ),
        (b"a: [", "config.yaml", "config-broken", "can't be read: not YAML: while parsing a flow node"),
        (
            b"a: " + b"[" * 3000 + b"]" * 3000,
            "config.yml",
            "config-broken",
            "can't be read: nested too deeply; no hyper",
        ),
        (b"a: &x 1\nb: *x", "config.yml", "config-broken", "can't be read: not YAML: aliases are not read; no hyper"),
        (
            b"a: !!python/name:os.system 1",
            "config.yml",
            "config-broken",
            "can't be read: not YAML: could not determine",
        ),
        (
            b'{"a": 1, "b": 2, "a": 3}',
            "config.json",
            "config-duplicate-key",
            "stands more than once, the last one counts: a",
        ),
        (b'{"a": "\xff"}', "config.json", "encoding", "not UTF-8: such characters are replaced"),
        (b'{"a.b": 1, "a": {"b": 2}}', "config.json", "config-key-twice", "two paths spell a.b: the first counts"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "config.json", "lfs-pointer", ""),
    ],
)
def test_what_is_said_of_odd_configs(data: bytes, path: str, code: str, message: str) -> None:
    config = ConfigText(data, path)
    config.leaves()
    (problem,) = config.problems
    assert (problem.code, problem.path) == (code, path)
    assert problem.message.startswith(message)
    if code == "lfs-pointer":
        assert problem.message.endswith("; no hyperparameters are known")
    assert config.readable == (code != "lfs-pointer")


def test_the_last_of_several_equal_keys_counts_and_ten_are_named() -> None:
    config = ConfigText(b'{"a": 1, "a": 3}')
    assert config.values == {"a": 3}
    many = "{" + ", ".join(f'"k{number:02}": 1' for number in [*range(12), *range(12)]) + "}"
    (problem,) = ConfigText(many.encode()).problems
    assert problem.message.endswith("k08, k09, …")
    ten = "{" + ", ".join(f'"k{number:02}": 1' for number in [*range(10), *range(10)]) + "}"
    (problem,) = ConfigText(ten.encode()).problems
    assert problem.message.endswith("k08, k09")


def test_yaml_is_what_json_would_have_it() -> None:
    text = b"lr: 1.0e-3\nday: 2026-11-22\n3: three\nlayers: [64, {2: x}]\nnone:\n"
    assert ConfigText(text, "config.yml").values == {
        "lr": 0.001,
        "day": "2026-11-22",
        "3": "three",
        "layers": [64, {"2": "x"}],
        "none": None,
    }


def test_a_byte_order_mark_is_no_text() -> None:
    assert ConfigText(b'\xef\xbb\xbf{"a": 1}').values == {"a": 1}
    assert ConfigText(b'\xef\xbb\xbf{"a": 1}').problems == []


def test_another_file_adds_what_only_it_knows() -> None:
    config, other = ConfigText(b'{"a": 1, "b": 2}'), ConfigText(b'{"b": 3, "c": 4, "c": 5}', "full-config.json")
    config.add(other)
    assert config.values == {"a": 1, "b": 2, "c": 5}
    assert [(problem.code, problem.path) for problem in config.problems] == [
        ("config-duplicate-key", "full-config.json")
    ]


def test_attributes_of_objects_are_internal_and_named_by_their_class() -> None:
    config = {
        "ac": {"<class 'torch.nn.modules.ReLU'>": {"inplace": False}},
        "<no object": 1,
        "fn": "<function f at 0x7f>",
    }
    found = {leaf.key: leaf for leaf in ConfigText(json.dumps(config).encode()).leaves()}
    assert {key: leaf.internal for key, leaf in found.items()} == {
        "ac.ReLU.inplace": True,
        "<no object": False,
        "fn": False,
    }
    assert (found["fn"].value, found["fn"].raw) == ('"<function f at 0x…>"', '"<function f at 0x7f>"')
    assert found["ac.ReLU.inplace"].raw is None


def test_limits_leave_out_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LEAVES", 3)
    config = ConfigText(b'{"d": 1, "c": 2, "b": 3, "a": 4}')
    assert [leaf.key for leaf in config.leaves()] == ["b", "c", "d"]
    assert [(p.code, p.message) for p in config.problems] == [
        ("config-too-large", "more than 3 hyperparameters: the rest is left out")
    ]
    exact = ConfigText(b'{"c": 2, "b": 3, "a": 4}')
    assert len(exact.leaves()) == 3
    assert exact.problems == []
    monkeypatch.setattr(limits, "KEY", 4)
    config = ConfigText('{"four": 1, "fünf": 2, "a": {"bcd": 3}}'.encode())
    assert [leaf.key for leaf in config.leaves()] == ["four"]
    assert [p.message for p in config.problems] == ["fünf has 5 bytes: left out", "a.bcd has 5 bytes: left out"]


def test_objects_are_walked_into_to_a_depth() -> None:
    """Beyond, what is left is one value."""
    deep: object = 1
    for _ in range(70):
        deep = {"k": deep}
    (found,) = ConfigText(json.dumps({"top": deep}).encode()).leaves()
    assert found.key == "top" + ".k" * 64
    assert found.type == "dict"


@pytest.mark.parametrize("name", ["algo", "algorithm", "alg", "algo_name", "algorithm_name"])
def test_an_algorithm_that_is_said(name: str) -> None:
    assert algorithm({name: " TD3 ", "clip_ratio": 0.2}) == ("td3", "config", (name,))
    assert algorithm({name: " ", "clip_ratio": 0.2}) == ("ppo", "config keys", ("clip_ratio",))
    assert algorithm({name: 3}) == (None, None, ())


def test_an_algorithm_by_several_keys_names_them() -> None:
    assert algorithm({"polyak": 1, "lr": 1}) == ("sac", "config keys", ("lr", "polyak"))
    assert algorithm({"polyak": 1}) == (None, None, ())


@pytest.mark.parametrize("name", ["env_name", "env_id", "env", "task"])
def test_names_of_the_environment(name: str) -> None:
    assert environment_id({name: "Hopper-v2"}) == "Hopper-v2"
    assert environment_id({"kwargs": {name: "Hopper-v2"}}) == "Hopper-v2"
    assert environment_id({"kwargs": {name: "Hopper"}}) is None  # no id by its looks
    assert environment_id({"kwargs": {name: 3}}) is None


def test_two_environments_one_level_down_are_none() -> None:
    train, test = {"env": "Hopper-v2"}, {"env": "Hopper-v3"}
    assert environment_id({"train": train, "test": test}) is None
    assert environment_id({"train": train, "test": dict(train)}) == "Hopper-v2"
    assert environment_id({"env_name": "Walker2d-v2", "train": train}) == "Walker2d-v2"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((3, 3), (3.0, 3), ("3", 3), ("3.0", 3), ("np.int64(3)", 3), (-1, -1), (2**63 - 1, 2**63 - 1)),
        *((2**63, None), (-(2**63), None), (1 - 2**63, 1 - 2**63), (3.5, None), (True, None), (None, None)),
        *(("three", None), ([3], None), (math.nan, None), (math.inf, None)),
    ],
)
def test_whole_numbers(value: object, expected: int | None) -> None:
    assert whole_number(value) == expected
    assert not isinstance(whole_number(value), float)


def test_j4_a_value_beyond_the_stack_is_said_and_the_others_stay() -> None:
    config = ConfigText(b'{"a": ' + b"[" * 300 + b"]" * 300 + b', "b": 1}')
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 60)
    try:
        leaves = config.leaves()
    finally:
        sys.setrecursionlimit(limit)
    assert [leaf.key for leaf in leaves] == ["b"]
    assert [(p.code, p.message) for p in config.problems] == [("config-too-deep", "a is nested too deeply: left out")]
