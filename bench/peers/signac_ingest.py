"""signac: a job per run with its config and the last row; it keeps no curves.

signac_ingest.py DATA STORE RUNS
"""

import csv
import json
import resource
import sys
import time
from pathlib import Path

import signac

data, store, runs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
project = signac.init_project(store)
begun = time.process_time()
for progress in sorted(data.rglob("progress.txt"))[:runs]:
    config = json.loads((progress.parent / "config.json").read_text())
    config.pop("logger", None)
    with progress.open(newline="") as file:
        *_, last = csv.DictReader(file, delimiter="\t")
    job = project.open_job(config | {"name": progress.parent.name}).init()
    job.document.update({name: float(value) for name, value in last.items()})
cpu = time.process_time() - begun
print(json.dumps({"cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "runs": runs}))
