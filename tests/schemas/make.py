"""Writes a database of the schema that this checkout makes: ``make.py DIRECTORY``, once for each revision.

What it makes is kept in ``tests/schemas`` for as long as there is spindb: each is upgraded and used by the tests.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from conftest import EVALUATION, VERDICT, settle
from servers import Server, programs

from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.database.migrate import upgrade
from spindb.index.database.models import REVISIONS
from spindb.index.maintenance.copy import verified_copy
from spindb.index.write.annotations import add_note, tag_runs
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest

ROWS = ((0, 1.0, ""), (1, "nan", "text"), (2, "inf", 3))


def small_study(data: Path) -> None:
    """Two runs with what is odd in them."""
    for seed in range(2):
        directory = data / f"ppo_s{seed}"
        directory.mkdir(parents=True)
        lines = [("Epoch", "AverageEpRet", "Odd"), *ROWS]
        (directory / "progress.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
        (directory / "config.json").write_text(f'{{"seed": {seed}, "exp_name": "ppo", "pi_lr": 0.001}}')
    settle(data)


def make(place: Path) -> None:
    """Write ``REVISION.db`` and ``REVISION.sql``."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        small_study(work / "data")
        database = work / "spindb.db"
        ingest(database, [work / "data"])
        with connected(database, write=True) as connection:
            connection.exec_driver_sql("UPDATE roots SET host = 'elsewhere', path = '/study/data'")
            tag_runs(connection, [1], ["good"], [])
            add_note(connection, [2], "diverged")
            add_evaluation(connection, 1, replace(EVALUATION, verdict=VERDICT))
        with closing(sqlite3.connect(database)) as raw:
            raw.execute("PRAGMA journal_mode = DELETE")
            raw.execute("PRAGMA page_size = 512")
            raw.execute("VACUUM")
        (place / f"{REVISIONS[-1]}.db").write_bytes(database.read_bytes())
        binaries = programs()
        assert binaries is not None
        server = Server(binaries)
        try:
            engine = open_engine(server.url(), write=True)
            upgrade(engine, "the server")
            with connected(database) as source, engine.begin() as target:
                verified_copy(source, target)
            dumped = subprocess.run(
                [binaries / "pg_dump", "-h", server.directory, "-U", "spindb", "--no-owner", "--inserts", "postgres"],
                check=True,
                capture_output=True,
                text=True,
            )
            kept = [line for line in dumped.stdout.splitlines() if line and not line.startswith(("--", "\\", "SET "))]
            (place / f"{REVISIONS[-1]}.sql").write_text("\n".join(kept) + "\n")
        finally:
            server.stop()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
