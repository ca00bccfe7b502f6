"""Three small layouts that no logger writes: what `spindb.disk.formats.base.Layout` must bear.

`Deep` has its table three folders below the run and in several files, `Scalars` metrics of unequal length with steps of
their own, `Several` many runs in one file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from spindb.disk.configs import ConfigText
from spindb.disk.formats.base import Layout, Previous, SnapshotFiles
from spindb.disk.run_directory import RunDirectory, bounded, files_below
from spindb.disk.sparse import SparseMetrics
from spindb.disk.times import utc
from spindb.records import MetricSeries, RunRecord, SnapshotRecord, part_of

_LIMIT = 1 << 20


class Deep:
    """``deep.json``, ``logs/WORKER/metrics/*.csv`` (epoch, interactions, return) and ``saves/ITR/policy.bin``."""

    name = "deep"

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        return "deep.json" in names

    def is_save(self, name: str) -> bool:
        return name == "saves"

    def watched(self, directory: str, names: Sequence[str]) -> Iterator[str]:
        yield "deep.json"
        yield from files_below(directory, 2, "logs")
        yield from files_below(directory, 1, "saves")

    def read(self, run: RunDirectory, previous: Previous) -> Iterator[RunRecord]:
        config = ConfigText(run.data("deep.json", _LIMIT), "deep.json")
        tables = [run.data(path, _LIMIT) for path in run.files(2, "logs") if path.endswith(".csv")]
        rows = [line.split(b",") for table in tables for line in table.splitlines()]
        columns = [tuple(float(row[place]) for row in rows) for place in range(3)]
        names = ("epoch", "interactions", "return")
        yield RunRecord(
            path=".",
            name=run.directory.name,
            format=self.name,
            status="ok" if rows else "empty",
            exp_name="deep",
            rows=len(rows),
            axis="epoch",
            steps="interactions",
            performance="return",
            updated_at=utc(run.mtime("deep.json") or 0.0),
            content=run.content(b"".join(tables), run.data("deep.json"), previous.get(None)),
            config=config.leaves(),
            metrics=tuple(map(MetricSeries, names, columns)) if rows else (),
            snapshots=tuple(
                SnapshotRecord("deep_save", path, int(path.split("/")[1]), run.directory.joinpath(path).stat().st_size)
                for path in run.files(1, "saves")
            ),
            problems=bounded((*run.problems, *config.problems)),
        )

    def snapshot_files(self, directory: str, snapshot: SnapshotRecord | None) -> SnapshotFiles:
        return SnapshotFiles((snapshot.path,) if snapshot else (), (), "deep.json")


class Scalars:
    """``scalars.jsonl``: a metric, a step and a value in each line."""

    name = "scalars"

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        return "scalars.jsonl" in names

    def is_save(self, name: str) -> bool:
        return False

    def watched(self, directory: str, names: Sequence[str]) -> Iterable[str]:
        return ("scalars.jsonl",)

    def read(self, run: RunDirectory, previous: Previous) -> Iterator[RunRecord]:
        data = run.data("scalars.jsonl", _LIMIT)
        metrics = SparseMetrics()
        for line in data.splitlines():
            metrics.add(*json.loads(line))
        if metrics.left_out:
            run.report("ragged-row", f"{metrics.left_out} values without a step", "scalars.jsonl")
        yield RunRecord(
            path=".",
            name=run.directory.name,
            format=self.name,
            status="ok",
            exp_name="scalars",
            rows=metrics.rows,
            performance="eval/return",
            content=run.content(data, b"", previous.get(None)),
            metrics=metrics.series(),
            problems=bounded(run.problems),
        )

    def snapshot_files(self, directory: str, snapshot: SnapshotRecord | None) -> SnapshotFiles:
        return SnapshotFiles()


class Several:
    """``runs.jsonl``: lines of many runs, each with the run's name, a step and a return, or its hyperparameters."""

    name = "several"

    def recognise(self, names: Collection[str], directory: str | os.PathLike[str] | None = None) -> bool:
        return "runs.jsonl" in names

    def is_save(self, name: str) -> bool:
        return False

    def watched(self, directory: str, names: Sequence[str]) -> Iterable[str]:
        return ("runs.jsonl",)

    def read(self, run: RunDirectory, previous: Previous) -> Iterator[RunRecord]:
        lines: dict[str, list[bytes]] = {}
        for line in run.data("runs.jsonl", _LIMIT).splitlines(keepends=True):
            lines.setdefault(str(json.loads(line)["run"]), []).append(line)
        for name, own in lines.items():
            yield self.one(run, previous, name, own)

    def one(self, run: RunDirectory, previous: Previous, name: str, lines: list[bytes]) -> RunRecord:
        part, metrics, values = part_of("runs.jsonl", name), SparseMetrics(), dict[str, Any]()
        for entry in map(json.loads, lines):
            values |= entry.get("config", {})
            if "step" in entry:
                metrics.add("return", entry["step"], entry["return"])
        table = b"".join(line for line in lines if b'"step"' in line)
        text = json.dumps(values).encode()
        return RunRecord(
            path=".",
            part=part,
            name=name,
            format=self.name,
            status="ok" if metrics.rows else "empty",
            exp_name="several",
            seed=values.get("seed"),
            rows=metrics.rows,
            performance="return",
            content=run.content(table, text, previous.get(part)),
            config=ConfigText(text).leaves(),
            metrics=metrics.series(),
        )

    def snapshot_files(self, directory: str, snapshot: SnapshotRecord | None) -> SnapshotFiles:
        return SnapshotFiles()


ALL: tuple[Layout, ...] = (Deep(), Scalars(), Several())
