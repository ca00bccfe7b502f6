"""Codes of problems that a filter names and that no run has."""

from __future__ import annotations

from sqlalchemy import Connection, select

from spindb.index.database.models import problems
from spindb.index.query import language
from spindb.index.query.fields import run_field


def unknown_codes(connection: Connection, tree: language.Filter) -> tuple[list[str], list[str]]:
    """The codes that a filter compares ``problem`` with and no run has, and those that runs have, sorted."""
    compared: list[str] = []
    for test in language.tests_in(tree):
        match test:
            case language.ValueTest(name, "=" | "!=", value) if _is_problem(name):
                compared.append(value.text)
            case language.Membership(name, values) if _is_problem(name):
                compared += [value.text for value in values]
    if not compared:
        return [], []
    known = list(connection.execute(select(problems.c.code).distinct().order_by(problems.c.code)).scalars())
    return sorted(set(compared) - set(known)), known


def _is_problem(name: language.Name) -> bool:
    found = run_field(name)
    return found is not None and found.name == "problem"
