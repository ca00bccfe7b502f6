"""A filter that was read once, from which any number of answers come: pages, counts, an outline, an explanation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select

from spindb.index.database.backend import backend_of
from spindb.index.database.models import runs
from spindb.index.query import language, saved
from spindb.index.query.analysis import AllOf, AnyOf, Condition, Ids, Negated, Present, QueryPlan, Separate, analyse
from spindb.index.query.compiler import to_sql
from spindb.index.query.fields import Names
from spindb.index.query.language import Filter, Name


class Question(NamedTuple):
    """A filter and what it means in one database.

    ``text`` is what was typed, empty where runs were named by their ids; ``tree`` what was read, saved queries
    expanded; ``names`` looks up columns and sort keys as the filter's own names were.
    """

    text: str
    tree: Filter
    plan: QueryPlan
    names: Names
    everything: bool = False


def question(connection: Connection, filter: str | Question, *, everything: bool = False) -> Question:
    """Read a filter and analyse it; a question as it is, whose own `everything` counts.

    Raises:
        FilterError: it can't be read or names something unknown.
    """
    # Callers that ask several times hand the question on: parsing is cheap, but each analysis reads the names of
    # metrics and keys from the database.
    if isinstance(filter, Question):
        return filter
    tree = saved.expanded(connection, language.parse(filter))
    return question_of_tree(connection, tree, filter, everything=everything)


def question_of_tree(connection: Connection, tree: Filter, text: str = "", *, everything: bool = False) -> Question:
    """A question of a filter that was parsed, its saved queries expanded."""
    names = Names(connection)
    return Question(text, tree, planned(connection, tree, names, everything=everything), names, everything)


def everything(connection: Connection, *, hidden: bool = False) -> Question:
    """A question about all runs; with `hidden` about those too that questions leave out."""
    return question_of_tree(connection, language.EVERYTHING, everything=hidden)


def about_ids(names: Names, ids: Iterable[int], *, having: str | None = None) -> Question:
    """A question about these runs, hidden ones too; with `having` about those that have this field.

    Raises:
        FilterError: a field that is unknown.
    """
    condition: Condition = Ids(tuple(ids))
    if having is not None:
        condition = AllOf((condition, Present(names.find(Name.whole(having)))))
    return Question("", language.EVERYTHING, QueryPlan(condition), names, everything=True)


def planned(connection: Connection, tree: Filter, names: Names, *, everything: bool = False) -> QueryPlan:
    """The plan of a filter, parts that are too deep for one statement answered."""
    plan = analyse(tree, names, everything=everything)
    return plan._replace(condition=_answered(connection, plan.condition), deep=False) if plan.deep else plan


def _answered(connection: Connection, node: Condition) -> Condition:
    match node:
        case AllOf(items):
            return AllOf(tuple(_answered(connection, item) for item in items))
        case AnyOf(items):
            return AnyOf(tuple(_answered(connection, item) for item in items))
        case Negated(item):
            return Negated(_answered(connection, item))
        case Separate(item):
            sql = to_sql(QueryPlan(_answered(connection, item)), backend_of(connection))
            statement = select(runs.c.id).select_from(sql.sources.tables()).where(sql.said)
            return Ids(tuple(connection.execute(statement).scalars()))
    return node
