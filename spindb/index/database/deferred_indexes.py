"""The indexes that questions go by: kept while few runs come, made afterwards where very many do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Index, func, select
from sqlalchemy.schema import CreateIndex, DropIndex

from spindb.index.database.backend import backend_of
from spindb.index.database.models import configs, metrics, runs

_WORTH_SORTING = 1000  # runs; below, pages of indexes are few
_FOR_QUESTIONS = sorted((*configs.indexes, *metrics.indexes), key=lambda index: str(index.name))


@contextmanager
def indexed_afterwards(connection: Connection, new: int) -> Iterator[None]:
    """Where more runs come than a database holds: without the indexes of hyperparameters and metrics until all came.

    Those are in order of values: new rows go anywhere in them, so that each transaction writes nearly all pages of an
    index anew once it is large. Sorting the rows once is cheaper, the more so the more there are. An ingest that is
    killed before leaves a database that answers slowly; `complete_indexes` makes what is missing.
    """
    if new < _WORTH_SORTING or not backend_of(connection).sorts_afterwards:
        yield
        return
    with connection.begin():
        apart = new > connection.execute(select(func.count()).select_from(runs)).scalar_one()
        for index in _FOR_QUESTIONS if apart else ():
            connection.execute(DropIndex(index, if_exists=True))
    yield
    complete_indexes(connection)


def complete_indexes(connection: Connection) -> None:
    """Make the indexes that are missing, if any."""
    if not backend_of(connection).sorts_afterwards:  # nothing to wait for other writers for
        return
    with connection.begin():
        missing = missing_indexes(connection)
    for index in missing:
        with connection.begin():  # one each: others may write in between
            connection.execute(CreateIndex(index, if_not_exists=True))


def missing_indexes(connection: Connection) -> list[Index]:
    """What an ingest that was killed left to the next one."""
    missing = backend_of(connection).missing_indexes(connection, [str(index.name) for index in _FOR_QUESTIONS])
    return [index for index in _FOR_QUESTIONS if index.name in missing]
