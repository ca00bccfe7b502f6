"""DuckDB over the files: every question reads them again. No config, no odd file.

duckdb_files.py DATA QUESTION, which is all, thirty or groups
"""

import json
import os
import resource
import sys
import time

import duckdb

data, question = sys.argv[1:]
files = f"'{data}/**/progress.txt'"
if question == "thirty":
    places = [f"{data}/exp{e}/exp{e}_s{s}/progress.txt" for e in range(3) for s in range(10)]
    files = "[" + ", ".join(f"'{place}'" for place in places if os.path.exists(place)) + "]"
source = f"read_csv({files}, delim = '\t', header = true, union_by_name = true, filename = true)"
statement = {
    "all": f"SELECT filename, last(AverageEpRet), max(AverageEpRet), count(*) FROM {source} GROUP BY filename",
    "thirty": f"SELECT filename, list(TotalEnvInteracts), list(AverageEpRet) FROM {source} GROUP BY filename",
    "groups": f"""
        SELECT split_part(filename, '/', -3), avg(r), stddev(r)
        FROM (SELECT filename, last(AverageEpRet) r FROM {source} GROUP BY filename) GROUP BY 1""",
}[question]
connection = duckdb.connect()
connection.execute("SET threads = 1")
begun = time.process_time()
rows = connection.execute(statement).fetchall()
cpu = time.process_time() - begun
print(json.dumps({"cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "rows": len(rows)}))
