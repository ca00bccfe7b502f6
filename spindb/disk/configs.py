"""Reads ``config.json`` into typed leaves keyed by dotted paths.

Spinning Up's logger converts values that JSON can't represent: objects become ``"<… at 0x7f…>"`` or one-key
dicts ``{str(object): {attributes}}``. It also writes its own fields. Memory addresses are replaced here, so that equal
configurations compare equal. The logger's fields and the attributes of objects are marked internal and are not
shown as hyperparameters.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, NamedTuple

from spindb.canonical import canonical, equal_value
from spindb.disk import limits
from spindb.disk.cells import number_in_text
from spindb.disk.environments import is_environment_id
from spindb.disk.lfs import LFS_REASON, is_lfs_pointer
from spindb.disk.told import longer_than, size_of, text_of, told_text
from spindb.records import ConfigLeaf, Problem
from spindb.seedkeys import is_seed, seed_key

_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
_INTERNAL_ROOTS = ("logger", "logger_kwargs")
# the text of an object: <module.Class object at 0x7f…>, <class 'module.Class'>
_OBJECT = re.compile(r"<(?:class ')?(?:[\w.]*\.)?(\w+)\b.*>", re.DOTALL)
_MAX_DEPTH = 64  # levels; deeper values are kept as one JSON leaf, well below Python's recursion limit
_MAX_WHOLE = 2**63  # the range of the database's integer column
# no nested repetition: linear time for any text
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_TOLD_KEYS = 10  # duplicate keys named in a message
_LONG = 200  # characters; longer values differ between runs and are not cached

# json.dumps would create an encoder for each call
_to_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode

Type = Literal["int", "float", "bool", "str", "null", "list", "dict"]
_TYPES: dict[type, Type] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "list",
    dict: "dict",
    type(None): "null",
}


class ConfigText:
    """A parsed config: the top-level mapping (empty if it can't be read) and the problems found."""

    def __init__(self, data: bytes, path: str = "config.json") -> None:
        self.problems: list[Problem] = []
        self.path = path
        self.readable = not is_lfs_pointer(data)
        self.values = self._parse(data) if self.readable else {}
        if not self.readable:
            self._report("lfs-pointer", f"{LFS_REASON}; no hyperparameters are known")

    def add(self, other: ConfigText) -> None:
        """Add keys that are missing here from another file, and its problems."""
        self.values = {**other.values, **self.values}
        self.problems += other.problems

    def _parse(self, data: bytes) -> dict[str, Any]:
        try:
            # utf-8-sig removes the byte order mark that Windows editors add.
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._report("encoding", "not UTF-8: such characters are replaced")
            text = data.decode("utf-8", "replace")
        try:
            if self.path.endswith((".yml", ".yaml")):
                value = _from_yaml(text)
            else:
                value = json.loads(text, object_pairs_hook=self._mapping)
        except json.JSONDecodeError as error:
            self._report("config-broken", f"not JSON: {error.msg}; no hyperparameters are known", error.lineno)
            return {}
        except RecursionError:
            self._report("config-broken", "can't be read: nested too deeply; no hyperparameters are known")
            return {}
        except ValueError as error:
            self._report("config-broken", f"can't be read: {text_of(error)}; no hyperparameters are known")
            return {}
        if not isinstance(value, dict):
            self._report("config-broken", f"holds a {type(value).__name__} where a mapping was expected")
            return {}
        return value

    def _mapping(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            twice = sorted(name for name, count in Counter(key for key, _ in pairs).items() if count > 1)
            shown = [*(told_text(name, 50) for name in twice[:_TOLD_KEYS]), *["…"][: len(twice) - _TOLD_KEYS]]
            self._report("config-duplicate-key", f"stands more than once, the last one counts: {', '.join(shown)}")
        return mapping

    def _report(self, code: str, message: str, line: int | None = None) -> None:
        self.problems.append(Problem(code, message, self.path, line))

    def leaves(self) -> tuple[ConfigLeaf, ...]:
        """All leaves, sorted by key.

        Two paths with the same dotted key are a problem, and the first is used. Leaves beyond the limits
        (`spindb.disk.limits`) are a problem and left out.
        """
        leaves: dict[str, ConfigLeaf] = {}
        for key, value, internal in _walk(self.values):
            if key in leaves:
                self._report("config-key-twice", f"two paths spell {key}: the first counts")
                continue
            if longer_than(key, limits.KEY):
                self._report("config-key-too-long", f"{told_text(key, 50)} has {size_of(key):,} bytes: left out")
                continue
            if len(leaves) == limits.LEAVES:
                self._report("config-too-large", f"more than {limits.LEAVES:,} hyperparameters: the rest is left out")
                break
            try:
                leaves[key] = leaf(key, value, internal=internal)
            except RecursionError:
                self._report("config-too-deep", f"{key} is nested too deeply: left out")
        return tuple(leaves[key] for key in sorted(leaves))


def _from_yaml(text: str) -> Any:
    """YAML converted to JSON values; keys and values that JSON lacks (dates) become text.

    Raises:
        ValueError: the text is not valid YAML, or contains objects.
    """
    import yaml  # few runs have a config in YAML

    class Loader(yaml.SafeLoader):
        """A loader that refuses aliases: a few lines of them can expand beyond any memory."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    try:
        value = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
        return json.loads(json.dumps(_with_text_keys(value), default=str))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = str(error) if isinstance(error, yaml.YAMLError) else text_of(error)
        raise ValueError(f"not YAML: {' '.join(reason.split())}") from error


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _walk(
    values: Mapping[str, Any], prefix: str = "", internal: bool = False, depth: int = 0
) -> Iterator[tuple[str, Any, bool]]:
    for name, value in values.items():
        # The logger writes {"<object …>": {attributes}}: the attributes are not hyperparameters.
        dumped = _OBJECT.fullmatch(name) if name.startswith("<") and name.endswith(">") else None
        key = prefix + (dumped[1] if dumped else normalise(name))
        inside = internal or key in _INTERNAL_ROOTS or dumped is not None
        if isinstance(value, dict) and value and depth < _MAX_DEPTH and len(key) <= limits.KEY:
            yield from _walk(value, key + ".", inside, depth + 1)
        else:
            yield key, value, inside


def leaf(key: str, value: Any, *, internal: bool = False) -> ConfigLeaf:
    """The leaf for a JSON value. Most leaves occur in many runs, so they are cached."""
    if isinstance(value, (list, dict)):  # not hashable, so their text is the cache key
        raw = to_json(value)
        return _leaf_of(key, raw, internal) if len(raw) <= _LONG else _leaf(key, value, raw, internal)
    # 0.0 and -0.0 would share a cache entry
    if (type(value) is float and not value) or (isinstance(value, str) and len(value) > _LONG):
        return _leaf(key, value, to_json(value), internal)
    return _leaf_once(key, value, internal)


def _leaf(key: str, value: Any, raw: str, internal: bool) -> ConfigLeaf:
    text = normalise(raw)
    same = canonical(value if raw == text else json.loads(text))
    return ConfigLeaf(key, _TYPES[type(value)], text, number_of(value), raw if raw != text else None, internal, same)


@lru_cache(maxsize=4096, typed=True)  # typed: 1, 1.0 and True are equal and would share an entry
def _leaf_once(key: str, value: Any, internal: bool) -> ConfigLeaf:
    return _leaf(key, value, to_json(value), internal)


@lru_cache(maxsize=4096)
def _leaf_of(key: str, raw: str, internal: bool) -> ConfigLeaf:
    return _leaf(key, json.loads(raw), raw, internal)


def to_json(value: Any) -> str:
    """Canonical JSON text: sorted keys, ``", "`` between items, no escapes outside ASCII."""
    return _to_json(value)


def number_of(value: Any) -> float | None:
    """Numeric value of a number, or of a string that spells one (the logger writes numpy scalars as strings)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not _NUMBER.match(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number


def normalise(text: str) -> str:
    """Replace memory addresses by ``0x…``, so that equal objects have the same text in every run."""
    return _ADDRESS.sub("at 0x…", text) if "at 0x" in text else text


# Keys that identify the six original algorithms. The order matters: TRPO and PPO also have train_v_iters, TD3 also
# has act_noise.
_ALGORITHM_KEYS = (
    ({"damping_coeff"}, "trpo"),
    ({"clip_ratio"}, "ppo"),
    ({"policy_delay"}, "td3"),
    ({"lr", "polyak"}, "sac"),
    ({"act_noise"}, "ddpg"),
    ({"train_v_iters"}, "vpg"),
)


class ConfiguredAlgorithm(NamedTuple):
    """The algorithm in lower case, its source (``config`` or ``config keys``), and the keys."""

    algo: str | None = None
    source: str | None = None
    keys: tuple[str, ...] = ()


def algorithm(values: Mapping[str, Any]) -> ConfiguredAlgorithm:
    """The algorithm, by an explicit key or by the set of keys."""
    for name in ("algo", "algorithm", "alg", "algo_name", "algorithm_name"):
        value = values.get(name)
        if isinstance(value, str) and value.strip():
            return ConfiguredAlgorithm(value.strip().lower(), "config", (name,))
    for keys, algo in _ALGORITHM_KEYS:
        if keys <= values.keys():
            return ConfiguredAlgorithm(algo, "config keys", tuple(sorted(keys)))
    return ConfiguredAlgorithm()


# Keys reduced to lower-case letters, so that ``env_name`` and ``envName`` are equal. The plain keys always name an
# environment; the other keys only if their value has the form of an id.
_PLAIN_KEYS = ("envname", "envid", "env", "environment", "environmentname", "environmentid", "gymid", "gymenv", "task")
_OTHER_KEYS = ("game", "gamename", "scenario", "mapname")
_INNER_KEYS = ("id", "name")  # of ``env: {"id": ...}``
_BELOW = {name: [name + key for key in _INNER_KEYS] for name in _PLAIN_KEYS}  # keys such as ``env.id``
_NAMING = frozenset({*_PLAIN_KEYS, *_OTHER_KEYS, *_INNER_KEYS, *chain.from_iterable(_BELOW.values())})
_NO_LETTERS = re.compile(r"[^a-z]")
_VERSIONED = re.compile(r"[\w./:\-]+-v\d{1,3}\Z", re.ASCII)


def environment_id(values: Mapping[str, Any]) -> str | None:
    """The environment's id, or None if the config has none.

    Sources in this order: a plain key (`_PLAIN_KEYS`), or the id or name in a mapping below it; another key whose value
    has the form of an id; one level down, an id with a version if there is exactly one.
    """
    found = _by_letters(values)
    for name, below in _BELOW.items():
        if told := found.get(name) or _within(values.get(name)):
            return told
        if told := next((found[key] for key in below if key in found), None):
            return told
    if told := next((text for name in _OTHER_KEYS if (text := found.get(name)) and _VERSIONED.match(text)), None):
        return told
    inner_parts = [_by_letters(value) for value in values.values() if isinstance(value, dict)]
    texts = {text for part in inner_parts for name in (*_PLAIN_KEYS, *_OTHER_KEYS) if (text := part.get(name))}
    versioned = {text for text in texts if _VERSIONED.match(text)}
    return versioned.pop() if len(versioned) == 1 else None


def _within(inner: Any) -> str | None:
    """The environment's id in a mapping below a plain key."""
    if not isinstance(inner, dict):
        return None
    named = _by_letters(inner)
    return next((named[key] for key in (*_INNER_KEYS, *_PLAIN_KEYS) if key in named), None)


def _by_letters(values: Mapping[str, Any]) -> dict[str, str]:
    """Values that can be an environment's id, stripped, by the letters of their keys."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if (
            (letters := _letters(key)) in _NAMING
            and isinstance(value, str)
            and is_environment_id(text := value.strip())
        ):
            found.setdefault(letters, text)
    return found


@lru_cache(maxsize=1024)
def _letters(key: object) -> str:
    return _NO_LETTERS.sub("", str(key).lower())


def seed(values: Mapping[str, Any], leaves: Iterable[ConfigLeaf]) -> Any:
    """The seed in a configuration: ``seed``, else ``args.seed``, ``random_seed``, …"""
    if values.get("seed") is not None:
        return values["seed"]
    stated = {leaf.key: leaf.value for leaf in leaves if is_seed(leaf.key) and leaf.type not in ("bool", "null")}
    key = seed_key(stated)
    return None if key is None else json.loads(stated[key])


def whole_number(value: Any) -> int | None:
    """A seed: the integer that a value is or spells (``"0"``, ``0.0``, ``np.int64(3)``), within 64 bits, else None."""
    value = equal_value(value)
    if isinstance(value, str) and (found := number_in_text(value)) is not None and not found.inside:
        value = found.number
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_WHOLE
    return value if whole else None
