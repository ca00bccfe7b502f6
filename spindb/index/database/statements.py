"""Which statements a person may type to a PostgreSQL server: those that only ask, and only by functions that compute.

A read-only transaction is not enough: within one, COPY runs programs, functions read the server's files, end other
sessions and run SQL out of text, wherever the role may. The statement is therefore cut into tokens as PostgreSQL cuts
it (its manual, "Lexical Structure") and each name before a parenthesis must be on a list. Tokens are enough for that,
and what they leave open is looked up on the server or refused. A parser of another dialect would have to be trusted to
cut exactly alike; PostgreSQL's own is a compiled library under the GPL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from spindb.errors import UsageError
from spindb.index.database.allowed import BEFORE_PARENTHESIS, OF_POSTGRESQL

_ASKING = ("select", "with", "values", "table")
_BEGINNINGS = (*_ASKING, "show", "explain")
_WRITING = ("insert", "update", "delete", "merge", "into")
_MEASURING = ("analyze", "analyse")
_ROOM = r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)"
_TOKEN = re.compile(
    rf"""
    (?P<room>{_ROOM})
    | (?P<comment>/\*)
    | (?P<refused>[uU]&["'])
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<text>(?:[bBxXnN])?'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<number>(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    | (?P<sign>[-+*/<>=~!@\#%^&|`?,.:()\[\]])
    """,
    re.VERBOSE | re.DOTALL,
)
_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class Token(NamedTuple):
    """A piece: a ``word``, ``quoted`` (a name in quotes), ``text``, ``escaped`` (E'…'), a ``number`` or a ``sign``."""

    kind: str
    text: str

    @property
    def is_name(self) -> bool:
        """Whether it is a word or a name in quotes."""
        return self.kind in ("word", "quoted")


_END = Token("end", "")


class Statement(NamedTuple):
    """A statement that may run, as far as its tokens say; what only the server knows is still to be checked."""

    names: frozenset[str]
    schemas: frozenset[str]
    operators: str


def read_sql_statement(text: str) -> Statement:
    """What a statement names.

    Raises:
        UsageError: it does something else than asking, or calls a function that is not on the list.
    """
    tokens = [*_tokens(text), _END]
    _require_question(tokens)
    names, schemas = set(), set()
    columns = _column_lists(tokens)
    for at, token in enumerate(tokens[:-1]):
        if not token.is_name:
            continue
        after = tokens[at + 1].text
        if token.text.startswith("pg_") and token.text not in OF_POSTGRESQL:
            raise _refused(f"{token.text} belongs to the server itself")
        if token.kind == "word" and token.text in _WRITING:
            raise _refused(f"{token.text.upper()} writes")
        names.add(token.text)
        if after == ".":
            schemas.add(token.text)
        elif after == "(" and at not in columns:
            _require_call(token, tokens[at - 1] if at else _END)
    signs = "".join(token.text if token.kind == "sign" else " " for token in tokens)
    return Statement(frozenset(names), frozenset(schemas), signs)


def require_known(statement: Statement, schemas: Collection[str], foreign: Collection[str]) -> None:
    """Refuse what the server says is not ours.

    Args:
        statement: what was typed.
        schemas: those whose tables may not be read.
        foreign: relations, functions and operators beside ours that may not be used.

    Raises:
        UsageError: naming the first of them.
    """
    for name in sorted(statement.schemas & set(schemas)):
        raise _refused(f"{name} is another schema")
    for name in sorted(set(foreign)):
        if name in statement.names or (not name[0].isalnum() and name[0] != "_" and name in statement.operators):
            raise _refused(f"{name} was not made by spindb")


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            what = "only one statement at a time" if text[at] == ";" else f"{text[at : at + 20]!r} can't be read"
            raise _refused(what)
        if kind == "comment":
            at = _after_comment(text, at)
            continue
        kind = "text" if match["dollar"] is not None else kind
        at = match.end()
        if kind == "room":
            continue
        if kind == "refused":
            raise _refused("U& strings are not read", hint="write the characters themselves")
        if found and found[-1].kind == "escaped" and kind == "text":  # goes on by the first one's rules
            raise _refused("a string that goes on after E'…' is not read", hint="write it as one")
        found.append(Token(kind, _plain(kind, match[0])))
    return found


def _plain(kind: str, text: str) -> str:
    if kind == "word":
        return text.translate(_UPPER)
    return text[1:-1].replace('""', '"') if kind == "quoted" else text


def _after_comment(text: str, at: int) -> int:
    """Where a comment ends; comments nest."""
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return at + mark.end()
    raise _refused("a comment does not end")


def _require_question(tokens: Sequence[Token]) -> None:
    at = next((i for i, token in enumerate(tokens) if token.text != "("), 0)
    first = tokens[at]
    if first.kind != "word" or first.text not in _BEGINNINGS:
        raise _refused(f"{first.text.upper() or 'nothing'} is not asked here")
    if first.text == "explain":
        _require_question_explained(tokens[at + 1 :])


def _require_question_explained(tokens: Sequence[Token]) -> None:
    if any(token.kind == "word" and token.text in _MEASURING for token in tokens):
        raise _refused("EXPLAIN ANALYZE runs its statement")
    at = 0
    if tokens[0].text == "(" and tokens[1].text not in (*_ASKING, "("):
        at = _closing(tokens, 0) + 1
    while tokens[at].text in ("verbose", "("):
        at += 1
    if tokens[at].kind != "word" or tokens[at].text not in _ASKING:
        raise _refused(f"EXPLAIN {tokens[at].text.upper()} is not asked here")


def _column_lists(tokens: Sequence[Token]) -> set[int]:
    """Places of names before a parenthesis that holds names of columns: ``WITH n(i)``, ``AS t(a, b)``."""
    places = set()
    for at, token in enumerate(tokens):
        if token.kind == "word" and token.text == "as" and tokens[at + 1].is_name:
            places.add(at + 1)
        elif token.kind == "word" and token.text == "with":
            places |= _names_after_with(tokens, at + 1)
    return places


def _names_after_with(tokens: Sequence[Token], at: int) -> set[int]:
    """The places of the names that a WITH gives to its queries."""
    places = set()
    if tokens[at] == Token("word", "recursive"):
        at += 1
    while tokens[at].is_name:
        name, at = at, at + 1
        if tokens[at].text == "(":
            at = _closing(tokens, at) + 1
        if tokens[at] != Token("word", "as"):  # WITH ORDINALITY, WITH TIME ZONE
            break
        at += 1
        while tokens[at].text in ("not", "materialized"):
            at += 1
        if tokens[at].text != "(":
            break
        places.add(name)
        at = _closing(tokens, at) + 1
        if tokens[at].text != ",":
            break
        at += 1
    return places


def _closing(tokens: Sequence[Token], at: int) -> int:
    """The place of the parenthesis that closes the one at `at`."""
    depth = 0
    for place in range(at, len(tokens)):
        if tokens[place].kind == "sign":
            depth += {"(": 1, ")": -1}.get(tokens[place].text, 0)
            if not depth:
                return place
    raise _refused("a parenthesis does not close")


def _require_call(token: Token, before: Token) -> None:
    if before.text == ".":
        raise _refused(f"{token.text}() of a schema is not called here", hint="name the function alone")
    if token.kind == "word" and token.text in BEFORE_PARENTHESIS:
        return
    if token.text not in OF_POSTGRESQL:
        raise _refused(
            f"{token.text}() is not called here",
            hint="aggregates, mathematics, text, JSON, dates: docs/sql.md; names of columns follow AS: AS t(a, b)",
        )


def _refused(
    why: str, *, hint: str = "spindb tag, note and archive write; docs/sql.md says what is asked"
) -> UsageError:
    return UsageError(f"this prompt only reads: {why}", hint=hint)
