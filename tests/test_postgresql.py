"""PostgreSQL: what only a server has. That all else holds there too is shown by the other tests with --postgresql."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from conftest import Outcome, settle
from servers import PASSWORD, SECURED, Server
from sqlalchemy import inspect

from spindb.errors import DatabaseError, SchemaError
from spindb.index.database import migrate
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.database.models import REVISIONS, metadata
from spindb.index.query.search import Query, search
from spindb.ingest.pipeline import ingest

pytestmark = pytest.mark.sqlite  # they name their server themselves

Write = Callable[..., Path]
Cli = Callable[..., Outcome]


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of its own."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.url(database=name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connected(url) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


_MADE = """
    SELECT 'column', table_name, column_name, data_type || coalesce(' ' || collation_name, '') || is_nullable
           || coalesce(' ' || column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'view', viewname, '', definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'statistics', stxname, stxstattarget::text, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
"""


def test_migrations_go_back_and_lead_to_what_a_new_database_has(url: str) -> None:
    from alembic import command

    engine = open_engine(url, write=True)
    assert migrate.upgrade(engine, "x") == (None, REVISIONS[-1])
    assert migrate.upgrade(engine, "x") == (REVISIONS[-1], REVISIONS[-1])
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert inspect(connection).get_view_names() == ["metric_points"]
        (series,) = (c for c in inspect(connection).get_columns("metrics") if c["name"] == "series")
        assert str(series["type"].item_type) == "DOUBLE PRECISION"  # type: ignore[attr-defined]
    new = sorted(ask(url, _MADE))
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_directory()))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
    migrated = sorted(ask(url, _MADE))
    assert migrated == new
    assert {"column", "index", "view", "constraint", "statistics"} == {kind for kind, *_ in new}


def test_every_cell_survives_and_the_view_unpacks_it(run_directory: Write, url: str, tmp_path: Path) -> None:
    cells = ("1.5", "nan", "inf", "-inf", "", "two words", str(2**60 + 1), "-0.0")
    directory = run_directory("odd/odd_s0", rows=[(i, cell) for i, cell in enumerate(cells)])
    ingest(url, [tmp_path / "data"])
    found = ask(url, "SELECT row, epoch, value, text FROM metric_points WHERE name = 'AverageEpRet' ORDER BY row")
    assert found == [
        (0, 0.0, 1.5, None),
        (1, 1.0, None, "NaN"),
        (2, 2.0, float("inf"), None),
        (3, 3.0, float("-inf"), None),
        (4, 4.0, None, None),
        (5, 5.0, None, "two words"),
        (6, 6.0, float(2**60), None),
        (7, 7.0, 0.0, None),
    ]
    (odd,) = ask(url, "SELECT odd_cells FROM metrics WHERE name = 'AverageEpRet'")[0]
    assert json.loads(odd) == {"5": "two words", "6": 2**60 + 1}
    assert directory.is_dir()


def test_order_is_that_of_code_points(run_directory: Write, url: str, tmp_path: Path, cli: Cli) -> None:
    for number, name in enumerate(("b", "B", "a", "ä")):
        run_directory(name, rows=[(0, number)])
    ingest(url, [tmp_path / "data"])
    assert [row["name"] for row in json.loads(cli("--db", url, "runs", "--sort", "name", "--json").out)] == [
        *("B", "a", "b", "ä")
    ]


def test_two_hosts_ingest_their_own_directories_at_once(
    run_directory: Write, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    """Several processes, each with another name of its machine."""
    for host in ("alpha", "beta", "gamma"):
        for number in range(30):
            run_directory(f"{host}/exp/{host}_s{number}", rows=[(0, f"{len(host)}.{number}")])
    code = (
        "import socket, sys; from pathlib import Path; socket.gethostname = lambda: sys.argv[1];"
        "from spindb.ingest.pipeline import ingest; print(ingest(sys.argv[2], [Path(sys.argv[3])]).new)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, host, url, str(tmp_path / "data" / host)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for host in ("alpha", "beta", "gamma")
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out.strip()) == (0, "30"), err
    assert ask(url, "SELECT host, count(*) FROM runs JOIN roots ON roots.id = root_id GROUP BY host ORDER BY host") == [
        ("alpha", 30), ("beta", 30), ("gamma", 30)
    ]  # fmt: skip
    (run_id,) = ask(url, "SELECT min(runs.id) FROM runs JOIN roots ON roots.id = root_id WHERE host = 'beta'")[0]
    monkeypatch.setattr(socket, "gethostname", lambda: "alpha")
    (tmp_path / "data" / "beta").rename(tmp_path / "away")
    played = cli("--db", url, "test-policy", run_id, "-nr")
    assert played.code == 3
    assert "on beta, and is not there now" in played.err


def test_readers_are_not_blocked_by_a_writer_and_can_not_write(run_directory: Write, url: str, tmp_path: Path) -> None:
    run_directory("a")
    ingest(url, [tmp_path / "data"])
    with connected(url, write=True) as writer:
        writer.exec_driver_sql("UPDATE runs SET name = 'z'")
        assert ask(url, "SELECT name FROM runs") == [("a",)]
    assert ask(url, "SELECT name FROM runs") == [("z",)]
    with pytest.raises(DatabaseError, match="read-only transaction"):
        ask(url, "DELETE FROM runs")


def test_a_question_asked_often_is_planned_for_what_it_asks(run_directory: Write, url: str, tmp_path: Path) -> None:
    run_directory("a/a_s0")
    ingest(url, [tmp_path / "data"])
    with connected(url) as connection:
        for number in range(15):
            search(connection, Query(f"AverageEpRet<{number}", ("id", "AverageEpRet.max"), ("-AverageEpRet.max",)))
        plans = "SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements"
        generic, custom = connection.exec_driver_sql(f"{plans} WHERE strpos(statement, 'metric0') > 0").one()
    assert (generic, custom > 5) == (0, True)


def test_writers_take_turns(run_directory: Write, url: str, tmp_path: Path) -> None:
    run_directory("a")
    ingest(url, [tmp_path / "data"])
    order: list[str] = []

    def write_later() -> None:
        with connected(url, write=True) as connection:
            order.append("second")
            connection.exec_driver_sql("UPDATE runs SET name = 'second'")

    with connected(url, write=True) as connection:
        connection.exec_driver_sql("UPDATE runs SET name = 'first'")
        thread = threading.Thread(target=write_later)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert ask(url, "SELECT name FROM runs") == [("second",)]


def test_a_reader_role_reads_and_cannot_write(
    run_directory: Write, server: Server, url: str, tmp_path: Path, cli: Cli
) -> None:
    """The statements of docs/postgresql.md."""
    run_directory("a")
    ingest(url, [tmp_path / "data"])
    database = url.rpartition("?")[0].rpartition("/")[2]
    page = (Path(__file__).parent.parent / "docs" / "postgresql.md").read_text()
    statements = page.split("```sql\n")[1].split("```")[0].replace("spindb_reader", f"reader_{database}")
    for statement in filter(str.strip, statements.replace("DATABASE lab", f"DATABASE {database}").split(";")):
        server.execute(statement, database=database)
    reader = server.url(database=database, user=f"reader_{database}")
    try:
        assert cli("--db", reader, "runs", "--ids").out == "1\n"
        refused = cli("--db", reader, "tag", "1", "+good")
        assert refused.code == 4
        assert "permission denied for table tags" in refused.err
        assert "docs/postgresql.md says which rights" in refused.err
        assert cli("--db", url, "tag", "1", "+good").code == 0
        assert cli("--db", reader, "runs", "tag:good", "--ids").out == "1\n"
    finally:
        server.execute(f"DROP OWNED BY reader_{database}", database=database)
        server.execute(f"DROP ROLE reader_{database}")


def test_statements_that_people_type_only_read(run_directory: Write, url: str, tmp_path: Path, cli: Cli) -> None:
    run_directory("a", config={"exp_name": "50%"})
    ingest(url, [tmp_path / "data"])
    assert cli("--db", url, "sql", "--csv", "SELECT count(*) AS n FROM runs WHERE exp_name LIKE '50%'").out == "n\n1\n"
    for typed in (
        "DELETE FROM runs",
        "SELECT 1; DELETE FROM runs",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM runs",
        "COMMIT; DELETE FROM runs",
        "CREATE TABLE x (y int)",
    ):
        assert cli("--db", url, "sql", typed).code == 2, typed
    both = subprocess.run(
        [sys.executable, "-m", "spindb", "--db", url, "sql"],
        input="SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; SET TRANSACTION READ WRITE; DELETE FROM runs",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this prompt only reads" in both.stderr
    assert ask(url, "SELECT count(*) FROM runs") == [(1,)]
    assert "metric_points,view" in cli("--db", url, "sql", "--csv", ".tables").out
    assert "odd_cells" in cli("--db", url, "sql", "--csv", ".schema metrics").out
    assert 'relation "nowhere" does not exist' in cli("--db", url, "sql", "SELECT * FROM nowhere").err


def test_completion_asks_the_server(run_directory: Write, url: str, tmp_path: Path) -> None:
    run_directory("a", config={"exp_name": "x", "clip_ratio": 0.25})
    ingest(url, [tmp_path / "data"])
    for words, offered in (("spindb runs clip", "clip_ratio"), ("spindb runs clip_ratio=", "clip_ratio=0.25")):
        shell = {"_SPINDB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2", "SPINDB_URL": url}
        code = "from spindb.__main__ import main; main()"
        found = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.argv[0] = 'spindb'; {code}"],
            env={**os.environ, **shell},
            capture_output=True,
            text=True,
            check=False,
        )
        assert offered in found.stdout.split(), found


# What goes wrong with servers.


def test_a_wrong_password_is_said_and_never_shown(server: Server, cli: Cli, tmp_path: Path) -> None:
    server.execute(f"CREATE DATABASE {SECURED}")
    server.execute(f"CREATE ROLE lab LOGIN PASSWORD '{PASSWORD}'")
    server.execute(f"GRANT ALL ON DATABASE {SECURED} TO lab")
    asked = server.url(database=SECURED, user="lab:swordfish")
    outcome = cli("--db", asked, "runs")
    assert outcome.code == 4
    assert "password authentication failed" in outcome.err
    assert "hint: the URL, PGPASSWORD or ~/.pgpass gives the password" in outcome.err
    assert "swordfish" not in outcome.err
    assert "Traceback" not in outcome.err
    missing = cli("--db", server.url(database=SECURED, user="lab"), "runs")
    assert "no password supplied" in missing.err
    right = cli("--db", server.url(database=SECURED, user=f"lab:{PASSWORD.replace(' ', '%20')}"), "runs")
    assert "is empty: nothing was ingested yet" in right.err
    assert "correct" not in right.err


def test_no_server_and_no_database_are_said(server: Server, cli: Cli, tmp_path: Path) -> None:
    nowhere = cli("--db", f"postgresql+psycopg://spindb@/postgres?host={tmp_path}", "runs")
    assert nowhere.code == 4
    assert "is the server running" in nowhere.err.lower()
    absent = cli("--db", server.url(database="absent"), "runs")
    assert absent.code == 4
    assert 'database "absent" does not exist' in absent.err
    assert "createdb makes a database" in absent.err
    stranger = cli("--db", server.url().replace("spindb@", "stranger@"), "runs")
    assert stranger.code == 4
    assert 'role "stranger" does not exist' in stranger.err
    assert "createuser makes one" in stranger.err
    with pytest.raises(DatabaseError, match="mysql is not supported"):
        open_engine("mysql+pymysql://root@/x")


def test_an_empty_database_is_said(url: str) -> None:
    with pytest.raises(SchemaError, match="is empty: nothing was ingested yet"):
        ask(url, "SELECT 1")


@pytest.fixture
def own_server(server: Server) -> Iterator[Server]:
    """One that a test may hurt."""
    running = Server(server.binaries, connections=8)
    yield running
    running.stop()


def test_two_test_runs_leave_each_others_servers_alone(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert not server.directory.is_relative_to(tmp_path_factory.getbasetemp())
    beside = Server(server.binaries, connections=8)
    assert beside.directory != server.directory
    assert len(str(beside.directory / ".s.PGSQL.5432")) < 100  # systems take no longer path of a socket
    beside.execute("SELECT 1")
    beside.stop()
    assert not beside.directory.exists()
    server.execute("SELECT 1")


def test_a_full_server_is_said(own_server: Server, cli: Cli) -> None:
    import psycopg

    with ExitStack() as held:
        with suppress(psycopg.OperationalError):
            for _ in range(20):
                held.enter_context(psycopg.connect(host=str(own_server.directory), user="spindb", dbname="postgres"))
        outcome = cli("--db", own_server.url(), "runs")
    assert outcome.code == 4
    assert "too many clients" in outcome.err or "connection slots" in outcome.err
    assert "hint: wait, or let the server take more (max_connections)" in outcome.err


def many_runs(run_directory: Write, tmp_path: Path, count: int = 400) -> Path:
    for number in range(count):
        directory = tmp_path / "data" / f"exp_s{number}"
        directory.mkdir(parents=True)
        rows = "".join(f"{row}\t{number}.{row}\n" for row in range(20))
        (directory / "progress.txt").write_text("Epoch\tAverageEpRet\n" + rows)
    settle(tmp_path / "data")
    return tmp_path / "data"


def ingest_often(url: str, data: Path) -> None:
    for _ in range(50):
        ingest(url, [data])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "cut"])
def test_a_server_that_goes_away_in_mid_ingest(
    how: str, own_server: Server, run_directory: Write, tmp_path: Path
) -> None:
    data = many_runs(run_directory, tmp_path)
    url = own_server.url()
    seen: list[int] = []

    def hurt(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            own_server.kill()

    if how == "killed":
        with pytest.raises(DatabaseError) as caught:
            ingest(url, [data], progress=hurt)
        assert "Traceback" not in str(caught.value)
        assert caught.value.hint
        own_server.start()
    else:
        stop = threading.Event()

        def cut_all_the_time() -> None:
            while not stop.wait(0.01):
                own_server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )

        thread = threading.Thread(target=cut_all_the_time)
        ingest(url, [data / "exp_s0"])
        thread.start()
        try:
            with pytest.raises(DatabaseError) as caught:
                ingest_often(url, data)
        finally:
            stop.set()
            thread.join()
        assert "what was committed is there; the next spindb ingest goes on" in str(caught.value.hint)
    whole = ask(
        url, "SELECT runs.id FROM runs LEFT JOIN metrics ON run_id = runs.id GROUP BY runs.id HAVING count(*) <> 2"
    )
    assert whole == []
    ingest(url, [data])
    assert ask(url, "SELECT count(*) FROM runs") == [(400,)]
    assert ask(url, "SELECT count(*) FROM metrics") == [(800,)]
