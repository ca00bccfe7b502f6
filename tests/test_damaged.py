"""J10: databases with wrong contents, and with what spindb did not make.

Each column of each table is spoiled in turn, as the models list them: a new column is tested without a line here.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import EVALUATION, REPOSITORY, Outcome
from sqlalchemy import Boolean, Column, DateTime, Double, Integer, Text

from spindb.index.database.connect import connected
from spindb.index.database.models import metadata
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest
from spindb.records import EpisodeResult

pytestmark = pytest.mark.sqlite  # PostgreSQL checks its types itself

Cli = Callable[..., Outcome]

DATA = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-0003"

COMMANDS = (
    ("runs",),
    ("runs", "--json", "--all", "--columns", "+started,+updated,+pi_lr,+notes"),
    ("show", "1"),
    ("show", "1", "--json"),
    ("diff", "1", "2"),
    ("params",),
    ("metrics",),
    ("compare",),
    ("doctor",),
    ("snapshots", "1"),
    ("note", "1", "--list"),
    ("best",),
    ("query", "list"),
    ("export", "runs"),
    ("export", "configs"),
    ("export", "metrics"),
    ("export", "evaluations"),
    ("db", "info"),
    ("db", "dump"),
    ("tag", "+new", "1"),
    ("ingest", str(DATA)),
)


@pytest.fixture(scope="module")
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a row in every table."""
    if request.config.getoption("--postgresql"):
        pytest.skip("of SQLite alone")
    from dataclasses import replace

    place = tmp_path_factory.mktemp("sound") / "spindb.db"
    ingest(place, [DATA])
    with connected(place, write=True) as connection:
        played = replace(EVALUATION, episodes=(EpisodeResult(1.0, 10, "terminated"),), mean_return=1.0)
        add_evaluation(connection, 1, played)
    with closing(sqlite3.connect(place)) as raw, raw:
        raw.execute("INSERT INTO tags VALUES (1, 'good')")
        raw.execute("INSERT INTO notes (run_id, text, created_at) VALUES (1, 'a note', '2026-01-01 00:00:00.000000')")
        raw.execute("INSERT INTO queries VALUES ('q', 'seed=0', '2026-01-01 00:00:00.000000')")
        raw.execute("INSERT INTO problems (run_id, path, line, code, message) VALUES (1, 'p', 1, 'c', 'm')")
        time = "2026-01-01 00:00:00.000000"
        for table in metadata.sorted_tables:  # whatever is still empty
            if not raw.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]:
                cells = {c.name: _usual(c, time) for c in table.columns}
                names, marks = ", ".join(f'"{n}"' for n in cells), ", ".join("?" * len(cells))
                raw.execute(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", list(cells.values()))
    return place


def _usual(column: Column[Any], time: str) -> Any:
    if column.foreign_keys:
        return 1
    if isinstance(column.type, DateTime):
        return time
    if isinstance(column.type, Text):
        return {list: "[]", dict: "{}", object: "1", None: "x"}[column.info.get("json")]
    return 1


def _spoilt() -> Iterator[Any]:
    for table in metadata.sorted_tables:
        for column in table.columns:
            for what, value in _wrong(column):
                yield pytest.param(table.name, column.name, value, id=f"{table.name}.{column.name}-{what}")


def _wrong(column: Column[Any]) -> Iterator[tuple[str, Any]]:
    if column.name == "id":  # SQLite takes nothing but numbers for the row's own
        return
    if column.foreign_keys:
        yield "dangling", 99999
        return
    if isinstance(column.type, (Integer, Double, DateTime, Boolean)):
        yield "text", "no such \x1b[31m value"
        yield "blob", b"\x00\xff"
    if isinstance(column.type, Boolean):
        yield "two", 2
    elif isinstance(column.type, Integer) and not column.info.get("signed"):
        yield "negative", -5
    elif isinstance(column.type, DateTime):
        yield "number", 7
        yield "day", "2026-02-30 00:00:00.000000"
    elif isinstance(column.type, Text):
        yield "blob", b"\x00\xff"
        if "json" in column.info or column.name == "series":
            yield "json", "{no json"
            yield "deep", "[" * 100_000
        if column.info.get("json") in (list, dict) or column.name == "series":
            yield "kind", "7"


def _check(place: Path, cli: Cli, spoilt: list[tuple[str, str, Any, int]]) -> None:
    """Spoil cells (table, column, value, which row), and see what `db check` and all commands say."""
    expected = []
    with closing(sqlite3.connect(place)) as raw, raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        for table, column, value, number in spoilt:
            own = metadata.tables[table].primary_key.columns
            keys, where = ", ".join(f'"{k.name}"' for k in own), " AND ".join(f'"{k.name}" = ?' for k in own)
            found = raw.execute(f"SELECT {keys} FROM {table} ORDER BY {keys}").fetchall()
            key = found[min(number, len(found) - 1)]
            raw.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', (value, *key))
            row = ", ".join(f"{k.name} {cell!r}" for k, cell in zip(own, key, strict=True))
            expected.append((f"{table}, " if column in own else f"{table}, {row}: ", column))
    checked = cli("db", "check")
    assert checked.code == 4, checked
    for row, column in expected:
        assert any(row in line and column in line for line in checked.err.splitlines()), (row, column, checked.err)
    for command in COMMANDS:
        outcome = cli(*command)
        done = (0, 1) if command[0] == "ingest" else (0,)
        assert outcome.code in (*done, 2, 3, 4), (command, outcome)
        assert "\x1b" not in outcome.out + outcome.err, (command, outcome)
        if outcome.code == 4:
            assert "db check" in outcome.err, (command, outcome)


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column", "value"), list(_spoilt()))
def test_j10_each_wrong_value_is_found_and_ends_no_command(
    sound: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, table: str, column: str, value: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    _check(Path(shutil.copy(sound, tmp_path / "spindb.db")), cli, [(table, column, value, 0)])


@pytest.mark.slow
@pytest.mark.parametrize("table", [name for name in metadata.tables if name != "tags"])  # which is a key alone
@pytest.mark.parametrize("kind", [0, 1])
def test_j10_wrong_columns_of_each_table(
    sound: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, table: str, kind: int
) -> None:
    """All columns of a table at once, but for its keys."""
    monkeypatch.chdir(tmp_path)
    place = Path(shutil.copy(sound, tmp_path / "spindb.db"))
    columns = metadata.tables[table].columns
    wrong = {c.name: [value for _, value in _wrong(c)] for c in columns if not c.primary_key and not c.foreign_keys}
    spoilt = [(table, name, values[min(kind, len(values) - 1)], 0) for name, values in wrong.items() if values]
    _check(place, cli, spoilt)


def test_j10_the_bad_cell_is_unknown_and_the_table_stays(sound: Path, tmp_path: Path, cli: Cli) -> None:
    place = Path(shutil.copy(sound, tmp_path / "spindb.db"))
    with closing(sqlite3.connect(place)) as raw, raw:
        raw.execute("UPDATE configs SET value = '{' WHERE run_id = 2 AND key = 'pi_lr'")
        raw.execute("UPDATE runs SET updated_at = 'yesterday' WHERE id = 1")
    outcome = cli("--db", place, "runs", "--columns", "id,pi_lr,updated")
    assert outcome.code == 0
    lines = outcome.out.splitlines()[2:]
    assert len(lines) == 5
    assert lines[0].split() == ["1", "0.0003"]
    assert lines[1].split()[1] == "?"
    assert "runs, id 1: updated_at is not a time: 'yesterday'" in outcome.err
    assert "configs, run_id 2, key 'pi_lr': value is not JSON: '{'" in outcome.err
    assert "spindb db check" in outcome.err


# What spindb did not make.


def _evil(sound: Path, tmp_path: Path, *statements: str) -> Path:
    place = Path(shutil.copy(sound, tmp_path / "evil.db"))
    with closing(sqlite3.connect(place)) as raw, raw:
        for statement in statements:
            raw.execute(statement)
    return place


TRIGGER = "CREATE TRIGGER sly AFTER INSERT ON tags BEGIN DELETE FROM notes; END"
VIEW = "CREATE VIEW lure AS SELECT * FROM runs"


@pytest.mark.parametrize(("made", "named"), [(TRIGGER, "trigger sly on tags"), (VIEW, "view lure")])
def test_j10_a_foreign_trigger_or_view_is_refused_where_something_is_written(
    sound: Path, tmp_path: Path, cli: Cli, made: str, named: str
) -> None:
    place = _evil(sound, tmp_path, made)
    before = place.read_bytes()
    writing = (("tag", "+x", "1"), ("note", "1", "x"), ("archive", "1"), ("query", "save", "z", "seed=0"))
    for command in (*writing, ("ingest", tmp_path), ("db", "upgrade"), ("rm", "-y", "1")):
        outcome = cli("--db", place, *command)
        assert outcome.code == 4, (command, outcome)
        assert named in outcome.err
        assert "DROP" in outcome.err
        assert "--db" in outcome.err
    assert place.read_bytes() == before
    assert cli("--db", place, "runs").code == 0
    checked = cli("--db", place, "db", "check")
    assert checked.code == 4
    assert named in checked.err
    refused = cli("--db", place, "sql", "SELECT * FROM lure")
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE tags RENAME TO hidden", "CREATE VIEW tags AS SELECT * FROM hidden"),
        ("DROP VIEW metric_points", "CREATE VIEW metric_points AS SELECT 1 AS run_id"),
        ("ALTER TABLE queries RENAME TO hidden", "CREATE VIRTUAL TABLE queries USING fts5(name, text, created_at)"),
    ],
)
def test_j10_what_has_the_name_of_ours_and_is_not_is_never_read(
    sound: Path, tmp_path: Path, cli: Cli, statements: tuple[str, ...]
) -> None:
    place = _evil(sound, tmp_path, *statements)
    outcome = cli("--db", place, "runs")
    assert (outcome.code, outcome.out) == (4, ""), outcome
    assert "did not make" in outcome.err


def test_j10_the_file_trusts_no_schema(sound: Path) -> None:
    with connected(sound, write=True) as connection:
        assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0
        assert connection.exec_driver_sql("PRAGMA cell_size_check").scalar() == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make files of others")
@pytest.mark.parametrize("how", ["file", "link", "link of another"])
def test_j10_anothers_database_found_upward_is_refused(
    sound: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    place = tmp_path / "a" / "spindb.db"
    kept = Path(shutil.copy(sound, place if how == "file" else tmp_path / "kept.db"))
    if how != "file":
        place.symlink_to(kept)
    os.chown(place, 12345, -1, follow_symlinks=how != "link of another")
    monkeypatch.chdir(below)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for command in (("runs",), ("tag", "+x", "1"), ("ingest", below)):
        outcome = cli(*command)
        assert (outcome.code, outcome.out) == (4, ""), (command, outcome)
        assert "another user (12345)" in outcome.err
        assert f"--db {place}" in outcome.err
    assert cli("--db", place, "runs").code == 0
    monkeypatch.setenv("SPINDB_URL", str(place))
    assert cli("runs").code == 0


def test_j12_a_database_and_its_copies_are_their_owners_alone(tmp_path: Path, cli: Cli) -> None:
    place = tmp_path / "spindb.db"
    ingest(place, [REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-0003"])
    cli("--db", place, "db", "backup", tmp_path / "copy.db")
    cli("--db", place, "db", "dump", "--out", tmp_path / "dump.yaml")
    cli("db", "copy", place, tmp_path / "other.db")
    for name in ("spindb.db", "copy.db", "dump.yaml", "other.db"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, name


def test_j10_text_that_is_no_utf8(sound: Path, tmp_path: Path, cli: Cli) -> None:
    place = _evil(sound, tmp_path, "UPDATE runs SET exp_name = CAST(x'ff41' AS TEXT) WHERE id = 2")
    for command in COMMANDS:
        outcome = cli("--db", place, *command)
        assert outcome.code in (0, 2, 4), (command, outcome)
        if outcome.code == 4:
            assert "runs, id 2: exp_name" in outcome.err, outcome
    checked = cli("--db", place, "db", "check")
    assert checked.code == 4
    assert "runs, id 2: exp_name is not text: a text that is no UTF-8" in checked.err


@pytest.mark.slow
def test_j10_damaged_pages_end_in_words(sound: Path, tmp_path: Path, cli: Cli) -> None:
    whole = sound.read_bytes()
    for number in range(40):
        place = tmp_path / f"{number}.db"
        spoilt = bytearray(whole)
        start = 8192 + number * (len(whole) - 8192) // 40
        spoilt[start : start + 64] = bytes((number * 7 + i * 13) % 256 for i in range(64))
        place.write_bytes(spoilt)
        for command in (("runs",), ("show", "1", "--json"), ("export", "metrics"), ("db", "check"), ("tag", "+x", "1")):
            outcome = cli("--db", place, *command)
            assert outcome.code in (0, 2, 3, 4), (number, command, outcome)


@pytest.mark.parametrize("command", [("db", "copy"), ("db", "dump")])
def test_j10_what_can_not_be_read_is_not_carried_elsewhere(
    sound: Path, tmp_path: Path, cli: Cli, command: tuple[str, ...]
) -> None:
    place = _evil(sound, tmp_path, "UPDATE evaluations SET mean_return = 'high'")
    outcome = cli(*command, place, tmp_path / "copy.db") if command[1] == "copy" else cli("--db", place, *command)
    assert (outcome.code, outcome.out) == (4, ""), outcome
    assert "evaluations, id 1: mean_return is not a number: 'high'" in outcome.err
