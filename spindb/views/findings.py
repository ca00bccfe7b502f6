"""What is wrong with runs, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from spindb.index.read.doctor import Finding


def findings_as_json(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """An object for each finding."""
    return [{"finding": found.code, "message": found.message, "ids": found.ids} for found in findings]
