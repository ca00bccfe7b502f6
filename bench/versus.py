"""spindb beside its peers, each doing the same job in the same run: the page docs/benchmarks.md.

    python bench/versus.py [--runs N] [--rounds N] [--growth N,N,N] [--no-peers] [--out docs/benchmarks.md]

Peers are installed into environments of their own under ``bench/.peers`` (MLflow, trackio, signac, DuckDB); a C
compiler makes the floor, a loop around ``strtod``. Without a peer, or a compiler, its line is left out. Times are CPU
seconds (user and system) of one process, taken inside it around the job alone, imports left out; the jobs of a scenario
take turns.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generate import age, generate

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".peers"
INSTALLED = {"MLflow": "mlflow-skinny sqlalchemy alembic", "trackio": "trackio", "signac": "signac", "DuckDB": "duckdb"}
EPOCHS, METRICS = 100, 15

_MEASURED = """
import json, resource, sys, time
from pathlib import Path
{imports}
def cpu():
    return sum(sum(resource.getrusage(w)[:2]) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
begun, wall = cpu(), time.perf_counter()
{job}
used, wall = cpu() - begun, time.perf_counter() - wall
peak = max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
print(json.dumps({{"cpu": used, "wall": wall, "rss": peak}}))
"""
_INGEST = "from spindb.ingest.pipeline import ingest"
_ASK = "from spindb.index.database.connect import connected\nfrom spindb.index.query.search import Query, search"
_CURVES = f"{_ASK}\nfrom spindb.index.read.curves import curves"
_STDLIB = """
for p in Path({data!r}).rglob("progress.txt"):
    with p.open(newline="") as f:
        next(f)
        for row in csv.reader(f, delimiter="\\t"):
            [float(cell) for cell in row]
"""
# What is asked of functions written in C for each file: what no code around them, however short, can do without.
_C_FUNCTIONS = """
for path in paths:
    with open(path, "rb") as file:
        data = file.read()
    blake2b(data, digest_size=16).hexdigest()
    body = data.partition(b"\\n")[2]
    assert not body.translate(None, b"0123456789+-.eE\\t\\n")
    rows = orjson.loads(b"[[" + body[:-1].replace(b"\\t", b",").replace(b"\\n", b"],[") + b"]]")
    for column in zip(*rows):
        low, high = min(column), max(column)
        math.fsum(column), column.index(low), column.index(high), orjson.dumps(column)
"""
_PANDAS_ALL = """
frames = []
for p in Path({data!r}).rglob("progress.txt"):
    frame = pandas.read_csv(p, sep="\\t")
    frame["run"] = p.parent.name
    frame["config"] = p.parent.parent.name
    json.loads((p.parent / "config.json").read_text())
    frames.append(frame)
frame = pandas.concat(frames, ignore_index=True)
"""

# The rows that an ingest made, into a file like its own: what is left when nothing has to be read or thought.
_ROWS = """
import sqlite3
source = sqlite3.connect({database!r})
made = [sql for (sql,) in source.execute(
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")]
last = [sql for sql in made if "INDEX ix_configs" in sql or "INDEX ix_metrics" in sql]
tables = ("roots", "runs", "configs", "metrics")
kept = {{table: source.execute(f"SELECT * FROM {{table}}").fetchall() for table in tables}}
runs = len(kept["runs"])
Path({copy!r}).unlink(missing_ok=True)
"""
_WRITTEN = """
target = sqlite3.connect({copy!r}, isolation_level=None)
for pragma in ("page_size = 8192", "foreign_keys = ON", "journal_mode = WAL", "synchronous = NORMAL"):
    target.execute(f"PRAGMA {{pragma}}")
for statement in made:
    if statement not in last:
        target.execute(statement)
for first in range(0, runs, 100):
    target.execute("BEGIN IMMEDIATE")
    for table, rows in kept.items():
        of_each = len(rows) // runs
        part = rows[first * of_each : (first + 100) * of_each] if of_each else rows[first:]
        target.executemany(f"INSERT INTO {{table}} VALUES ({{', '.join('?' * len(rows[0]))}})", part)
    target.execute("COMMIT")
for statement in last:
    target.execute(statement)
target.close()
"""


@dataclass(frozen=True)
class Line:
    """A job and what it took: CPU seconds per round, scaled to all runs; MB of memory at most and on disk."""

    name: str
    cpu: tuple[float, ...]
    rss: float | None = None
    kept: float | None = None

    @property
    def middle(self) -> float:
        return statistics.median(self.cpu)


Job = Callable[[], dict[str, Any]]


def python(imports: str, job: str) -> Job:
    """A job in a process of this Python."""
    code = _MEASURED.format(imports=imports, job=job)
    return lambda: _json_of([sys.executable, "-c", code])


def peer(name: str, script: str, *arguments: object, fresh: Path | None = None, scale: float = 1) -> Job:
    """A job in a peer's environment; what it took is multiplied where it did but a part."""

    def run() -> dict[str, Any]:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
        found = _json_of([PEERS / name / "bin" / "python", HERE / "peers" / script, *map(str, arguments)])
        kept = {"kept": _megabytes(fresh) * scale} if fresh is not None else {}
        return found | {"cpu": found["cpu"] * scale} | kept

    return run


def _json_of(command: Sequence[object]) -> dict[str, Any]:
    words = [str(word) for word in command]
    result = subprocess.run(words, check=True, capture_output=True, text=True, cwd=tempfile.gettempdir())
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def _megabytes(directory: Path, pattern: str = "*") -> float:
    return sum(path.stat().st_size for path in directory.rglob(pattern) if path.is_file()) / 1e6


def in_turns(jobs: dict[str, Job], rounds: int) -> list[Line]:
    """Every job once per round, one after the other, so that a noisy machine is noisy to all."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            found[name].append(job())

    def most(all_of: Sequence[dict[str, Any]], what: str) -> float | None:
        return max((taken[what] for taken in all_of if what in taken), default=None)

    return [
        Line(name, tuple(f["cpu"] for f in all_of), most(all_of, "rss"), most(all_of, "kept"))
        for name, all_of in found.items()
    ]


def install_peers() -> list[str]:
    """Environments of the peers; returns those that are there."""
    there = []
    for name, packages in INSTALLED.items():
        place = PEERS / name
        if not (place / "done").exists():
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", *packages.split()]
            if subprocess.run(pip, check=False, capture_output=True).returncode:
                print(f"{name} can't be installed: left out", file=sys.stderr)
                continue
            (place / "done").touch()
        there.append(name)
    return there


def floor_job(files: Path, work: Path) -> Job | None:
    """The C loop over the files that are listed in one; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-O2", "-o", work / "floor", HERE / "floor.c"], check=True)
    command, listed = str(work / "floor"), str(files)
    return python("import subprocess", f"subprocess.run([{command!r}], stdin=open({listed!r}), stdout=-3, check=True)")


def ingest_scenario(data: Path, work: Path, runs: int, rounds: int, peers: Sequence[str]) -> list[Line]:
    """All values of all runs, from the files into the database."""
    database = work / "cold.db"

    def cold() -> dict[str, Any]:
        for part in work.glob("cold.db*"):
            part.unlink()
        taken = python(_INGEST, f"ingest({str(database)!r}, [Path({str(data)!r})])")()
        return taken | {"kept": _megabytes(work, "cold.db*")}

    jobs: dict[str, Job] = {"spindb ingest": cold}
    files = work / "files"
    files.write_text("".join(f"{path}\n" for path in sorted(data.rglob("progress.txt"))))
    floor = floor_job(files, work)
    if floor:
        jobs["C, strtod alone, keeping nothing"] = floor
    names = {"database": str(database), "copy": str(work / "copy.db")}
    jobs["SQLite writing the same rows, reading nothing"] = python(_ROWS.format(**names), _WRITTEN.format(**names))
    imports = f"import math, orjson\nfrom hashlib import blake2b\npaths = Path({str(files)!r}).read_text().splitlines()"
    jobs["orjson, min, max, fsum, index and digest alone, keeping nothing"] = python(imports, _C_FUNCTIONS)
    jobs["Python's csv and float, keeping nothing"] = python("import csv", _STDLIB.format(data=str(data)))
    jobs["pandas reading all files"] = python("import json, pandas", _PANDAS_ALL.format(data=str(data)))
    part = min(runs, 20)
    for name, script, count in (
        ("MLflow", "mlflow_ingest.py", part),
        ("trackio", "trackio_ingest.py", min(runs, 200)),
        ("signac", "signac_ingest.py", runs),
    ):
        if name in peers:
            place = work / name
            store = place / "store.db" if name == "MLflow" else place
            label = name if count == runs else f"{name} ({count} runs, scaled)"
            label += ", without curves" if name == "signac" else ""
            jobs[label] = peer(name, script, data, store, count, fresh=place, scale=runs / count)
    return in_turns(jobs, rounds)


def repeated_scenarios(data: Path, work: Path, runs: int, rounds: int) -> dict[str, list[Line]]:
    """Ingests of what is known already."""
    database = str(work / "cold.db")
    ingest = python(_INGEST, f"ingest({database!r}, [Path({str(data)!r})])")
    walk = python(
        "import os",
        f"""
def walk(d):
    with os.scandir(d) as found:
        for e in found:
            walk(e.path) if e.is_dir() else e.stat()
walk({str(data)!r})""",
    )
    places = sorted(data.rglob("progress.txt"))

    def grow(some: Sequence[Path]) -> Job:
        def run() -> dict[str, Any]:
            for place in some:
                last = place.read_text().splitlines()[-1]
                with place.open("a") as file:
                    file.write(last + "\n")
                age(place.parent)
                os.utime(place)
            return ingest()

        return run

    ingest()
    return {
        "nothing changed": in_turns({"spindb ingest": ingest, "a bare walk with stat": walk}, rounds),
        "one run grew": in_turns({"spindb ingest": grow(places[:1])}, rounds),
        "1 % of the runs grew": in_turns({"spindb ingest": grow(places[: max(1, runs // 100)])}, rounds),
    }


def question_scenarios(data: Path, work: Path, rounds: int, peers: Sequence[str]) -> dict[str, list[Line]]:
    """Answers out of the database, and out of the files."""
    database = str(work / "cold.db")
    narrow, broad = "pi_lr=1e-3 clip_ratio=0.2 AverageEpRet.max>90", "pi_lr<1 Metric0<0.9"
    query = "Query({1!r}, ('id', 'name', 'Performance'), ('-Performance',), limit=20)"
    asked = "with connected({0!r}) as c: search(c, " + query + ")"
    thirty = [str(data / f"exp{e}" / f"exp{e}_s{s}" / "progress.txt") for e in range(3) for s in range(10)]
    thirty = [path for path in thirty if Path(path).exists()]
    every = _PANDAS_ALL.format(data=str(data))
    pandas = "import json, pandas"
    by_seed = "frame.groupby(['config', 'run']).AverageEpRet.last().groupby('config').agg(['mean', 'std'])"
    scenarios: dict[str, dict[str, Job]] = {
        "filter on two hyperparameters and a metric, sorted": {
            "spindb": python(_ASK, asked.format(database, narrow)),
            "pandas": python(pandas, every + "frame.groupby('run').AverageEpRet.max().sort_values().tail(20)"),
        },
        "a broad filter, sorted": {"spindb": python(_ASK, asked.format(database, broad))},
        "30 curves": {
            "spindb": python(_CURVES, f"with connected({database!r}) as c: curves(c, range(1, 31), 'Performance')"),
            "pandas": python("import pandas", f"[pandas.read_csv(p, sep='\\t') for p in {thirty!r}]"),
        },
        "last performance, grouped over seeds": {
            "spindb": python(_ASK, f"""
import statistics
with connected({database!r}) as c:
    groups = {{}}
    for name, value in search(c, Query('', ('exp_name', 'Performance'))).rows:
        groups.setdefault(name, []).append(value)
    [(statistics.fmean(v), statistics.pstdev(v)) for v in groups.values()]"""),
            "pandas": python(pandas, every + by_seed),
        },
    }  # fmt: skip
    if "DuckDB" in peers:
        for title, word in (("30 curves", "thirty"), ("last performance, grouped over seeds", "groups")):
            scenarios[title]["DuckDB over the files"] = peer("DuckDB", "duckdb_files.py", data, word)
    return {title: in_turns(jobs, rounds) for title, jobs in scenarios.items()}


def command_scenarios(work: Path, rounds: int) -> list[Line]:
    """Whole processes, against the import of the two libraries that nothing can do without."""
    database = str(work / "cold.db")

    def whole(code: str) -> Job:
        last = "u = resource.getrusage(resource.RUSAGE_SELF)\nprint()\nprint(json.dumps({'cpu': u[0] + u[1]}))"
        command = [sys.executable, "-c", f"import resource, json\n{code}\n{last}"]
        return lambda: _json_of(command)

    run = "from spindb.cli.app import run\nrun(['--db', {0!r}, {1}])"
    return in_turns(
        {
            "import typer, sqlalchemy": whole("import typer, sqlalchemy"),
            "spindb --help": whole("from spindb.cli.app import run\nrun(['--help'])"),
            "spindb runs": whole(run.format(database, "'runs', '--limit', '20'")),
            "spindb show 1": whole(run.format(database, "'show', '1'")),
        },
        max(rounds, 5),
    )


def growth(sizes: Sequence[int], work: Path) -> list[str]:
    """Cold ingests of more and more runs (20 epochs), in one process and in as many as there are cores: a table."""
    rows = [
        "| runs | CPU per run | peak memory | database per run | runs per second | all cores |",
        "|---|---|---|---|---|---|",
    ]
    for size in sizes:
        data = work / f"grown{size}"
        generate(data, runs=size, epochs=20, metrics=METRICS)
        one, all_ = (
            python(_INGEST, f"ingest({str(work / name)!r}, [Path({str(data)!r})], jobs={jobs})")()
            for name, jobs in (("grown.db", 1), ("grown-too.db", os.cpu_count()))
        )
        kilobytes = (work / "grown.db").stat().st_size / size / 1000
        rows.append(
            f"| {size:,} | {1000 * one['cpu'] / size:.2f} ms | {one['rss']:.0f} MB | {kilobytes:.1f} KB "
            f"| {size / one['wall']:,.0f} | {size / all_['wall']:,.0f} |"
        )
        shutil.rmtree(data)
        for leftover in work.glob("grown*.db*"):
            leftover.unlink()
    return rows


def table(lines: Sequence[Line]) -> list[str]:
    """Rows of a table: each line beside the first."""
    own = lines[0].middle
    kept = any(line.kept for line in lines)
    titles = ["", "CPU", "times the first", "spread", "peak memory", *(["on disk"] if kept else [])]
    rows = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for line in lines:
        low, high = min(line.cpu), max(line.cpu)
        memory = f"{line.rss:.0f} MB" if line.rss else ""
        ratio = "" if line is lines[0] else f"{line.middle / own:.3g}"
        cells = [line.name, _time(line.middle), ratio, f"{_time(low)} to {_time(high)}", memory]
        rows.append(f"| {' | '.join([*cells, *([f'{line.kept:.3g} MB' if line.kept else ''] if kept else [])])} |")
    return rows


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _versioned(peer: str) -> str:
    package = INSTALLED[peer].split()[0]
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    found = subprocess.run([PEERS / peer / "bin" / "python", "-c", code], check=True, capture_output=True, text=True)
    return f"{peer} {found.stdout.strip()}"


def machine() -> str:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {platform.python_version()}"


def draw(lines: Sequence[Line], path: Path) -> None:
    """A bar per line of the cold ingest, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ordered = sorted(lines, key=lambda line: line.middle)
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(ordered) + 1.2), layout="constrained")
    colours = ["#d95f02" if line.name.startswith("spindb") else "#7f8c8d" for line in ordered]
    axes.barh([line.name for line in ordered], [line.middle for line in ordered], color=colours)
    for place, line in enumerate(ordered):
        axes.text(line.middle, place, f" {_time(line.middle)}", va="center", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(right=max(line.middle for line in ordered) * 4)
    axes.set_xlabel("CPU seconds")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", default="1000,10000,100000")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(HERE.parent / "spindb", quiet=2)
    peers = [] if asked.no_peers else install_peers()
    with tempfile.TemporaryDirectory() as directory:
        work, data = Path(directory), Path(directory) / "data"
        generate(data, runs=asked.runs, epochs=EPOCHS, metrics=METRICS)
        cold = ingest_scenario(data, work, asked.runs, asked.rounds, peers)
        questions = question_scenarios(data, work, asked.rounds, peers)
        commands = command_scenarios(work, asked.rounds)
        repeated = repeated_scenarios(data, work, asked.runs, asked.rounds)
        grown = growth([int(word) for word in asked.growth.split(",")], work)
    page = [
        "# Benchmarks",
        "",
        f"Made by `make bench` ([bench/versus.py](../bench/versus.py)) on {machine()}.",
        "",
        f"{asked.runs:,} runs × {EPOCHS} epochs × {METRICS} metrics, {asked.runs * EPOCHS * METRICS:,} values.",
        "CPU seconds of one process, taken inside it around the job alone, imports left out; the median of rounds,",
        "which take turns; ratios are to the first line.",
        "",
        "## Cold ingest: everything from the files into the database",
        "",
        *(["![cold ingest, CPU seconds](benchmarks.png)", ""] if asked.out else []),
        *table(cold),
        "",
        f"MLflow and trackio are given rows in batches, their fastest way. Peers: {', '.join(map(_versioned, peers))}.",
        "",
        "## Ingest of what is known",
        "",
    ]
    for title, lines in repeated.items():
        page += [f"### {title}", "", *table(lines), ""]
    page += ["## Questions", ""]
    for title, lines in questions.items():
        page += [f"### {title}", "", *table(lines), ""]
    page += ["## Whole commands", "", *table(commands), "", "## Growth", ""]
    page += [*grown, "", "Twenty epochs each; CPU and memory are those of one process that does it all.", ""]
    print("\n".join(page))
    if asked.out:
        draw(cold, asked.out.with_suffix(".png"))
        asked.out.write_text("\n".join(page))


if __name__ == "__main__":
    main()
