"""The query language evaluated over plain records, run by run, as docs/queries.md describes it: no SQL, no parser.

A filter is a tree of tuples, `text` writes it as people type it::

    ("test", name, quoted, comparator, [Typed, ...])      comparator: = != < <= > >= ~ in
    ("there", name, quoted, bool)
    ("tag", word)    ("saved", name)
    ("not", tree)    ("and", [tree, ...])    ("or", [tree, ...])
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Tree = tuple[Any, ...]
STATISTICS = ("last", "first", "min", "max", "mean", "count", "argmin", "argmax")
TEXTS = ("name", "exp_name", "algo", "env", "status", "format", "path", "tags")
NUMBERS = ("id", "seed", "rows", "copy_of", "superseded_by", "problems", "snapshots")
ALIASES = {"exp": "exp_name", "env_id": "env"}


class RefusedError(Exception):
    """The filter is an error."""


class Typed(NamedTuple):
    """A value as it is typed, and whether in quotes."""

    text: str
    quoted: bool = False


@dataclass
class Run:
    """One run: everything that a filter can ask for."""

    columns: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, list[Any]] = field(default_factory=dict)
    performance: str | None = None
    tags: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    archived: bool = False
    removed: bool = False


@dataclass
class Records:
    """All runs of a database, and its saved queries."""

    runs: list[Run]
    saved: Mapping[str, Tree] = field(default_factory=dict)

    def hyperparameters(self) -> set[str]:
        return {key for run in self.runs for key in run.config}

    def metrics(self) -> set[str]:
        return {name for run in self.runs for name in run.metrics}


# Text.


def text(tree: Tree) -> str:
    """A filter as people type it."""
    match tree:
        case ("test", name, quoted, "in", values):
            return f"{_name(name, quoted)} in ({', '.join(map(_value, values))})"
        case ("test", name, quoted, comparator, [value]):
            return f"{_name(name, quoted)}{comparator}{_value(value)}"
        case ("there", name, quoted, there):
            return f"{_name(name, quoted)}:{'any' if there else 'none'}"
        case ("tag", word):
            return f"tag:{word}"
        case ("saved", name):
            return f"@{name}"
        case ("not", inner):
            return f"not ({text(inner)})"
        case ("and" | "or" as word, items):
            return f" {word} ".join(f"({text(item)})" for item in items)
    raise AssertionError(tree)


def _name(name: str, quoted: bool) -> str:
    return _quote(name) if quoted else name


def _value(value: Typed) -> str:
    return _quote(value.text) if value.quoted else value.text


def _quote(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"


# What a filter says.


def answer(records: Records, tree: Tree, *, everything: bool = False) -> list[int]:
    """The ids of the runs for which a filter holds, among those that are shown. Raises `RefusedError`."""
    named = set(_columns_in(records, tree))
    check(records, tree)
    return [
        run.columns["id"] for run in records.runs if _is_shown(run, named, everything) and holds(records, run, tree)
    ]


def _is_shown(run: Run, named: set[str], everything: bool) -> bool:
    if run.removed:
        return False
    if everything or "id" in named:
        return True
    return not (
        (run.archived and "archived" not in named)
        or (run.columns["copy_of"] is not None and "copy_of" not in named)
        or (run.columns["status"] == "missing" and "status" not in named)
        or (run.columns["status"] == "superseded" and not named & {"status", "superseded_by"})
    )


def _columns_in(records: Records, tree: Tree) -> list[str]:
    match tree:
        case ("test" | "there", name, quoted, *_):
            found = _column(name, quoted)
            return [found] if found else []
        case ("not", inner):
            return _columns_in(records, inner)
        case ("and" | "or", items):
            return [name for item in items for name in _columns_in(records, item)]
        case ("saved", name):
            return _columns_in(records, records.saved[name])
    return []


def _column(name: str, quoted: bool) -> str | None:
    name = ALIASES.get(name, name)
    return name if not quoted and name in (*TEXTS, *NUMBERS, "archived", "problem") else None


def check(records: Records, tree: Tree) -> None:
    """Raise `RefusedError` where a part can't be asked, whatever the runs hold."""
    match tree:
        case ("not", inner):
            check(records, inner)
        case ("and" | "or", items):
            for item in items:
                check(records, item)
        case ("saved", name):
            check(records, records.saved[name])
        case ("there", name, quoted, _):
            if _column(name, quoted) is None:
                _meant(records, name)
        case ("test", name, quoted, comparator, values):
            column = _column(name, quoted)
            meant = [("column", column)] if column else _meant(records, name)
            for value in values:
                if not any(_fits(one, comparator, value) for one in meant):
                    raise RefusedError(f"{name} {comparator} {value}")


def holds(records: Records, run: Run, tree: Tree) -> bool:
    match tree:
        case ("tag", word):
            return word in run.tags
        case ("saved", name):
            return holds(records, run, records.saved[name])
        case ("not", inner):
            return not holds(records, run, inner)
        case ("and", items):
            return all(holds(records, run, item) for item in items)
        case ("or", items):
            return any(holds(records, run, item) for item in items)
        case ("there", name, quoted, there):
            return _has(records, run, name, quoted) == there
        case ("test", name, quoted, comparator, values):
            column = _column(name, quoted)
            if column:
                return _column_passes(run, column, comparator, values)
            one = next((one for one in _meant(records, name) if _is_there(run, one)), None)
            if one is None:
                return False
            fitting = [value for value in values if _fits(one, comparator, value)]
            if comparator == "!=" and not fitting:
                return True
            return any(_passes(run, one, comparator, value) for value in fitting)
    raise AssertionError(tree)


# Names.


def _meant(records: Records, name: str) -> list[tuple[str, ...]]:
    """What a name stands for, in order. Raises `RefusedError` where that is nothing."""
    head, dot, rest = name.partition(".")
    if name == "Performance" or (head == "Performance" and rest in STATISTICS):
        return [("own", rest or "last")]
    if dot and head == "config":
        found = _keys(records, rest) + _endings(records, rest)
    elif dot and head == "metric":
        found = _metrics(records, rest) + _metrics(records, name)
    else:
        found = _keys(records, name) + _metrics(records, name) + _endings(records, name)
    if not found:
        raise RefusedError(f"nothing is called {name}")
    return found


def _keys(records: Records, name: str) -> list[tuple[str, ...]]:
    names = [name, name.replace(":", ".")] if ":" in name else [name]
    return [("config", key) for key in names if key in records.hyperparameters()]


def _endings(records: Records, name: str) -> list[tuple[str, ...]]:
    found = [key for key in records.hyperparameters() if key.endswith("." + name.replace(":", "."))]
    found.sort(key=lambda key: (key.startswith(("logger.", "logger_kwargs.")), key.count("."), key))
    return [("config", key) for key in found]


def _metrics(records: Records, name: str) -> list[tuple[str, ...]]:
    metric, _, statistic = name.rpartition(".")
    whole = [("metric", name, "last")] if name in records.metrics() else []
    part = [("metric", metric, statistic)] if statistic in STATISTICS and metric in records.metrics() else []
    return whole + part


def _is_there(run: Run, one: tuple[str, ...]) -> bool:
    if one[0] == "config":
        return one[1] in run.config
    return (run.performance if one[0] == "own" else one[1]) in run.metrics


def _has(records: Records, run: Run, name: str, quoted: bool) -> bool:
    column = _column(name, quoted)
    if column == "problem":
        return bool(run.problems)
    if column:
        return _of_column(run, column) is not None
    return any(_is_there(run, one) for one in _meant(records, name))


# Comparisons.


def _fits(one: tuple[str | None, ...], comparator: str, value: Typed) -> bool:
    """Whether a field can be compared so."""
    number = as_number(value.text)
    is_range = comparator in ("=", "!=", "in") and _bounds(value) is not None
    if one[0] == "column":
        if comparator == "~":
            return one[1] in (*TEXTS, "problem")
        if one[1] == "problem":
            return comparator in ("=", "!=", "in")
        if one[1] == "archived":
            return comparator in ("=", "!=", "in") and value.text.lower() in ("true", "yes", "1", "false", "no", "0")
        if one[1] in TEXTS:
            return True
        return is_range or (number is not None and not math.isnan(number))
    if one[0] == "config":
        if comparator in ("<", "<=", ">", ">="):
            return number is not None and not math.isnan(number)
        if comparator != "~" and not value.quoted and value.text[:1] in ("[", "{") and not is_range:
            return _json(value.text) is not _NO_JSON
        return True
    if comparator == "~":
        return False
    if comparator in ("<", "<=", ">", ">="):
        return number is not None and not math.isnan(number)
    return is_range or (number is not None and (not math.isnan(number) or one[-1] == "last"))


def _passes(run: Run, one: tuple[str, ...], comparator: str, value: Typed) -> bool:
    if one[0] == "config":
        return _config_passes(run.config[one[1]], comparator, value)
    cells = run.metrics[run.performance or "" if one[0] == "own" else one[1]]
    found = statistic(cells, one[-1])
    if comparator == "!=":
        return found not in (None, "") and not _passes(run, one, "=", value)
    if isinstance(found, str) or found is None:
        return False
    bounds = _bounds(value) if comparator in ("=", "in") else None
    if bounds:
        return all(_ordered(found, c, end) for c, end in bounds)
    number = as_number(value.text)
    assert number is not None
    if comparator in ("=", "in"):
        return found == number or (math.isnan(found) and math.isnan(number))
    return _ordered(found, comparator, number)


def _config_passes(found: Any, comparator: str, value: Typed) -> bool:
    if comparator == "!=":
        return not _config_passes(found, "=", value)
    if comparator == "~":
        return _matches(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False), value.text)
    if comparator in ("=", "in"):
        bounds = _bounds(value)
        if bounds is None:
            return any(same(found, other) for other in _readings(value))
        number = _number_in(found)
        return number is not None and all(_ordered(number, c, end) for c, end in bounds)
    number, other = _number_in(found), as_number(value.text)
    return number is not None and other is not None and _ordered(number, comparator, other)


def _column_passes(run: Run, column: str, comparator: str, values: Sequence[Typed]) -> bool:
    if column == "problem":
        if comparator == "!=":
            return bool(run.problems) and values[0].text not in run.problems
        if comparator == "~":
            return any(_matches(code, values[0].text) for code in run.problems)
        return any(value.text in run.problems for value in values)
    found = _of_column(run, column)
    if found is None:
        return False
    if comparator == "!=":
        return not _column_passes(run, column, "=", values)
    if comparator == "~":
        return _matches(found, values[0].text)
    if column == "archived":
        return any(found == (value.text.lower() in ("true", "yes", "1")) for value in values)
    if comparator not in ("=", "in"):
        end = values[0].text if column in TEXTS else as_number(values[0].text)
        return _ordered(found, comparator, end)
    if column in TEXTS:
        return any(found == value.text for value in values)
    for value in values:
        bounds = _bounds(value)
        if all(_ordered(found, c, end) for c, end in bounds) if bounds else found == as_number(value.text):
            return True
    return False


def _of_column(run: Run, column: str) -> Any:
    if column == "tags":
        return ", ".join(sorted(run.tags)) or None
    if column == "archived":
        return run.archived
    if column == "problems":
        return len(run.problems)
    return run.columns.get(column, 0 if column == "snapshots" else None)


def statistic(cells: Sequence[Any], name: str) -> Any:
    """A statistic of a metric: of its numbers; the last cell as it is."""
    numbers = [(cell, row) for row, cell in enumerate(cells) if isinstance(cell, float) and not math.isnan(cell)]
    if name == "last":
        return cells[-1] if cells else None
    if name == "count":
        return len(numbers)
    if not numbers:
        return None
    values = [value for value, _ in numbers]
    return {
        "first": values[0],
        "min": min(values),
        "max": max(values),
        "mean": None if {math.inf, -math.inf} <= set(values) else math.fsum(values) / len(values),
        "argmin": next(row for value, row in numbers if value == min(values)),
        "argmax": next(row for value, row in numbers if value == max(values)),
    }[name]


def _ordered(found: Any, comparator: str, end: Any) -> bool:
    if isinstance(found, float) and math.isnan(found):
        return False
    return bool({"<": found < end, "<=": found <= end, ">": found > end, ">=": found >= end}[comparator])


def _matches(found: str, pattern: str) -> bool:
    """``*`` any text, ``?`` one character, A to Z in either case."""
    parts = {"*": ".*", "?": "."}
    regular = "".join(parts.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(regular, found, re.DOTALL | re.IGNORECASE | re.ASCII) is not None


# Values.

_NO_JSON = object()
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("null", "None"), None),
    **dict.fromkeys(("true", "True"), True),
    **dict.fromkeys(("false", "False"), False),
    **dict.fromkeys(("NaN", "nan"), math.nan),
    **dict.fromkeys(("Infinity", "inf"), math.inf),
    **dict.fromkeys(("-Infinity", "-inf"), -math.inf),
}


def as_number(word: str) -> float | int | None:
    """The number that is typed."""
    if word.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(word)
    if not _NUMBER.fullmatch(word):
        return None
    return int(word) if re.fullmatch(r"[+-]?[0-9]+", word) else float(word)


def _bounds(value: Typed) -> list[tuple[str, float | int]] | None:
    """``low..high``, where both are numbers or one is open."""
    low, dots, high = value.text.partition("..")
    if value.quoted or not dots or not (low or high):
        return None
    ends = [(c, end) for c, end in ((">=", low), ("<=", high)) if end]
    numbers = [(c, as_number(end)) for c, end in ends]
    if any(number is None or math.isnan(number) for _, number in numbers):
        return None
    return numbers  # type: ignore[return-value]


def _number_in(found: Any) -> float | int | None:
    """A number, or one that a text spells."""
    if isinstance(found, str):
        return as_number(found) if _NUMBER.fullmatch(found) else None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or math.isnan(found):
        return None
    return found


def _readings(value: Typed) -> list[Any]:
    """What a typed value may be: what it spells, or one of the words in any case."""
    words = {"true": True, "false": False, "null": None, "none": None, "nan": math.nan}
    word = value.text.lower()
    return [value.text, *([words[word]] if word in words else [])]


def _json(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return _NO_JSON


def plain(found: Any) -> Any:
    """The value that another one spells: quotes only delimit."""
    if isinstance(found, list):
        return [plain(item) for item in found]
    if isinstance(found, dict):
        return {str(key): plain(item) for key, item in found.items()}
    if not isinstance(found, str):
        return found
    if found in _WORDS:
        return _WORDS[found]
    if _NUMBER.fullmatch(found):
        return as_number(found)
    if found[:1] in ("[", "{") and found[-1:] in ("]", "}") and _json(found) is not _NO_JSON:
        return plain(_json(found))
    return found


def same(one: Any, other: Any) -> bool:
    """The one rule of equality."""
    a, b = plain(one), plain(other)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return type(a) is type(b) and a == b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and bool(a == b)
