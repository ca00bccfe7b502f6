"""Every output format over one set of runs that holds every hard value, compared with files in ``golden/``.

``SPINDB_GOLDEN=write pytest tests/test_golden.py`` writes them anew; look at the difference before you keep it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, settle

GOLDEN = Path(__file__).parent / "golden"
HARD = {
    "exp_name": "härte-試験",
    "seed": 0,
    "env": "CartPole-v1",
    "clip_ratio": 0.2,
    "negative_zero": -0.0,
    "tiny": 1e-300,
    "huge": 1.5e300,
    "whole": 12345678901234567890,
    "nothing": None,
    "nan": float("nan"),
    "infinite": float("-inf"),
    "flag": False,
    "words": "a\ttab, a\nnewline, \"quotes\" and 'more'",
    "long": "x" * 200,
    "emoji": "🤖 ünïcode",
    "list": [1, "two", None, [3.5]],
    "nested": {"empty": {}, "deep": {"er": [64, 64]}},
}
HEADER = ("Epoch", "AverageEpRet", "LossPi", "Note", "TotalEnvInteracts")
ROWS = (
    (0, -0.0, 1e-300, "fine", 1000),
    (1, "nan", "inf", "2 min 55 sec", 2000),
    (2, 123456.789, "-inf", "", 3000),
    (3, "nan", 1.5e300, "größer <b>&", 4000),
)
_HARD = "id,words,emoji,list,nothing,nan,tiny,negative_zero"
FORMATS = {
    "runs.txt": ("runs", "--columns", "-age"),
    "runs.json": ("runs", "--json"),
    "runs.jsonl": ("runs", "--jsonl"),
    "runs.csv": ("runs", "--csv"),
    "runs.ids": ("runs", "--ids"),
    "columns.txt": ("runs", "--columns", f"{_HARD},flag,AverageEpRet,LossPi.min"),
    "columns.csv": ("runs", "--csv", "--columns", f"{_HARD},whole,AverageEpRet"),
    "columns.jsonl": ("runs", "--jsonl", "--columns", "id,words,list,nothing,infinite,huge,LossPi,LossPi.min,Note"),
    "params.txt": ("params",),
    "params.json": ("params", "--json"),
    "params.csv": ("params", "--csv"),
    "metrics.txt": ("metrics",),
    "metrics.json": ("metrics", "--json"),
    "metrics.csv": ("metrics", "--csv"),
    "diff.txt": ("diff", "1", "2"),
    "diff.json": ("diff", "1", "2", "--json"),
    "diff.csv": ("diff", "1", "2", "--csv"),
    "compare.txt": ("compare", "--summary", "max"),
    "compare.json": ("compare", "--summary", "max", "--json"),
    "compare.csv": ("compare", "--summary", "max", "--csv"),
    "export-runs.csv": ("export", "runs"),
    "export-runs.jsonl": ("export", "runs", "--format", "jsonl"),
    "export-configs.csv": ("export", "configs"),
    "export-configs.jsonl": ("export", "configs", "--format", "jsonl"),
    "export-metrics.csv": ("export", "metrics"),
    "export-metrics.jsonl": ("export", "metrics", "--format", "jsonl"),
    "sql.txt": ("sql", "SELECT run_id, name, row, value, text FROM metric_points WHERE run_id = 1 AND name <> 'Epoch'"),
    "sql.csv": ("sql", "--csv", "SELECT key, type, value, number FROM configs WHERE run_id = 1 ORDER BY key"),
    "sql.jsonl": ("sql", "--jsonl", "SELECT name, last, last_text, min, max FROM metrics WHERE run_id=1 ORDER BY name"),
}  # fmt: skip


@pytest.fixture
def hard(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A database of two runs: one that holds every hard value, and a plain one beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    run_directory("hard/hard_s0", config=json.dumps(HARD, ensure_ascii=False), header=HEADER, rows=ROWS)
    plain = {"exp_name": "plain", "seed": 1, "env": "CartPole-v1", "clip_ratio": 0.1, "list": [], "flag": True}
    rows = [(0, 1.5, 0.5, "", 1000), (1, 2.5, 0.25, "", 2000)]
    run_directory("plain/plain_s1", config=plain, header=HEADER, rows=rows)
    settle(tmp_path)
    assert cli("ingest", "data").code == 1  # a column of text is said
    return tmp_path


def everywhere(text: str, place: Path) -> str:
    """The text without places, hosts and times."""
    text = text.replace(str(place), "/place").replace(os.uname().nodename, "box")
    return re.sub(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)


def compare_with(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("SPINDB_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_output(hard: Path, cli: Callable[..., Outcome], name: str) -> None:
    outcome = cli(*FORMATS[name])
    assert outcome.code == 0, outcome.err
    compare_with(name, everywhere(outcome.out, hard))
    if name.endswith(".json"):
        json.loads(outcome.out)
    if name.endswith(".jsonl"):
        assert all(json.loads(line) for line in outcome.out.splitlines())


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("command", [("runs",), ("show", "1"), ("params", "--varying"), ("diff", "1", "2")])
def test_terminal(
    hard: Path, cli: Callable[..., Outcome], command: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line of a table is wider than the terminal."""
    from spindb.cli.terminal.tables import cell_len

    monkeypatch.setenv("COLUMNS", str(width))
    text = everywhere(cli(*command).out, hard)
    tables = [line for line in text.splitlines() if not line.startswith(("launched by", "directory"))]
    assert max(map(cell_len, tables)) <= width
    if command[0] != "show":
        compare_with(f"{'-'.join(command).replace('--', '')}-{width}.txt", text)


def test_parquet_holds_what_json_lines_hold(hard: Path, cli: Callable[..., Outcome]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for table in ("runs", "configs", "metrics", "evaluations"):
        assert cli("export", table, "--out", f"{table}.parquet").code == 0
        lines = [json.loads(line) for line in cli("export", table, "--format", "jsonl").out.splitlines()]
        read = parquet.read_table(f"{table}.parquet")
        assert read.num_rows == len(lines)
        assert all(field.metadata[b"meaning"] for field in read.schema)
        from spindb.views.jsonable import plain

        for row, line in zip(read.to_pylist(), lines, strict=True):
            times = {k: v.replace(tzinfo=None) for k, v in row.items() if hasattr(v, "tzinfo")}
            assert plain(row | times) == line
