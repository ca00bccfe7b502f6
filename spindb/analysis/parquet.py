"""Typed rows as a Parquet file, by pyarrow."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spindb.index.read.exports import TypedColumn

_ROWS_AT_ONCE = 100_000
_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}


def write_parquet(path: Path, columns: Sequence[TypedColumn], rows: Iterable[tuple[Any, ...]]) -> int:
    """Write rows with the types and meanings of their columns; returns how many there were.

    Raises:
        OSError: it can't be written there.
    """
    fields = [pa.field(c.name, _TYPES[c.kind], metadata={"meaning": c.meaning}) for c in columns]
    schema, count = pa.schema(fields), 0
    iterator = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while portion := list(itertools.islice(iterator, _ROWS_AT_ONCE)):
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*portion, strict=True), fields, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(portion)
    return count
