"""The query language: what is read how, and where an error points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spindb.errors import FilterError
from spindb.index.query.language import (
    EVERYTHING,
    All,
    Either,
    Filter,
    Membership,
    Not,
    Presence,
    SavedQuery,
    Tagged,
    ValueTest,
    parse,
    terms_of,
)


def plain(tree: Filter) -> object:
    """The tree without positions."""
    match tree:
        case All(items):
            return ("and", *map(plain, items))
        case Either(items):
            return ("or", *map(plain, items))
        case Not(item):
            return ("not", plain(item))
        case ValueTest(name, comparator, value):
            return (name.text, comparator, value.text)
        case Membership(name, values):
            return (name.text, "in", *(v.text for v in values))
        case Presence(name, present):
            return (name.text, "any" if present else "none")
        case Tagged(tag):
            return ("tag", tag)


EXAMPLES = [
    ("", ("and",)),
    ("   ", ("and",)),
    ("seed=0", ("seed", "=", "0")),
    ("seed==0", ("seed", "=", "0")),
    ("seed = 0", ("seed", "=", "0")),
    ("pi_lr<=1e-3", ("pi_lr", "<=", "1e-3")),
    ("a!=1", ("a", "!=", "1")),
    ("a>=1", ("a", ">=", "1")),
    ("name~*pole*", ("name", "~", "*pole*")),
    ("a=1 b=2", ("and", ("a", "=", "1"), ("b", "=", "2"))),
    ("a=1 and b=2", ("and", ("a", "=", "1"), ("b", "=", "2"))),
    ("a=1 AND b=2", ("and", ("a", "=", "1"), ("b", "=", "2"))),
    ("a=1 or b=2 c=3", ("or", ("a", "=", "1"), ("and", ("b", "=", "2"), ("c", "=", "3")))),
    ("(a=1 or b=2) c=3", ("and", ("or", ("a", "=", "1"), ("b", "=", "2")), ("c", "=", "3"))),
    ("not a=1 b=2", ("and", ("not", ("a", "=", "1")), ("b", "=", "2"))),
    ("not(a=1 b=2)", ("not", ("and", ("a", "=", "1"), ("b", "=", "2")))),
    ("not not a=1", ("not", ("not", ("a", "=", "1")))),
    ("algo in (sac, td3)", ("algo", "in", "sac", "td3")),
    ("algo in (sac,'t d3')", ("algo", "in", "sac", "t d3")),
    ("algo IN (sac)", ("algo", "in", "sac")),
    ("x in ([1, 2], [3])", ("x", "in", "[1, 2]", "[3]")),
    ("alpha:none", ("alpha", "none")),
    ("ac_kwargs:alpha:any", ("ac_kwargs:alpha", "any")),
    ("tag:broken", ("tag", "broken")),
    ("not tag:broken", ("not", ("tag", "broken"))),
    ("ac_kwargs:hidden_sizes=[64,64]", ("ac_kwargs:hidden_sizes", "=", "[64,64]")),
    ("hidden_sizes=[64, 64] a=1", ("and", ("hidden_sizes", "=", "[64, 64]"), ("a", "=", "1"))),
    ("x=['a ]', \"b\"]", ("x", "=", "['a ]', \"b\"]")),
    ("lr=1e-4..1e-3", ("lr", "=", "1e-4..1e-3")),
    ("a='two words'", ("a", "=", "two words")),
    ('a="say \\"hi\\""', ("a", "=", 'say "hi"')),
    ("'my metric'>3", ("my metric", ">", "3")),
    ("train/loss<1", ("train/loss", "<", "1")),
    ("a=-1", ("a", "=", "-1")),
    ("android=1", ("android", "=", "1")),
    ("order=1", ("order", "=", "1")),
    ("index=1", ("index", "=", "1")),
]


@pytest.mark.parametrize(("text", "tree"), EXAMPLES)
def test_examples(text: str, tree: object) -> None:
    assert plain(parse(text)) == tree


ERRORS = [
    ("pi_lr<", 6, "a value is missing"),
    ("foo", 0, "compared with nothing"),
    ("a=1 (b=2", 4, "never closed"),
    ("a=1)", 3, "unmatched"),
    ("a=1 or", 6, "test is missing"),
    ("not", 3, "test is missing"),
    ("and a=1", 0, "needs a test on both sides"),
    ("a=1 and or b=2", 8, "needs a test on both sides"),
    ("()", 1, "a name was expected"),
    ("=1", 0, "a name was expected"),
    ("a='x", 2, "quote is never closed"),
    ("a=[1", 2, "bracket is never closed"),
    ("a in (1, 2", 10, "',' or ')'"),
    ("a in (1 2)", 8, "',' or ')'"),
    ("a in ()", 6, "a value is missing"),
    ("(" * 200 + "a=1" + ")" * 200, 101, "levels of parentheses"),
    ("tag:", 0, "compared with nothing"),
]


@pytest.mark.parametrize(("text", "position", "message"), ERRORS)
def test_errors_point_at_the_place(text: str, position: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert message in caught.value.message
    assert caught.value.start == position
    marks = str(caught.value).splitlines()[-1]
    assert marks.index("^") == position + 2


@given(st.text(alphabet="ab =<>!~()[]'\"\\,.:01 notandorin", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    starts = []
    try:
        parse(text)
    except FilterError as error:
        starts.append(error.start)
    assert all(0 <= start <= len(text) for start in starts)


def test_nothing_is_everything() -> None:
    assert parse("") is EVERYTHING


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("pi_lr<", "a value is missing here", None),
        ("foo", "'foo' is compared with nothing", "a test reads NAME=VALUE; for names of runs: name~'*foo*'"),
        ("a=1 (b=2", "this parenthesis is never closed", None),
        ("a=1)", "unmatched ')'", None),
        ("a=1 or", "a test is missing here, such as seed=0", None),
        ("or a=1", "'or' needs a test on both sides", None),
        ("()", "a name was expected, not ')'", "a test reads NAME=VALUE"),
        ("a='x", "this quote is never closed", None),
        ("a=[1", "this bracket is never closed", None),
        ("a in (1 2)", "',' or ')' was expected in this list", None),
        ("(" * 200 + "a=1", "more than 100 levels of parentheses and not", None),
        ("a=\0", "no value can hold this character: it is not text in UTF-8", None),
        ("a=1 'b\udc80'=2", "no value can hold this character: it is not text in UTF-8", None),
    ],
)
def test_what_errors_say(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("  ", []),
        ("seed=0", ["seed=0"]),
        (" seed=0  lr<1e-3 ", ["seed=0", "lr<1e-3"]),
        ("seed=0 and lr<1e-3 AND not tag:bad", ["seed=0", "lr<1e-3", "not tag:bad"]),
        ("name='a and b' and seed=1", ["name='a and b'", "seed=1"]),
        ("(seed=0 or seed=1) lr:any @mine", ["(seed=0 or seed=1)", "lr:any", "@mine"]),
        ("seed=0 or seed=1", ["seed=0 or seed=1"]),
        (" seed=0 lr=1 or seed=1", ["seed=0 lr=1 or seed=1"]),
        ("sand=1 x in (1, 2)", ["sand=1", "x in (1, 2)"]),
    ],
)
def test_the_terms_of_a_filter_as_they_were_typed(text: str, parts: list[str]) -> None:
    assert [term.text for term in terms_of(parse(text), text)] == parts


def test_levels_are_counted_whatever_makes_them() -> None:
    assert plain(parse("(" * 100 + "a=1" + ")" * 100)) == ("a", "=", "1")
    assert parse("not " * 100 + "a=1")
    for deeper in ("(" * 101 + "a=1" + ")" * 101, "not " * 101 + "a=1", "not (" * 51 + "a=1" + ")" * 51):
        with pytest.raises(FilterError, match="more than 100 levels"):
            parse(deeper)


def test_quotes_are_remembered_and_places_are_those_of_the_text() -> None:
    tree = parse("""  'my metric' = "a b" rows in (1,'2')""")
    assert isinstance(tree, All)
    first, second = tree.items
    assert isinstance(first, ValueTest)
    assert isinstance(second, Membership)
    assert (first.name.text, first.name.start, first.name.end, first.name.quoted) == ("my metric", 2, 13, True)
    assert (first.value.text, first.value.start, first.value.end, first.value.quoted) == ("a b", 16, 21, True)
    assert (second.name.text, second.name.start, second.name.end, second.name.quoted) == ("rows", 22, 26, False)
    assert [(v.text, v.start, v.end, v.quoted) for v in second.values] == [("1", 31, 32, False), ("2", 33, 36, True)]
    listed = parse("x=[1, 'a]'] y=2")
    assert isinstance(listed, All)
    assert [(c.value.text, c.value.start, c.value.end) for c in listed.items if isinstance(c, ValueTest)] == [
        ("[1, 'a]']", 2, 11),
        ("2", 14, 15),
    ]
    saved = parse("a=1 @late")
    assert isinstance(saved, All)
    assert saved.items[1] == SavedQuery("late", 4, 9)
    presence = parse("ac_kwargs:alpha:None")
    assert isinstance(presence, Presence)
    assert (presence.name.text, presence.name.start, presence.name.end) == ("ac_kwargs:alpha", 0, 15)


@pytest.mark.parametrize("text", ["'x:none'", "'@late'", "'tag:a'", "@", "tag:", ":none"])
def test_words_in_quotes_are_no_key_words(text: str) -> None:
    with pytest.raises(FilterError, match="is compared with nothing"):
        parse(text)
