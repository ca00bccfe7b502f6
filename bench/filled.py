"""What queries cost inside a database of many runs, on SQLite and on PostgreSQL.

Fills a database with records through the code that ingest writes with (no files are read), then asks:

    python bench/filled.py [RUNS] [ROUNDS] [EPOCHS] [--postgresql]

The server is one of its own, started for the time of the bench. Each figure is the median over rounds of the time
that the statements of a question took inside the database and its driver, the count of all that match among them.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, event

from spindb.disk.configs import leaf
from spindb.index.database import migrate
from spindb.index.database.connect import connected
from spindb.index.database.deferred_indexes import indexed_afterwards
from spindb.index.database.engine import open_engine
from spindb.index.database.planner import refresh_statistics
from spindb.index.query.search import Query, search
from spindb.index.read.curves import curves
from spindb.index.write.batch import Batch
from spindb.index.write.roots import place_of
from spindb.index.write.rows import rows_of
from spindb.records import Content, EnvironmentHint, MetricSeries, RunRecord

HYPERPARAMETERS, METRICS = 30, 20
SEEDS = 10
_BATCH = 500

QUESTIONS = {
    "narrow: two hyperparameters and a metric": "h0=3 h1=7 AverageEpRet.max>60",
    "narrow by environment and learning rate": "env=Env-3 lr=1e-3 AverageEpRet>50",
    "broad: half of all runs": "h2<5 AverageEpRet.max>20",
    "or": "h0=3 or h1=7 or AverageEpRet.max>90",
    "not": "not h0=3 not h1=7",
    "all of them": "",
}


def records(runs: int, epochs: int) -> Iterator[RunRecord]:
    """Runs of settings times seeds, the same ones each time."""
    epoch_cells = [float(e) for e in range(epochs)]
    for number in range(runs):
        rng = random.Random(number)
        setting, seed = divmod(number, SEEDS)
        dice = random.Random(setting)
        name = f"exp{setting}_s{seed}"
        leaves = [leaf(f"h{i}", dice.randrange(10)) for i in range(HYPERPARAMETERS - 2)]
        leaves += [leaf("lr", 10.0 ** -dice.randrange(1, 6)), leaf("seed", seed)]
        level = 100 * rng.random()
        metrics = [
            MetricSeries("Epoch", epoch_cells),
            MetricSeries("AverageEpRet", [level * e / epochs + rng.random() for e in range(epochs)]),
            MetricSeries("TotalEnvInteracts", [4000.0 * (e + 1) for e in range(epochs)]),
            *(MetricSeries(f"Metric{i}", [rng.random() for _ in range(epochs)]) for i in range(METRICS - 3)),
        ]
        yield RunRecord(
            f"exp{setting}/{name}", name, "spinningup", "ok",
            exp_name=f"exp{setting}", seed=seed, algo=("ppo", "sac", "td3")[setting % 3], algo_source="config",
            env=EnvironmentHint(f"Env-{setting % 7}", "config"), rows=epochs, axis="Epoch", steps="TotalEnvInteracts",
            performance="AverageEpRet", content=Content(f"w{number}", 100, f"m{number}", f"c{number}"),
            config=tuple(leaves), metrics=tuple(metrics),
        )  # fmt: skip


def fill(location: str, runs: int, epochs: int) -> float:
    """Put the runs into a new database; returns seconds of writing."""
    engine = open_engine(location, write=True)
    migrate.upgrade(engine, location)
    begun = time.perf_counter()
    with engine.begin() as connection:
        root = place_of(connection, Path("/bench")).root_id
    pending = records(runs, epochs)
    with engine.connect() as connection, indexed_afterwards(connection, runs):
        for _ in range(0, runs, _BATCH):
            with connection.begin():
                batch = Batch(connection, root, _BATCH)
                for _, record in zip(range(_BATCH), pending, strict=False):
                    batch.add(rows_of(record, engine.name), "s")
                batch.write()
    refresh_statistics(engine)
    engine.dispose()
    return time.perf_counter() - begun


class Clock:
    """Seconds that statements took, fetching included as far as the driver fetches at once."""

    def __init__(self, connection: Connection) -> None:
        self.seconds = 0.0
        self._begun = 0.0
        event.listen(connection, "before_cursor_execute", self._begin)
        event.listen(connection, "after_cursor_execute", self._end)

    def _begin(self, *_: object) -> None:
        self._begun = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begun


def median_ms(ask: Callable[[], object], connection: Connection, rounds: int) -> tuple[float, float, float]:
    """Milliseconds in the database: median, least, most; the first round warms it."""
    clock, found = Clock(connection), []
    for _ in range(rounds + 1):
        clock.seconds = 0.0
        ask()
        found.append(1000 * clock.seconds)
    return statistics.median(found[1:]), min(found[1:]), max(found[1:])


def measure(location: str, rounds: int) -> None:
    """Ask all questions."""
    with connected(location) as connection:
        for name, text in QUESTIONS.items():
            query = Query(text, ("id", "name", "AverageEpRet.max"), ("-AverageEpRet.max",), limit=20)
            total = search(connection, query).total
            middle, low, high = median_ms(lambda query=query: search(connection, query), connection, rounds)
            print(f"  {name:<42} {middle:8.1f} ms ({low:.1f} to {high:.1f}), {total} runs match, 20 shown")
        ids = list(range(101, 131))
        middle, low, high = median_ms(lambda: curves(connection, ids, "AverageEpRet"), connection, rounds)
        print(f"  {'30 curves':<42} {middle:8.1f} ms ({low:.1f} to {high:.1f})")


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    runs, rounds, epochs = [*map(int, words), *(10_000, 5, 20)[len(words) :]]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "spindb.db"
        print(f"SQLite, {runs} runs x {HYPERPARAMETERS} hyperparameters x {METRICS} metrics x {epochs} epochs")
        seconds = fill(str(path), runs, epochs)
        print(f"  written in {seconds:.1f} s, {path.stat().st_size / 1e6:.0f} MB")
        measure(str(path), rounds)
        if "--postgresql" in sys.argv:
            sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
            from servers import Server, programs

            binaries = programs()
            assert binaries is not None, "no PostgreSQL here"
            server = Server(binaries)
            try:
                print("PostgreSQL, the same")
                print(f"  written in {fill(server.url(), runs, epochs):.1f} s")
                measure(server.url(), rounds)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
