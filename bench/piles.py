"""What commands over a whole pile cost against reading the same configurations.

Two piles, written through the code that ingest writes with (no files are read): 10,000 runs of 100 hyperparameters, in
settings of ten seeds, and 2,000 runs of 7,000 sparse ones, as loggers leave them that dump objects.

    python bench/piles.py [RUNS] [SPARSE_RUNS] [SPARSE_KEYS] [ROUNDS]

For each pile: the CPU time of one SELECT of all hyperparameters (run, key, canonical text), then of what `compare`,
`doctor`, `params --varying` and `plot` compute, each the median over rounds, and as a multiple of that SELECT. The goal
is five times at most.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection

from spindb.analysis.compare import compare
from spindb.analysis.drawing.panels import PlotSpec, panels
from spindb.canonical import canonical
from spindb.index.database import migrate
from spindb.index.database.connect import connected
from spindb.index.database.deferred_indexes import indexed_afterwards
from spindb.index.database.engine import open_engine
from spindb.index.database.planner import refresh_statistics
from spindb.index.query.search import run_ids
from spindb.index.read.doctor import examine
from spindb.index.read.overview import varying_keys
from spindb.index.write.batch import Batch
from spindb.index.write.roots import place_of
from spindb.index.write.rows import rows_of
from spindb.records import ConfigLeaf, Content, EnvironmentHint, MetricSeries, RunRecord

SEEDS, HYPERPARAMETERS, EPOCHS = 10, 100, 10
PER_SPARSE_RUN = 150
_BATCH = 500
_SELECT = "SELECT run_id, key, canonical FROM configs"

QUESTIONS: dict[str, Callable[[Connection, list[int]], object]] = {
    "compare": lambda connection, ids: compare(connection, ids),
    "doctor": examine,
    "params --varying": varying_keys,
    "plot": lambda connection, ids: panels(connection, ids, PlotSpec()),
}


def leaf(key: str, value: object) -> ConfigLeaf:
    number = float(value) if isinstance(value, (int, float)) else None
    kind = "str" if isinstance(value, str) else "float" if isinstance(value, float) else "int"
    return ConfigLeaf(key, kind, json.dumps(value), number, canonical=canonical(value))


def record(number: int, setting: int, seed: int, leaves: list[ConfigLeaf]) -> RunRecord:
    rng = random.Random(number)
    level = 100 * rng.random()
    name = f"exp{setting}_s{seed}"
    own = [leaf("seed", seed), leaf("exp_name", f"exp{setting}"), leaf("save_path", f"/scratch/{number}")]
    metrics = (
        MetricSeries("Epoch", [float(e) for e in range(EPOCHS)]),
        MetricSeries("AverageEpRet", [level * e / EPOCHS + rng.random() for e in range(EPOCHS)]),
        MetricSeries("TotalEnvInteracts", [4000.0 * (e + 1) for e in range(EPOCHS)]),
    )
    return RunRecord(
        f"exp{setting}/{name}", name, "spinningup", "ok",
        exp_name=f"exp{setting}", seed=seed, algo=("ppo", "sac", "td3")[setting % 3], algo_source="config",
        env=EnvironmentHint(f"Env-{setting % 7}", "config"), rows=EPOCHS, axis="Epoch", steps="TotalEnvInteracts",
        performance="AverageEpRet", content=Content(f"w{number}", 100, f"m{number}", f"c{number}"),
        config=tuple(sorted([*own, *leaves], key=lambda found: found.key)), metrics=metrics,
    )  # fmt: skip


def dense(runs: int) -> Iterator[RunRecord]:
    """Settings of ten seeds that differ in a third of their hyperparameters."""
    for number in range(runs):
        setting, seed = divmod(number, SEEDS)
        dice = random.Random(setting)
        leaves = [leaf(f"h{i}", dice.randrange(5) if i % 3 == 0 else i / 8) for i in range(HYPERPARAMETERS - 3)]
        yield record(number, setting, seed, leaves)


def sparse(runs: int, keys: int) -> Iterator[RunRecord]:
    """Every run holds a few of very many keys."""
    for number in range(runs):
        setting, seed = divmod(number, 2)
        dice = random.Random(setting)
        held = dice.sample(range(keys), min(PER_SPARSE_RUN, keys))
        yield record(number, setting, seed, [leaf(f"part{i % 50}.attr{i}", dice.randrange(3)) for i in held])


def fill(location: str, records: Iterator[RunRecord], runs: int) -> None:
    engine = open_engine(location, write=True)
    migrate.upgrade(engine, location)
    with engine.begin() as connection:
        root = place_of(connection, Path("/bench")).root_id
    with engine.connect() as connection, indexed_afterwards(connection, runs):
        for _ in range(0, runs, _BATCH):
            with connection.begin():
                batch = Batch(connection, root, _BATCH)
                for _, one in zip(range(_BATCH), records, strict=False):
                    batch.add(rows_of(one, engine.name), "s")
                batch.write()
    refresh_statistics(engine)
    engine.dispose()


def cpu_seconds(ask: Callable[[], object], rounds: int) -> float:
    """Median of the CPU time; the first round warms what is warm in a long session."""
    found = []
    for _ in range(rounds + 1):
        begun = time.process_time()
        ask()
        found.append(time.process_time() - begun)
    return statistics.median(found[1:])


def measure(location: str, rounds: int) -> None:
    with connected(location) as connection:
        ids = run_ids(connection, "")
        reading = cpu_seconds(lambda: connection.exec_driver_sql(_SELECT).fetchall(), rounds)
        rows = len(connection.exec_driver_sql(_SELECT).fetchall())
        print(f"  {'one SELECT':<18} {reading:7.2f} s CPU, {rows} hyperparameters")
        for name, question in QUESTIONS.items():
            seconds = cpu_seconds(lambda question=question: question(connection, ids), rounds)
            print(f"  {name:<18} {seconds:7.2f} s CPU, {seconds / reading:4.1f} times")


def main() -> None:
    runs, sparse_runs, sparse_keys, rounds = [*map(int, sys.argv[1:]), *(10_000, 2_000, 7_000, 3)[len(sys.argv) - 1 :]]
    piles = {
        f"{runs} runs of {HYPERPARAMETERS} hyperparameters": (dense(runs), runs),
        f"{sparse_runs} runs of {sparse_keys} sparse hyperparameters": (sparse(sparse_runs, sparse_keys), sparse_runs),
    }
    for title, (records, count) in piles.items():
        with tempfile.TemporaryDirectory() as directory:
            location = str(Path(directory) / "piles.db")
            fill(location, records, count)
            print(title)
            measure(location, rounds)


if __name__ == "__main__":
    main()
