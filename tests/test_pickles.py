"""Symbolic pickles: what plain and joblib files hold is told, and nothing in them ever runs."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.disk.codecs.pickles import PickleError, read_pickle
from spindb.disk.described import Array, Built, Global
from spindb.disk.environments import classes_begun, environment_in_state

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.tuples(inner, inner)
    ),
    max_leaves=15,
)


@given(PLAIN, st.integers(0, 5))
def test_plain_values_come_back_with_every_protocol(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol=protocol)
    if b"_codecs" not in data and b"bytes" not in data:  # which old protocols make by a call
        assert read_pickle(data) == value


@pytest.mark.parametrize("protocol", range(6))
def test_objects_are_described(protocol: int) -> None:
    data = pickle.dumps({"when": datetime(2020, 1, 2), "order": OrderedDict(a=1), "cls": Path}, protocol=protocol)
    found = read_pickle(data + b"bytes after the end")
    assert found["when"].class_path == "datetime.datetime"
    assert found["order"].items == [("a", 1)]
    assert found["cls"] == Global("pathlib", "Path") or str(found["cls"]).endswith("Path")


class Node:
    """Something with attributes."""

    def __init__(self) -> None:
        self.name = "node"
        self.inner = {"self": self}


@pytest.mark.parametrize("protocol", range(6))
def test_attributes_and_cycles(protocol: int) -> None:
    found = read_pickle(pickle.dumps(Node(), protocol=protocol))
    assert isinstance(found, Built)
    assert found.class_path.endswith("test_pickles.Node")
    assert found.attributes["name"] == "node"
    assert found.attributes["inner"]["self"] is found


@pytest.mark.slow
def test_joblib_files_with_arrays_inline() -> None:
    joblib = pytest.importorskip("joblib")
    np = pytest.importorskip("numpy")
    state = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.array(["x", "yz"]), "after": 7}
    state["objects"] = np.array([{"k": 1}, None], dtype=object)
    buffer = io.BytesIO()
    joblib.dump(state, buffer)
    found = read_pickle(buffer.getvalue())
    assert found["after"] == 7
    array = found["a"]
    assert isinstance(array, Array)
    assert (array.dtype, array.shape, array.count) == ("f4", (2, 3), 24)
    raw = buffer.getvalue()[array.start : array.start + array.count]
    assert np.frombuffer(raw, "f4").tolist() == [0, 1, 2, 3, 4, 5]
    assert found["b"].shape == (2,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "array",
    [
        *("np.array(['2020-01-01', 'NaT'], dtype='M8[s]')", "np.array([1, 2], dtype='m8[ns]')"),
        *(
            "np.array([1 + 2j])",
            "np.array([1.5], dtype='f2')",
            "np.array([1.5], dtype='g')",
            "np.array([1.5], dtype='>f8')",
        ),
        *("np.array([True])", "np.array([b'ab'])", "np.array(['abc'])", "np.array([], dtype='U')"),
        *("np.zeros(3, dtype=[('a', 'i4'), ('b', 'M8[us]')])", "np.zeros(3, dtype='V7')"),
        *("np.zeros(2, dtype=[('a', 'i4'), ('o', 'O')])", "np.array([None, {}], dtype=object)", "np.zeros((0, 4))"),
        *(
            "np.array(5, dtype='M8[D]')",
            "np.zeros(2, dtype=[('a', 'f4', (3,))])",
            "np.asfortranarray(np.zeros((2, 3)))",
        ),
    ],
)
def test_b4_arrays_of_any_type_are_stepped_over(array: str) -> None:
    joblib = pytest.importorskip("joblib")
    np = pytest.importorskip("numpy")
    value = eval(array, {"np": np})  # noqa: S307 - from the lines above
    buffer = io.BytesIO()
    joblib.dump({"before": value, "env": {"inner": [value, "end"]}, "after": 7}, buffer)
    found = read_pickle(buffer.getvalue())
    assert found["after"] == 7
    assert found["env"]["inner"][1] == "end"
    if isinstance(found["before"], Array):
        first = found["before"]
        raw = buffer.getvalue()[first.start : first.start + first.count]
        assert raw == value.tobytes("F" if first.order == "F" else "C")


_FORBIDDEN = ("import", "exec", "compile", "os.", "subprocess.", "pickle.", "ctypes.", "socket.", "open", "shutil.")
_caught: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event.startswith(_FORBIDDEN):
        _caught.append(f"{event} {arguments}")


sys.addaudithook(_watch)  # for good: Python has no way to take a hook off


@contextmanager
def nothing_may_run() -> Iterator[None]:
    """Any import, code, process, file or unpickling inside fails the test: Python itself reports it."""
    global _watching
    _caught.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    assert _caught == []


def test_the_guard_sees_what_it_must() -> None:
    with pytest.raises(AssertionError, match=r"pickle\.find_class"), nothing_may_run():
        pickle.loads(b"cbuiltins\nlen\n.")
    with pytest.raises(AssertionError, match=r"os\.system"), nothing_may_run():
        os.system("true")  # noqa: S605


def call_of(target: str, argument: bytes = b"S'echo harm > /tmp/harm'\n") -> bytes:
    module, _, name = target.rpartition(".")
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + argument + b"tR."


HOSTILE = {
    "os.system": call_of("os.system"),
    "posix.system": call_of("posix.system"),
    "eval": call_of("builtins.eval", b"S'1/0'\n"),
    "import": b"cantigravity\nfly\n.",
    "inst": b"(S'x'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'x'\no.",
    "build": b"cos\nsystem\n)\x81}S'__setstate__'\nI1\nsb.",
    "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
    "persistent": b"Pos.system\n.",
    "extension": b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_do_nothing(name: str) -> None:
    with nothing_may_run():
        read_pickle(HOSTILE[name])


def laughs() -> bytes:
    """Each tuple holds the one before twice: 2**60 leaves if anyone walks it."""
    return b"\x80\x02(" + b"]q\x00" + b"".join(b"(hYhYtqY".replace(b"Y", bytes([0])) for _ in range(60)) + b"t."


BOMBS = {
    "laughs": laughs(),
    "laughs as a key": b"\x80\x02}K\x00K\x00\x86q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"h\x00K\x01s.",
    "nested": b"\x80\x02" + b"(" * 200_000 + b"t" * 200_000 + b".",
    "nested as a key": b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
    "huge length": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x",
    "huge frame": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"N.",
    "huge number": b"\x80\x02\x8b" + (2**30).to_bytes(4, "little") + b"1",
    "long text": b"I" + b"9" * 100_000 + b"\n.",
    "no stack": b"0.",
    "no mark": b"\x80\x02K\x01t.",
    "memo": b"\x80\x02h\x05.",
    "text": b"git-lfs is a program",
    "nothing": b"",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n",
    "endless": b"\x80\x02" + b"N0" * 1_100_000 + b"N.",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_a_value_or_a_plain_error(name: str) -> None:
    with nothing_may_run(), suppress(PickleError):
        read_pickle(BOMBS[name])


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_a_plain_error(data: bytes) -> None:
    with suppress(PickleError):
        read_pickle(data)


class CartPoleEnv:
    """Stands for gym's class of that name: pickled by reference."""


class TimeLimit:
    """A wrapper with the attributes that gym's has."""

    def __init__(self, env: object, limit: int) -> None:
        self.env = env
        self._max_episode_steps = limit


class EnvSpec:
    """gym's record of an environment."""

    def __init__(self, id: str) -> None:
        self.id = id


def as_gym(data: bytes) -> bytes:
    """The pickle with this module's classes under gym's names (the texts are of equal length)."""
    here = __name__.encode()
    renamed = data.replace(b"c" + here + b"\nCartPoleEnv", b"cgym.envs.classic_control.cartpole\nCartPoleEnv")
    return renamed.replace(b"c" + here + b"\nTimeLimit", b"cgym.wrappers.time_limit\nTimeLimit")


def test_the_environment_by_its_spec() -> None:
    env = CartPoleEnv()
    env.spec = EnvSpec("CartPole-v0")  # type: ignore[attr-defined]
    hint = environment_in_state(as_gym(pickle.dumps({"env": TimeLimit(env, 200)}, protocol=2)))
    assert (hint.id, hint.source, hint.max_episode_steps) == ("CartPole-v0", "state id", 200)
    assert hint.classes == ("gym.wrappers.time_limit.TimeLimit", "gym.envs.classic_control.cartpole.CartPoleEnv")


def test_the_environment_by_its_class_and_limit() -> None:
    hint = environment_in_state(as_gym(pickle.dumps({"env": TimeLimit(CartPoleEnv(), 500)}, protocol=2)))
    assert (hint.id, hint.source) == ("CartPole-v1", "state class")
    hint = environment_in_state(as_gym(pickle.dumps({"env": TimeLimit(CartPoleEnv(), 123)}, protocol=2)))
    assert (hint.id, hint.max_episode_steps) == (None, 123)


def test_a_state_without_an_environment() -> None:
    for state in ({"other": 1}, {"env": None}, [1]):
        with pytest.raises(PickleError):
            environment_in_state(pickle.dumps(state))


def test_a_broken_state_tells_what_it_was_about() -> None:
    whole = as_gym(pickle.dumps({"env": CartPoleEnv()}, protocol=2))
    with pytest.raises(PickleError) as caught:
        environment_in_state(whole[:-3])
    assert classes_begun(caught.value.classes) == ("gym.envs.classic_control.cartpole.CartPoleEnv",)
    wrapped = ("copyreg._reconstructor", "gym.wrappers.time_limit.TimeLimit", "mine.Walk", "gym.spaces.box.Box")
    assert classes_begun(wrapped) == ("gym.wrappers.time_limit.TimeLimit", "mine.Walk")


def test_a_place_in_the_memo_is_no_negative_number() -> None:
    with pytest.raises(PickleError, match="a number in it is out of range"):
        read_pickle(b"K\x01p-1\n.")


def test_arrays_that_hold_objects_in_fields_are_stepped_over(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    numpy = pytest.importorskip("numpy")
    held = numpy.array([({"key": 1}, 2.0)], dtype=[("object", "O"), ("number", "f8")])
    joblib.dump({"held": held, "after": 7}, tmp_path / "held.pkl")
    assert read_pickle((tmp_path / "held.pkl").read_bytes())["after"] == 7


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_keys_that_look_alike_stay_apart(depth: int) -> None:
    keys = {nested_in(1, depth): "a", nested_in(2, depth): "b"}
    assert sorted(read_pickle(pickle.dumps(keys)).values()) == ["a", "b"]


def nested_in(key: Any, depth: int) -> Any:
    """The key in so many tuples."""
    return key if depth == 0 else (nested_in(key, depth - 1),)
