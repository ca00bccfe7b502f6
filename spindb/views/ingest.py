"""What an ingest did, as JSON, and its problems by code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from spindb.disk.problem_codes import rank
from spindb.ingest.summary import RunProblem, Summary


def summary_as_json(summary: Summary) -> dict[str, object]:
    """The summary as one object."""
    return {
        "runs": summary.total,
        "new": summary.new,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "returned": summary.returned,
        "moved": summary.moved,
        "overwritten": summary.overwritten,
        "copies": summary.copies,
        "kept": [{"run": kept.run, "kept_as": kept.kept_as} for kept in summary.kept],
        "removed": summary.removed,
        "foreign": dict(summary.foreign.most_common()),
        "missing": summary.missing,
        "pruned": summary.pruned,
        "problem_counts": {code: len(found) for code, found in by_code(summary.problems)},
        "spared": summary.spared,
        "problems": [
            {
                "directory": str(found.directory),
                "path": found.problem.path,
                "line": found.problem.line,
                "code": found.problem.code,
                "message": found.problem.message,
            }
            for found in summary.problems
        ],
    }


def by_code(problems: Sequence[RunProblem]) -> Iterator[tuple[str, list[RunProblem]]]:
    """Problems by their code, the worst code first."""
    # sorted() is stable: within a code problems stay in the order of their directories.
    ordered = sorted(problems, key=lambda found: rank(found.problem.code))
    for code, found in groupby(ordered, lambda found: found.problem.code):
        yield code, list(found)
