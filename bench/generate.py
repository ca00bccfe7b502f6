"""Writes directories of runs, the same ones each time: what benchmarks and torture feed on.

python bench/generate.py DIRECTORY [RUNS] [EPOCHS] [METRICS]
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

_BASE = ("Epoch", "AverageEpRet", "TotalEnvInteracts", "Time")


def generate(root: Path, *, runs: int = 100, epochs: int = 50, metrics: int = 15, odd: bool = False) -> None:
    """Write `runs` run directories under `root`: ten settings times seeds.

    With `odd`, every seventh run has something wrong with it: a ragged row, NaN cells, no config, no rows.
    All files look an hour old.
    """
    header = [*_BASE, *(f"Metric{i}" for i in range(metrics - len(_BASE)))]
    for number in range(runs):
        rng = random.Random(number)
        setting, seed = number % 10, number // 10
        directory = root / f"exp{setting}" / f"exp{setting}_s{seed}"
        directory.mkdir(parents=True, exist_ok=True)
        config = {
            "exp_name": f"exp{setting}",
            "seed": seed,
            "env": ("CartPole-v1", "Pendulum-v1")[setting % 2],
            "clip_ratio": 0.2,
            "gamma": 0.99,
            "pi_lr": 10.0 ** -(1 + setting % 5),
            "ac_kwargs": {"hidden_sizes": [2 ** (4 + setting % 3)] * 2},
            "logger": {f"<EpochLogger object at 0x{rng.getrandbits(48):012x}>": {"first_row": True}},
        }
        (directory / "config.json").write_text(json.dumps(config, indent=4, separators=(",", ":\t"), sort_keys=True))
        lines = ["\t".join(header)]
        for epoch in range(epochs):
            values = [epoch, rng.gauss(epoch, 5), 1000 * (epoch + 1), 1.5 * epoch]
            values += [rng.random() for _ in range(metrics - len(_BASE))]
            lines.append("\t".join(map(str, values)))
        text = "\n".join(lines) + "\n"
        if odd and number % 7 == 3:
            _spoil(directory, text, number // 7 % 4)
        else:
            (directory / "progress.txt").write_text(text)
        age(directory)


def _spoil(directory: Path, text: str, kind: int) -> None:
    lines = text.splitlines()
    if kind == 0:
        lines[len(lines) // 2] += "\t1\t2"
    elif kind == 1:
        lines[-1] = "\t".join("nan" for _ in lines[0].split("\t"))
    elif kind == 2:
        (directory / "config.json").unlink()
    else:
        lines = []
    (directory / "progress.txt").write_text("".join(line + "\n" for line in lines))


def age(directory: Path, seconds: float = 3600) -> None:
    """Let all files of a run look that old."""
    then = time.time() - seconds
    for path in directory.iterdir():
        os.utime(path, (then, then))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]]
    names = ("runs", "epochs", "metrics")
    generate(Path(sys.argv[1]), **dict(zip(names, numbers, strict=False)))  # type: ignore[arg-type]
