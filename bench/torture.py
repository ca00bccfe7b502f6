"""Kills, fills and crowds a real database, and looks at what is left.

    python bench/torture.py kill [ROUNDS]      kill -9 a real ingest at random instants (default 200)
    python bench/torture.py full [ROUNDS]      let it run into a full disk (RLIMIT_FSIZE; default 40)
    python bench/torture.py crowd [SECONDS]    eight ingests, eight readers, two annotators at once (default 60)
    python bench/torture.py watch [SECONDS]    ingest --watch while ten runs grow, its memory and delays (default 60)

Each ends with a line of figures, or with the first thing that was wrong.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from generate import age, generate
from sqlalchemy import insert

from spindb.index.database.connect import connected
from spindb.index.database.damage import damage
from spindb.index.database.engine import open_engine
from spindb.index.database.models import tags
from spindb.ingest.pipeline import ingest

RUNS = 300
SPINDB = (sys.executable, "-m", "spindb")
# As from a thousand new runs on, where they are more than there are: without some indexes until all are in.
AS_MANY = (
    *(sys.executable, "-c"),
    "import spindb.index.database.deferred_indexes as d; d._WORTH_SORTING = 1; "
    "from spindb.__main__ import main; main()",
)
Dump = dict[str, tuple[tuple[object, ...], ...]]


def dump(database: Path, *, siblings: bool = True) -> Dump:
    """All that is known of what each directory holds and held before, oldest first, by path.

    Ids and times of ingest are left out. Without `siblings` what a run only has from others is left out too: an ingest
    settles that at its end.
    """
    found: Dump = {}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        env = "env_id" if siblings else "iif(env_source = 'siblings', NULL, env_id)"
        columns = f"path, name, exp_name, seed, algo, {env}, status, rows, fingerprint"
        for run_id, *row in connection.execute(f"SELECT id, {columns} FROM runs ORDER BY path, generation"):
            parts = [
                connection.execute(f"SELECT {what} WHERE run_id = ? ORDER BY 1", (run_id,)).fetchall()
                for what in (
                    "key, type, value, number FROM configs",
                    "name, position, count, first, last, min, max, mean, argmin, argmax, series FROM metrics",
                    "path, kind, itr FROM snapshots",
                    "code, path, line, message FROM problems",
                )
            ]
            found[str(row[0])] = (*found.get(str(row[0]), ()), (*row, *parts))
    return found


def present(found: Dump) -> Dump:
    """What directories hold now, without what they held before: all that a new database can know."""
    return {path: contents[-1:] for path, contents in found.items()}


class Trial:
    """A tree in two states, the database of the first, and what the database is of each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tree, self.database = directory / "data", directory / "spindb.db"
        self.before_file = directory / "before.db"
        generate(self.tree, runs=RUNS, epochs=20, metrics=8, odd=True)
        ingest(self.before_file, [self.tree])
        with open_engine(self.before_file, write=True).begin() as connection:
            connection.execute(insert(tags), [{"run_id": run, "tag": "kept"} for run in range(1, RUNS, 3)])
        self.before = dump(self.before_file, siblings=False)
        self.change()
        after_file = directory / "after.db"
        shutil.copy(self.before_file, after_file)
        ingest(after_file, [self.tree])
        self.after = dump(after_file, siblings=False)
        assert any(len(contents) > 1 for contents in self.after.values()), "nothing was overwritten"
        self.complete_after = dump(after_file)
        self.tags = len(range(1, RUNS, 3))

    def change(self) -> None:
        """Grow every second run, overwrite every fifth, add some."""
        for number, table in enumerate(sorted(self.tree.rglob("progress.txt"))):
            if number % 2 == 0 and table.stat().st_size:
                with table.open("a") as file:
                    file.write(table.read_text().splitlines()[-1] + "\n")
            elif number % 5 == 0:
                table.write_text("Epoch\tAverageEpRet\n0\t1.5\n")
            age(table.parent, 1800)
        generate(self.tree / "more", runs=20, epochs=10)

    def reset(self, *, empty: bool) -> None:
        for leftover in self.directory.glob("spindb.db*"):
            leftover.unlink()
        if not empty:
            shutil.copy(self.before_file, self.database)

    def command(self) -> list[str]:
        return [*AS_MANY, "--db", str(self.database), "ingest", "--jobs", "1", str(self.tree)]

    def examine(self, *, empty: bool) -> str:
        """Each run as before or as after, the file sound, what people added there; says how far it got."""
        if not self.database.exists() or self.database.stat().st_size == 0:
            assert empty, "the database is gone"
            return "nothing"
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
        if tables == 0:
            assert empty, "the schema is gone"
            return "nothing"
        found = dump(self.database, siblings=False)
        before, after = (present(dump) if empty else dump for dump in (self.before, self.after))
        for path, row in found.items():
            assert row in (before.get(path), after.get(path)), f"{path} is neither as before nor as after"
        if not empty:
            assert found.keys() >= self.before.keys(), "runs are gone"
            with contextlib.closing(sqlite3.connect(self.database)) as connection:
                assert connection.execute("SELECT count(*) FROM tags").fetchone()[0] == self.tags, "tags are gone"
        if found == after:
            return "all"
        return "nothing" if found == before or not found else "some"

    def complete(self, *, empty: bool) -> None:
        """The next ingest completes it."""
        ingest(self.database, [self.tree])
        expected = present(self.complete_after) if empty else self.complete_after
        assert dump(self.database) == expected, "the next ingest did not complete it"
        with connected(self.database) as connection:
            assert not list(damage(connection)), "db check finds damage"
        assert _indexes(self.database) == _indexes(self.before_file), "the next ingest did not make the indexes"
        self.examine(empty=empty)


def _indexes(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}


def kill(rounds: int, seed: int = 0) -> str:
    """Kill -9 at random instants; every fourth time there is no database yet, so its creation is hit too."""
    rng, reached = random.Random(seed), {"nothing": 0, "some": 0, "all": 0}
    with tempfile.TemporaryDirectory() as place:
        trial = Trial(Path(place))
        trial.reset(empty=False)
        began = time.monotonic()
        subprocess.run(trial.command(), capture_output=True, check=False)
        usual = time.monotonic() - began
        assert trial.examine(empty=False) == "all", "the ingest fails where nothing kills it"
        for number in range(rounds):
            empty = number % 4 == 3
            trial.reset(empty=empty)
            process = subprocess.Popen(trial.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.3, 1.05) * usual)
            process.send_signal(signal.SIGKILL)
            process.wait()
            reached[trial.examine(empty=empty)] += 1
            trial.complete(empty=empty)
    how_far = ", ".join(f"{count} times {what} was written" for what, count in reached.items())
    return f"{rounds} kills: {how_far}; nothing lost"


def full(rounds: int, seed: int = 0) -> str:
    """Let files grow to a random size and no further: the command must say so and lose nothing."""
    rng, failed = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as place:
        trial = Trial(Path(place))
        size = (Path(place) / "after.db").stat().st_size
        for number in range(rounds):
            empty = number % 4 == 3
            trial.reset(empty=empty)
            limit = rng.randrange(1, size)

            def restrict(limit: int = limit) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

            result = subprocess.run(trial.command(), preexec_fn=restrict, capture_output=True, text=True, check=False)
            assert result.returncode in (0, 1, 4), result.stderr
            assert "Traceback" not in result.stderr, result.stderr
            failed += result.returncode == 4
            trial.examine(empty=empty)
            trial.complete(empty=empty)
    return f"{rounds} limits on file size: {failed} ingests failed with exit code 4 and words; nothing lost"


def crowd(seconds: float) -> str:
    """Eight ingests of four changing trees, eight readers, two annotators, one database."""
    counts = {"ingest": 0, "read": 0, "annotate": 0}
    wrong: list[str] = []
    lock = threading.Lock()
    with tempfile.TemporaryDirectory() as place:
        database = Path(place) / "spindb.db"
        trees = [Path(place) / f"data{number}" for number in range(4)]
        for tree in trees:
            generate(tree, runs=40, epochs=20)
        ingest(database, trees[:1])  # the others are new to all that come at once
        end = time.monotonic() + seconds

        def repeat(kind: str, action: list[str] | None, tree: Path | None, number: int) -> None:
            while time.monotonic() < end and not wrong:
                if tree is not None:
                    table = random.Random(counts[kind]).choice(sorted(tree.rglob("progress.txt")))
                    with table.open("a") as file:
                        file.write(table.read_text().splitlines()[-1] + "\n")
                if action is not None:
                    result = subprocess.run(action, capture_output=True, text=True, check=False)
                    if result.returncode not in (0, 1) or "locked" in result.stderr:
                        wrong.append(f"{kind}: {result.returncode} {result.stderr}")
                else:
                    with open_engine(database, write=True).begin() as connection:
                        with lock:
                            name = f"{number}-{counts[kind]}"
                        connection.execute(insert(tags).values(run_id=1 + counts[kind] % 40, tag=name))
                with lock:
                    counts[kind] += 1

        base = [*SPINDB, "--db", str(database)]
        # Two for each tree: they meet in the same runs.
        jobs = [("ingest", [*base, "ingest", "--jobs", "1", str(tree)], tree) for tree in trees * 2]
        jobs += [("read", [*base, "runs", "AverageEpRet>1", "--sort", "-AverageEpRet", "--json"], None)] * 8  # type: ignore[list-item]
        jobs += [("annotate", None, None)] * 2  # type: ignore[list-item]
        threads = [threading.Thread(target=repeat, args=(*job, i)) for i, job in enumerate(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong[0]
        ingest(database, trees)
        clean = Path(place) / "clean.db"
        ingest(clean, trees)
        with contextlib.closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = connection.execute("SELECT count(*) FROM tags").fetchone()[0]
        assert kept == counts["annotate"], f"{kept} of {counts['annotate']} tags"
        found, expected = dump_by_root(database), dump_by_root(clean)
        assert found == expected, "not what a clean ingest gives"
    did = ", ".join(f"{count} {kind}s" for kind, count in counts.items())
    return f"{seconds:.0f} seconds, 18 at once: {did}; nobody met a lock, nothing lost"


def watch(seconds: float) -> str:
    """Follow ten runs that grow ten times a second in all; how much memory, and how late each row is seen."""
    with tempfile.TemporaryDirectory() as place:
        database, tree = Path(place) / "spindb.db", Path(place) / "data"
        generate(tree, runs=10, epochs=5, metrics=10)
        command = [*SPINDB, "--db", str(database), "ingest", "--watch", str(tree)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )
        time.sleep(3)
        seen: dict[tuple[str, int], float] = {}
        assert process.stdout is not None
        lines = process.stdout

        def read() -> None:
            for line in lines:  # TIME run ID NAME ROWS rows ...
                words = line.split()
                seen[words[3], int(words[4])] = time.monotonic()

        threading.Thread(target=read, daemon=True).start()
        written: dict[tuple[str, int], float] = {}
        tables, sizes = sorted(tree.rglob("progress.txt")), []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            table, number = tables[len(written) % 10], 5 + len(written) // 10
            with table.open("a") as file:
                file.write("\t".join([str(number)] * 10) + "\n")
            written[table.parent.name, number + 1] = time.monotonic()
            if len(written) % 50 == 0:
                status = Path(f"/proc/{process.pid}/status").read_text()
                sizes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
            time.sleep(0.1)
        last = next(reversed(written))
        while last not in seen:
            assert time.monotonic() < written[last] + 30, "the last row was never seen"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, "an interrupted watch ends well"
    delays = sorted(at - written[row] for row, at in seen.items() if row in written)
    return (
        f"{len(written)} rows in {seconds:.0f} seconds: seen {delays[len(delays) // 2]:.1f} s after they were written"
        f" (median; at most {delays[-1]:.1f} s); memory {sizes[0]:.0f} MB at first, {sizes[-1]:.0f} MB at last"
    )


def dump_by_root(database: Path) -> list[tuple[object, ...]]:
    """Runs with their places and last values, sorted."""
    statement = (
        "SELECT o.path, r.path, r.rows, r.fingerprint, m.name, m.last, m.series FROM runs r"
        " JOIN roots o ON o.id = r.root_id LEFT JOIN metrics m ON m.run_id = r.id ORDER BY 1, 2, 5"
    )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    amount = [float(word) for word in sys.argv[2:3]]
    match sys.argv[1:2]:
        case ["kill"]:
            print(kill(*(int(a) for a in amount or [200])))
        case ["full"]:
            print(full(*(int(a) for a in amount or [40])))
        case ["watch"]:
            print(watch(*(amount or [60.0])))
        case ["crowd"]:
            print(crowd(*(amount or [60.0])))
        case _:
            sys.exit(__doc__)
