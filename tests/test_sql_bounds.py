"""Faults 3, 4, 8, 13: what `spindb sql` and tables print is bounded in time and size, and loses no column."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spindb.index.database.watchdog import Watch

pytestmark = pytest.mark.sqlite

ENDLESS = "SELECT instr(zeroblob(1e8), zeroblob(5e7) || x'01')"
Cli = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path, run_directory: Callable[..., Path], cli: Cli) -> Path:
    run_directory("a_s0", config={"exp_name": "a", "seed": 0, "big": "x" * 60_000})
    run_directory("a_s1", config={"exp_name": "a", "seed": 1, "big": "y" * 60_000})
    cli("--db", tmp_path / "spindb.db", "ingest", tmp_path / "data")
    return tmp_path / "spindb.db"


def _start(file: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spindb", "--db", os.fspath(file), "sql", *words]
    heard = [signal.SIGINT, signal.SIG_DFL]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=lambda: signal.signal(*heard))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement", [ENDLESS, "SELECT length(replace(hex(zeroblob(4e7)), hex(zeroblob(2e7)) || 1, 2))"]
)
def test_4_one_call_of_a_function_ends_in_time(file: Path, statement: str) -> None:
    with _start(file, statement, "--timeout", "0.5") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: it takes longer than 0.5 seconds\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_4_a_signal_ends_one_call_of_a_function(file: Path, number: signal.Signals) -> None:
    with _start(file, ENDLESS, "--timeout", "0") as process:
        time.sleep(2)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + number, f"interrupted by {number.name}\n")


def test_3_a_table_of_huge_cells_is_cut_and_says_so(file: Path, cli: Cli) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    found = cli("--db", file, "sql", f"{many} SELECT i, hex(zeroblob(100000)) AS a, zeroblob(100000) AS b FROM n")
    assert max(map(len, found.out.splitlines())) < 1100
    assert "texts longer than 500 characters are cut" in found.err
    wide = ", ".join(f"hex(zeroblob(250)) AS c{i}" for i in range(1500))
    found = cli("--db", file, "sql", f"{many} SELECT {wide} FROM n")
    assert "the first 27 rows, more were not read" in found.err
    assert len(cli("--db", file, "sql", "--csv", "SELECT hex(zeroblob(100000)) AS a").out) == 200_003


def test_3_a_blob_is_printed_in_hexadecimal(file: Path, cli: Cli) -> None:
    for option in ("--json", "--jsonl"):
        assert "00ff" in cli("--db", file, "sql", option, "SELECT x'00ff' AS a").out
    assert cli("--db", file, "sql", "--csv", "SELECT x'00ff' AS a").out == "a\n00ff\n"


def test_8_no_value_makes_lines_of_a_table_long(file: Path, cli: Cli) -> None:
    for words in (("runs",), ("runs", "--columns", "name,big"), ("diff", 1, 2), ("params",), ("show", 1)):
        found = cli("--db", file, *words)
        assert found.code == 0
        assert max(map(len, (found.out + found.err).splitlines())) < 1200, words
    assert "texts longer than 500 characters are cut" in cli("--db", file, "runs", "--columns", "name,big").err
    assert "x" * 60_000 in cli("--db", file, "runs", "--columns", "name,big", "--json").out


def test_8_a_word_that_is_no_file_name_is_words(file: Path, cli: Cli) -> None:
    long = "t" * 1000
    for words in (("show", long), ("show", f"./{long}"), ("relocate", "a", long), ("test-policy", long)):
        assert cli("--db", file, *words).code == 3
    for words in (("--db", long, "runs"), ("--db", long, "ingest", ".")):
        assert cli(*words).code == 4


def test_13_columns_of_one_name_are_all_there(file: Path, cli: Cli) -> None:
    statement = 'SELECT 1 AS a, 2 AS a, 3 AS "a:1", 4 AS a'
    expected = {"a": 1, "a:2": 2, "a:1": 3, "a:3": 4}
    assert json.loads(cli("--db", file, "sql", "--jsonl", statement).out) == expected
    assert json.loads(cli("--db", file, "sql", "--json", statement).out) == [expected]
    row = json.loads(
        cli("--db", file, "sql", "--jsonl", "SELECT * FROM runs JOIN roots ON roots.id = root_id LIMIT 1").out
    )
    assert {"id", "id:1", "path", "path:1"} <= set(row)


@pytest.mark.parametrize("name", ["interrupted", "prohibited", "[read-only]"])
def test_4_a_name_is_no_reason(file: Path, cli: Cli, name: str) -> None:
    found = cli("--db", file, "sql", f"SELECT {name} FROM runs")
    assert found.code == 2
    assert found.err.startswith(f"error: no such column: {name.strip('[]')}\n"), found.err


@pytest.mark.parametrize("seconds", ["1e7", "1e300", "inf"])
def test_4_any_number_of_seconds(file: Path, seconds: str) -> None:
    with _start(file, "SELECT 1 AS one", "--csv", "--timeout", seconds) as process:
        assert (process.communicate(timeout=30), process.returncode) == (("one\n1\n", ""), 0)


def test_4_less_than_a_millisecond_is_a_limit(file: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with _start(file, endless, "--timeout", "1e-9") as process:
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.splitlines()[0]) == (2, "error: it takes longer than 1e-09 seconds")


def test_4_lists_in_json_are_tables(file: Path, cli: Cli) -> None:
    for function in ("json_each", "json_tree"):
        assert cli("--db", file, "sql", "--csv", f"SELECT sum(atom) AS s FROM {function}('[1, 2]')").out == "s\n3\n"


def test_13_a_semicolon_in_a_text_ends_no_statement(file: Path) -> None:
    typed = "SELECT 'a;b' AS \"x;y\"; -- one; two\nSELECT 2; /* ; */ ;;\n SELECT 3 AS z; -- done;"
    command = [sys.executable, "-m", "spindb", "--db", os.fspath(file), "sql", "--csv"]
    found = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "x;y\na;b\n2\n2\nz\n3\n", "")


@pytest.mark.sqlite
def test_a_watch_whose_pipe_is_closed_ends_without_a_traceback() -> None:
    """An interrupt as the watch begins or ends closes the pipe before its thread has ended."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with closing(sqlite3.connect(":memory:")) as driver:
        Watch(driver, 0, None)._guard(read)
