"""How results are printed for programs: JSON, JSON lines, CSV, ids."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from spindb.cli.terminal.door import echo_csv, echo_json, records_on_stdout
from spindb.printable import printable_json
from spindb.views.jsonable import csv_cell, plain

Format = Literal["text", "json", "jsonl", "csv", "ids"]
"""How a command prints its result; text is for people."""


def print_json(value: object) -> None:
    """JSON on stdout. NaN and infinities, which JSON lacks, become the texts ``NaN``, ``Infinity``."""
    echo_json(json.dumps(plain(value), ensure_ascii=False, indent=2))


def print_json_rows(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A JSON list of one object per row on stdout, each written as it comes; as `print_json` prints it."""
    # Written as rows come: a result of millions of rows is never held as one list.
    keys = distinct_keys(titles)
    with records_on_stdout() as file:
        before = "["
        for row in rows:
            text = json.dumps(plain(dict(zip(keys, row, strict=True))), ensure_ascii=False, indent=2)
            file.write(before + "".join(f"\n  {line}" for line in printable_json(text).split("\n")))
            before = ","
        file.write("[]\n" if before == "[" else "\n]\n")


def print_json_lines(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One JSON object per row, a line each, on stdout."""
    keys = distinct_keys(titles)
    with records_on_stdout() as file:
        for row in rows:
            file.write(json_line(dict(zip(keys, row, strict=True))))


def distinct_keys(titles: Sequence[str]) -> list[str]:
    """The titles as keys of one object: a second `a` is `a:1`, as SQLite names it in a subquery."""
    taken, found = set(titles), list[str]()
    for title in titles:
        key = title
        if key in found:
            key = next(name for n in itertools.count(1) if (name := f"{title}:{n}") not in taken)
            taken.add(key)
        found.append(key)
    return found


def json_line(row: Mapping[str, object]) -> str:
    """A row as one line of JSON."""
    return printable_json(json.dumps(plain(row), ensure_ascii=False)) + "\n"


def print_ids(ids: Iterable[int]) -> None:
    """Ids on stdout, a line each."""
    with records_on_stdout() as file:
        for run_id in ids:
            file.write(f"{run_id}\n")


def print_records(chosen: Format, records: Sequence[Mapping[str, object]], empty: Sequence[str] = ("id",)) -> None:
    """Objects as JSON, or as CSV with a column per key; ``empty`` are the columns where there is no object."""
    if chosen == "json":
        print_json(records)
    else:
        titles = tuple(records[0]) if records else empty
        print_csv(titles, (tuple(record.values()) for record in records))


def print_csv(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """CSV on stdout: lists as JSON, nothing for what is absent."""
    echo_csv(titles, ([csv_cell(value) for value in row] for row in rows))
