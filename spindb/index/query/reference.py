"""Which run a word refers to, decided once, where words are read.

=================== ================================== =============================================
what is typed       means                              why
=================== ================================== =============================================
``27``              the run with the id 27             a number is an id, whatever lies here
``027``, `` 27``    the run with the id 27             so it is with zeros or blanks around it
``./27``, ``27/``   the directory 27                   it holds a separator
``data/ppo_s0``     that directory
``/data/ppo_s0``    that directory
``.``, ``..``       that directory
``~``, ``~/runs``   that directory of one's home       a tilde is expanded where no shell did
``ppo_s0``          the run of that name               else the only one whose name begins so, else
                                                       the directory of that name here
``-3``, ``2.5``     the run of that name               only digits make an id
=================== ================================== =============================================

In Python a whole number is an id and a `pathlib.Path` a directory, whatever they are called.
"""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import NamedTuple, SupportsIndex

from spindb.errors import UsageError


class RunId(NamedTuple):
    """The run with this id."""

    number: int


class RunPath(NamedTuple):
    """The run in this directory."""

    path: Path


class RunName(NamedTuple):
    """The run of this name, the only one whose name begins so, or the one in the directory of this name here."""

    text: str


RunRef = RunId | RunPath | RunName

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def parse_reference(text: str) -> RunRef:
    """What a word means as a run; see the table above.

    Raises:
        UsageError: the word is empty.
    """
    word = text.strip()
    if not word:
        raise UsageError("a run is named by its id, its directory or its name, not by an empty word")
    if word.isascii() and word.isdigit():
        return RunId(int(word.lstrip("0")[:20] or "0"))  # no id has twenty digits: int() takes long for very many
    if text.startswith("~"):
        return RunPath(Path(text).expanduser())
    if text in (os.curdir, os.pardir) or any(separator in text for separator in _SEPARATORS):
        return RunPath(Path(text))
    return RunName(text)


def reference(run: RunRef | SupportsIndex | str | Path) -> RunRef:
    """What a value means as a run: a whole number of any kind, a path, or a word as `parse` reads it."""
    if isinstance(run, (RunId, RunPath, RunName)):
        return run
    if isinstance(run, Path):
        return RunPath(run)
    if isinstance(run, str):
        return parse_reference(run)
    try:
        return RunId(operator.index(run))
    except TypeError:
        raise UsageError(f"a run is named by an id, a path or a name, not by a {type(run).__name__}") from None
