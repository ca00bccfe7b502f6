"""What an ingest found wrong, for people: by code, the worst first, counted, with an example or two."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from spindb.cli.output import show
from spindb.disk.problem_codes import rank, severity

if TYPE_CHECKING:
    from spindb.ingest.summary import RunProblem

_EXAMPLES = 2
_LEAST_WIDTH = 40


def counted(problems: Sequence[RunProblem]) -> dict[str, int]:
    """How many problems each code has, the worst code first."""
    return {code: len(found) for code, found in _by_code(problems)}


def told(problems: Sequence[RunProblem]) -> Iterator[str]:
    """The lines that say what was found, none wider than the terminal on stderr."""
    width = _width()
    for code, found in _by_code(problems):
        directories = len({problem.directory for problem in found})
        count = f"{len(found):,} in {_many(directories, 'directory', 'directories')}"
        yield from _wrapped(f"{code}: {count} ({severity(code).value})", "  ", width)
        for problem in _examples(found):
            yield from _wrapped(f"{_place(problem)}: {show(problem.problem.message)}", "    ", width)
    if problems:
        code = min((problem.problem.code for problem in problems), key=rank)
        hint = f"all runs of a code: spindb runs 'problem={code}'; all problems of a run: spindb show RUN"
        yield from _wrapped(hint, "  ", width)


def _by_code(problems: Sequence[RunProblem]) -> Iterator[tuple[str, list[RunProblem]]]:
    ordered = sorted(problems, key=lambda found: rank(found.problem.code))
    for code, found in groupby(ordered, lambda found: found.problem.code):
        yield code, list(found)


def _examples(found: Sequence[RunProblem]) -> list[RunProblem]:
    """A few problems, of different messages if there are such."""
    examples = {problem.problem.message: problem for problem in reversed(found)}
    chosen = list(reversed(examples.values()))[:_EXAMPLES]
    others = [problem for problem in found if problem not in chosen]
    return chosen + others[: _EXAMPLES - len(chosen)]


def _place(found: RunProblem) -> str:
    path = found.directory / found.problem.path if found.problem.path else found.directory
    with suppress(ValueError):
        path = path.relative_to(Path.cwd())
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


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
