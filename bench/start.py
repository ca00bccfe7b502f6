"""How long the command line takes to start, against the import of typer and sqlalchemy alone.

Each is a new process; the two alternate, so that a noisy machine is noisy to both. Reported: the median
CPU time (user and system) of each and their ratio. Bytecode is compiled first.

    python bench/start.py [ROUNDS]
"""

from __future__ import annotations

import compileall
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import spindb

PEER = "import typer, sqlalchemy"
_MAIN = "import sys; sys.argv[1:] = {}; from spindb.__main__ import main; main()"
COMMANDS = {
    "spindb runs --help": _MAIN.format(["runs", "--help"]),
    "spindb --help": _MAIN.format(["--help"]),
    "spindb runs (3 runs)": _MAIN.format(["runs"]),
}


def cpu_seconds(code: str, directory: str) -> float:
    """User and system time of a Python process that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(spindb.__file__).parent, quiet=2)
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(3):
            run = Path(directory, "data", f"run_s{seed}")
            run.mkdir(parents=True)
            (run / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t1.5\n")
            (run / "config.json").write_text('{"pi_lr": 0.001}')
        subprocess.run(
            [sys.executable, "-m", "spindb", "ingest", "data"], cwd=directory, capture_output=True, check=True
        )
        for code in (PEER, *COMMANDS.values()):
            cpu_seconds(code, directory)
        times: dict[str, list[float]] = {PEER: []}
        for name, code in COMMANDS.items():
            for _ in range(rounds):
                times[PEER].append(cpu_seconds(PEER, directory))
                times.setdefault(name, []).append(cpu_seconds(code, directory))
    peer = statistics.median(times[PEER])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<28} {1000 * median:6.0f} ms CPU   {median / peer:5.2f} times the peer")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
