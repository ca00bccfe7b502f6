"""Which runs a command is about that takes several: a filter, ids, names or directories."""

from __future__ import annotations

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection, and_, func, or_, select

from spindb.errors import NotFoundError, UsageError
from spindb.index.database.backend import backend_of
from spindb.index.database.models import LARGEST, runs
from spindb.index.database.places import roots_here
from spindb.index.query.fields import Names
from spindb.index.query.lists import any_of, one_of
from spindb.index.query.question import Question, about_ids, question
from spindb.index.query.reference import RunName, RunPath, parse_reference
from spindb.index.query.search import run_ids
from spindb.index.query.visibility import THERE, visible_runs
from spindb.machine import real

_IDS = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*,?\Z")
_SIGNS = "=<>~:(@ "
_KEYWORDS = ("and", "or", "not", "in")
Notice = Callable[[str], None]


def question_of(
    connection: Connection, words: Sequence[str], *, everything: bool = False, notice: Notice | None = None
) -> Question:
    """What `words` ask for: a filter, read once, or the runs that they name; see `references`.

    Raises:
        NotFoundError: an id, directory or name that the index does not have.
        UsageError: a name that several runs have.
        FilterError: the filter can't be read or names something unknown.
    """
    ids = references(connection, words, everything=everything, notice=notice)
    if ids is None:
        return question(connection, " ".join(words), everything=everything)
    return about_ids(Names(connection), sorted(set(ids)))


def selected(
    connection: Connection, words: Sequence[str], *, everything: bool = False, notice: Notice | None = None
) -> list[int]:
    """Ids of the runs that `words` mean, ascending; arguments and errors as `question_of` has them."""
    ids = references(connection, words, everything=everything, notice=notice)
    return run_ids(connection, " ".join(words), everything=everything) if ids is None else sorted(set(ids))


def references(
    connection: Connection, words: Sequence[str], *, everything: bool = False, notice: Notice | None = None
) -> list[int] | None:
    """The runs that words name outright, in that order and as often; None where the words are a filter.

    Ids (``3 5-9`` or ``3,5-9``), directories (one run's, or one that runs lie under), and words without any sign of a
    filter: names of runs, or beginnings of names. A word with such a sign and a separator is a directory where there is
    one of that name: ``outputs/lr=0.1``.

    Args:
        connection: to read from.
        words: as they were typed.
        everything: of the runs under a directory, hidden ones too.
        notice: called with how a word was read, where that may surprise.

    Raises:
        NotFoundError: an id, directory or name that the index does not have.
        UsageError: a name that several runs have.
    """
    given = words[0].split() if len(words) == 1 and all(map(_IDS.match, words[0].split())) else list(words)
    if not given or not all(map(_is_reference, given)):
        return None
    numbers = [word.strip() for word in given if _IDS.match(word.strip())]
    by_word = _ids(connection, numbers)
    found: list[int] = []
    for word in given:
        if word.strip() in by_word:
            found += by_word[word.strip()]
        else:
            found += _named(connection, word, everything, notice)
    return found


def _is_reference(word: str) -> bool:
    if _IDS.match(word.strip()):
        return True
    if not word.strip():
        return False
    run = parse_reference(word)
    signs = any(sign in word.removeprefix("~") for sign in _SIGNS)
    if isinstance(run, RunPath):
        return not signs or os.path.isdir(run.path)
    return not signs and word.lower() not in _KEYWORDS


def _ids(connection: Connection, words: Iterable[str]) -> dict[str, list[int]]:
    """The ids that each word of ids means, all of which are there; of a range those that are.

    Raises:
        NotFoundError: an id, or all of a range, is not there.
        UsageError: a range counts down.
    """
    ranges = {word: [_range(part) for part in word.split(",") if part] for word in words}
    pairs = [pair for found in ranges.values() for pair in found]
    single = [low for low, high in pairs if low == high]
    conditions = [one_of(backend_of(connection), runs.c.id, single)] if single else []
    if len(single) < len(pairs):
        wide = [(low, high) for low, high in pairs if low < high]
        conditions.append(runs.c.id.between(min(low for low, _ in wide), max(high for _, high in wide)))
    there: list[int] = []
    if conditions:
        there = list(connection.execute(select(runs.c.id).where(THERE, or_(*conditions)).order_by(runs.c.id)).scalars())
    known = set(there)
    absent = [low for low, high in pairs if low == high and low not in known]
    absent += [low for low, high in pairs if low < high and not _between(there, low, high)]
    if absent:
        from spindb.index.query.runs import missing  # most filters do without, and start sooner

        raise missing(connection, sorted(set(absent)))
    return {word: [run_id for pair in found for run_id in _between(there, *pair)] for word, found in ranges.items()}


def _range(part: str) -> tuple[int, int]:
    low, dash, high = part.partition("-")
    bounds = [min(int(digits.lstrip("0")[:20] or "0"), LARGEST) for digits in ((low, high) if dash else (low, low))]
    if bounds[0] > bounds[1]:
        raise UsageError(f"{part} counts down", hint=f"{high}-{low}")
    return bounds[0], bounds[1]


def _between(ids: Sequence[int], low: int, high: int) -> Sequence[int]:
    return ids[bisect_left(ids, low) : bisect_right(ids, high)]


def _named(connection: Connection, word: str, everything: bool, notice: Notice | None) -> list[int]:
    """The run of that name, or the runs of that directory."""
    from spindb.index.query.runs import find_run, named  # most filters do without, and start sooner

    run = parse_reference(word)
    if isinstance(run, RunPath):
        return _under(connection, run.path, everything)
    assert isinstance(run, RunName)
    found, exact = named(connection, run.text)
    if len(found) != 1 and not exact and os.path.isdir(word):
        ids = _under(connection, Path(word), everything)
        if notice:
            notice(f"no run is called {word!r}: the runs in the directory {word} are used")
        return ids
    return [find_run(connection, run).id]


def _under(connection: Connection, directory: Path, everything: bool) -> list[int]:
    """The run whose directory it is, else all runs that lie under it and are not hidden.

    Raises:
        NotFoundError: there is none.
    """
    from spindb.index.query.runs import run_at  # as above

    found = run_at(connection, directory)
    if found is not None:
        return [found.id]
    place, inside = real(directory), []
    for root, root_id in roots_here(connection).items():
        if place == root or place in root.parents:
            inside.append(runs.c.root_id == root_id)
        elif root in place.parents:
            beginning = place.relative_to(root).as_posix() + "/"
            begins = func.substr(runs.c.path, 1, len(beginning)) == beginning
            of_a_file = func.substr(runs.c.path, 1, len(beginning)) == beginning[:-1] + "#"
            begins = or_(begins, and_(runs.c.part.is_not(None), of_a_file))
            inside.append(and_(runs.c.root_id == root_id, begins))
    lies = any_of(inside)
    ids = list(connection.execute(select(runs.c.id).where(lies, *visible_runs(everything=everything))).scalars())
    if ids:
        return ids
    hidden = connection.execute(select(func.count()).select_from(runs).where(lies, THERE)).scalar_one()
    if hidden:
        raise NotFoundError(f"all {hidden} runs under {directory} are hidden", hint="--all shows them")
    raise NotFoundError(f"no run of the database lies under {directory}", hint=f"spindb ingest {directory}")
