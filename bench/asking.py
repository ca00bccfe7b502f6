"""What questions cost on 3,000 runs of 200 epochs and 20 metrics.

Three figures, each a ratio against a peer in the same run:

- `spindb runs` with a filter on two hyperparameters and a metric, sorted: CPU time of the whole process against that
  of a process that only imports the libraries which it imports (module by module, as `sys.modules` has them);
- `spindb plot` of 100 runs: what our part takes and what matplotlib's part takes;
- the same curves out of the database against pandas reading every progress.txt, which is how Spinning Up's plotter gets
  them: all files are read for every picture.

    python bench/asking.py [RUNS] [ROUNDS]
"""

from __future__ import annotations

import compileall
import json
import os
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from generate import generate

import spindb
from spindb.ingest.pipeline import ingest

FILTER = "env=CartPole-v1 pi_lr<=1e-2 AverageEpRet.max>150"
ASK = ["runs", FILTER, "--sort", "-Performance,pi_lr"]
PLOT_FILTER = "seed<10"  # ten settings of ten seeds


def cpu_seconds(code: str, directory: str) -> float:
    """User and system time of a Python process that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spread(values: list[float]) -> str:
    """Median and range in milliseconds."""
    low, middle, high = (1000 * f(values) for f in (min, statistics.median, max))
    return f"{middle:7.0f} ms ({low:.0f} to {high:.0f})"


def libraries_of(command: str, directory: str) -> str:
    """Code that imports the third-party modules which a command has loaded when it ends, and nothing else."""
    installed = "[n for n, m in sys.modules.items() if 'site-packages' in str(getattr(m, '__file__', ''))]"
    code = f"import sys; {command}; print(*{installed})"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=directory)
    found = [name for name in result.stdout.splitlines()[-1].split() if not name.startswith("_")]
    print(f"libraries: {', '.join(sorted({name.partition('.')[0] for name in found}))}")
    return f"import {', '.join(found)}"


def ask(directory: str, rounds: int) -> None:
    times: dict[str, list[float]] = {}
    command = f"from spindb.cli.app import run; run({ASK!r})"
    libraries = libraries_of(command, directory)
    for _ in range(rounds + 1):  # the first warms the caches
        for name, code in {"libraries": libraries, "spindb runs": command}.items():
            times.setdefault(name, []).append(cpu_seconds(code, directory))
    peer, own = (values[1:] for values in times.values())
    ratio = statistics.median(own) / statistics.median(peer)
    found = subprocess.run(
        [sys.executable, "-m", "spindb", *ASK, "--ids"], cwd=directory, capture_output=True, check=True
    )
    print(f"runs, {len(found.stdout.split())} found, whole process: {spread(own)}, importing libraries: {spread(peer)}")
    print(f"  {ratio:.2f} times the import of its libraries")


_PHASES = """
import json, time
clock = [time.process_time()]
def lap(): clock.append(time.process_time())
import typer, sqlalchemy, numpy, scipy.special
lap()
from spindb.analysis.drawing.panels import PlotSpec, panels
from spindb.index.database.connect import connected
from spindb.index.query.search import run_ids
import spindb.cli.handlers.compare
with connected("spindb.db") as connection:
    wanted = PlotSpec()
    found = panels(connection, run_ids(connection, {filter!r}), wanted)
lap()
import matplotlib.figure, matplotlib.backends.backend_agg
lap()
from pathlib import Path
from spindb.analysis.drawing.plots import draw_curves, save
save(draw_curves(found, wanted.note), Path("p.png"))
lap()
print(json.dumps([b - a for a, b in zip(clock, clock[1:])]))
"""


def plot(directory: str, rounds: int) -> None:
    """What the command does, phase by phase, in processes of their own."""
    code = _PHASES.format(filter=PLOT_FILTER)
    found = []
    for _ in range(rounds + 1):
        result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=directory)
        found.append(json.loads(result.stdout))
    libraries, own, imported, drawn = zip(*found[1:], strict=True)
    print("plot of 100 runs to a PNG, CPU time")
    print(f"  typer, sqlalchemy, numpy, scipy: {spread(list(libraries))}")
    print(f"  spindb, from filter to lines   : {spread(list(own))}")
    print(f"  matplotlib, import             : {spread(list(imported))}")
    print(f"  matplotlib, drawing and writing: {spread(list(drawn))}")
    profile(directory)


def profile(directory: str) -> None:
    """The functions of ours that take most of a plot, and the drawing beside them."""
    code = (
        "import cProfile; from spindb.cli.app import run; p = cProfile.Profile(); "
        f"p.runcall(run, ['plot', {PLOT_FILTER!r}, '--out', 'p.png']); p.dump_stats('profile')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=directory)
    stats = pstats.Stats(str(Path(directory, "profile"))).stats  # type: ignore[attr-defined]
    rows = [
        (whole, f"{Path(file).name}:{name}")
        for (file, _, name), (_, _, _, whole, _) in stats.items()
        if "spindb" in Path(file).parts and name not in ("<module>", "<lambda>") and "site-packages" not in file
    ]
    print("  with what they call, under the profiler:")
    for seconds, name in sorted(rows, reverse=True)[:14]:
        print(f"    {1000 * seconds:6.0f} ms  {name}")


def peer(directory: str, rounds: int) -> None:
    import pandas

    from spindb.index.database.connect import connected
    from spindb.index.query.search import run_ids
    from spindb.index.read.curves import curves

    root, database = Path(directory, "data"), Path(directory, "spindb.db")

    def by_pandas(files: list[Path]) -> None:
        for path in files:
            config = json.loads((path.parent / "config.json").read_text())
            table = pandas.read_csv(path, sep="\t")
            table.insert(len(table.columns), "Condition1", config.get("exp_name"))
            table.insert(len(table.columns), "Performance", table["AverageEpRet"])

    def by_spindb(text: str) -> None:
        with connected(database) as connection:
            curves(connection, run_ids(connection, text), "Performance")

    every = sorted(root.rglob("progress.txt"))
    some = [path for path in every if int(path.parent.name.rpartition("_s")[2]) < 10]
    compare("all runs", lambda: by_pandas(every), lambda: by_spindb(""), rounds)
    compare(f"{len(some)} runs", lambda: by_pandas(some), lambda: by_spindb(PLOT_FILTER), rounds)


def compare(name: str, peer: Callable[[], None], own: Callable[[], None], rounds: int) -> None:
    """Turn about, CPU time of this process."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, found in zip((peer, own), times, strict=True):
            begin = time.process_time()
            call()
            found.append(time.process_time() - begin)
    ratio = statistics.median(times[0]) / statistics.median(times[1])
    print(f"curves of {name}: pandas from files {spread(times[0])}, spindb {spread(times[1])}: {ratio:.0f} times")


def main(runs: int, rounds: int) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(spindb.__file__).parent, quiet=2)
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory, "data"), runs=runs, epochs=200, metrics=20)
        ingest(Path(directory, "spindb.db"), [Path(directory, "data")])
        ask(directory, rounds)
        plot(directory, rounds // 2)
        peer(directory, max(1, rounds // 5))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [3000, 15][len(numbers) :]))
