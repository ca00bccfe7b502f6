"""The query language: text to a tree. Pure; names are looked up later (`spindb.index.query.fields`).

::

    filter     = either
    either     = all { "or" all }
    all        = one { ["and"] one }
    one        = "not" one | "(" either ")" | test
    test       = name comparator value | name "in" "(" value { "," value } ")"
               | name ":none" | name ":any" | "tag:" word | "@" word (a saved query)
    comparator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"
    value      = '"…"' | "'…'" | "[…]" (a JSON list) | a word

Key words are read in any case. A name that holds blanks or signs stands in quotes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from spindb.errors import FilterError

Comparator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]


@dataclass(frozen=True, slots=True)
class FilterToken:
    """A part of a filter: ``source[start:end]``, without its quotes in ``text``. An error about it shows it there."""

    text: str
    start: int
    end: int
    quoted: bool = False
    source: str = field(default="", compare=False, repr=False)

    def error(self, message: str, hint: str | None = None) -> FilterError:
        """An error that points at this part of its filter."""
        return FilterError(message, self.source, self.start, self.end, hint=hint)


class Name(FilterToken):
    """A field as it was typed."""

    __slots__ = ()

    @classmethod
    def whole(cls, text: str) -> Name:
        """A name that stands alone, such as that of a column."""
        return cls(text, 0, len(text), source=text)


class Value(FilterToken):
    """A value as it was typed."""

    __slots__ = ()


class SavedQuery(FilterToken):
    """A saved query by its name."""

    __slots__ = ()


class ValueTest(NamedTuple):
    name: Name
    comparator: Comparator
    value: Value


class Membership(NamedTuple):
    name: Name
    values: tuple[Value, ...]


class Presence(NamedTuple):
    name: Name
    present: bool


class Tagged(NamedTuple):
    tag: str


class Not(NamedTuple):
    item: Filter


class All(NamedTuple):
    """What must all hold. The outermost of a filter knows how each was typed, for `terms_of`."""

    items: tuple[Filter, ...]
    texts: tuple[str, ...] = ()


class Either(NamedTuple):
    items: tuple[Filter, ...]


Filter = ValueTest | Membership | Presence | Tagged | SavedQuery | Not | All | Either

EVERYTHING = All(())
"""The filter of an empty query."""

MAX_DEPTH = 100
"""Levels of parentheses, ``not`` and saved queries together."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_BLANK = re.compile(r"\s*")
_KEYWORD = re.compile(r"(and|or|not)(?=[\s()]|$)", re.IGNORECASE)
_TRAILING_AND = re.compile(r"\s+and\s*\Z", re.IGNORECASE)
_IN = re.compile(r"\s+in\s*\(", re.IGNORECASE)
_COMPARATOR = re.compile(r"\s*(!=|<=|>=|==|=|<|>|~)\s*")
_WORD = re.compile(r"[^\s=!<>~()]+")
_BARE_VALUE = re.compile(r"[^\s()]+")
_LIST_VALUE = re.compile(r"[^\s(),]+")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse(query: str) -> Filter:
    """The tree of a query.

    Raises:
        FilterError: the query can't be read; the error knows where.
    """
    parser = _Parser(query)
    if wrong := _UNSTORABLE.search(query):
        message = "no value can hold this character: it is not text in UTF-8"
        raise parser.error(message, wrong.start(), wrong.end())
    parser.skip()
    if parser.at_end():
        return EVERYTHING
    tree = parser.either(0)
    if not parser.at_end():
        raise parser.error("unmatched ')'")
    return tree


def tests_in(tree: Filter) -> Iterator[ValueTest | Membership | Presence | Tagged | SavedQuery]:
    """The single tests that a filter is made of; those of saved queries too where they were expanded."""
    waiting = [tree]
    while waiting:
        match waiting.pop():
            case All(items) | Either(items):
                waiting.extend(items)
            case Not(item):
                waiting.append(item)
            case test:
                yield test


class Term(NamedTuple):
    """A part of a filter that must hold, as it was typed and as it was read."""

    text: str
    tree: Filter


def terms_of(tree: Filter, text: str) -> list[Term]:
    """The parts of a filter that must all hold; one where it is an ``or``. `text` is what the tree was read from."""
    if isinstance(tree, All) and len(tree.texts) == len(tree.items):
        return list(map(Term, tree.texts, tree.items))
    return [Term(text.strip(), tree)]


class _Parser:
    """Recursive descent over the text; ``position`` always stands on something that is no blank."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.position = 0

    def at_end(self) -> bool:
        return self.position >= len(self.query)

    def skip(self) -> None:
        match = _BLANK.match(self.query, self.position)
        assert match is not None
        self.position = match.end()

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match at the position; then stand behind it and the blanks that follow."""
        match = pattern.match(self.query, self.position)
        if match:
            self.position = match.end()
            self.skip()
        return match

    def keyword(self) -> str | None:
        match = _KEYWORD.match(self.query, self.position)
        return match[1].lower() if match else None

    def error(
        self, message: str, start: int | None = None, end: int | None = None, hint: str | None = None
    ) -> FilterError:
        return FilterError(message, self.query, self.position if start is None else start, end, hint=hint)

    def either(self, depth: int) -> Filter:
        items = [self.all(depth)]
        while self.keyword() == "or":
            self.take(_KEYWORD)
            items.append(self.all(depth))
        return items[0] if len(items) == 1 else Either(tuple(items))

    def all(self, depth: int) -> Filter:
        starts, items = [self.position], [self.one(depth)]
        while not self.at_end() and self.query[self.position] != ")" and self.keyword() != "or":
            if self.keyword() == "and":
                self.take(_KEYWORD)
            starts.append(self.position)
            items.append(self.one(depth))
        if len(items) == 1:
            return items[0]
        ends = itertools.pairwise([*starts, self.position]) if depth == 0 else ()
        return All(tuple(items), tuple(_TRAILING_AND.sub("", self.query[a:b]).strip() for a, b in ends))

    def one(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of parentheses and not")
        if self.at_end():
            raise self.error("a test is missing here, such as seed=0")
        word = self.keyword()
        if word == "not":
            self.take(_KEYWORD)
            return Not(self.one(depth + 1))
        if word is not None:
            raise self.error(f"'{word}' needs a test on both sides", end=self.position + len(word))
        if self.query[self.position] == "(":
            return self.group(depth)
        return self.test()

    def group(self, depth: int) -> Filter:
        opened = self.position
        self.position += 1
        self.skip()
        inner = self.either(depth + 1)
        if self.at_end():
            raise self.error("this parenthesis is never closed", opened)
        self.position += 1
        self.skip()
        return inner

    def test(self) -> Filter:
        name = self.name()
        if match := _IN.match(self.query, self.position):
            self.position = match.end()
            self.skip()
            return Membership(name, self.members())
        if match := _COMPARATOR.match(self.query, self.position):
            self.position = match.end()
            comparator = "=" if match[1] == "==" else match[1]
            return ValueTest(name, comparator, self.value(_BARE_VALUE))  # type: ignore[arg-type]
        self.skip()
        return self.colon(name)

    def name(self) -> Name:
        start = self.position
        if quoted := _QUOTED.match(self.query, start):
            self.position = quoted.end()
            return Name(_unquote(quoted[0]), start, self.position, quoted=True, source=self.query)
        match = _WORD.match(self.query, start)
        if not match:
            raise self.error(f"a name was expected, not {self.query[start]!r}", hint="a test reads NAME=VALUE")
        self.position = match.end()
        return Name(match[0], start, match.end(), source=self.query)

    def colon(self, name: Name) -> Filter:
        """A word without a comparator: ``key:none``, ``key:any`` or ``tag:word``."""
        head, _, tail = name.text.rpartition(":")
        if head and not name.quoted and tail.lower() in ("none", "any"):
            shorter = Name(head, name.start, name.start + len(head), source=self.query)
            return Presence(shorter, tail.lower() == "any")
        if name.text.startswith("@") and len(name.text) > 1 and not name.quoted:
            return SavedQuery(name.text[1:], name.start, name.end, source=self.query)
        tag = name.text.removeprefix("tag:")
        if tag and tag != name.text and not name.quoted:
            return Tagged(tag)
        raise name.error(
            f"{name.text!r} is compared with nothing",
            hint=f"a test reads NAME=VALUE; for names of runs: name~'*{name.text}*'",
        )

    def members(self) -> tuple[Value, ...]:
        values = [self.value(_LIST_VALUE)]
        self.skip()
        while not self.at_end() and self.query[self.position] == ",":
            self.position += 1
            self.skip()
            values.append(self.value(_LIST_VALUE))
        if self.at_end() or self.query[self.position] != ")":
            raise self.error("',' or ')' was expected in this list")
        self.position += 1
        self.skip()
        return tuple(values)

    def value(self, bare: re.Pattern[str]) -> Value:
        start = self.position
        if quoted := _QUOTED.match(self.query, start):
            self.position = quoted.end()
            value = Value(_unquote(quoted[0]), start, self.position, quoted=True, source=self.query)
        elif self.query.startswith(("[", "{"), start):
            self.position = self.bracket_end(start)
            value = Value(self.query[start : self.position], start, self.position, source=self.query)
        else:
            match = bare.match(self.query, start)
            if not match:
                raise self.error("a value is missing here")
            if match[0][0] in "\"'":
                raise self.error("this quote is never closed")
            self.position = match.end()
            value = Value(match[0], start, self.position, source=self.query)
        self.skip()
        return value

    def bracket_end(self, start: int) -> int:
        """Behind the bracket that closes the one at `start`, stepping over quoted text."""
        depth, position = 0, start
        while position < len(self.query):
            if quoted := _QUOTED.match(self.query, position):
                position = quoted.end()
                continue
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(self.query[position], 0)
            position += 1
            if depth == 0:
                return position
        raise self.error("this bracket is never closed", start)


def _unquote(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1])
