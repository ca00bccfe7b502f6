"""Every code of a problem: in the table, in the documents, and in the report of an ingest, worst first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome

from spindb.disk.problem_codes import SEVERITIES, Severity, rank, severity

Write = Callable[..., Path]
Cli = Callable[..., Outcome]
USED = re.compile(
    r"""(?:\b(?:Problem|report|lose|count|part)\(\s*|\bbroken\(\s*run,\s*|\breader\.part\(\s*[^,()]+,\s*|return\s+)"""
    r"""(?:[A-Z_]+,\s*|"[^"]*",\s*)?"([a-z]+(?:-[a-z0-9]+)+)\""""
)


def used() -> set[str]:
    """The codes in the source: first arguments of what reports problems."""
    found: set[str] = set()
    for folder in ("disk", "ingest"):
        for path in (REPOSITORY / "spindb" / folder).rglob("*.py"):
            text = path.read_text()
            found |= set(USED.findall(text))
            found |= {word for word in re.findall(r'"([a-z]+(?:-[a-z0-9]+)+)"', text) if word in SEVERITIES}
    return {code for code in found if not code.startswith("utf-")} | {"separator", "encoding"}


def test_i5_every_code_is_in_the_table_and_in_the_documents() -> None:
    documented = (REPOSITORY / "docs" / "formats.md").read_text()
    section = documented[documented.index("## Problems") : documented.index("## What is derived")]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = [code for row in rows for code in re.findall(r"`([a-z0-9-]+)`", row)]
    assert sorted(told) == sorted(set(told))
    assert set(told) == set(SEVERITIES)
    assert used() - set(SEVERITIES) == set()


def test_i5_an_unknown_code_comes_first() -> None:
    codes = ["text-numbers", "ragged-row", "progress-empty", "nul-bytes", "new-code"]
    assert sorted(codes, key=rank) == ["new-code", "nul-bytes", "ragged-row", "progress-empty", "text-numbers"]
    assert severity("text-numbers") is Severity.ODD


@pytest.fixture
def pile(run_directory: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Many empty runs, and one that lost rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for number in range(30):
        run_directory(f"a/empty{number:02}", config={"number": number}, progress=b"")
    rows = b"".join(b"%d\t1\t2\n" % epoch + b"0\t1\n" for epoch in range(8))
    run_directory("z/lossy", config={}, progress=b"Epoch\tAverageEpRet\tX\n" + rows)
    return tmp_path


def test_i5_problems_are_told_by_code_worst_first_with_the_result_last(pile: Path, cli: Cli) -> None:
    *lines, last = cli("ingest", "data").err.splitlines()
    assert last.startswith("database: ")
    assert lines == [
        "  ragged-row: 8 in 1 directory (data is lost, or may not be what it seems)",
        "    data/z/lossy/progress.txt:3: 2 fields for 3 columns: row left out, nothing shifted",
        "    data/z/lossy/progress.txt:5: 2 fields for 3 columns: row left out, nothing shifted",
        "  progress-empty: 30 in 30 directories (can't be read or used)",
        "    data/a/empty00/progress.txt: the file is empty: no epoch was finished",
        "    data/a/empty01/progress.txt: the file is empty: no epoch was finished",
        "  all runs of a code: spindb runs 'problem=ragged-row'; all problems of a run: spindb show RUN",
        "31 runs: 31 new, 0 changed, 0 unchanged, 0 missing",
        "38 problems in 31 directories",
    ]


def test_i5_no_line_is_wider_than_the_terminal(pile: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    told = [line for line in cli("ingest", "data").err.splitlines() if line.startswith("  ")]
    assert max(map(len, told)) < 60
    assert "".join(told).replace(" ", "").count("nothingshifted") == 2


def test_i5_programs_get_all_problems_and_counts(pile: Path, cli: Cli) -> None:
    found = json.loads(cli("ingest", "data", "--json").out)
    assert list(found["problem_counts"].items()) == [("ragged-row", 8), ("progress-empty", 30)]
    assert len(found["problems"]) == 38
