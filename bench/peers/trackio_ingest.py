"""trackio: every row of every run into its SQLite files, by the function under its server.

trackio_ingest.py DATA STORE RUNS
"""

import csv
import json
import os
import resource
import sys
import time
from pathlib import Path

data, store, runs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
os.environ["TRACKIO_DIR"] = store
from trackio.sqlite_storage import SQLiteStorage  # noqa: E402 - it looks at the directory when imported

SQLiteStorage.bulk_log(project="bench", run="first", metrics_list=[{"x": 1.0}], steps=[0])  # makes the tables
begun = time.process_time()
for progress in sorted(data.rglob("progress.txt"))[:runs]:
    config = json.loads((progress.parent / "config.json").read_text())
    with progress.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file, delimiter="\t")]
    name = progress.parent.name
    SQLiteStorage.bulk_log(project="bench", run=name, metrics_list=rows, steps=list(range(len(rows))), config=config)
cpu = time.process_time() - begun
print(json.dumps({"cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "runs": runs}))
