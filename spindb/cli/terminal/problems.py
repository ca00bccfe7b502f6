"""How the problems that an ingest found are printed: by code, with examples, wrapped to the terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from spindb.disk.problem_codes import rank, severity
from spindb.errors import NotFoundError
from spindb.ingest.summary import RunProblem
from spindb.location import working_directory
from spindb.views.ingest import by_code
from spindb.views.text import show

_EXAMPLES = 2  # of each code of problems
_LEAST_WIDTH = 40


def problem_lines(problems: Sequence[RunProblem]) -> Iterator[str]:
    """What was found, by code; no line is wider than the terminal on stderr."""
    width = _width()
    for code, found in by_code(problems):
        directories = len({problem.directory for problem in found})
        count = f"{len(found):,} in {count_of(directories, 'directory')}"
        yield from _wrapped(f"{code}: {count} ({severity(code).value})", "  ", width)
        for problem in _examples(found):
            yield from _wrapped(f"{_place(problem)}: {show(problem.problem.message)}", "    ", width)
    if problems:
        code = min((problem.problem.code for problem in problems), key=rank)
        hint = f"all runs of a code: spindb runs 'problem={code}'; all problems of a run: spindb show RUN"
        yield from _wrapped(hint, "  ", width)


def _examples(found: Sequence[RunProblem]) -> list[RunProblem]:
    """A few problems, of different messages if there are such."""
    # Two directories with the same message would say one thing twice.
    examples = {problem.problem.message: problem for problem in reversed(found)}
    chosen = list(reversed(examples.values()))[:_EXAMPLES]
    others = [problem for problem in found if problem not in chosen]
    return chosen + others[: _EXAMPLES - len(chosen)]


def _place(found: RunProblem) -> str:
    path = found.directory / found.problem.path if found.problem.path else found.directory
    with contextlib.suppress(ValueError, NotFoundError):
        path = path.relative_to(working_directory())
    place = show(os.fspath(path))
    return f"{place}:{found.problem.line}" if found.problem.line else place


def _wrapped(text: str, indent: str, width: int | None) -> list[str]:
    if width is None:
        return [indent + text]
    return textwrap.wrap(
        text,
        max(width - 1, _LEAST_WIDTH),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _width() -> int | None:
    """Columns of the terminal that stderr is, else ``COLUMNS`` where that is set, else None."""
    if sys.stderr.isatty():
        return shutil.get_terminal_size().columns
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else None


def count_of(count: int, noun: str) -> str:
    """``1 directory``, ``2 directories``."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"
