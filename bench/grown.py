"""Reading a grown table whole again, against appending to the series that are stored.

The second would unpack each stored series, parse the new row and pack it again; the first parses all rows.
CPU time for one table, median.

    python bench/grown.py [ROWS] [COLUMNS]
"""

from __future__ import annotations

import random
import statistics
import sys
import time

from spindb.disk.tables import read_table
from spindb.index.database import series


def main(rows: int, columns: int) -> None:
    rng = random.Random(0)
    lines = ["\t".join(f"Metric{i}" for i in range(columns))]
    lines += ["\t".join([str(row), *(str(rng.random()) for _ in range(columns - 1))]) for row in range(rows)]
    whole = ("\n".join(lines) + "\n").encode()
    last = "\n".join([lines[0], lines[-1]]).encode() + b"\n"
    stored = [series.encode(column.values) for column in read_table(whole).columns]
    again, append = [], []
    for _ in range(9):
        began = time.process_time()
        for column in read_table(whole).columns:
            series.encode(column.values)
        again.append(time.process_time() - began)
        began = time.process_time()
        for packed, column in zip(stored, read_table(last).columns, strict=True):
            series.encode([*series.decode(packed), *column.values])
        append.append(time.process_time() - began)
    first, second = statistics.median(again), statistics.median(append)
    print(f"{rows} rows, {columns} columns, {len(whole) / 1e6:.1f} MB")
    print(f"whole again   {1000 * first:6.1f} ms")
    print(f"append        {1000 * second:6.1f} ms   whole again is {first / second:.2f} times that")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [10_000, 18][len(numbers) :]))
