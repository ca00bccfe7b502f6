"""Environments of runs that say nothing of theirs, from the other runs of their experiment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, exists, func, not_, or_, select, update

from spindb.index.database import models


def environments_from_siblings(connection: Connection, *, dry_run: bool = False) -> bool:
    """Runs that say nothing of their environment take that of their experiment, where all that is known is of one.

    A run says something where it has an id (by its name, too) or where the classes of its saved environment are known.
    A sibling whose classes have no id is another environment, maybe, and then none is taken; nor is one that only
    names know. A guess that no longer holds is taken back.

    Returns whether there is any run to change; with `dry_run` that is all.
    """
    # Nearly every database has no such run: one look is much cheaper than the grouping below, and each ingest asks.
    if not connection.execute(select(exists().where(_says_nothing()))).scalar():
        return False
    taken: list[dict[str, Any]] = []
    taken_back: list[dict[str, Any]] = []
    for root_id, exp_name, least, ids, certain, contrary, blank, *guesses in connection.execute(_siblings()).all():
        experiment = {"root": root_id, "experiment": exp_name}
        # With one distinct id the least one is the id. Without a certain one, names alone would vouch for each other.
        env_id = least if ids == 1 and certain and not contrary else None
        if env_id is not None and (blank or any(guess not in (None, env_id) for guess in guesses)):
            taken.append({**experiment, "env": env_id})
        # A guess is taken back where a run that came later contradicts it, or order of ingests would decide what is
        # stored.
        elif env_id is None and guesses != [None, None]:
            taken_back.append(experiment)
    if not dry_run:
        runs = models.runs
        statement = update(runs).where(
            runs.c.root_id == bindparam("root"), runs.c.exp_name == bindparam("experiment"), _says_nothing()
        )
        if taken:
            connection.execute(statement.values(env_id=bindparam("env"), env_source="siblings"), taken)
        if taken_back:
            connection.execute(statement.values(env_id=None, env_source=None), taken_back)
    return bool(taken or taken_back)


def _says_nothing() -> ColumnElement[bool]:
    """Whether a run itself says nothing of its environment; what its siblings said may be there."""
    runs = models.runs
    return and_(runs.c.env_classes.is_(None), or_(runs.c.env_id.is_(None), runs.c.env_source == "siblings"))


def _siblings() -> Select[Any]:
    """Per experiment that has a run which says nothing: what the others say.

    Root, experiment, the least id, how many ids, how many of them certain, how many runs of unknown id and known
    class, how many runs without any id, and the least and greatest id that were guessed.
    """
    runs = models.runs
    says_nothing = _says_nothing()
    known = and_(runs.c.env_id.is_not(None), not_(says_nothing))
    env_id = case((known, runs.c.env_id))
    guessed = case((says_nothing, runs.c.env_id))

    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    # Restricted to experiments with such a run before they are grouped: most have none.
    concerned = select(runs.c.exp_name).where(says_nothing, runs.c.exp_name.is_not(None))
    return (
        select(
            runs.c.root_id,
            runs.c.exp_name,
            func.min(env_id),
            func.count(env_id.distinct()),
            count(and_(known, func.coalesce(runs.c.env_source, "") != "name")),
            count(and_(runs.c.env_id.is_(None), runs.c.env_classes.is_not(None))),
            count(and_(says_nothing, runs.c.env_id.is_(None))),
            func.min(guessed),
            func.max(guessed),
        )
        .where(runs.c.exp_name.in_(concerned), runs.c.superseded_by.is_(None))
        .group_by(runs.c.root_id, runs.c.exp_name)
        .having(count(says_nothing) > 0)
    )
