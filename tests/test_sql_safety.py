"""J11: what `spindb sql` asks and what it refuses, on a real server by a role that may do everything, and on a file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome
from servers import Server

from spindb.errors import UsageError
from spindb.index.database import statements
from spindb.ingest.pipeline import ingest

pytestmark = pytest.mark.sqlite  # they name their server themselves

Cli = Callable[..., Outcome]
DATA = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-0003"


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """A database on a server, asked by its superuser; with relations and functions that spindb did not make."""
    if request.config.getoption("--postgresql"):
        pytest.skip("names its server itself")
    server.execute("CREATE DATABASE sql_safety")
    url = server.url(database="sql_safety")
    ingest(url, [DATA])
    for statement in (
        "CREATE SCHEMA other",
        "CREATE TABLE other.secrets AS SELECT 'x' AS word",
        "CREATE VIEW public.tempting AS SELECT pg_read_file('PG_VERSION') AS text",
        "CREATE FUNCTION public.upper(integer) RETURNS text LANGUAGE sql AS $$ SELECT pg_read_file('PG_VERSION') $$",
    ):
        server.execute(statement, database="sql_safety")
    yield url
    server.execute("DROP DATABASE sql_safety WITH (FORCE)")


REFUSED = [
    # As listed in the fault.
    "COPY runs TO PROGRAM 'touch {mark}'",
    "COPY runs TO '{mark}'",
    "COPY (SELECT 1) TO STDOUT",
    "COPY runs FROM PROGRAM 'echo'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    # Their neighbours: files.
    "SELECT * FROM pg_read_file('PG_VERSION')",
    "SELECT pg_catalog.pg_read_file('PG_VERSION')",
    "SELECT \"pg_read_file\"('PG_VERSION')",
    'SELECT "pg_catalog"."pg_read_file"(\'PG_VERSION\')',
    "SELECT pg_read_file/* a comment */('PG_VERSION')",
    "SELECT pg_read_file -- a comment\n ('PG_VERSION')",
    "SELECT /* one /* two */ */ pg_read_file('PG_VERSION')",
    "SELECT PG_READ_FILE('PG_VERSION')",
    "SELECT U&\"pg_read\\005ffile\"('PG_VERSION')",
    "SELECT E'a'\n'\\' || pg_read_file(''PG_VERSION'') || '",
    "SELECT $a$ $a$ || pg_read_file($b$PG_VERSION$b$)",
    "SELECT 'it''s' || pg_read_file('PG_VERSION')",
    "WITH a AS (SELECT 1), pg_read_file(b) AS (SELECT 1) SELECT pg_read_file('PG_VERSION')",
    "SELECT (SELECT x FROM (VALUES (pg_read_file('PG_VERSION'))) AS t(x))",
    "SELECT 1 FROM runs, pg_read_file('PG_VERSION') AS (a text)",
    "SELECT 1 FROM runs, ROWS FROM (pg_read_file('PG_VERSION')) AS a",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT lo_import('PG_VERSION')",
    "SELECT lo_export(1, '{mark}')",
    "SELECT pg_file_write('{mark}', 'x', false)",
    # Other sessions, locks, time, settings.
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_sleep(1)",
    "SELECT pg_sleep_for('1 second')",
    "SELECT pg_advisory_lock(1936744546)",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_promote()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('x')",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT current_setting('data_directory')",
    "SELECT nextval('runs_id_seq')",
    "SELECT setval('runs_id_seq', 1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT txid_current()",
    # SQL out of text, other servers.
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT table_to_xml('runs', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT cursor_to_xml('c', 1, true, true, '')",
    "SELECT xpath('/a', '<a/>')",
    "SELECT xmlparse(document '<a/>')",
    "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(a int)",
    "SELECT ts_stat('SELECT 1')",
    # Statements.
    "DO $$ BEGIN END $$",
    "CALL x()",
    "SET ROLE postgres",
    "RESET ALL",
    "SET transaction_read_only = off",
    "LISTEN a",
    "NOTIFY a",
    "LOCK TABLE runs",
    "BEGIN",
    "COMMIT",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "DECLARE c CURSOR FOR SELECT 1",
    "VACUUM",
    "ANALYZE",
    "CHECKPOINT",
    "REINDEX TABLE runs",
    "LOAD 'x'",
    "CREATE TABLE x (y int)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "DROP TABLE runs",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "GRANT ALL ON runs TO public",
    "TRUNCATE runs",
    "DELETE FROM runs",
    "WITH gone AS (DELETE FROM runs RETURNING id) SELECT * FROM gone",
    "WITH x AS (UPDATE runs SET archived = true RETURNING id) SELECT 1",
    "SELECT 1 INTO x",
    "SELECT 1 INTO TEMP x",
    "SELECT * FROM runs FOR UPDATE",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (ANALYZE) SELECT 1",
    "EXPLAIN (VERBOSE, ANALYZE true) DELETE FROM runs",
    "EXPLAIN DELETE FROM runs",
    "EXPLAIN EXECUTE a",
    "EXPLAIN CREATE TABLE x AS SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY runs TO PROGRAM 'touch {mark}'",
    "",
    "(",
    "SELECT '",
    "SELECT /*",
    # The server's own tables, other schemas, what spindb did not make.
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_catalog.pg_shadow",
    'TABLE "pg_authid"',
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_settings",
    "SELECT * FROM pg_file_settings",
    "SELECT * FROM other.secrets",
    "SELECT * FROM sql_safety.other.secrets",
    'SELECT * FROM "other"."secrets"',
    "SELECT * FROM tempting",
    'SELECT * FROM "tempting"',
    "SELECT upper(3)",
    "SELECT 1 OPERATOR(pg_catalog.+) 1",
    "SELECT public.upper(3)",
]

ASKED = [
    ("SELECT count(*) AS n FROM runs", 5),
    ("(SELECT 1)", 1),
    ("VALUES (7)", 7),
    ("TABLE queries", None),
    ("SHOW server_encoding", "UTF8"),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n", 6),
    ("WITH a(x) AS MATERIALIZED (SELECT 2), b (y) AS NOT MATERIALIZED (SELECT 3) SELECT x * y FROM a, b", 6),
    ("SELECT sum(v) FROM (VALUES (1), (2)) AS t(v)", 3),
    ("SELECT count(*) FROM generate_series(1, 4) WITH ORDINALITY AS g(a, b)", 4),
    ("SELECT count(*) FILTER (WHERE rows > 0) FROM runs", 5),
    ("SELECT row_number() OVER (PARTITION BY algo ORDER BY id) FROM runs LIMIT 1", 1),
    ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM runs", 3.0),
    ("SELECT extract(year FROM timestamp '2026-01-01')::int", 2026),
    ("SELECT cast(1.5 AS numeric(3, 1))::text", "1.5"),
    ("SELECT substring('abc' FROM 2 FOR 1)", "b"),
    ("SELECT coalesce(NULL, 'pg_read_file(1)')", "pg_read_file(1)"),
    ("SELECT 'it''s -- no comment /* nor this'", "it's -- no comment /* nor this"),
    ("SELECT E'it\\'s'", "it's"),
    ("SELECT $q$ DELETE FROM runs; $q$", " DELETE FROM runs; "),
    ("SELECT 1 -- DELETE FROM runs", 1),
    ("SELECT 1 /* COPY /* nested */ runs */", 1),
    ('SELECT "id" AS "update" FROM runs ORDER BY id LIMIT 1', 1),
    ("SELECT ('{{\"a\": [1, 2]}}'::jsonb -> 'a' ->> 1)::int", 2),
    ("SELECT series[1] FROM metrics WHERE run_id = 1 AND name = 'Epoch'", 0.0),
    ("SELECT value FROM metric_points WHERE run_id = 1 AND name = 'Epoch' AND row = 2", 2.0),
    ("SELECT count(*) > 0 FROM information_schema.tables", True),
    ("SELECT r.id FROM public.runs AS r WHERE r.id IN (SELECT run_id FROM configs) ORDER BY r.id LIMIT 1", 1),
    ("SELECT CASE WHEN (1 = 1) THEN (2) ELSE (3) END", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize("statement", REFUSED)
def test_j11_a_superuser_is_refused(lab: str, cli: Cli, tmp_path: Path, statement: str) -> None:
    tmp_path.chmod(0o777)
    mark = tmp_path / "mark"
    outcome = cli("--db", lab, "sql", statement.replace("{mark}", str(mark)))
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert not mark.exists()
    assert "this prompt only reads" in outcome.err


@pytest.mark.parametrize(("statement", "answer"), ASKED)
def test_j11_questions_are_answered(lab: str, cli: Cli, statement: str, answer: object) -> None:
    outcome = cli("--db", lab, "sql", "--jsonl", statement.replace("{{", "{").replace("}}", "}"))
    assert outcome.code == 0, outcome
    values = [next(iter(json.loads(line).values())) for line in outcome.out.splitlines()]
    assert values == ([] if answer is None else [answer])


def test_j11_explain_and_the_dot_commands(lab: str, cli: Cli) -> None:
    for statement in (
        "EXPLAIN SELECT * FROM runs",
        "EXPLAIN (FORMAT JSON, VERBOSE) SELECT 1",
        "EXPLAIN VERBOSE TABLE runs",
    ):
        assert cli("--db", lab, "sql", statement).code == 0, statement
    assert "metric_points" in cli("--db", lab, "sql", ".tables").out
    assert "run_id" in cli("--db", lab, "sql", ".schema configs").out


def test_j11_a_statement_on_a_server_ends_in_time(lab: str, cli: Cli) -> None:
    began = time.monotonic()
    endless = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    outcome = cli("--db", lab, "sql", "--timeout", "0.5", endless)
    assert outcome.code == 2
    assert "it takes longer than 0.5 seconds" in outcome.err
    assert time.monotonic() - began < 10


@pytest.fixture(scope="module")
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.config.getoption("--postgresql"):
        pytest.skip("of SQLite alone")
    place = tmp_path_factory.mktemp("sql") / "spindb.db"
    ingest(place, [DATA])
    return place


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('x', 'y')",
        "SELECT edit('x')",
        "SELECT fts3_tokenizer('simple')",
        "ATTACH 'other.db' AS other",
        "SELECT * FROM pragma_database_list",
        "PRAGMA trusted_schema = ON",
        "PRAGMA writable_schema = ON",
        "PRAGMA hard_heap_limit = 0",
        "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        pytest.param(
            "SELECT length(zeroblob(1000000000))",
            marks=pytest.mark.skipif(
                sys.version_info < (3, 11), reason="needs Connection.setlimit; takes no memory without"
            ),
        ),
        "VACUUM INTO 'copy.db'",
        "EXPLAIN DELETE FROM runs",
    ],
)
def test_j11_a_file_is_only_read(
    file: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = file.read_bytes()
    outcome = cli("--db", file, "sql", statement)
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert file.read_bytes() == before
    assert not list(tmp_path.iterdir())


def test_j11_a_printed_number_takes_no_memory(file: Path, cli: Cli) -> None:
    assert json.loads(cli("--db", file, "sql", "--json", "SELECT printf('%1000000000d', 1) AS a").out) == [{"a": None}]


def test_j11_a_statement_on_a_file_ends_in_time(file: Path, cli: Cli) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    outcome = cli("--db", file, "sql", "--timeout", "0.3", endless)
    assert outcome.code == 2
    assert "it takes longer than 0.3 seconds" in outcome.err


@pytest.mark.slow
def test_rows_are_printed_as_they_come(file: Path, cli: Cli) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT i FROM n"
    assert len(cli("--db", file, "sql", "--csv", many).out.splitlines()) == 30_001
    assert json.loads(cli("--db", file, "sql", "--json", many).out)[-1] == {"i": 30_000}
    table = cli("--db", file, "sql", many)
    assert "the first 10000 rows" in table.err
    assert json.loads(cli("--db", file, "sql", "--json", "SELECT 1 WHERE 0").out) == []


def test_what_tokens_do_not_tell_is_refused() -> None:
    for text in ("SELECT \\", "SELECT \x00", "SELECT a$b(1)", "SELECT f\xa0(1)"):
        with pytest.raises(UsageError):
            statements.read_sql_statement(text)
