"""Asks rliable for interquartile means and their stratified bootstrap intervals, for the tests to agree with.

rliable does not install beside recent pandas: give it an environment of its own.

    python -m venv ENV
    ENV/bin/pip install rliable
    ENV/bin/python bench/rliable_says.py > tests/golden/rliable.json
"""

from __future__ import annotations

import json

import numpy as np
from rliable import library, metrics

SHAPES = {"five seeds, one task": (5, 1), "three seeds, four tasks": (3, 4), "twelve seeds, two tasks": (12, 2)}
REPETITIONS = 20000


def main() -> None:
    found = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        scores = np.random.default_rng(number).normal(100, 30, size=shape).round(3)
        points, intervals = library.get_interval_estimates(
            {"a": scores}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=REPETITIONS
        )
        low, high = intervals["a"][:, 0]
        found[name] = {"scores": scores.tolist(), "iqm": float(points["a"][0]), "low": float(low), "high": float(high)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
