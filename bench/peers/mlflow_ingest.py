"""MLflow: every value of every run into a SQLite store, by its client in batches.

mlflow_ingest.py DATA STORE RUNS
"""

import csv
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

logging.disable(logging.INFO)
data, store, runs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = MlflowClient(f"sqlite:///{store}")
experiment = client.create_experiment("bench")  # makes the tables, which is not counted
begun = time.process_time()
for progress in sorted(data.rglob("progress.txt"))[:runs]:
    run = client.create_run(experiment).info.run_id
    config = json.loads((progress.parent / "config.json").read_text())
    client.log_batch(run, params=[Param(key, str(value)[:500]) for key, value in config.items()])
    batch = []
    with progress.open(newline="") as file:
        for step, row in enumerate(csv.DictReader(file, delimiter="\t")):
            batch += [Metric(name, float(value), 0, step) for name, value in row.items()]
    for start in range(0, len(batch), 1000):
        client.log_batch(run, metrics=batch[start : start + 1000])
    client.set_terminated(run)
cpu = time.process_time() - begun
print(json.dumps({"cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "runs": runs}))
