"""What an ingest costs where nothing changed, against a bare walk that stats the same files.

Both in this process, in turns; CPU time (user and system), median, and their ratio. Then the peak memory
of a first ingest of a tenth of the runs and of all of them, each in a process of its own.

    python bench/rescan.py [RUNS] [ROUNDS]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from generate import generate

from spindb.disk.scan import scan
from spindb.ingest.pipeline import ingest


def bare_walk(directory: str) -> int:
    """Stat every file below; returns how many."""
    count = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += bare_walk(entry.path)
            else:
                entry.stat()
                count += 1
    return count


def cpu_seconds(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def peak_megabytes(database: Path, tree: Path) -> float:
    """Largest resident size of a process that ingests `tree`."""
    code = (
        "from pathlib import Path; from spindb.ingest.pipeline import ingest;"
        f"ingest({str(database)!r}, [Path({str(tree)!r})])"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss / 1024


def main(runs: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        tree, small = Path(place, "data"), Path(place, "small")
        generate(tree, runs=runs, epochs=5, metrics=6)
        generate(small, runs=runs // 10, epochs=5, metrics=6)
        few = peak_megabytes(Path(place, "small.db"), small)
        many = peak_megabytes(Path(place, "spindb.db"), tree)
        walks, ingests = [], []
        for _ in range(rounds):
            walks.append(cpu_seconds(lambda: bare_walk(str(tree))))
            ingests.append(cpu_seconds(lambda: ingest(Path(place, "spindb.db"), [tree])))
        unrelated = Path(place, "unrelated")
        for number in range(runs):
            directory = unrelated / f"group{number % 100}" / f"{number}"
            directory.mkdir(parents=True)
            for name in ("image.png", "notes.txt", "weights.h5"):
                (directory / name).touch()
        other_walks = [cpu_seconds(lambda: bare_walk(str(unrelated))) for _ in range(rounds)]
        other_scans = [cpu_seconds(lambda: list(scan(unrelated))) for _ in range(rounds)]
        walk, again = statistics.median(walks), statistics.median(ingests)
    print(f"{runs} runs, {rounds} rounds, CPU time")
    print(f"bare walk            {1000 * walk:7.0f} ms")
    print(f"ingest, no change    {1000 * again:7.0f} ms   {again / walk:.2f} times the walk")
    other_walk, other_scan = statistics.median(other_walks), statistics.median(other_scans)
    print(f"{runs} directories of other files, CPU time")
    print(f"bare walk            {1000 * other_walk:7.0f} ms")
    print(f"scan                 {1000 * other_scan:7.0f} ms   {other_scan / other_walk:.2f} times the walk")
    print(f"peak memory of a first ingest: {few:.0f} MB for {runs // 10} runs, {many:.0f} MB for {runs}")
    print(f"(this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB)")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [10_000, 5][len(numbers) :]))
